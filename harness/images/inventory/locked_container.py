"""The one place where an image's own programs run for an inventory: a locked-down container.

No network, no GPU, nothing writable but a memory-backed /tmp, no capabilities, no way to gain any,
and a time limit. What it prints is text from a stranger; `said.py` reads it as such.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import docker
import structlog
from docker.errors import APIError, DockerException
from docker.models.containers import Container
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RequestException

from harness.errors import EnvironmentError_
from harness.machine import INVENTORY, Owner

TIMEOUT_S = 600
_MOST_OUTPUT = 16 * 1024 * 1024
_MISSING_PROGRAM = ("executable file not found", "no such file or directory", "not a directory")
_ENVIRONMENT = {
    "HOME": "/tmp",  # inside the container, where it is all that can be written
    "XDG_CACHE_HOME": "/tmp",
    "VLLM_CACHE_ROOT": "/tmp",
    "TRITON_CACHE_DIR": "/tmp",
    "NVIDIA_VISIBLE_DEVICES": "void",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "NO_COLOR": "1",
    "COLUMNS": "200",
}
_LOCKED_DOWN: Mapping[str, Any] = {
    "environment": _ENVIRONMENT,
    "hostname": "inventory",
    "network_disabled": True,
    "network_mode": "none",
    "read_only": True,
    "tmpfs": {"/tmp": "size=256m,mode=1777"},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 1024,
    "auto_remove": False,
}

_log = structlog.get_logger(__name__)


class ProbeOutput(NamedTuple):
    """What the script printed, and what went wrong on the way."""

    text: str
    notes: tuple[str, ...] = ()


def script_text() -> str:
    """The program that runs inside."""
    script = files("harness.images.inventory").joinpath("inventory_script.py")
    return script.read_text(encoding="utf-8")


def run_probe(
    client: docker.DockerClient,
    image_id: str,
    entrypoint: Sequence[str] = (),
    *,
    script: str | None = None,
    timeout_s: int = TIMEOUT_S,
) -> ProbeOutput:
    """Run a Python program (the inventory's by default) in a container of an image that is here.

    A Python in the image's own entrypoint is tried before ``python3``. After ``timeout_s`` the
    container is killed; what it had said by then counts.

    Raises:
        EnvironmentError_: the engine does not answer or cannot make a container.
    """
    own = [word for word in entrypoint[:1] if word.rpartition("/")[2].startswith("python")]
    for interpreter in dict.fromkeys((*own, "python3", "python")):
        output = _run_with(client, probe_arguments(image_id, interpreter, script), timeout_s)
        if output is not None:
            return output
    return ProbeOutput("", ("no Python in this image, so nothing inside it was read",))


def _run_with(
    client: docker.DockerClient, arguments: Mapping[str, Any], timeout_s: int
) -> ProbeOutput | None:
    """``None`` where the image has no such interpreter."""
    container: Container | None = None
    notes, said, size = [], [], 0
    try:
        container = client.containers.create(**arguments)
        container.start()
        try:
            status = container.wait(timeout=timeout_s)["StatusCode"]
            if status != 0:
                notes.append(f"the program that reads the image ended with exit code {status}")
        except RequestsConnectionError:  # how the SDK says that the wait took too long
            container.kill()
            notes.append(f"the program that reads the image was stopped after {timeout_s} s")
        for part in container.logs(stdout=True, stderr=False, stream=True, follow=False):
            size += len(part)
            if size > _MOST_OUTPUT:
                notes.append(
                    f"the image said more than {_MOST_OUTPUT} bytes; the rest was not read"
                )
                break
            said.append(part)
    except (DockerException, RequestException) as error:
        reason = " ".join(str(getattr(error, "explanation", None) or error).split())
        if isinstance(error, APIError) and any(words in reason for words in _MISSING_PROGRAM):
            return None
        problem = f"the Docker engine could not run a container of the image: {reason}"
        raise EnvironmentError_(problem, hint="see that it runs: docker info") from error
    finally:
        if container is not None:
            _remove(container)
    return ProbeOutput(b"".join(said).decode("utf-8", "replace"), tuple(notes))


def _remove(container: Container) -> None:
    """Take it away; where the engine has gone meanwhile, say what is left."""
    try:
        container.remove(force=True, v=True)
    except (DockerException, RequestException) as error:
        name = container.name
        _log.warning("container_left", container=name, error=str(error), remedy="harness clean")


def probe_arguments(image_id: str, interpreter: str, script: str | None = None) -> dict[str, Any]:
    """Keyword arguments for ``client.containers.create``.

    The labels let ``harness clean`` remove the container once this process has ended, and no
    sooner.
    """
    return {
        **_LOCKED_DOWN,
        "image": image_id,
        "entrypoint": [interpreter],
        "command": ["-c", script or script_text()],
        "labels": Owner.this().labels(INVENTORY),
    }
