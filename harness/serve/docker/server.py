"""A vLLM server as a Docker container: started, watched, stopped and removed.

What the container is comes from `harness.serve.docker.arguments`; here it is only acted on.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import docker
import structlog
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from requests.exceptions import RequestException

from harness.errors import EnvironmentError_
from harness.serve.docker.arguments import container_arguments, container_name, with_secrets
from harness.serve.docker.engine import connect
from harness.serve.docker.failures import engine_refusal
from harness.serve.docker.leftovers import find_leftovers, remove_leftovers
from harness.serve.docker.log import LogFollower
from harness.serve.docker.owner import this_owner
from harness.serve.docker.state import container_record, container_state
from harness.serve.log_files import file_stem, new_log
from harness.serve.options import LaunchOptions
from harness.serve.ports import check_port_free
from harness.serve.protocol import ServerState
from harness.words import BackendName

__all__ = ["DockerBackend", "DockerServer"]

_ENGINE_GRACE_S = 5.0
"""How long an engine may not answer before its containers count as lost."""
_STATE_TIMEOUT_S = 10.0

_log = structlog.get_logger(__name__)


class DockerServer:
    """One container, from its start to its removal."""

    def __init__(
        self,
        container: Container,
        options: LaunchOptions,
        log_path: Path,
        follower: LogFollower,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._container = container
        self._options = options
        self._log_path = log_path
        self._follower = follower
        self._clock = clock
        self._silent_since: float | None = None
        self._engine_was_silent = False
        self._final: ServerState | None = None
        self._record: dict[str, object] = container_record(container.attrs)

    @property
    def base_url(self) -> str:
        """Where HTTP requests go."""
        return self._options.base_url

    @property
    def log_path(self) -> Path:
        """The container's whole log, growing."""
        return self._log_path

    @property
    def options(self) -> LaunchOptions:
        """What it was launched with."""
        return self._options

    def describe(self) -> Mapping[str, object]:
        """The container as the engine reports it, with no secret's value."""
        return {**self._options.to_json(), "docker": self._record}

    def state(self) -> ServerState:
        """The state, freshly read; an engine that is silent for some seconds counts as its end."""
        if self._final is not None:
            return self._final
        try:
            self._container.reload()
        except NotFound:
            return ServerState(running=False, detail="the container is gone from the engine")
        except (DockerException, RequestException) as error:
            return self._engine_silent(error)
        self._silent_since = None
        state = container_state(self._container.attrs)
        if not state.running and self._engine_was_silent:
            detail = f"{state.detail}; the Docker engine was restarted or stopped in between"
            return ServerState(running=False, exit_code=state.exit_code, detail=detail)
        return state

    def stop(self) -> None:
        """Stop, then kill, then remove; the log is complete afterwards."""
        if self._final is not None:
            return
        self._final = ServerState(running=False, detail="the container is being removed")
        seconds = max(1, round(self._options.stop_timeout_s))
        stopped = self._attempt("stop", lambda: self._container.stop(timeout=seconds))
        if not stopped:
            self._attempt("kill", self._container.kill)
        self._follower.finish()
        self._final = self._state_after_stop()
        if not self._attempt("remove", lambda: self._container.remove(force=True, v=True)):
            _log.warning("container_left", container=self._container.name, remedy="harness clean")

    def _state_after_stop(self) -> ServerState:
        if not self._attempt("inspect", self._container.reload):
            return ServerState(running=False, detail="its end could not be seen")
        state = container_state(self._container.attrs)
        return ServerState(running=False, exit_code=state.exit_code, detail=state.detail)

    def _engine_silent(self, error: Exception) -> ServerState:
        now = self._clock()
        if self._silent_since is None:
            self._silent_since = now
        self._engine_was_silent = True
        if now - self._silent_since < _ENGINE_GRACE_S:
            return ServerState(running=True, detail=f"the Docker engine does not answer: {error}")
        return ServerState(
            running=False,
            detail=f"the Docker engine has not answered for {_ENGINE_GRACE_S:.0f} s: {error}",
        )

    def _attempt(self, what: str, act: Callable[[], Any]) -> bool:
        try:
            act()
        except NotFound:
            return True
        except APIError as error:
            if error.status_code == 409:  # not running any more, or its removal is under way
                return True
            _log.warning("container_" + what + "_failed", error=str(error))
            return False
        except (DockerException, RequestException) as error:
            _log.warning("container_" + what + "_failed", error=str(error))
            return False
        return True


