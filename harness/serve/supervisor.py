"""A small process between the harness and a native server; it never outlives its purpose.

Run as a file by its path (``python -I supervisor.py STATUS_FD GRACE_S -- command ...``), with the
standard library only, so that it starts at once. It reads its standard input, a pipe that only the
harness holds open: when that ends, because the harness asked for it or because it was killed, the
server and everything that the server started is ended, politely first. On Linux it adopts orphaned
descendants (``PR_SET_CHILD_SUBREAPER``), so that an engine process in a session of its own is
found too, and the server gets a signal should the supervisor itself be killed
(``PR_SET_PDEATHSIG``).

Status lines for the harness: ``started PID``, ``ended CODE`` (negative for a signal) or
``failed TEXT``.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.05


def main(argv: list[str]) -> int:
    """Start the command, watch it and the harness, and leave nothing running."""
    status_fd, grace_s, command = int(argv[0]), float(argv[1]), argv[3:]
    os.set_inheritable(status_fd, False)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda caught, _frame: stopping.append(caught))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),
        )
    except OSError as error:
        _report(status_fd, f"failed {error.strerror}: {command[0]}")
        return 127
    _report(status_fd, f"started {server.pid}")
    code = _watch(server.pid, stopping)
    if code is None:
        code = _end_politely(server.pid, grace_s)
    _report(status_fd, f"ended {code}")
    _kill_the_rest(server.pid)
    return 0


def _watch(pid: int, stopping: list[int]) -> int | None:
    """Wait until the server ends (its code) or the harness wants it to (None)."""
    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    while not stopping:
        if waiting.poll(_POLL_S * 1000) and not os.read(0, 1024):
            return None
        code = _reap(pid)
        if code is not None:
            return code
    return None


def _end_politely(pid: int, grace_s: float) -> int:
    """SIGTERM to the server's group, SIGKILL after ``grace_s``; returns its code."""
    _signal_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline:
        code = _reap(pid)
        if code is not None:
            return code
        time.sleep(_POLL_S)
    _signal_group(pid, signal.SIGKILL)
    while (code := _reap(pid)) is None:
        time.sleep(_POLL_S)
    return code


def _kill_the_rest(pid: int) -> None:
    """End what is left of the group and of all descendants (by /proc), however they detached."""
    for _ in range(200):
        _signal_group(pid, signal.SIGKILL)
        parents: dict[int, int] = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = entry.read_text(errors="replace").rpartition(")")[2].split()
                if fields[0] != "Z":
                    parents[int(entry.parent.name)] = int(fields[1])
        rest: set[int] = set()
        below = {os.getpid()}
        while below:
            below = {process for process, parent in parents.items() if parent in below}
            rest |= below
        for process in rest:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        _reap(pid)
        if not rest:
            return
        time.sleep(_POLL_S)


def _reap(pid: int) -> int | None:
    """Collect every ended child; the server's exit code if it is among them."""
    found = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if ended == 0:
            return found
        if ended == pid:
            found = os.waitstatus_to_exitcode(status)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _report(status_fd: int, line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(status_fd, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
