"""Waiting for a server: the process, ``/health`` and ``/v1/models`` together.

``/health`` alone is not enough: another server may answer on the port, and an image may serve its
default model. The process is looked at ten times a second while a request is under way, so a dead
server is noticed at once and not when the time is up.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import httpx

from harness.errors import ServerDied, StartupFailed
from harness.secrets import without_url_password
from harness.serve.failures import classify_startup_failure
from harness.serve.log_files import last_lines, read_log
from harness.serve.protocol import Server, ServerState

_Error = TypeVar("_Error", StartupFailed, ServerDied)

_TICK_S = 0.1
_REQUEST_TIMEOUT_S = 5.0
_STATE_SETTLES_S = 1.0
_STILL_S = 10.0
"""How long a server may be paused before that is an error of its own."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """A server that is ready.

    Attributes:
        seconds: from the call to the first good answer.
        served_models: what ``/v1/models`` names.
        vllm_version: what ``/version`` says, if it says anything.
    """

    seconds: float
    served_models: tuple[str, ...]
    vllm_version: str | None = None


def wait_until_ready(
    server: Server,
    *,
    timeout_s: float,
    served_model: str,
    transport: httpx.BaseTransport | None = None,
    on_tick: Callable[[float, str], None] | None = None,
) -> Readiness:
    """Wait until the server runs, is healthy and serves our model.

    Args:
        server: a server that was just started.
        timeout_s: how long it may take, in seconds.
        served_model: the name that ``/v1/models`` must list, with the lifetime's nonce in it.
        transport: replaces the network, for tests.
        on_tick: called about ten times a second with the seconds waited and the log's last line.

    Raises:
        StartupFailed: it ended, serves another model, or is not ready in time; with the cause,
            log lines, a remedy and the log's path.
    """
    began, moved = time.monotonic(), 0.0
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readiness")
    client = httpx.Client(
        base_url=server.base_url, transport=transport, timeout=_REQUEST_TIMEOUT_S, trust_env=False
    )
    asked: Future[Readiness | None] | None = None
    try:
        while (waited := time.monotonic() - began) < timeout_s:
            state = server.state()
            if not state.running:
                what = f"ended before it was ready ({_how(state)})"
                raise _failed(StartupFailed, server, state, what)
            moved = moved if state.stands_still else waited
            if waited - moved > _STILL_S:
                raise StartupFailed(f"{_who(server)}: {state.detail}", file=server.log_path)
            asked = asked or pool.submit(_ask, client, began)
            wait([asked], timeout=_TICK_S)
            if asked.done():
                answer, asked = asked.result(), None
                if answer is None:
                    time.sleep(_TICK_S)
                else:
                    _require_model(server, answer.served_models, served_model)
                    # Another server may have answered while ours was failing to bind the port.
                    if server.state().running:
                        return answer
            if on_tick is not None:
                on_tick(waited, next(iter(last_lines(server.log_path, 1)), ""))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        client.close()
    raise StartupFailed(
        f"{_who(server)} was not ready after {timeout_s:g} s",
        hint="raise server.startup_timeout_s (--startup-timeout-s) if it was still loading, "
        "or see the last log lines",
        file=server.log_path,
        detail=last_lines(server.log_path, 8) or ("(the log is empty)",),
    )


def _ask(client: httpx.Client, began: float) -> Readiness | None:
    """What a healthy server says; ``None`` of any other."""
    try:
        if client.get("/health").status_code != 200:
            return None
        listed = client.get("/v1/models")
        if listed.status_code != 200:
            return None
        models = tuple(str(entry["id"]) for entry in listed.json()["data"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    version = None
    with suppress(httpx.HTTPError, ValueError, KeyError, TypeError):
        answer = client.get("/version")
        version = str(answer.json()["version"]) if answer.status_code == 200 else None
    return Readiness(time.monotonic() - began, models, version)


def _require_model(server: Server, listed: tuple[str, ...], served_model: str) -> None:
    if served_model in listed:
        return
    named = ", ".join(listed) or "no model"
    raise StartupFailed(
        f"the server at {without_url_password(server.base_url)} serves {named}, not {served_model}",
        hint="another server answers on this port, or the image ignored --model; "
        "choose another --port or correct the image's entrypoint",
        file=server.log_path,
        detail=last_lines(server.log_path, 5),
    )


def describe_death(server: Server, state: ServerState | None = None) -> ServerDied:
    """The error for a server that stopped, or whose engine did, in the middle of its work.

    Args:
        server: the server.
        state: its state as seen by whoever noticed; read again when ``None``.
    """
    state = state or server.state()
    deadline = time.monotonic() + _STATE_SETTLES_S
    while state.running and time.monotonic() < deadline:
        time.sleep(_TICK_S)
        state = server.state()
    how = state.detail or "its engine died or no longer answers"
    how = how if state.running else _how(state)
    return _failed(ServerDied, server, state, f"died in the middle of its work ({how})")


def _failed(kind: type[_Error], server: Server, state: ServerState, what: str) -> _Error:
    """An error with the cause that the log tells, and what to do about it."""
    failure = classify_startup_failure(
        read_log(server.log_path), state.exit_code, oom_killed=state.oom_killed
    )
    return kind(
        f"{_who(server)} {what}: {failure.cause}",
        hint=failure.remedy,
        file=server.log_path,
        detail=failure.quote or ("(the log is empty)",),
    )


def _who(server: Server) -> str:
    return f"the {server.options.mode.value} server of {server.options.model}"


def _how(state: ServerState) -> str:
    return state.detail or (
        "it is gone" if state.exit_code is None else f"exit code {state.exit_code}"
    )
