"""Podman behind the Docker API, as its own sources answer ``/version`` and ``/info``."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from harness.errors import EnvironmentError_
from harness.machine import GpuAccess
from harness.serve.container_options import GpuRequest
from harness.serve.docker import docker_host, engine_gpu_access, podman_release
from harness.serve.docker.container import device_requests

CDI = "kind: nvidia.com/gpu\n"


def engine(release: str, **info: Any) -> Any:
    """A client of Podman (pkg/api/handlers/compat/version.go and info.go, 4.9 to 6.0)."""
    said = {
        "Version": release,
        "Platform": {"Name": "linux/amd64/fedora-43"},
        "Components": [
            {"Name": "Podman Engine", "Version": release, "Details": {"Os": "linux"}},
            {"Name": "Conmon", "Version": "conmon version 2.1.13"},
            {"Name": "OCI Runtime (crun)", "Version": "crun version 1.24"},
        ],
    }
    about = {
        "ServerVersion": release,
        "DefaultRuntime": "crun",
        "Runtimes": {"crun": {"path": "/usr/bin/crun"}, "nvidia": {"path": "/usr/bin/nvidia"}},
        "DockerRootDir": "/var/lib/containers/storage",
        "BuildahVersion": "1.42.0",
        **info,
    }
    return SimpleNamespace(version=lambda: said, info=lambda: about)


@pytest.fixture
def cdi_files(tmp_path):
    (tmp_path / "nvidia.yaml").write_text(CDI)
    return [str(tmp_path)]


def test_podman_is_known_by_its_version():
    assert podman_release(engine("5.4.0-dev")) == (5, 4, 0)
    docker = SimpleNamespace(version=lambda: {"Components": [{"Name": "Engine", "Version": "28"}]})
    assert podman_release(docker) is None
    assert podman_release(SimpleNamespace(version=lambda: {"Version": "19.03"})) is None


@pytest.mark.parametrize("release", ["3.4.4", "4.9.3", "5.3.2"])
def test_one_that_ignores_the_gpu_is_refused_by_name(release, cdi_files):
    client = engine(release, CDISpecDirs=cdi_files)
    assert engine_gpu_access(client) is GpuAccess.NONE
    with pytest.raises(EnvironmentError_, match=f"Podman {release} ignores the GPUs") as caught:
        docker_host(client, needs_gpu=True)
    assert "--backend external" in str(caught.value)
    assert docker_host(client, needs_gpu=False).gpu is GpuAccess.NONE


@pytest.mark.parametrize("release", ["5.4.0", "5.8.2", "6.0.0"])
def test_one_that_heeds_cdi_gets_a_cdi_name_and_never_the_runtime(release, cdi_files):
    assert engine_gpu_access(engine(release, CDISpecDirs=cdi_files)) is GpuAccess.CDI
    (request,) = device_requests(GpuRequest(GpuAccess.CDI))
    assert (request["Driver"], request["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=all"])


def test_one_without_a_description_of_gpus_has_none(tmp_path):
    assert engine_gpu_access(engine("5.6.0", CDISpecDirs=[str(tmp_path)])) is GpuAccess.NONE


@pytest.fixture
def real(tmp_path: Path) -> Iterator[docker.DockerClient]:
    """The Docker API of the Podman that is installed here."""
    at = tmp_path / "podman.sock"
    command = ["podman", "system", "service", "--time=60", f"unix://{at}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as service:
        for _ in range(100):
            if at.exists():
                break
            time.sleep(0.1)
        try:
            with closing(docker.DockerClient(base_url=f"unix://{at}")) as client:
                yield client
        finally:
            service.terminate()


@pytest.mark.skipif(
    shutil.which("podman") is None and "CI" not in os.environ, reason="no podman here"
)
def test_the_podman_of_this_machine_is_known_by_name_and_gives_no_gpu_unasked(real):
    release = podman_release(real)
    assert release is not None
    if release < (5, 4):
        with pytest.raises(EnvironmentError_, match=r"Podman [\d.]+ ignores the GPUs"):
            docker_host(real, needs_gpu=True)
    assert engine_gpu_access(real) in (GpuAccess.NONE, GpuAccess.CDI)
    assert docker_host(real, needs_gpu=False).gpu is engine_gpu_access(real)
