"""The docker backend on a real engine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from requests.exceptions import ConnectionError as ConnectionLost

from harness.errors import EnvironmentError_, StartupFailed
from harness.prove import GAP
from harness.serve.docker import DockerBackend, find_leftovers, remove_leftovers

pytestmark = pytest.mark.docker


def test_the_log_is_whole_from_its_first_byte_to_its_last(started, until, answers):
    server = started()
    until(lambda: answers(server))
    server.stop()
    log = server.log_path.read_text()
    assert "first byte of the log" in log
    assert "Application startup complete." in log
    assert log.rstrip().endswith("Shutting down")


def test_stdout_and_stderr_are_both_in_the_log_once(started, until, answers):
    server = started()
    until(lambda: answers(server))
    server.stop()
    log = server.log_path.read_text()
    assert log.count("first byte of the log") == 1
    assert log.count("stand-in server:") == 1


def test_a_running_server_says_so_and_a_stopped_one_does_not(started, until, answers):
    server = started()
    until(lambda: answers(server))
    assert server.state().running
    server.stop()
    assert not server.state().running


def test_stop_removes_the_container_and_may_be_called_twice(started, containers_of):
    server = started()
    assert len(containers_of()) == 1
    server.stop()
    server.stop()
    assert containers_of() == []


def test_the_port_is_published_on_loopback_only(engine, started, containers_of):
    started()
    ports = engine.containers.get(containers_of()[0]).attrs["HostConfig"]["PortBindings"]
    assert {binding["HostIp"] for bindings in ports.values() for binding in bindings} == {
        "127.0.0.1"
    }


def test_the_engine_neither_removes_nor_restarts_by_itself(engine, started, containers_of):
    started()
    host = engine.containers.get(containers_of()[0]).attrs["HostConfig"]
    assert (host["AutoRemove"], host["RestartPolicy"]["Name"]) == (False, "no")


def test_a_server_that_exits_at_start_leaves_its_log_and_exit_code(started, until):
    server = started(STAND_IN="exits")
    until(lambda: not server.state().running)
    assert server.state().exit_code == 1
    server.stop()
    assert "Failed to infer device type" in server.log_path.read_text()


def test_a_container_over_its_memory_limit_is_reported_as_such(
    engine, started, until, answers, containers_of, takes_memory
):
    server = started()
    until(lambda: answers(server))
    container = engine.containers.get(containers_of()[0])
    container.update(mem_limit="48m", memswap_limit="48m")
    takes_memory(server.base_url)
    until(lambda: not server.state().running)
    state = server.state()
    assert state.exit_code == 137
    assert "OOMKilled" in state.detail


def test_a_container_killed_in_the_middle_is_noticed(
    engine, started, until, answers, containers_of
):
    server = started()
    until(lambda: answers(server))
    engine.containers.get(containers_of()[0]).kill()
    until(lambda: not server.state().running)
    assert "SIGKILL" in server.state().detail


@pytest.mark.parametrize(
    ("raised", "kind", "says"),
    [
        (None, StartupFailed, "removed from the engine while it was started"),
        (ConnectionLost("gone"), EnvironmentError_, "the Docker engine went away"),
    ],
)
def test_what_happens_to_a_container_just_after_its_start_is_told(
    engine, options_for, run_folder, monkeypatch, containers_of, raised, kind, says
):
    create = DockerBackend._create_and_start

    def removed(self, *given):
        container = create(self, *given)
        engine.containers.get(container.id).remove(force=True)
        if raised is not None:
            monkeypatch.setattr("docker.models.containers.ContainerCollection.get", failing)
        return container

    def failing(*_):
        raise raised

    monkeypatch.setattr(DockerBackend, "_create_and_start", removed)
    with pytest.raises(kind, match=says):
        DockerBackend().start(options_for(), run_folder)
    monkeypatch.undo()
    assert containers_of() == []


def test_a_container_removed_by_someone_else_is_noticed(
    engine, started, until, answers, containers_of
):
    server = started()
    until(lambda: answers(server))
    engine.containers.get(containers_of()[0]).remove(force=True)
    assert "gone from the engine" in server.state().detail
    server.stop()


def test_a_taken_port_is_an_environment_error_and_leaves_no_container(
    options_for, run_folder, free_port, containers_of
):
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        with pytest.raises(EnvironmentError_, match=f"port {free_port}"):
            DockerBackend().start(options_for(), run_folder)
    assert containers_of() == []


def test_a_missing_image_names_the_command_that_gets_it(options_for, run_folder):
    options = options_for(image="harness-no-such-image:v0")
    with pytest.raises(EnvironmentError_) as caught:
        DockerBackend().check(options)
    assert "harness pin harness-no-such-image:v0" in str(caught.value)


def test_an_image_without_python_is_refused_with_the_engines_words(
    build_image, options_for, run_folder, containers_of
):
    build_image("harness-empty:test", "FROM scratch\nCOPY Dockerfile /\n")
    with pytest.raises(StartupFailed, match="has no program python3"):
        DockerBackend().start(options_for(image="harness-empty:test"), run_folder)
    assert containers_of() == []


def test_a_secret_reaches_the_server_and_nothing_that_is_saved(
    monkeypatch, started, until, answers, run_folder
):
    monkeypatch.setenv("HF_TOKEN", "hf_canary_0123456789")
    server = started()
    until(lambda: answers(server))
    assert httpx.get(f"{server.base_url}/environment").json()["HF_TOKEN"] == "hf_canary_0123456789"
    described = json.dumps(dict(server.describe()))
    server.stop()
    assert "HF_TOKEN" in described
    assert "hf_canary" not in described
    assert all("hf_canary" not in path.read_text() for path in run_folder.rglob("*.*"))


def test_a_variable_that_hides_the_evidence_is_taken_out_of_the_images_environment(
    build_image, stand_in_image, started, until, answers
):
    dockerfile = f"FROM {stand_in_image}\nENV PYTHONWARNINGS=ignore\n"
    build_image("harness-stand-in-quiet:test", dockerfile)
    server = started(image="harness-stand-in-quiet:test")
    until(lambda: answers(server))
    assert "PYTHONWARNINGS" not in httpx.get(f"{server.base_url}/environment").json()


def test_containers_of_a_living_owner_are_not_removed(engine, started, run_id, containers_of):
    started()
    assert remove_leftovers(engine, find_leftovers(engine, run_id)) == ()
    assert len(containers_of()) == 1


def test_after_kill_9_the_next_run_of_the_folder_removes_its_container(
    options_for, run_folder, run_id, containers_of, until
):
    script = _starts_a_server_and_waits(options_for(), run_folder)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert b"started\n" in iter(process.stdout.readline, b"")
    process.kill()
    process.wait()
    assert len(containers_of()) == 1
    removed = DockerBackend().sweep(run_folder)
    assert len(removed) == 1
    assert run_id in removed[0]
    assert containers_of() == []


def test_a_broken_log_stream_is_taken_up_again_without_loss_or_repeat(engine, tmp_path, until):
    from harness.serve.docker.log_follower import LogFollower

    class BreakingContainer:
        """A stand-in for a container whose first stream breaks in the middle."""

        def __init__(self) -> None:
            self.attrs = {"State": {"Status": "exited"}}
            self.calls = 0

        def logs(self, **_: object):
            self.calls += 1
            yield b"one\ntw"
            if self.calls == 1:
                raise ConnectionResetError("engine went away")
            yield b"o\nthree\n"

        def reload(self) -> None:
            return

    follower = LogFollower(BreakingContainer(), tmp_path / "log")
    follower.start()
    until(lambda: (tmp_path / "log").read_bytes().endswith(b"three\n"))
    follower.finish()
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\nthree\n"
    assert threading.active_count() < 50


COUNTS = "import time\nfor n in range(4000): print(f'line {n:05}', flush=True)\ntime.sleep(60)"


class _Breaking:
    """A real container whose first stream breaks after a moment and is taken up a little later."""

    def __init__(self, container) -> None:
        self._container, self.calls = container, 0

    def __getattr__(self, name: str):
        return getattr(self._container, name)

    def logs(self, **asked: object):
        self.calls += 1
        for chunk in self._container.logs(**asked):
            yield chunk
            if self.calls == 1:
                time.sleep(2)
                raise ConnectionResetError("broken on purpose")


@pytest.mark.parametrize("rotated", [True, False])
def test_lines_that_the_engine_rotated_away_leave_a_gap_and_none_is_doubled(
    engine, stand_in_image, tmp_path, until, rotated
):
    from docker.types import LogConfig

    from harness.serve.docker.log_follower import LogFollower

    limits = {"max-size": "4k", "max-file": "1"} if rotated else {"max-size": "1024g"}
    container = engine.containers.run(
        stand_in_image,
        ["-c", COUNTS],
        entrypoint=["python3"],
        detach=True,
        log_config=LogConfig(type=LogConfig.types.JSON, config=limits),
    )
    try:
        follower = LogFollower(_Breaking(container), tmp_path / "log")
        follower.start()
        until(lambda: b"line 03999" in (tmp_path / "log").read_bytes())
        container.kill()
        follower.finish()
    finally:
        container.remove(force=True)
    lines = (tmp_path / "log").read_text().splitlines()
    counted = [line for line in lines if line.startswith("line ")]
    assert len(counted) == len(set(counted))
    assert (len(counted) < 4000) is rotated
    assert any(line.startswith(GAP) for line in lines) is rotated


def test_the_log_of_a_server_is_not_rotated_by_the_engine(engine, started, containers_of):
    started()
    (name,) = containers_of()
    assert engine.containers.get(name).attrs["HostConfig"]["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "1024g"},
    }


def _starts_a_server_and_waits(options, run_folder: Path) -> str:
    settings = {
        "image": options.container.image,
        "port": options.port,
        "run_id": options.run_id,
        "folder": str(run_folder),
        "home": str(run_folder.parent),
    }
    return f"""
import json, socket, sys, time
from pathlib import Path
from harness.machine import GpuAccess, Host
from harness.serve import launch_options
from harness.prove import GAP
from harness.serve.docker import DockerBackend
from harness.settings import ModelSpec, RunSpec, ServerSettings
from harness.words import Mode
given = json.loads({json.dumps(json.dumps(settings))})
home = Path(given["home"])
spec = RunSpec(image=given["image"], models=(ModelSpec(name="tiny", hf_id="example/tiny"),),
               tasks="tasks", server=ServerSettings(port=given["port"], shm_size="64m"))
host = Host(socket.gethostname(), {os.getpid()}, home, home, home / "hf", GpuAccess.NONE)
options = launch_options(spec, spec.models[0], Mode.STANDARD, host=host, run_id=given["run_id"])
server = DockerBackend().start(options, Path(given["folder"]))
print("started", flush=True)
time.sleep(600)
"""
