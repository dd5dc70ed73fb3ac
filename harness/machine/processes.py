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
from collections.abc import Iterator
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

    @property
    def mark(self) -> str:
        """The process as one word, for the environment of what it starts."""
        return f"{self.pid}/{self.started}/{self.host}"

    @classmethod
    def marked(cls, text: str) -> Owner | None:
        """The process that a `mark` names; ``None`` where the text is none."""
        pid, _, rest = text.partition("/")
        started, _, host = rest.partition("/")
        known = pid.isdecimal() and started.isdecimal() and host
        return cls(host, int(pid), int(started)) if known else None

    def is_gone(self) -> bool:
        """Whether the process has certainly ended; never true for one on another host."""
        if self.host != socket.gethostname():
            return False
        if self.started:
            return not ProcessId(self.pid, self.started).alive
        try:  # a machine without /proc does not tell since when a process runs
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False


def marked_processes(variable: str, value: str) -> tuple[ProcessId, ...]:
    """Every process of this user whose initial environment holds ``variable=value``."""
    return tuple(process for process, held in processes_with(variable) if held[variable] == value)


def processes_with(variable: str) -> Iterator[tuple[ProcessId, dict[str, str]]]:
    """Every process of this user whose initial environment holds a variable, with all of that.

    Not those of other process id namespaces (containers): their ids mean something else there.
    """
    here = Path("/proc/self/ns/pid")
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            data = entry.read_bytes()
            if f"{variable}=".encode() not in data:
                continue
            pairs = (part.partition("=") for part in data.decode(errors="replace").split("\0"))
            held = {name: value for name, found, value in pairs if found}
            process = ProcessId.of(int(entry.parent.name))
            if variable not in held or process is None or process.pid == os.getpid():
                continue
            if process.alive and (entry.parent / "ns/pid").samefile(here):
                yield process, held


@contextlib.contextmanager
def first_in_line() -> Iterator[bool]:
    """Be served before all other programs in the block, where this machine allows it.

    Real-time scheduling of the calling thread (sched(7)); what it starts is served as ever.

    Yields:
        Whether it is allowed: to root, or by ``ulimit -r``.
    """
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (AttributeError, OSError):
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, *before)


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
