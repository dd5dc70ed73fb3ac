"""Processes as the kernel sees them: who is alive, since when, and which carry our mark.

A process id alone is not enough to end a process by: it may have been given to another one. Here
a process is its id and its start time in clock ticks since boot. Seconds since the epoch, as
psutil gives them, would not do: a clock that is set makes them another number in another process.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_START_TIME_FIELD = 19
_SIGNAL_AT_PARENTS_DEATH = 1


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
LABEL_SPACE = "harness.pid-space"


@functools.cache
def this_space() -> str:
    """Where process ids mean what they do here: marks of machine, boot and process id namespace.

    Machines and containers may share a host name; a part that this system does not tell is empty.
    """
    marks = []
    for path in (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id")):
        told = b""
        with contextlib.suppress(OSError):
            told = path.read_bytes().strip()
        marks.append(hashlib.sha256(told).hexdigest()[:8] if told else "")
    with contextlib.suppress(OSError):
        marks.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return ".".join(marks)


@dataclass(frozen=True, slots=True)
class Owner:
    """The harness process that started a server.

    ``started`` is in clock ticks since boot; 0 if unknown. ``space`` is `this_space` of the
    process, empty where an earlier release did not tell it.
    """

    host: str
    pid: int
    started: int
    space: str = ""

    @classmethod
    def this(cls) -> Owner:
        """This process."""
        process = ProcessId.of(os.getpid())
        started = process.start_time if process else 0
        return cls(socket.gethostname(), os.getpid(), started, this_space())

    def labels(self, run_id: str) -> dict[str, str]:
        """What every container of ours carries, so that a later clean-up finds it."""
        process = {LABEL_PID: str(self.pid), LABEL_PID_STARTED: str(self.started)}
        space = {LABEL_SPACE: self.space} if self.space else {}
        return {LABEL_RUN: run_id, LABEL_HOST: self.host, **process, **space}

    @property
    def mark(self) -> str:
        """The process as one word, for the environment of what it starts."""
        return f"{self.pid}/{self.started}/{self.host}/{self.space}"

    @classmethod
    def marked(cls, text: str) -> Owner | None:
        """The process that a `mark` names; ``None`` where the text is none."""
        pid, started, host, space = (*text.split("/"), "", "", "", "")[:4]
        known = pid.isdecimal() and started.isdecimal() and host
        return cls(host, int(pid), int(started), space) if known else None

    @property
    def elsewhere(self) -> str:
        """Where else than here its process id counts, for a person; empty where it counts here."""
        if all(self.space.split(".")) and self.space == this_space():
            return ""  # whatever the host is named now
        if self.host != socket.gethostname():
            return f"on host {self.host}"
        machine, boot, space = self._apart
        if machine:
            return f"on another machine named {self.host}"
        return f"in another container of host {self.host}" if space and not boot else ""

    def is_gone(self) -> bool:
        """Whether the process has certainly ended; never true for one elsewhere."""
        if self.elsewhere:
            return False
        if self._apart[1]:  # this machine has been started anew since
            return True
        if self.started:
            return not ProcessId(self.pid, self.started).alive
        try:  # a machine without /proc does not tell since when a process runs
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False

    @property
    def _apart(self) -> tuple[bool, bool, bool]:
        """Whether machine, boot and process id namespace are known to be others than here."""
        told, here = (f"{text}..".split(".")[:3] for text in (self.space, this_space()))
        machine, boot, space = (bool(a and b and a != b) for a, b in zip(told, here, strict=True))
        return machine, boot, space


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


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this forked process as soon as its parent ends (prctl(2)), however."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SIGNAL_AT_PARENTS_DEATH, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before that
        os.kill(os.getpid(), signal.SIGKILL)


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
