"""What a server that we started is asked about itself, after readiness and over loopback only.

Its development endpoints are there where it was started with them: for the worker proof, for gated
batches and to empty its prefix cache. A server that someone else runs is asked only for what such a
run needs of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from harness.secrets import redact_values
from harness.words import LOOPBACK

_TIMEOUT_S = 120.0  # /server_info asks the system for what is installed, once

_SHORT_S = 10.0


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


def why_not_held(base_url: str, *, transport: httpx.BaseTransport | None = None) -> str:
    """Why a server cannot hold a batch or empty its cache for us; empty if it can."""
    try:
        with _client(base_url, transport) as client:
            answer = client.get("/is_paused", timeout=_SHORT_S)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return "it has no development endpoints: it runs without VLLM_SERVER_DEV_MODE=1"
        if answer.status_code != httpx.codes.OK:
            return f"/is_paused answered {answer.status_code}: {answer.text[:200]}"
        return "it is paused: POST /resume lets it go on" if answer.json()["is_paused"] else ""
    except ValueError as error:
        return str(error)
    except (httpx.HTTPError, KeyError, TypeError) as error:
        return f"/is_paused: {error!r}"


def let_go(base_url: str, *, transport: httpx.BaseTransport | None = None) -> None:
    """Resume a server that was left paused, whatever happened; one that is not is left alone."""
    unasked = suppress(httpx.HTTPError, ValueError, KeyError, TypeError)
    with unasked, _client(base_url, transport) as client:
        if client.get("/is_paused", timeout=_SHORT_S).json()["is_paused"]:
            client.post("/resume", timeout=_SHORT_S)


def _client(base_url: str, transport: httpx.BaseTransport | None) -> httpx.Client:
    if urlsplit(base_url).hostname not in LOOPBACK:
        raise ValueError(f"development endpoints are asked over loopback only, not at {base_url}")
    return httpx.Client(base_url=base_url, timeout=_TIMEOUT_S, transport=transport, trust_env=False)