class DockerBackend:
    """Runs servers as containers of the local engine.

    Args:
        connect: makes a client; each server's state and log use clients of their own, since the
            SDK's client is not made for several threads.
    """

    def __init__(self, connect: Callable[[float], docker.DockerClient] = connect) -> None:
        self._connect = connect

    @property
    def name(self) -> BackendName:
        """Docker."""
        return BackendName.DOCKER

    def check(self, options: LaunchOptions) -> None:
        """The engine answers and has the image; changes nothing.

        Raises:
            EnvironmentError_: no engine, no image, or the port is taken.
        """
        client = self._connect(_STATE_TIMEOUT_S)
        try:
            _require_image(client, options)
        finally:
            client.close()
        check_port_free(options.port)

    def sweep(self, run_folder: Path) -> tuple[str, ...]:
        """Remove containers that a killed run of this folder left, if its owner is gone."""
        client = self._connect(_STATE_TIMEOUT_S)
        try:
            leftovers = find_leftovers(client, run_folder.name)
            return tuple(f"removed {left}" for left in remove_leftovers(client, leftovers))
        finally:
            client.close()

    def start(self, options: LaunchOptions, run_folder: Path) -> DockerServer:
        """Create and start a container, with its log followed from the first byte.

        Raises:
            EnvironmentError_: no engine, no image, no GPU runtime, or the port is taken.
            StartupFailed: the engine refused for another reason.
        """
        client = self._connect(_STATE_TIMEOUT_S)
        _require_image(client, options)
        check_port_free(options.port)
        _make_bind_sources(options)
        name = container_name(options, secrets.token_hex(3))
        arguments = container_arguments(options, name=name, owner=this_owner())
        arguments = with_secrets(arguments, options.secret_variables, os.environ)
        try:
            container = self._create_and_start(client, arguments, options)
            stem = file_stem(options.backend, options.mode, options.model)
            log_path = new_log(run_folder, stem)
            follower = LogFollower(self._followed(container), log_path)
            follower.start()
            container.reload()
        except BaseException:
            _remove_by_name(client, name)
            raise
        return DockerServer(container, options, log_path, follower)

    def _create_and_start(
        self, client: docker.DockerClient, arguments: dict[str, Any], options: LaunchOptions
    ) -> Container:
        try:
            return _create_and_start(client, arguments)
        except APIError as error:
            raise engine_refusal(
                str(error.explanation or error),
                image=str(arguments["image"]),
                port=options.port,
                program=options.command[0],
            ) from error
        except (DockerException, RequestException) as error:
            raise EnvironmentError_(
                f"the Docker engine went away while a container was started: {error}",
                hint="see that it runs (docker info), then start the run again; it resumes",
            ) from error

    def _followed(self, container: Container) -> Any:
        return self._connect(_STATE_TIMEOUT_S).containers.get(str(container.id))


def _create_and_start(client: docker.DockerClient, arguments: dict[str, Any]) -> Container:
    """Create and start; an engine that may not raise limits (a rootless one) starts without."""
    container = client.containers.create(**arguments)
    try:
        container.start()
    except APIError as error:
        if "error setting rlimit" not in str(error) or not arguments["ulimits"]:
            raise
        _log.warning("ulimits_refused", container=container.name)
        container.remove(force=True)
        return _create_and_start(client, {**arguments, "ulimits": []})
    return container


def _require_image(client: docker.DockerClient, options: LaunchOptions) -> None:
    if options.container is None:
        raise ValueError("the docker backend needs launch options with a container")
    image = options.container.image
    try:
        client.images.get(image)
    except ImageNotFound as error:
        raise EnvironmentError_(
            f"there is no image {image} on this machine",
            hint=f"pull and pin it: harness pin {image}",
        ) from error
    except (DockerException, RequestException) as error:
        raise EnvironmentError_(
            f"the Docker engine could not inspect {image}: {error}",
            hint="see that it runs: docker info",
        ) from error


def _make_bind_sources(options: LaunchOptions) -> None:
    """Make writable host folders that are to be mounted; the engine refuses missing ones."""
    if options.container is None:
        return
    for mount in options.container.mounts:
        if not mount.is_volume and not mount.read_only:
            Path(mount.source).mkdir(parents=True, exist_ok=True)


def _remove_by_name(client: docker.DockerClient, name: str) -> None:
    """Remove a container that never became a server; what cannot be removed is logged."""
    try:
        client.api.remove_container(name, force=True, v=True)
    except NotFound:
        return
    except (DockerException, RequestException) as error:
        _log.warning("container_left", container=name, error=str(error), remedy="harness clean")
