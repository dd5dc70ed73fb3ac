"""Launch options for tests, and a stand-in server for faults that vLLM cannot be made to show."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import pytest

from harness.machine import GpuAccess, Host
from harness.serve import Backend, LaunchOptions, Server, launch_options
from harness.serve.docker import DockerBackend, DockerServer
from harness.serve.native import NativeBackend, NativeServer
from harness.settings import load_spec
from harness.settings.run_spec import ModelSpec, RunSpec, ServerSettings
from harness.words import BackendName, Mode, Verdict

STAND_IN = Path(__file__).parent / "stand_in"
ROOT = Path(__file__).parents[2]
BASE_IMAGE = "harness-base:bookworm"
STAND_IN_IMAGE = "harness-stand-in:test"
ENGINE_IMAGE = "harness-vllm-cpu:0.32.0"
COMMAND = f"{sys.executable} -m vllm.entrypoints.openai.api_server"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(
        name="example-host",
        pid=4711,
        working_directory=tmp_path,
        cache_root=tmp_path / "cache",
        huggingface_home=Path("/home/someone/.cache/huggingface"),
        gpu=GpuAccess.RUNTIME,
    )


@pytest.fixture
def native_options(free_port: int, host: Host) -> Callable[..., LaunchOptions]:
    """Options for the stand-in server as a native one; ``env`` chooses its fault."""

    def build(
        command: str = COMMAND, *, mode: Mode = Mode.STANDARD, stop_s: float = 3.0, **env: str
    ) -> LaunchOptions:
        spec = RunSpec(
            backend=BackendName.NATIVE,
            models=(ModelSpec(name="tiny", hf_id="example/tiny"),),
            tasks="tasks",
            server=ServerSettings(
                port=free_port,
                native_command=command,
                startup_timeout_s=20,
                stop_timeout_s=stop_s,
                env={"PYTHONPATH": str(STAND_IN), **env},
            ),
        )
        return launch_options(spec, spec.models[0], mode, host=host, run_id="test-run")

    return build


@pytest.fixture
def start_native(
    native_options: Callable[..., LaunchOptions], tmp_path: Path
) -> Iterator[Callable[..., NativeServer]]:
    """Starts native servers and stops whatever the test left running."""
    servers: list[NativeServer] = []

    def start(*args: str, **kwargs: object) -> NativeServer:
        options = native_options(*args, **kwargs)
        server = NativeBackend().start(options, tmp_path / "run")
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for a condition, at most a minute: the machine may be busy."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "the condition never came true"
            time.sleep(0.02)

    return wait


@dataclass(frozen=True, slots=True)
class Case:
    """One backend with something to run on it, for the compliance test.

    Attributes:
        backend: the backend.
        options: launch options for a mode.
        kill: ends a server from outside, as an accident would.
        first_line: what the first line of its log holds.
        verdicts: what its log proves in each mode once it is ready.
    """

    backend: Backend
    options: Callable[[Mode], LaunchOptions]
    kill: Callable[[Server], None]
    first_line: str
    verdicts: dict[Mode, Verdict]


def _kill_native(server: Server) -> None:
    assert isinstance(server, NativeServer)
    os.kill(server.pid, signal.SIGKILL)


def _kill_engine(server: Server) -> None:
    """Kill vLLM's engine process, or the server while there is no engine yet."""
    assert isinstance(server, NativeServer)
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    engines = [int(pid) for pid in children if _is_engine(pid)]
    os.kill(next(iter(engines), server.pid), signal.SIGKILL)


