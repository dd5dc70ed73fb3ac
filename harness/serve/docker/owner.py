"""Who owns a running container: a process named so that a later one with its number is not it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from harness.serve.processes import ProcessId

__all__ = ["Owner", "this_owner"]


@dataclass(frozen=True, slots=True)
class Owner:
    """The harness process that started something.

    Attributes:
        host: its host name.
        pid: its process id.
        started: when it started, in clock ticks since boot; 0 if unknown.
    """

    host: str
    pid: int
    started: int

    def is_gone(self) -> bool:
        """Whether the process has certainly ended; never true for one on another host."""
        return self.host == socket.gethostname() and not ProcessId(self.pid, self.started).alive


def this_owner() -> Owner:
    """This process."""
    process = ProcessId.of(os.getpid())
    return Owner(socket.gethostname(), os.getpid(), process.start_time if process else 0)
