"""A lock on a file, which the kernel lets go when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import EnvironmentError_
from harness.refused import refusal

LOCK = ".lock"
"""Of a folder, in it."""


class Lock:
    """An exclusive lock on a file, held by a process until it ends or `release` is called.

    The kernel ties it to the open file: nothing has to be tidied up after a ``kill -9``, and a
    process that was given the descriptor (``fileno``) holds it too. The file stays; it says who
    held it last.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, holder: str, *, everybodys: bool = False) -> Lock | None:
        """The lock of ``path``, or ``None`` where somebody holds it (`holder_of` says who).

        Args:
            path: the file; made if it is not there.
            holder: who takes it, for others to read.
            everybodys: every user of this machine may take it.

        Raises:
            EnvironmentError_: the file cannot be opened or locked.
        """
        descriptor = -1
        try:
            descriptor = _open_lock(path, everybodys=everybodys)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, holder.encode())
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            raise refusal(error, path) from error
        return cls(descriptor)

    def fileno(self) -> int:
        """The descriptor, to hand on to a child process; -1 once it is released."""
        return self._descriptor

    def release(self) -> None:
        """Let it go here; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder's writers, a run's among them, for the block.

    Raises:
        EnvironmentError_: another process is at work there, or the lock cannot be taken.
    """
    path = folder / LOCK
    lock = Lock.take(path, str(os.getpid()))
    if lock is None:
        raise EnvironmentError_(
            f"in use by process {holder_of(path) or 'unknown'}",
            file=folder,
            hint="wait for it; the same command goes on",
        )
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a living process holds a `Lock`, as the kernel's list says: to try would take it."""
    with suppress(OSError, ValueError):
        held = (line.split() for line in Path("/proc/locks").read_text("utf-8").splitlines())
        mine = holder_of(path), str(path.stat().st_ino)
        return any("FLOCK" in row and (row[4], row[5].rpartition(":")[2]) == mine for row in held)
    return False


def holder_of(path: Path) -> str:
    """What the holder of a `Lock` says of itself; empty where that cannot be read."""
    with suppress(OSError):
        return path.read_bytes().decode(errors="replace").strip()
    return ""


def _open_lock(path: Path, *, everybodys: bool) -> int:
    """Open or make a file to lock; a link is refused.

    Where it is another user's the kernel may refuse ``O_CREAT`` in a folder such as /tmp
    (``fs.protected_regular``), so it is opened as it is first.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW
    with suppress(FileNotFoundError):
        return os.open(path, flags)
    descriptor = os.open(path, flags | os.O_CREAT, 0o666)
    if everybodys:
        with suppress(OSError):
            os.fchmod(descriptor, 0o666)  # whatever this user's mask is
    return descriptor
