"""What the conductor needs of a server and of whoever runs it.

Three backends hold to these two protocols (docker, native, external) and to one compliance test,
``tests/serve/test_compliance.py``. A backend acts on `LaunchOptions`; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from harness.serve.options import LaunchOptions
from harness.words import BackendName

__all__ = ["Backend", "Server", "ServerState"]


@dataclass(frozen=True, slots=True)
class ServerState:
    """Whether the server's process or container runs, seen from outside.

    Attributes:
        running: False as soon as it has ended or cannot be found.
        exit_code: its exit status once it has ended; negative for a signal; ``None`` if unknown.
        detail: what a person should know, such as ``OOMKilled`` or ``ended by SIGKILL``.
    """

    running: bool
    exit_code: int | None = None
    detail: str = ""


@runtime_checkable
class Server(Protocol):
    """One server lifetime, from `Backend.start` to `stop`."""

    @property
    def base_url(self) -> str:
        """Where HTTP requests go, without a trailing slash: ``http://127.0.0.1:18000``."""
        ...

    @property
    def log_path(self) -> Path:
        """The server's whole log, growing, from its first byte; a file of this lifetime only."""
        ...

    @property
    def options(self) -> LaunchOptions:
        """What it was launched with."""
        ...

    def describe(self) -> Mapping[str, object]:
        """What goes into ``startup_<mode>_<model>.json``: JSON values, never a secret."""
        ...

    def state(self) -> ServerState:
        """The state now; cheap enough to poll ten times a second, and never raises."""
        ...

    def stop(self) -> None:
        """End it and all that it started, and wait until it is gone. A second call does nothing.

        Called on every way out, also from a signal handler's exception; it must not raise for a
        server that is gone already. The log is complete when it returns.
        """
        ...


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
