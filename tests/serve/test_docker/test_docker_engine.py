"""An engine that is not there, or goes away in the middle: a second one, started for the test."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from harness.errors import EnvironmentError_
from harness.serve import describe_death
from harness.serve.docker import DockerBackend, connect, connect_for_servers

pytestmark = pytest.mark.docker


class SecondEngine:
    """A Docker engine in a network namespace of its own, so that it can be ended."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "engine.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        with (self._folder / "engine.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--net", "dockerd", "--host", self.address),
                    *("--bridge", "none", "--iptables=false"),
                    *("--data-root", self._folder / "data", "--exec-root", self._folder / "exec"),
                    *("--pidfile", self._folder / "engine.pid"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline, (self._folder / "engine.log").read_text()[-2000:]
            time.sleep(0.1)

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)

    def _answers(self) -> bool:
        try:
            docker.DockerClient(base_url=self.address, timeout=5).ping()
        except (docker.errors.DockerException, OSError):
            return False
        return True


@pytest.fixture(scope="module")
def spare_engine(
    tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, stand_in_image: str
) -> Iterator[SecondEngine]:
    folder = tmp_path_factory.mktemp("engine")
    spare = SecondEngine(folder)
    spare.start()
    docker.DockerClient(base_url=spare.address, timeout=120).images.load(
        b"".join(engine.images.get(stand_in_image).save(named=True))
    )
    yield spare
    spare.kill()
    subprocess.run(["umount", "--lazy", folder / "data"], check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def second_engine(
    spare_engine: SecondEngine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SecondEngine]:
    monkeypatch.setenv("DOCKER_HOST", spare_engine.address)
    yield spare_engine
    spare_engine.end()
    spare_engine.start()


def test_an_engine_restarted_in_the_middle_is_named_as_the_cause(
    second_engine: SecondEngine,
    options_for: Callable[..., object],
    run_folder: Path,
    until: Callable[[Callable[[], bool]], None],
):
    server = DockerBackend().start(options_for(), run_folder)
    until(lambda: "startup complete" in server.log_path.read_text())
    second_engine.end()
    until(lambda: "does not answer" in server.state().detail)
    second_engine.start()
    until(lambda: not server.state().running)
    error = describe_death(server)
    server.stop()
    assert "engine was restarted" in str(error)
    assert "first byte of the log" in server.log_path.read_text()
    assert server.log_path.read_text().count("first byte of the log") == 1


def test_an_engine_that_stays_away_ends_the_server_and_stop_does_not_raise(
    second_engine: SecondEngine,
    options_for: Callable[..., object],
    run_folder: Path,
    until: Callable[[Callable[[], bool]], None],
):
    server = DockerBackend().start(options_for(), run_folder)
    until(lambda: "startup complete" in server.log_path.read_text())
    second_engine.end()
    until(lambda: not server.state().running)
    assert "has not answered" in server.state().detail
    server.stop()


def test_no_engine_is_one_message_with_a_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(EnvironmentError_) as caught:
        connect()
    assert "no Docker engine answers" in str(caught.value)
    assert "systemctl start docker" in str(caught.value)
    assert "--backend" not in str(caught.value)  # pin and images have none
    with pytest.raises(EnvironmentError_, match=r"docker\.com/engine/install.*--backend native"):
        connect_for_servers()


def test_an_engine_on_another_machine_is_refused(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://gpu-host:2375")
    with pytest.raises(EnvironmentError_, match="another machine"):
        connect()


def test_clean_removes_what_a_dead_harness_left(
    engine: docker.DockerClient, stand_in_image: str, run_id: str, tmp_path: Path, containers_of
):
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = engine.containers.run(
        stand_in_image,
        labels={
            "harness.run-id": run_id,
            "harness.host": socket.gethostname(),
            "harness.pid": str(dead.pid),
            "harness.pid-started": "1",
        },
        entrypoint=["sleep", "600"],
        detach=True,
    )
    try:
        assert "would remove" in _clean("--run", run_id, "--results", str(tmp_path), "--dry-run")
        assert containers_of() == [left.name]
        said = _clean("--run", run_id, "--results", str(tmp_path))
        assert f"removed container {left.name}" in said
        assert containers_of() == []
    finally:
        for name in containers_of():
            engine.containers.get(name).remove(force=True)


def _clean(*arguments: str) -> str:
    command = [sys.executable, "-c", "from harness.cli import main; main()", "clean", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout
