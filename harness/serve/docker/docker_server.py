"""A vLLM server as a Docker container: started, watched, stopped and removed.

What the container is comes from `harness.serve.docker.container`; here it is only acted on.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import docker
import structlog
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from requests.exceptions import RequestException

from harness.errors import EnvironmentError_, StartupFailed
from harness.locks import Lock
from harness.machine import INVENTORY, Owner
from harness.serve.container_options import ContainerOptions
from harness.serve.docker.container import (
    container_arguments,
    container_name,
    container_record,
    container_state,
    with_secrets,
)
from harness.serve.docker.engine import (
    connect,
    engine_refusal,
    find_leftovers,
    remove_container,
    remove_leftovers,
)
from harness.serve.docker.log_follower import LogFollower
from harness.serve.launch import LaunchOptions
from harness.serve.log_files import new_log
from harness.serve.ports import check_port_free, lock_port, strange_listener
from harness.serve.protocol import Server, ServerState
from harness.words import BackendName

_ENGINE_GRACE_S = 5.0
"""How long an engine may not answer before its containers count as lost."""
_STATE_TIMEOUT_S = 10.0
_REMEDY = "harness clean"

_log = structlog.get_logger(__name__)


class DockerServer(Server):
    """One container, from its start to its removal."""

    def __init__(
        self,
        container: Container,
        options: LaunchOptions,
        log_path: Path,
        follower: LogFollower,
        lock: Lock | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(options, log_path)
        self._lock = lock
        self._container = container
        self._follower = follower
        self._clock = clock
        self._silent_since: float | None = None
        self._engine_was_silent = False
        self._final: ServerState | None = None
        self._ending: Thread | None = None
        self._record: dict[str, object] = container_record(container.attrs)

    def describe(self) -> Mapping[str, object]:
        """The container as the engine reports it, with no secret's value."""
        return {**self.options.to_json(), "docker": self._record}

    def state(self) -> ServerState:
        """The state, freshly read; an engine that is silent for some seconds counts as its end."""
        if self._final is not None:
            return self._final
        try:
            self._container.reload()
        except NotFound:
            return ServerState(running=False, detail="the container is gone from the engine")
        except (DockerException, RequestException) as error:
            now = self._clock()
            self._silent_since = now if self._silent_since is None else self._silent_since
            self._engine_was_silent = True
            running = now - self._silent_since < _ENGINE_GRACE_S
            so = "does not answer" if running else f"has not answered for {_ENGINE_GRACE_S:.0f} s"
            return ServerState(running=running, detail=f"the Docker engine {so}: {error}")
        self._silent_since = None
        state = container_state(self._container.attrs)
        if not state.running and self._engine_was_silent:
            detail = f"{state.detail}; the Docker engine was restarted or stopped in between"
            return ServerState(running=False, exit_code=state.exit_code, detail=detail)
        return state

    def strange_listener(self) -> str:
        """Whether the engine gives the port to another, or somebody else listens on it too."""
        port = self.options.port
        state = self.state()
        if not state.running:
            return f"the container does not run any more ({state.detail})"
        network = self._container.attrs.get("NetworkSettings") or {}
        given = (network.get("Ports") or {}).get(f"{port}/tcp") or []
        if ("127.0.0.1", str(port)) not in {(p.get("HostIp"), p.get("HostPort")) for p in given}:
            return f"the engine does not publish this container on port {port} any more"
        return strange_listener(port, lambda owner: owner.publishes)

    def dismiss(self) -> None:
        """Have the engine stop it, then kill it in a thread: its answer comes late."""
        if self._final is None and self._ending is None:
            self._ending = Thread(target=self._end, daemon=True)
            self._ending.start()

    def _end(self) -> None:
        seconds = max(1, round(self.options.stop_timeout_s))
        if not self._attempt("stop", lambda: self._container.stop(timeout=seconds)):
            self._attempt("kill", self._container.kill)

    def stop(self) -> None:
        """Stop, then kill, then remove; the log is complete afterwards."""
        if self._final is not None:
            return
        if self._ending is None:
            self._final = ServerState(running=False, detail="the container is being removed")
            self._end()
        else:
            self._ending.join()
        self._follower.finish()
        detail, code = "its end could not be seen", None
        if self._attempt("inspect", self._container.reload):
            state = container_state(self._container.attrs)
            detail, code = state.detail, state.exit_code
        self._final = ServerState(running=False, exit_code=code, detail=detail)
        if not self._attempt("remove", lambda: self._container.remove(force=True, v=True)):
            _log.warning("container_left", container=self._container.name, remedy=_REMEDY)
        if self._lock is not None:
            self._lock.release()

    def _attempt(self, what: str, act: Callable[[], Any]) -> bool:
        try:
            act()
        except (DockerException, RequestException) as error:
            # 409: not running any more, or its removal is under way
            ending = isinstance(error, APIError) and error.status_code == 409
            if not ending and not isinstance(error, NotFound):
                _log.warning("container_" + what + "_failed", error=str(error))
                return False
        return True


