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
from harness.wire import NotHeard, ask, line_to
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
            heard = ask(client, "/collective_rpc", method="POST", body=question)
        if not heard.ok:
            return None, f"/collective_rpc: {heard}"
        results = heard.member("results")
        return results, "" if results is not None else f"/collective_rpc: no results: {heard}"
    except (NotHeard, ValueError) as error:
        return None, f"/collective_rpc: {error}"


def ask_server_info(
    base_url: str, *, transport: httpx.BaseTransport | None = None
) -> Mapping[str, Any] | None:
    """``/server_info`` without secrets; ``None`` where the server has none."""
    try:
        with _client(base_url, transport) as client:
            return server_info(client)
    except ValueError:
        return None


def server_info(client: httpx.Client) -> dict[str, Any] | None:
    """``/server_info`` without secrets; ``None`` where the server has none that can be read."""
    try:
        heard = ask(client, "/server_info?config_format=json")
        info = redact_values(heard.json()) if heard.ok else None
    except NotHeard:
        return None
    return info if isinstance(info, dict) else None


def why_not_held(
    base_url: str,
    *,
    headers: Mapping[str, str] | None = None,
    transport: httpx.BaseTransport | None = None,
) -> str:
    """Why a server cannot hold a batch or empty its cache for us; empty if it can."""
    try:
        with _client(base_url, transport, headers) as client:
            heard = ask(client, "/is_paused", timeout_s=_SHORT_S)
        if heard.status == httpx.codes.NOT_FOUND:
            return "it has no development endpoints: it runs without VLLM_SERVER_DEV_MODE=1"
        paused = heard.member("is_paused") if heard.ok else None
        if not isinstance(paused, bool):
            return f"/is_paused: {heard}"
        return "it is paused: POST /resume lets it go on" if paused else ""
    except ValueError as error:
        return str(error)
    except NotHeard as error:
        return f"/is_paused: {error}"


def let_go(base_url: str, *, headers: Mapping[str, str] | None = None) -> None:
    """Resume a server that was left paused, whatever happened; one that is not is left alone."""
    with suppress(NotHeard, ValueError), _client(base_url, None, headers) as client:
        if ask(client, "/is_paused", timeout_s=_SHORT_S).member("is_paused"):
            ask(client, "/resume", method="POST", timeout_s=_SHORT_S)


def _client(
    base_url: str,
    transport: httpx.BaseTransport | None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Client:
    if urlsplit(base_url).hostname not in LOOPBACK:
        raise ValueError(f"development endpoints are asked over loopback only, not at {base_url}")
    line = line_to(base_url, timeout=_TIMEOUT_S, headers=headers, transport=transport)
    return httpx.Client(**line)
