"""Workers, and where they are hired: each plays one server in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Protocol

from harness.conduct.asking import with_room
from harness.conduct.lifetime import Bench
from harness.conduct.stream import Ack, Request, receive, send
from harness.errors import RunError
from harness.serve import RUN_MARK

HERE, LOCAL = "here", "local"
"""Workers that are children of this process; those of a Ray cluster of this machine only."""
_LAST_LINES = 10


class Worker(Protocol):
    """A process that plays one lifetime, wherever it is."""

    def frames(self) -> Iterator[bytes]:
        """What it says, one message at a time, until it has ended."""

    def tell(self, message: Request | Ack) -> None:
        """Tell it; one that is gone is told in vain."""

    def interrupt(self) -> None:
        """Have it stop its server and end."""

    def ended(self) -> tuple[str, ...]:
        """Wait until it is gone; the last that it said to nobody in particular."""


class PipeWorker:
    """A worker of this machine, by the pipes of a child.

    Args:
        folder: for its own files.
        run_id: of the run, by which it is found as its servers are.
        where: its working folder; ``None`` for that of this process.
    """

    def __init__(self, folder: Path, run_id: str, where: Path | None = None) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `ended` closes it
        worker = ("-P", "-m", "harness.conduct.worker", str(folder), str(os.getpid()))
        self._child = subprocess.Popen(
            (sys.executable, *worker),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, RUN_MARK: run_id},
            cwd=where,
            start_new_session=True,  # a terminal's Ctrl-C comes from here, and once
        )
        self._into, self._out = _open(self._child.stdin), _open(self._child.stdout)

    def frames(self) -> Iterator[bytes]:
        """As `Worker.frames`."""
        while (frame := receive(self._out)) is not None:
            yield frame

    def tell(self, message: Request | Ack) -> None:
        """As `Worker.tell`."""
        with suppress(OSError):
            send(self._into, message)

    def interrupt(self) -> None:
        """As `Worker.interrupt`."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)

    def ended(self) -> tuple[str, ...]:
        """As `Worker.ended`."""
        with suppress(OSError):
            self._into.close()
        code = self._child.wait()
        self._out.close()
        with self._errors as errors:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").splitlines()
        return (f"exit status {code}", *lines[-_LAST_LINES:])


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RunError("a worker has no pipe")
    return stream


@dataclass(frozen=True, slots=True)
class Workers:
    """Where workers are had.

    Attributes:
        hire: one more of them.
        servers: how many may play at once.
        here: whether their servers run on this machine, whose ports and cards can be looked at.
    """

    hire: Callable[[], Worker]
    servers: int
    here: bool = True


@contextmanager
def of_this_machine(bench: Bench) -> Iterator[Workers]:
    """Workers of this machine, as many as its memory holds."""
    with tempfile.TemporaryDirectory(prefix="harness-workers-") as scratch:
        numbers = count()
        run_id = bench.folder.run_id
        yield Workers(
            lambda: PipeWorker(Path(scratch, str(next(numbers))), run_id), with_room(bench)
        )