def _is_engine(pid: str) -> bool:
    """A child of a server that still starts may end between being listed and being read."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"VLLM::EngineCore")
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def case_native_stand_in(native_options: Callable[..., LaunchOptions]) -> Case:
    """A stand-in proves no mode: its log has no engine."""
    return Case(
        NativeBackend(),
        lambda mode: native_options(mode=mode),
        _kill_native,
        "first byte of the log",
        dict.fromkeys(Mode, Verdict.INCONCLUSIVE),
    )


@pytest.fixture
def case_native_vllm(free_port: int, host: Host) -> Case:
    """The real server with the demo's model, from the demo's own profile."""
    spec = load_spec("demo-tiny").spec
    python = " ".join((str(ROOT / spec.server.native_argv[0]), *spec.server.native_argv[1:]))
    model = spec.models[0].model_copy(update={"hf_id": str(ROOT / spec.models[0].hf_id)})
    server = spec.server.model_copy(update={"port": free_port, "native_command": python})
    spec = spec.model_copy(update={"server": server, "models": (model,)})
    return Case(
        NativeBackend(),
        lambda mode: launch_options(spec, model, mode, host=host, run_id="test-run"),
        _kill_engine,
        "api_server.py:",
        {Mode.STANDARD: Verdict.CLEAN, Mode.BATCH_INVARIANT: Verdict.ACTIVE},
    )


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=60)
    yield client
    client.close()


@pytest.fixture(scope="session")
def build_image(engine: docker.DockerClient) -> Callable[..., str]:
    """Builds an image from a Dockerfile's text and, if given, one folder beside it."""

    def build(tag: str, dockerfile: str, folder: Path | None = None) -> str:
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            if folder is not None:
                archive.add(folder, arcname=folder.name)
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(dockerfile)
            archive.addfile(entry, io.BytesIO(dockerfile.encode()))
        context.seek(0)
        engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True)
        return tag

    return build


@pytest.fixture(scope="session")
def stand_in_image(build_image: Callable[..., str]) -> str:
    subprocess.run([ROOT / ".ci/base-image.sh", BASE_IMAGE], check=True)
    dockerfile = (
        f"FROM {BASE_IMAGE}\nCOPY stand_in /stand_in\nENV PYTHONPATH=/stand_in\n"
        "LABEL harness.device=cpu\n"
    )
    return build_image(STAND_IN_IMAGE, dockerfile, STAND_IN)


def _kill_container(server: Server) -> None:
    assert isinstance(server, DockerServer)
    client = docker.from_env()
    client.containers.get(str(server.describe()["docker"]["name"])).kill()
    client.close()


@pytest.fixture
def case_docker_stand_in(stand_in_image: str, free_port: int, host: Host) -> Case:
    """The same stand-in server in a container."""
    spec = RunSpec(
        image=stand_in_image,
        models=(ModelSpec(name="tiny", hf_id="example/tiny"),),
        tasks="tasks",
        server=ServerSettings(port=free_port, stop_timeout_s=3, shm_size="64m"),
    )
    on_cpu = replace(host, gpu=GpuAccess.NONE, huggingface_home=host.working_directory / "hf")
    return Case(
        DockerBackend(),
        lambda mode: launch_options(spec, spec.models[0], mode, host=on_cpu, run_id="test-run"),
        _kill_container,
        "first byte of the log",
        dict.fromkeys(Mode, Verdict.INCONCLUSIVE),
    )


@pytest.fixture(scope="session")
def engine_image(engine: docker.DockerClient) -> str:
    """The CPU engine's image, built if it is not there."""
    if not engine.images.list(ENGINE_IMAGE):
        subprocess.run([ROOT / "docker/cpu/build.sh", ENGINE_IMAGE], check=True)
    return ENGINE_IMAGE


@pytest.fixture
def case_docker_vllm(engine_image: str, free_port: int, host: Host) -> Case:
    """The real server in the CPU engine's image, with the demo's model and settings."""
    spec = load_spec("demo-tiny").spec
    model = spec.models[0].model_copy(update={"hf_id": str(ROOT / spec.models[0].hf_id)})
    server = spec.server.model_copy(update={"port": free_port, "shm_size": "1g"})
    spec = spec.model_copy(
        update={
            "backend": BackendName.DOCKER,
            "image": engine_image,
            "server": server,
            "models": (model,),
        }
    )
    on_cpu = replace(host, gpu=GpuAccess.NONE, huggingface_home=host.working_directory / "hf")
    return Case(
        DockerBackend(),
        lambda mode: launch_options(spec, model, mode, host=on_cpu, run_id="test-run"),
        _kill_container,
        "",
        {Mode.STANDARD: Verdict.CLEAN, Mode.BATCH_INVARIANT: Verdict.ACTIVE},
    )
