"""Waiting for a server: the process, ``/health`` and ``/v1/models`` together, before and later.

``/health`` alone is not enough: another server may answer on the port, and an image may serve its
default model. The process is looked at ten times a second while a request is under way, so a dead
server is noticed at once and not when the time is up. Slow is not dead: who refuses connections is
gone, who lets one wait is busy.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
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
from harness.wire import Heard, NotHeard, ask, ask_async, line_to
from harness.words import BackendName, Mode

_Error = TypeVar("_Error", StartupFailed, ServerDied)

_TICK_S = 0.1
_REQUEST_TIMEOUT_S = 5.0
_STATE_SETTLES_S = 1.0
_STILL_S = 10.0
"""How long a server may be paused before that is an error of its own."""
_GRACE_S = 5.0
"""How long who refused a request may take to show that it has ended, or to listen again."""
_UNHEALTHY_S = 60.0
"""How long ``/health`` may say anything but 200: a proxy that reloads, an engine that gives up."""
_UNREACHED = re.compile(
    r"\[Errno (?:-\d+|101|110|113)\]|getaddrinfo|nodename nor servname|Name or service"
)
"""A name that is not resolved or a way that is not found says nothing of who listens at its end."""
_NOT_YET = frozenset({408, 425, 429})
_PASSES = re.compile(
    r"\b(?:(?:re)?load|start|warm|busy|try again|overload|rate.limit|moment|429|5\d\d)", re.I
)
"""An error that will not be the same later."""
_ABOUT_A_KEY = re.compile(r"key|token|auth|forbidden|denied|log ?in", re.I)


_ADVICE = {
    402: "the account of that key has no credit left: add some, or give another server's URL",
    407: "a proxy on the way wants its own credentials: put them into HTTPS_PROXY, or name the "
    "server's host in NO_PROXY",
    451: "who runs it may not serve it to you, for legal reasons: give another server's URL",
    511: "the network wants a log-in first (a captive portal): log in from this machine",
    501: "what answers there is no vLLM: --url (in a file: external.{mode}.url) is the server's "
    "own root",
}
"""What to do about a status of a server that someone else runs."""


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
    since: float | None = None,
    transport: httpx.BaseTransport | None = None,
    on_tick: Callable[[float, str], None] | None = None,
) -> Readiness:
    """Wait until the server runs, is healthy and serves our model.

    Args:
        server: a server that was just started.
        timeout_s: how long it may take, in seconds.
        served_model: the name that ``/v1/models`` must list, with the lifetime's nonce in it.
        since: when it was started, on the monotonic clock; now where it is not given.
        transport: replaces the network, for tests.
        on_tick: called about ten times a second with the seconds waited and the log's last line.

    Raises:
        StartupFailed: it ended, serves another model, or is not ready in time; with the cause,
            log lines, a remedy and the log's path.
    """
    began = time.monotonic() if since is None else since
    moved = time.monotonic() - began
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readiness")
    headers = server.options.headers
    line = line_to(
        server.base_url, timeout=_REQUEST_TIMEOUT_S, headers=headers, transport=transport
    )
    client = httpx.Client(**line)
    asked: Future[Readiness | _NotReady] | None = None
    last = ""
    try:
        while (waited := time.monotonic() - began) < timeout_s:
            state = server.state()
            if not state.running:
                what = f"ended before it was ready ({_how(state)})"
                raise _failed(StartupFailed, server, state, what)
            moved = moved if state.stands_still else waited
            if waited - moved > _STILL_S:
                raise StartupFailed(
                    f"{_who(server)} gets no time to work: {state.detail}",
                    hint="it is ended; `docker events` tells what pauses it; then the same command",
                    file=server.log_path,
                )
            asked = asked or pool.submit(_ask, client, began)
            wait([asked], timeout=_TICK_S)
            if asked.done():
                answer, asked = asked.result(), None
                if isinstance(answer, _NotReady):
                    last = f" ({answer.why})"
                    _insist_on_hope(server, answer)
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
        f"{_who(server)} was not ready after {timeout_s:g} s{last}",
        hint="raise server.startup_timeout_s (--startup-timeout-s) if it was still loading, "
        "or see the last log lines",
        file=server.log_path,
        detail=last_lines(server.log_path, 8) or ("(the log is empty)",),
    )


@dataclass(frozen=True, slots=True)
class _NotReady:
    """Why a server is not ready; the answer where waiting changes nothing about it."""

    why: str
    final: Heard | None = None


def _ask(client: httpx.Client, began: float) -> Readiness | _NotReady:
    """What a server says of itself."""
    path = "/health"
    try:
        for path in ("/health", "/v1/models"):
            heard = ask(client, path)
            if not heard.ok:
                return _NotReady(f"{path}: {heard}", heard if is_final(heard) else None)
        if is_page(heard):
            return _NotReady(f"{path}: a web page, no vLLM", heard)
        if told_error(heard):
            return _NotReady(f"{path}: {heard}", heard)
        models = listed_models(heard)
    except NotHeard as error:
        return _NotReady(f"{path}: {error}")
    version = None
    with suppress(NotHeard):
        answer = ask(client, "/version")
        said = answer.member("version") if answer.ok else None
        version = said if isinstance(said, str) else None
    return Readiness(time.monotonic() - began, models, version)


def listed_models(heard: Heard) -> tuple[str, ...]:
    """The names in an answer of ``/v1/models``.

    Raises:
        NotHeard: it is no such list.
    """
    entries = heard.member("data")
    if not isinstance(entries, list):
        raise NotHeard(f"not a list of models: {heard}")
    ids = (entry.get("id") for entry in entries if isinstance(entry, dict))
    return tuple(name for name in ids if isinstance(name, str))


def is_final(heard: Heard) -> bool:
    """Whether an answer will be the same later: a redirection, or what the request is blamed for.

    A 5xx may pass, and so may "too early", "too many requests" and a time-out of the server's own;
    "not implemented" and "log in to this network first" do not.
    """
    return (300 <= heard.status < 500 or heard.status in (501, 505, 511)) and (
        heard.status not in _NOT_YET
    )


def is_page(heard: Heard) -> bool:
    """Whether an answer is a page for people: a log-in, a gateway, another program's."""
    return heard.ok and heard.text.lstrip("\ufeff\ufffd\0 \t\r\n")[:1] == "<"


