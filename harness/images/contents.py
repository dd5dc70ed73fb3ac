"""What is inside an image, read in a container of it, without a GPU and without a network."""

from __future__ import annotations

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from harness.images.lock import ImageVersions
from harness.machine import VERSIONS_SCRIPT, Versions

__all__ = ["read_versions"]

_TIMEOUT_S = 120


def read_versions(client: docker.DockerClient, reference: str) -> ImageVersions:
    """The versions of vLLM, PyTorch, CUDA and Python in an image of this machine.

    Returns:
        All ``None`` for an image without a working ``python3``.
    """
    try:
        container = client.containers.create(
            reference,
            entrypoint=["python3"],
            command=["-c", VERSIONS_SCRIPT],
            environment={"NVIDIA_VISIBLE_DEVICES": "void"},
            network_mode="none",
        )
    except (DockerException, RequestException):
        return ImageVersions()
    try:
        container.start()
        status = container.wait(timeout=_TIMEOUT_S)["StatusCode"]
        said = container.logs(stdout=True, stderr=False)
        found = Versions.read(said.decode(errors="replace") if status == 0 else "")
        return ImageVersions(found.vllm, found.torch, found.cuda, found.python)
    except (DockerException, RequestException):
        return ImageVersions()
    finally:
        container.remove(force=True, v=True)
