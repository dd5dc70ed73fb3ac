"""A large records file, read by as many processes as may run, each a part of its lines.

What is joined is what one process would have read, in the order of the lines. Wherever that cannot
be had, be it that a process was killed for want of memory, there is nothing, and one process reads
all of it.

The processes are forked: rows are told apart by Python's own hashes, whose seed a new interpreter
would not have. While another thread lives there is none: what it holds locked would stay so.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Protocol

from harness.errors import HarnessError
from harness.records.dispatches import Apart
from harness.records.filling import RecordsBuilder
from harness.records.parts import Part, lines_in, parts_of

_FORK = multiprocessing.get_context("fork")
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_S = 0.5
_NOTHING_MORE = None
_FAILED = (OSError, EOFError, pickle.UnpicklingError, Apart)


class Fill(Protocol):
    """Fills a builder with the lines of a part, of which the first has a number."""

    def __call__(self, builder: RecordsBuilder, part: Part, line: int) -> None:
        """Read them."""


def read_side_by_side(
    path: Path, many: int, new: Callable[[], RecordsBuilder], fill: Fill
) -> RecordsBuilder | None:
    """Read a file in so many parts or fewer, the first of them in this process.

    Returns:
        What all of them hold; ``None`` where one process has to read it.

    Raises:
        HarnessError: as ``fill`` for the first part that it does not read.
    """
    if threading.active_count() > 1 or multiprocessing.current_process().daemon:
        return None
    try:
        file = _identity(path)
        first, *parts = parts_of(path, many)
        if not parts:
            return None
        with ExitStack() as running:
            todo = [_Reading(path, file, part, new, fill) for part in parts]
            readings = [running.enter_context(one) for one in todo]
            line = 1 + lines_in(path, first)
            for one in readings:
                line += one.begin(line)
            fill(builder := new(), first, 1)
            for one in readings:
                for piece in one.pieces():
                    builder.join(piece)
        return builder if _identity(path) == file else None
    except _FAILED:
        return None


def _identity(path: Path) -> tuple[int, int]:
    """Which file has a name: another one may take it while parts are read."""
    about = path.stat()
    return about.st_dev, about.st_ino


class _Reading:
    """A process that reads a part; it is ended when this is left."""

    def __init__(
        self,
        path: Path,
        file: tuple[int, int],
        part: Part,
        new: Callable[[], RecordsBuilder],
        fill: Fill,
    ) -> None:
        self._path, self._file, self._part, self._new, self._fill = path, file, part, new, fill
        self._parent = os.getpid()

    def __enter__(self) -> _Reading:
        self._ours, self._theirs = _FORK.Pipe()
        self._child = _FORK.Process(target=self._work)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        try:
            self._child.start()
        except BaseException:
            self._ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._theirs.close()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()  # it holds nothing that anybody misses
        self._child.join()
        self._child.close()
        self._ours.close()

    def begin(self, line: int) -> int:
        """Say the number of its first line, and hear how many there are."""
        self._ours.send(line)
        count: int = self._ours.recv()
        return count

    def pieces(self) -> Iterator[RecordsBuilder]:
        """What it read; it holds each until that was taken, so that nothing is held twice.

        Raises:
            HarnessError: why it read nothing.
        """
        with os.fdopen(os.dup(self._ours.fileno()), "rb") as stream:
            while (told := pickle.load(stream)) is not _NOTHING_MORE:
                if isinstance(told, HarnessError):
                    raise told
                yield told

    def _work(self) -> None:
        """In the other process: it ends here, whatever happens, and says nothing but its result."""
        try:
            self._heed()
            if _identity(self._path) != self._file:  # as of its own standard input
                return
            self._theirs.send(lines_in(self._path, self._part))
            told = self._read(self._theirs.recv())
            with os.fdopen(os.dup(self._theirs.fileno()), "wb") as stream:
                for one in chain(told, [_NOTHING_MORE]):
                    pickle.dump(one, stream, pickle.HIGHEST_PROTOCOL)
        finally:
            os._exit(0)  # who waits for a result sees that it is not whole

    def _read(self, line: int) -> Iterable[RecordsBuilder | HarnessError]:
        try:
            self._fill(builder := self._new(), self._part, line)
        except HarnessError as error:
            return [error]
        return builder.pieces()

    def _heed(self) -> None:
        """Ctrl-C is the parent's to hear; and where that is gone, end too."""
        self._ours.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in _ENDS[1:]:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, lambda *_: self._end_if_orphan())
        signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)

    def _end_if_orphan(self) -> None:
        if os.getppid() != self._parent:
            os._exit(1)