def told_error(heard: Heard) -> bool:
    """Whether a 200 holds an error in place of models, as a gateway says it; a busy one passes."""
    with suppress(NotHeard):
        names = [name for name in ("error", "errors", "detail", "message") if heard.member(name)]
        listed = isinstance(heard.member("data"), list)
        return heard.ok and bool(names) and not listed and not _PASSES.search(heard.text)
    return False


def remedy(heard: Heard, mode: Mode) -> str:
    """What to do about a server of someone else that refuses us."""
    if heard.status in (401, 403) or (told_error(heard) and _ABOUT_A_KEY.search(heard.text)):
        return (
            f"external.{mode}.api_key_env (--external-api-key-env {mode}=VARIABLE) names the "
            "environment variable with its key"
        )
    if heard.status in _ADVICE:
        return _ADVICE[heard.status].format(mode=mode)
    where = f"--url (in a file: external.{mode}.url)"
    return f"{where} is the server's root: http://host:port, without /v1"


def _insist_on_hope(server: Server, answer: _NotReady) -> None:
    """Do not wait for a server that someone else runs to take its refusal back."""
    if answer.final is None or server.options.backend is not BackendName.EXTERNAL:
        return
    raise StartupFailed(
        f"{_who(server)} at {without_url_password(server.base_url)} refuses: {answer.why}",
        hint=remedy(answer.final, server.options.mode),
    )


class Liveness:
    """Raises ``ServerDied`` when a server or its engine is gone; else returns once it is healthy.

    A dying vLLM closes its connections a moment before its process ends, and an API server whose
    engine died answers ``/health`` with 503 before it gives up, so each gets time to show what it
    is; a server under load may take longer for ``/health`` than for anything else.

    Args:
        server: its process or container decides, where it is ours.
        patience_s: how long it may take to answer, in seconds.
        transport: replaces the network, for tests.
    """

    def __init__(
        self,
        server: Server,
        *,
        patience_s: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._server = server
        self._patience_s = patience_s
        headers = server.options.headers
        self._line = line_to(
            server.base_url, timeout=patience_s, headers=headers, transport=transport
        )

    async def __call__(self) -> None:
        """Look; returns at once when the server is healthy.

        Raises:
            ServerDied: with the cause, the last log lines and the log's path.
        """
        since = began = time.monotonic()
        before = longest = 0.0
        async with httpx.AsyncClient(**self._line) as client:
            while True:
                why, patience_s = await self._problem(client)
                if not why:
                    return
                now = time.monotonic()
                if patience_s != before:
                    since, before = now, patience_s
                longest = max(longest, patience_s)
                # of troubles that take turns each begins anew, so all together have an end too
                if now - since >= patience_s or now - began >= longest:
                    raise describe_death(self._server, why=why)
                await asyncio.sleep(2 * _TICK_S)

    async def _problem(self, client: httpx.AsyncClient) -> tuple[str, float]:
        """What is wrong with ``/health``, if anything, and how long that may last."""
        began = time.monotonic()
        asked = asyncio.ensure_future(ask_async(client, "/health"))
        try:
            while not asked.done():
                state = self._server.state()
                if not state.running:
                    raise describe_death(self._server, state)
                await asyncio.wait([asked], timeout=_TICK_S * 5)
            heard = asked.result()
        except NotHeard as error:
            why = f"/health: {error}"
            if error.slow and time.monotonic() - began >= self._patience_s:  # it has had its time
                return why, 0.0
            gone = error.refused and not _UNREACHED.search(why)
            return why, _GRACE_S if gone else self._patience_s
        finally:
            asked.cancel()
        return ("" if heard.ok else f"/health: {heard}"), _UNHEALTHY_S


def naming_it(model: str, listed: Sequence[str]) -> str:
    """What to type where a server of somebody else serves our model under another name."""
    one = listed[0] if len(listed) == 1 else "SERVED_NAME"
    return f"say what it serves: --model {model}={one}"


def _require_model(server: Server, listed: tuple[str, ...], served_model: str) -> None:
    if served_model in listed:
        return
    named = ", ".join(listed) or "no model"
    hint = (
        "another server answers on this port, or the image ignored --model; "
        "choose another --port or correct the image's entrypoint"
    )
    if server.options.backend is BackendName.EXTERNAL:
        hint = naming_it(server.options.model, listed)
    raise StartupFailed(
        f"the server at {without_url_password(server.base_url)} serves {named}, not {served_model}",
        hint=hint,
        file=server.log_path,
        detail=last_lines(server.log_path, 5),
    )


def describe_death(
    server: Server, state: ServerState | None = None, *, why: str = ""
) -> ServerDied:
    """The error for a server that stopped, or whose engine did, in the middle of its work.

    Args:
        server: the server.
        state: its state as seen by whoever noticed; read again when ``None``.
        why: what it said or did not say last, should it run.
    """
    state = state or server.state()
    deadline = time.monotonic() + _STATE_SETTLES_S
    while state.running and time.monotonic() < deadline:
        time.sleep(_TICK_S)
        state = server.state()
    how = state.detail or "its engine died or no longer answers"
    how = how + (f"; {why}" if why else "") if state.running else _how(state)
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
