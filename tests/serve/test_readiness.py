"""Readiness looks at the process and at HTTP together, and fails with a cause."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import httpx
import pytest
from hostile_server import REFUSALS, UNREADABLE, HostileServer, answer, said, slowly

from harness.errors import ServerDied, StartupFailed
from harness.serve import (
    LaunchOptions,
    Liveness,
    ServerState,
    describe_death,
    wait_until_ready,
)

ANYTHING = {**UNREADABLE, **REFUSALS}
NOT_HEALTHY = {name: says for name, says in ANYTHING.items() if b" 200 OK" not in says[:20]}
"""A status of 200 is healthy, whatever the body."""
LOGS = Path(__file__).parent.parent / "data" / "vllm_logs"
Handler = Callable[[httpx.Request], httpx.Response]


class ScriptedServer:
    """A server without a process: its states come from a script, its HTTP from a mock transport."""

    def __init__(
        self, options: LaunchOptions, log: Path, states: Callable[[], ServerState]
    ) -> None:
        self._options, self._log, self._states = options, log, states

    @property
    def base_url(self) -> str:
        return self._options.base_url

    @property
    def log_path(self) -> Path:
        return self._log

    @property
    def options(self) -> LaunchOptions:
        return self._options

    def describe(self) -> Mapping[str, object]:
        return {}

    def state(self) -> ServerState:
        return self._states()

    def stop(self) -> None:
        """Nothing runs."""


RUNNING = ServerState(running=True)


@pytest.fixture
def scripted(
    native_options: Callable[..., LaunchOptions], tmp_path: Path
) -> Callable[..., ScriptedServer]:
    def build(log: str = "", states: Callable[[], ServerState] = lambda: RUNNING) -> ScriptedServer:
        path = tmp_path / "server.log"
        path.write_text(log)
        return ScriptedServer(native_options(), path, states)

    return build


def answers(model: str = "tiny", health: int = 200) -> Handler:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health":
            return httpx.Response(health)
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": model}]})
        return httpx.Response(200, json={"version": "0.32.0"})

    return handle


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused", request=request)


def wait(server: ScriptedServer, handler: Handler, timeout_s: float = 5.0, **more: object):
    return wait_until_ready(
        server,
        timeout_s=timeout_s,
        served_model="tiny",
        transport=httpx.MockTransport(handler),
        **more,  # type: ignore[arg-type]
    )


def test_a_server_that_answers_for_our_model_is_ready(scripted):
    ready = wait(scripted(), answers())
    assert ready.served_models == ("tiny",)
    assert ready.vllm_version == "0.32.0"
    assert ready.seconds < 1.0


def test_it_waits_for_a_server_that_refuses_at_first(scripted):
    calls = iter(range(100))

    def handle(request: httpx.Request) -> httpx.Response:
        return refused(request) if next(calls) < 2 else answers()(request)

    assert wait(scripted(), handle).served_models == ("tiny",)


def test_health_alone_is_not_readiness(scripted):
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if request.url.path == "/health" else 404)

    with pytest.raises(StartupFailed, match="not ready after"):
        wait(scripted(), handle, timeout_s=0.5)


def test_another_servers_model_on_the_port_is_an_error_at_once(scripted):
    before = time.monotonic()
    with pytest.raises(StartupFailed, match=r"serves Qwen/Qwen3-0\.6B, not tiny") as caught:
        wait(scripted(), answers("Qwen/Qwen3-0.6B"), timeout_s=20)
    assert time.monotonic() - before < 2.0
    assert "--port" in (caught.value.hint or "")


def test_another_server_does_not_make_a_dead_one_ready(scripted):
    dead = ServerState(running=False, exit_code=1, detail="exit code 1")
    states = chain([RUNNING], repeat(dead))
    with pytest.raises(StartupFailed, match="exit code 1"):
        wait(scripted(states=lambda: next(states)), answers())


def test_a_dead_server_is_noticed_while_a_request_hangs(scripted):
    died_at = time.monotonic() + 0.3

    def states() -> ServerState:
        dead = time.monotonic() >= died_at
        return ServerState(running=False, exit_code=1, detail="exit code 1") if dead else RUNNING

    def hangs(_: httpx.Request) -> httpx.Response:
        time.sleep(3)
        return httpx.Response(200)

    with pytest.raises(StartupFailed):
        wait(scripted(states=states), hangs, timeout_s=20)
    assert time.monotonic() - died_at < 1.0


def test_a_server_that_gets_no_time_to_work_is_given_up_and_no_gone_container_is_named_to_go_on(
    scripted, monkeypatch
):
    monkeypatch.setattr("harness.serve.readiness._STILL_S", 0.3)
    still = ServerState(running=True, detail="its container box is paused", stands_still=True)
    states = chain([RUNNING] * 3, repeat(still))
    with pytest.raises(StartupFailed, match="its container box is paused") as caught:
        wait(scripted(states=lambda: next(states)), refused, timeout_s=20)
    assert "docker events" in (caught.value.hint or "")
    assert "unpause" not in str(caught.value) + (caught.value.hint or "")


def test_a_failed_start_carries_cause_quote_remedy_and_log_path(scripted):
    log = (LOGS / "vllm-0.20.2-h200-failed-deep_gemm.log").read_text(errors="replace")
    dead = ServerState(running=False, exit_code=1, detail="exit code 1")
    server = scripted(log, lambda: dead)
    with pytest.raises(StartupFailed) as caught:
        wait(server, refused)
    error = caught.value
    assert "DeepGEMM is missing" in error.message
    assert "standard server of tiny" in error.message
    assert error.detail[0].startswith("RuntimeError: DeepGEMM backend")
    assert "VLLM_USE_DEEP_GEMM" in (error.hint or "")
    assert error.file == str(server.log_path)
    assert error.exit_code == 4


def test_a_time_out_shows_the_last_log_lines(scripted):
    with pytest.raises(StartupFailed) as caught:
        wait(scripted("first\nlast line\n"), refused, timeout_s=0.3)
    assert caught.value.detail[-1] == "last line"
    assert "startup_timeout_s" in (caught.value.hint or "")


def test_the_ticks_tell_time_and_the_last_log_line(scripted):
    ticks: list[tuple[float, str]] = []
    with pytest.raises(StartupFailed):
        wait(
            scripted("loading\n"),
            refused,
            timeout_s=2.0,
            on_tick=lambda seconds, line: ticks.append((seconds, line)),
        )
    assert ticks[0][1] == "loading"
    assert ticks[-1][0] > ticks[0][0]


def test_a_death_in_the_middle_names_the_dead_engine(scripted):
    log = (LOGS / "vllm-0.32.0-cpu-batch_invariant-engine_died.log").read_text(errors="replace")
    error = describe_death(scripted(log, lambda: ServerState(running=False, exit_code=0)))
    assert "the engine died" in error.message
    assert error.detail[0] == "TypeError: 'function' object is not subscriptable"


def test_a_death_by_signal_without_a_text_names_the_signal(scripted):
    state = ServerState(running=False, exit_code=-9, detail="ended by SIGKILL")
    error = describe_death(scripted("INFO fine so far\n", lambda: state))
    assert "ended by SIGKILL" in error.message
    assert error.detail == ("INFO fine so far",)


def looked_at(server: ScriptedServer, *, patience_s: float = 5.0) -> float:
    """Seconds until the server was found to live."""
    began = time.monotonic()
    asyncio.run(Liveness(server, patience_s=patience_s)())
    return time.monotonic() - began


@pytest.fixture
def at(scripted, monkeypatch):
    """A server whose process runs and which says what it is told at ``/health``."""

    def build(url: str, states: Callable[[], ServerState] = lambda: RUNNING) -> ScriptedServer:
        server = scripted(states=states)
        server._options = replace(server.options, base_url=url)
        return server

    return build


def test_a_server_that_takes_its_time_for_health_is_busy_and_lives(at):
    with HostileServer({"/health": slowly(1.5, answer(b""))}) as server:
        assert looked_at(at(server.url), patience_s=4) >= 1.5


def test_a_time_out_ends_the_patience_of_one_request_and_not_of_a_few_seconds(at):
    with HostileServer({"/health": slowly(9, answer(b""))}) as server:
        began = time.monotonic()
        with pytest.raises(ServerDied, match="no longer answers; /health: ReadTimeout"):
            looked_at(at(server.url), patience_s=2)
    assert 2 <= time.monotonic() - began < 8


@pytest.mark.parametrize("says", NOT_HEALTHY.values(), ids=NOT_HEALTHY.keys())
def test_whatever_health_says_once_a_server_that_is_healthy_then_lives(at, says):
    with HostileServer({"/health": [says, says, answer(b"")]}) as server:
        looked_at(at(server.url))


def test_a_closed_port_is_gone_after_a_moment_although_the_process_runs(at):
    with HostileServer({}) as server:
        url = server.url
    with pytest.raises(ServerDied, match="no longer answers; /health: ConnectError"):
        looked_at(at(url), patience_s=300)


def taking_turns(*kinds: str | int) -> httpx.MockTransport:
    """A ``/health`` whose answers and failures take turns."""
    turn = itertools.cycle(kinds)

    def answers(_: httpx.Request) -> httpx.Response:
        kind = next(turn)
        if isinstance(kind, int):
            return httpx.Response(kind)
        raise httpx.ReadError("") if kind == "reset" else httpx.ConnectError(kind)

    return httpx.MockTransport(answers)


@pytest.mark.parametrize(
    "trouble",
    [
        "[Errno -3] Temporary failure in name resolution",
        "[Errno -2] Name or service not known",
        "[Errno 113] No route to host",
    ],
)
def test_a_name_or_a_way_that_is_not_found_is_waited_out(at, trouble):
    line = taking_turns(*[trouble] * 3, 200)
    asyncio.run(Liveness(at("http://there"), patience_s=60, transport=line)())


@pytest.mark.parametrize("turns", [("refused", "reset"), ("refused", "refused", 503)])
def test_troubles_that_take_turns_have_an_end(at, monkeypatch, turns):
    monkeypatch.setattr("harness.serve.readiness._UNHEALTHY_S", 3.0)
    monkeypatch.setattr("harness.serve.readiness._GRACE_S", 2.0)
    began = time.monotonic()
    with pytest.raises(ServerDied):
        asyncio.run(Liveness(at("http://there"), patience_s=1, transport=taking_turns(*turns))())
    assert time.monotonic() - began < 15


def test_the_process_decides_while_health_hangs(at):
    ends = time.monotonic() + 0.5

    def states() -> ServerState:
        dead = time.monotonic() > ends
        return (
            ServerState(running=False, exit_code=137, detail="exit code 137") if dead else RUNNING
        )

    with HostileServer({"/health": slowly(4, answer(b""))}) as server:
        began = time.monotonic()
        with pytest.raises(ServerDied, match="exit code 137"):
            looked_at(at(server.url, states), patience_s=300)
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("says", ANYTHING.values(), ids=ANYTHING.keys())
def test_whatever_a_server_says_while_it_starts_is_waited_out(at, says):
    models = said({"data": [{"id": "tiny"}, 7, {"id": None}]})
    if says.startswith(b"HTTP/1.1 200 OK"):  # a body of which no model can be read
        models = [says, models]
    good = {"/health": [says, answer(b"")], "/v1/models": models, "/version": says}
    with HostileServer(good) as server:
        ready = wait_until_ready(at(server.url), timeout_s=20, served_model="tiny")
    assert ready.served_models == ("tiny",)
    assert ready.vllm_version is None
