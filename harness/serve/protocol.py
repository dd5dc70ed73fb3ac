"""What the conductor needs of a server and of whoever runs it.

Three backends hold to this (docker, native, external) and to one compliance test,
``tests/serve/test_compliance.py``. A backend acts on `LaunchOptions`; it decides nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.prove import ActivationEvidence, judge_server
from harness.serve.launch import LaunchOptions
from harness.serve.log_files import read_log
from harness.settings import RunSpec
from harness.words import BackendName


@dataclass(frozen=True, slots=True)
class ServerState:
    """Whether the server's process or container runs, seen from outside.

    Attributes:
        running: False as soon as it has ended or cannot be found.
        exit_code: its exit status once it has ended; negative for a signal; ``None`` if unknown.
        detail: what a person should know, such as ``OOMKilled`` or ``ended by SIGKILL``.
        oom_killed: whether the container's engine says that it was killed for its memory.
        stands_still: it runs, and gets no time to work: a paused container.
    """

    running: bool
    exit_code: int | None = None
    detail: str = ""
    oom_killed: bool = False
    stands_still: bool = False


@dataclass(eq=False)
class Server(ABC):
    """One server lifetime, from `Backend.start` to `stop`.

    Attributes:
        options: what it was launched with; of an external one, what it would be launched with.
        log_path: its whole log, growing, from its first byte; a file of this lifetime only.
    """

    options: LaunchOptions
    log_path: Path

    @property
    def base_url(self) -> str:
        """Where HTTP requests go, without a trailing slash: ``http://127.0.0.1:18000``."""
        return self.options.base_url

    @abstractmethod
    def describe(self) -> Mapping[str, object]:
        """What goes into ``startup_<mode>_<model>.json``: JSON values, never a secret."""

    @abstractmethod
    def state(self) -> ServerState:
        """The state now; cheap enough to poll ten times a second, and never raises."""

    def strange_listener(self) -> str:
        """Why who answers on the port may be another than this server; empty if nobody else can.

        Looked at after readiness and again at the end. It cannot be seen from here whether a server
        that someone else runs is alone.
        """
        return ""

    def dismiss(self) -> None:
        """Ask it to end and do not wait: servers that are dismissed one by one end side by side.

        Nothing is asked of it afterwards but `stop`, which waits. Here it does nothing.
        """
        return

    @abstractmethod
    def stop(self) -> None:
        """End it and all that it started, and wait until it is gone. A second call does nothing.

        Called on every way out, also from a signal handler's exception; it must not raise for a
        server that is gone already. The log is complete when it returns.
        """


class Backend(Protocol):
    """Who runs servers."""

    @property
    def name(self) -> BackendName:
        """Which backend this is; it starts the names of its log files."""
        ...

    def check(self, options: LaunchOptions) -> None:
        """Find out before anything is started whether `start` could work; changes nothing.

        Raises:
            EnvironmentError_: a port in use, a missing program, engine or image; with what to do.
        """
        ...

    def sweep(self, run_folder: Path) -> tuple[str, ...]:
        """End what a killed run of this folder left behind, if its owner is gone.

        Returns:
            One line for a person on each server that was ended.
        """
        ...

    def start(self, options: LaunchOptions, run_folder: Path) -> Server:
        """Start a server and return at once; `wait_until_ready` does the waiting.

        Raises:
            EnvironmentError_: it cannot be started here (what `check` finds, found late).
            StartupFailed: whoever runs it refused to start it.
        """
        ...


def make_backend(spec: RunSpec) -> Backend:
    """The backend that the spec names; Docker's SDK is imported only where it is used.

    Raises:
        EnvironmentError_: the Docker engine cannot be reached.
    """
    if spec.backend is BackendName.NATIVE:
        from harness.serve.native import NativeBackend

        return NativeBackend()
    if spec.backend is BackendName.EXTERNAL:
        from harness.serve.external import ExternalBackend

        servers = {mode: spec.external[mode] for mode in spec.modes if mode in spec.external}
        return ExternalBackend(servers=servers)
    from harness.serve.docker import DockerBackend

    return DockerBackend()


def server_evidence(server: Server) -> ActivationEvidence:
    """What is known of the path that ``server`` runs, as of now: its log, else ``/server_info``.

    For an external server the environment is not ours to know, so only its log and, failing that,
    its ``/server_info`` count.
    """
    options = server.options
    external = options.backend is BackendName.EXTERNAL
    return judge_server(
        read_log(server.log_path),
        mode=options.mode,
        environment=None if external else options.environment,
        info=server.describe().get("server_info") if external else None,
    )
