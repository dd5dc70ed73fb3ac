"""One way to reach the Docker engine: explicit timeouts, the user's context, clear errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import docker
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RequestException, Timeout

from harness.errors import EnvironmentError_

__all__ = ["API_TIMEOUT_S", "ENGINE_GONE", "connect", "engine_address", "guarded"]

API_TIMEOUT_S = 60.0
"""For each call to the engine; a pull streams and needs no longer one."""
ENGINE_GONE = (RequestsConnectionError, Timeout)
"""What the SDK raises when the engine stops answering in the middle."""

_LOCAL_SCHEMES = ("unix://", "http+unix://", "npipe://")


def engine_address() -> str | None:
    """The engine that the ``docker`` command would use: ``DOCKER_HOST``, else the current context.

    Returns:
        An address, or ``None`` for the default socket.
    """
    if address := os.environ.get("DOCKER_HOST"):
        return address
    try:
        context = ContextAPI.get_current_context()
    except (DockerException, OSError, ValueError, KeyError):
        return None
    host = context.Host if context is not None else None
    return str(host) if host else None


def connect(timeout_s: float = API_TIMEOUT_S) -> docker.DockerClient:
    """A client for an engine that has just answered.

    Raises:
        EnvironmentError_: no engine, no permission, or one on another machine.
    """
    address = engine_address()
    if address is not None and not address.startswith(_LOCAL_SCHEMES):
        raise EnvironmentError_(
            f"the Docker engine at {address} is on another machine",
            hint="ports and folders of a run are local: unset DOCKER_HOST, or start the servers "
            "there and use --backend external",
        )
    try:
        client = docker.DockerClient(base_url=address, version="auto", timeout=int(timeout_s))
        client.ping()
    except (DockerException, RequestException) as error:
        raise _unreachable(address, error) from error
    return client


def guarded(what: str, call: Callable[[], Any]) -> Any:
    """Run one engine call; an engine that is gone or refuses becomes one message.

    Args:
        what: what was being done, for the message: ``inspect the image``.
        call: the SDK call.

    Raises:
        EnvironmentError_: the engine did not answer or refused.
    """
    try:
        return call()
    except APIError as error:
        raise EnvironmentError_(
            f"the Docker engine could not {what}: {error.explanation or error}"
        ) from error
    except (DockerException, RequestException) as error:
        raise _unreachable(engine_address(), error) from error


def _unreachable(address: str | None, error: Exception) -> EnvironmentError_:
    where = address or "the default socket"
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        return EnvironmentError_(
            f"no permission to talk to the Docker engine at {where}",
            hint="add yourself to the group docker (sudo usermod -aG docker $USER, then log in "
            "again) or run as root",
        )
    return EnvironmentError_(
        f"no Docker engine answers at {where}",
        hint="start it (sudo systemctl start docker), install it "
        "(https://docs.docker.com/engine/install), or use --backend native",
    )
