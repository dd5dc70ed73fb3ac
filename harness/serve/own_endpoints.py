"""What a server that we started is asked about itself, after readiness and over loopback only.

Its development endpoints are there where it was started with them (``controls.worker_proof``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from harness.secrets import redact_values
from harness.words import LOOPBACK

_TIMEOUT_S = 120.0  # /server_info asks the system for what is installed, once


def ask_workers(
    base_url: str,
    question: Mapping[str, object],
    *,
    transport: httpx.BaseTransport | None = None,
) -> tuple[Any, str]:
    """What every worker answers to one ``/collective_rpc``, and why there is no answer."""
    try:
        with _client(base_url, transport) as client:
            answer = client.post("/collective_rpc", json=question)
        if answer.status_code != 200:
            return None, f"/collective_rpc answered {answer.status_code}: {answer.text[:200]}"
        return answer.json()["results"], ""
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return None, f"/collective_rpc: {error!r}"


def ask_server_info(
    base_url: str, *, transport: httpx.BaseTransport | None = None
) -> Mapping[str, Any] | None:
    """``/server_info`` without secrets; ``None`` where the server has none."""
    try:
        with _client(base_url, transport) as client:
            answer = client.get("/server_info?config_format=json")
        info = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None
    kept = redact_values(info)
    return kept if isinstance(kept, dict) else None


def _client(base_url: str, transport: httpx.BaseTransport | None) -> httpx.Client:
    if urlsplit(base_url).hostname not in LOOPBACK:
        raise ValueError(f"development endpoints are asked over loopback only, not at {base_url}")
    return httpx.Client(base_url=base_url, timeout=_TIMEOUT_S, transport=transport, trust_env=False)
