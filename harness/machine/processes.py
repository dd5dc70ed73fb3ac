"""Processes as the kernel sees them: who is alive, since when, and which carry our mark.

A process id alone is not enough to end a process by: it may have been given to another one. Here
a process is its id and its start time in clock ticks since boot. Seconds since the epoch, as
psutil gives them, would not do: a clock that is set makes them another number in another process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

_START_TIME_FIELD = 19


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process: its id and its start time in clock ticks since boot."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process that has this id now; ``None`` if there is none."""
        fields = _stat(pid)
        return cls(pid, int(fields[_START_TIME_FIELD])) if fields else None

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        fields = _stat(self.pid)
        return bool(
            fields and fields[0] != "Z" and int(fields[_START_TIME_FIELD]) == self.start_time
        )


INVENTORY = "inventory"
"""In place of a run's id, of a container that only reads what an image holds."""
LABEL_RUN, LABEL_HOST = "harness.run-id", "harness.host"
LABEL_PID, LABEL_PID_STARTED = "harness.pid", "harness.pid-started"


@dataclass(frozen=True, slots=True)
class Owner:
    """The harness process that started a container.

    ``started`` is in clock ticks since boot; 0 if unknown.
    """

    host: str
    pid: int
    started: int

    @classmethod
    def this(cls) -> Owner:
        """This process."""
        process = ProcessId.of(os.getpid())
        return cls(socket.gethostname(), os.getpid(), process.start_time if process else 0)

    def labels(self, run_id: str) -> dict[str, str]:
        """What every container of ours carries, so that a later clean-up finds it."""
        process = {LABEL_PID: str(self.pid), LABEL_PID_STARTED: str(self.started)}
        return {LABEL_RUN: run_id, LABEL_HOST: self.host, **process}

    def is_gone(self) -> bool:
        """Whether the process has certainly ended; never true for one on another host."""
        return self.host == socket.gethostname() and not ProcessId(self.pid, self.started).alive


def marked_processes(variable: str, value: str) -> tuple[ProcessId, ...]:
    """Every process of this user whose initial environment holds ``variable=value``."""
    mark = f"{variable}={value}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in entry.read_bytes().split(b"\0"):
                process = ProcessId.of(int(entry.parent.name))
                if process is not None and process.alive and process.pid != os.getpid():
                    found.append(process)
    return tuple(found)


def end_processes(processes: tuple[ProcessId, ...], *, grace_s: float) -> None:
    """SIGTERM, then SIGKILL to those that are left after ``grace_s`` seconds."""
    for number, seconds in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        for process in processes:
            if process.alive:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process.pid, number)
        if wait_gone(processes, seconds):
            return


def wait_gone(processes: tuple[ProcessId, ...], timeout_s: float) -> bool:
    """Wait until none is alive; False when ``timeout_s`` seconds did not suffice."""
    deadline = time.monotonic() + timeout_s
    while any(process.alive for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/<pid>/stat`` from the state on (proc(5), field 3)."""
    try:
        text = Path("/proc", str(pid), "stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
