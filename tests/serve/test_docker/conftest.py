"""A stand-in image on a real engine: faults that the real server cannot be made to show cheaply."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import httpx
import pytest

from harness.machine import GpuAccess, Host
from harness.serve import LaunchOptions, Server, launch_options
from harness.serve.docker import DockerBackend
from harness.settings.run_spec import ModelSpec, RunSpec, ServerSettings
from harness.words import Mode


@pytest.fixture
def run_id() -> str:
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
def options_for(
    stand_in_image: str, free_port: int, run_id: str, tmp_path: Path
) -> Callable[..., LaunchOptions]:
    """Launch options for the stand-in; ``env`` chooses a fault, ``image`` another image."""

    def build(*, image: str = stand_in_image, **env: str) -> LaunchOptions:
        spec = RunSpec(
            image=image,
            models=(ModelSpec(name="tiny", hf_id="example/tiny"),),
            tasks="tasks",
            server=ServerSettings(
                port=free_port, startup_timeout_s=60, stop_timeout_s=5, shm_size="64m", env=env
            ),
        )
        host = Host(
            name=socket.gethostname(),
            pid=1,
            working_directory=tmp_path,
            cache_root=tmp_path / "cache",
            huggingface_home=tmp_path / "hf",
            gpu=GpuAccess.NONE,
        )
        return launch_options(spec, spec.models[0], Mode.STANDARD, host=host, run_id=run_id)

    return build


@pytest.fixture
def run_folder(tmp_path: Path, run_id: str) -> Path:
    return tmp_path / "results" / run_id


@pytest.fixture
def started(
    engine: docker.DockerClient, options_for: Callable[..., LaunchOptions], run_folder: Path
) -> Iterator[Callable[..., Server]]:
    """Starts stand-ins and stops whatever the test left running."""
    servers: list[Server] = []

    def start(*, cleared_secret_names: tuple[str, ...] | None = None, **kwargs: str) -> Server:
        options = options_for(**kwargs)
        if cleared_secret_names is not None:
            options = replace(options, secret_variables=cleared_secret_names)
        server = DockerBackend().start(options, run_folder)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def containers_of(engine: docker.DockerClient, run_id: str) -> Iterator[Callable[[], list[str]]]:
    """Names of the containers of this test's run, ended ones too; a failed test leaves none."""
    ours = {"label": f"harness.run-id={run_id}"}
    yield lambda: [str(one.name) for one in engine.containers.list(all=True, filters=ours)]
    for container in engine.containers.list(all=True, filters=ours):
        container.remove(force=True)


@pytest.fixture
def answers() -> Callable[[Server], bool]:
    def healthy(server: Server) -> bool:
        try:
            return httpx.get(f"{server.base_url}/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    return healthy


@pytest.fixture
def takes_memory() -> Callable[[str], None]:
    """Makes the stand-in at an address take memory until its limit kills it.

    The kill may come before the stand-in's own answer is out, so a request that fails is legal
    here: what counts is what the container's end looks like afterwards.
    """

    def take(base_url: str) -> None:
        with contextlib.suppress(httpx.TransportError):
            httpx.post(f"{base_url}/allocate", timeout=10)

    return take