class DockerBackend:
    """Runs servers as containers of the local engine.

    Args:
        connect: makes a client; each server's state and log use clients of their own, since the
            SDK's client is not made for several threads.
    """

    name = BackendName.DOCKER

    def __init__(self, connect: Callable[[float], docker.DockerClient] = connect) -> None:
        self._connect = connect

    def check(self, options: LaunchOptions) -> None:
        """The engine answers and has the image; changes nothing.

        Raises:
            EnvironmentError_: no engine, no image, or the port is taken.
        """
        with contextlib.closing(self._connect(_STATE_TIMEOUT_S)) as client:
            _require_image(client, options)
        check_port_free(options.port)

    def sweep(self, run_folder: Path) -> tuple[str, ...]:
        """Remove containers that a killed run of this folder left, if its owner is gone."""
        with contextlib.closing(self._connect(_STATE_TIMEOUT_S)) as client:
            leftovers = (
                *find_leftovers(client, run_folder.name),
                *find_leftovers(client, INVENTORY),
            )
            return tuple(f"removed {left}" for left in remove_leftovers(client, leftovers))

    def start(self, options: LaunchOptions, run_folder: Path) -> DockerServer:
        """Create and start a container, with its log followed from the first byte.

        Raises:
            EnvironmentError_: no engine, no image, no GPU runtime, or the port is taken.
            StartupFailed: the engine refused for another reason.
        """
        client = self._connect(_STATE_TIMEOUT_S)
        container_options, variables = _require_image(client, options)
        environment = {**options.environment, **options.python_path_before(variables)}
        options = replace(options, environment=environment)
        check_port_free(options.port)
        for mount in container_options.mounts:
            if not mount.is_volume and not mount.read_only:
                # the engine refuses a folder that is not there
                Path(mount.source).mkdir(parents=True, exist_ok=True)
        name = container_name(options, secrets.token_hex(3))
        arguments = container_arguments(options, name=name, owner=Owner.this())
        arguments = with_secrets(arguments, options.secret_variables, os.environ)
        lock = lock_port(options.port, f"run {options.run_id} (pid {os.getpid()})")
        try:
            container = self._create_and_start(client, arguments, options)
            log_path = new_log(run_folder, options.log_stem)
            followed: Any = self._connect(_STATE_TIMEOUT_S).containers.get(str(container.id))
            follower = LogFollower(followed, log_path)
            follower.start()
            container.reload()
        except BaseException as error:
            lock.release()
            try:
                remove_container(client, name)
            except (DockerException, RequestException) as left:
                _log.warning("container_left", container=name, error=str(left), remedy=_REMEDY)
            if isinstance(error, NotFound):
                raise StartupFailed(
                    "the container was removed from the engine while it was started",
                    hint="start the run again; it resumes",
                ) from error
            if isinstance(error, DockerException | RequestException):
                raise _went_away(error) from error
            raise
        return DockerServer(container, options, log_path, follower, lock)

    def _create_and_start(
        self, client: docker.DockerClient, arguments: dict[str, Any], options: LaunchOptions
    ) -> Container:
        """Create and start; an engine that may not raise limits (a rootless one) starts without."""
        try:
            container = client.containers.create(**arguments)
            try:
                container.start()
            except APIError as error:
                if "error setting rlimit" not in str(error) or not arguments["ulimits"]:
                    raise
                _log.warning("ulimits_refused", container=container.name)
                container.remove(force=True)
                container = client.containers.create(**{**arguments, "ulimits": []})
                container.start()
            return container
        except APIError as error:
            raise engine_refusal(
                str(error.explanation or error),
                image=str(arguments["image"]),
                port=options.port,
                program=options.command[0],
            ) from error
        except (DockerException, RequestException) as error:
            raise _went_away(error) from error


def _went_away(error: Exception) -> EnvironmentError_:
    return EnvironmentError_(
        f"the Docker engine went away while a container was started: {error}",
        hint="see that it runs (docker info), then start the run again; it resumes",
    )


def _require_image(
    client: docker.DockerClient, options: LaunchOptions
) -> tuple[ContainerOptions, Mapping[str, str]]:
    """The container's options, whose image this engine has, and that image's own variables."""
    if options.container is None:
        raise ValueError("the docker backend needs launch options with a container")
    image = options.container.image
    try:
        config = client.images.get(image).attrs.get("Config") or {}
        pairs = (entry.partition("=") for entry in config.get("Env") or ())
        return options.container, {name: value for name, _, value in pairs}
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
