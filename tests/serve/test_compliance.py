"""What every backend must do, over every backend that this machine has.

A case is a backend with a way to launch something on it: real vLLM where there is an engine, and
the stand-in server for what needs no model. ``case_<name>`` fixtures in ``conftest.py`` build them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from harness.errors import EnvironmentError_, StartupFailed
from harness.serve import (
    Backend,
    LaunchOptions,
    Server,
    describe_death,
    read_log,
    server_evidence,
    wait_until_ready,
)
from harness.words import Mode

CASES = (
    pytest.param("native_stand_in", id="native-stand_in"),
    pytest.param("native_vllm", id="native-vllm", marks=pytest.mark.vllm_cpu),
    pytest.param("docker_stand_in", id="docker-stand_in", marks=pytest.mark.docker),
    pytest.param("docker_vllm", id="docker-vllm", marks=(pytest.mark.docker, pytest.mark.vllm_cpu)),
)
TIMEOUT_S = 600


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest):
    return request.getfixturevalue(f"case_{request.param}")


@pytest.fixture
def start(case, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def launch(mode: Mode) -> Server:
        options: LaunchOptions = case.options(mode)
        backend: Backend = case.backend
        backend.check(options)
        server = backend.start(options, tmp_path / "run")
        servers.append(server)
        return server

    yield launch
    for server in servers:
        server.stop()


def ready(server: Server) -> float:
    return wait_until_ready(
        server, timeout_s=TIMEOUT_S, served_model=server.options.served_model_name
    ).seconds


def complete(server: Server, prompt: str) -> httpx.Response:
    body = {
        "model": server.options.served_model_name,
        "prompt": prompt,
        "max_tokens": 4,
        "temperature": 0,
    }
    return httpx.post(f"{server.base_url}/v1/completions", json=body, timeout=60)


@pytest.mark.timeout(1200)
def test_a_lifetime_from_start_to_stop(case, start):
    server = start(Mode.BATCH_INVARIANT)
    assert server.state().running
    ready(server)

    assert complete(server, "one two").status_code == 200
    assert server.state().running
    # A container's two output streams may swap their first lines.
    assert any(case.first_line in line for line in read_log(server.log_path).splitlines()[:2])
    assert server_evidence(server).verdict is case.verdicts[Mode.BATCH_INVARIANT]

    with pytest.raises(EnvironmentError_, match=f"port {server.options.port}"):
        case.backend.check(case.options(Mode.STANDARD))

    facts = json.loads(json.dumps(server.describe()))
    assert facts["mode"] == "batch_invariant"
    assert facts["model"] == server.options.model

    server.stop()
    state = server.state()
    assert not state.running
    assert state.exit_code is not None
    with pytest.raises(httpx.ConnectError):
        complete(server, "x")
    case.backend.check(server.options)  # the port is free again
    length = len(read_log(server.log_path))
    server.stop()
    assert len(read_log(server.log_path)) == length


@pytest.mark.timeout(1200)
def test_a_death_in_the_middle(case, start):
    server = start(Mode.STANDARD)
    ready(server)
    assert server_evidence(server).verdict is case.verdicts[Mode.STANDARD]

    case.kill(server)
    deadline = time.monotonic() + 10
    while server.state().running:
        assert time.monotonic() < deadline
        time.sleep(0.02)

    death = describe_death(server)
    assert server.options.model in death.message
    assert death.hint
    assert death.file == str(server.log_path)
    server.stop()
    case.backend.check(server.options)


@pytest.mark.timeout(1200)
def test_a_server_that_ends_while_it_starts_fails_at_once(case, start):
    server = start(Mode.STANDARD)
    case.kill(server)
    before = time.monotonic()
    with pytest.raises(StartupFailed, match="ended before it was ready"):
        ready(server)
    assert time.monotonic() - before < 15
