"""What the system refuses this process, in words: the place, its reason, and what to do."""

import errno
import os
import shutil
from contextlib import suppress
from os.path import lexists
from pathlib import Path

from harness.errors import EnvironmentError_, HarnessError, UsageError
from harness.numbers import size_text

_ELSEWHERE = "or write to another folder"
_FULL = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), f"free some space, {_ELSEWHERE}")
_UNWRITTEN = {
    **_FULL,
    errno.EFBIG: f"allow larger files: ulimit -f, {_ELSEWHERE}",
    errno.EROFS: f"make its disk writable, {_ELSEWHERE}",
}
"""What only a writer is refused, and its next step."""
_MAY_NOT = dict.fromkeys((errno.EACCES, errno.EPERM), f"allow this user to write, {_ELSEWHERE}")
_A_CIRCLE = "links lead in a circle: remove the one in the way"
_A_FOLDER = "a folder is in the way: move it"
TO_MOVE = {errno.EISDIR: _A_FOLDER, errno.ELOOP: _A_CIRCLE}
"""What is in the place of a file, and the step before any other."""
_IN_THE_WAY = {
    errno.EISDIR: f"{_A_FOLDER}, {_ELSEWHERE}",
    errno.ELOOP: f"{_A_CIRCLE}, {_ELSEWHERE}",
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST), f"a file is in the way of a folder: move it, {_ELSEWHERE}"
    ),
}
_MORE_FILES = "allow this process more open files: ulimit -n"
_UNOPENED = dict.fromkeys((errno.EMFILE, errno.ENFILE), _MORE_FILES)
_WRITTEN = "cannot be written"
REMOVED = "cannot be removed"
"""What is refused of a file that was to go, for `refusal`."""
_NO_FILE = "is a device, a pipe or a socket, and a file is to be written there"
_OPENED = ("/dev/fd/", "/dev/std", "/proc/")  # links, perhaps to a regular file


def refusal(error: OSError, path: Path | str, what: str = _WRITTEN) -> EnvironmentError_:
    """What the system refused, at a place: its words, the space left, and what to do."""
    path = Path(path)
    reason = error.strerror or str(error)
    hints = _UNWRITTEN | _UNOPENED | _IN_THE_WAY | (_MAY_NOT if what in (_WRITTEN, REMOVED) else {})
    if error.errno in _FULL:
        with suppress(OSError):
            reason += f", {size_text(shutil.disk_usage(path.parent).free)}"
            about = os.statvfs(path.parent)
            reason += " left" if about.f_favail or not about.f_files else " and no more files left"
    for link in (path, *path.parents) if error.errno in _IN_THE_WAY else ():
        if link.is_symlink() and not link.exists():
            reason = f"the link {link} leads to {link.readlink()}, which is not there"
    told = f"{what}: {reason}" if what else reason
    return EnvironmentError_(told, file=path, hint=hints.get(error.errno or 0))


def trouble(error: OSError, place: Path | str) -> EnvironmentError_:
    """As `refusal`, where nobody knows whether it was to read or to write.

    The place is the error's own file; one without was met at ``place``.
    """
    own = error.filename is not None
    what = "" if own else "the system refuses it"
    if error.errno in _UNWRITTEN:
        what = _WRITTEN
    elif own and is_of_descriptors(error):
        what = "cannot be opened"
    return refusal(error, str(error.filename) if own else place, what)


def not_read(path: Path, error: OSError) -> HarnessError:
    """Why a file cannot be read: it is at fault, or this process has too many open."""
    if is_of_descriptors(error):
        return refusal(error, path, "cannot be read")
    if isinstance(error, FileNotFoundError):
        return UsageError("no such file", file=path, hint="paths start at the current folder")
    hint = TO_MOVE.get(error.errno or 0)
    return UsageError(f"cannot be read: {error.strerror or error}", file=path, hint=hint)


def is_of_descriptors(error: OSError) -> bool:
    """Whether the file is not at fault: this process, or the machine, has too many open."""
    return error.errno in _UNOPENED


def insist_on_place(path: Path) -> None:
    """Make sure that a file can stand somewhere, before the work that it is to hold is begun.

    Raises:
        UsageError: a folder is there, a device or the like, or no folder can be.
        EnvironmentError_: nothing can be written there.
    """
    if path.is_dir():
        what = "is a folder, and a file is to be written there"
        raise UsageError(what, file=path, hint="name another file, or move the folder away")
    insist_on_file(path)
    folder = next(above for above in path.absolute().parents if lexists(above))
    if not folder.is_dir():
        what = f"is no folder, and {path.name} is to be written below it"
        raise UsageError(what, file=folder, hint="name a file elsewhere")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EnvironmentError_(_WRITTEN, file=folder, hint="name a file in another folder")


def insist_on_file(path: Path, hint: str = "name another file; a verb without one prints") -> None:
    """Make sure that what is to be replaced is no device, pipe or socket: it would be gone.

    Raises:
        UsageError: it is one, or names what a caller opened.
    """
    if str(path).startswith(_OPENED):
        raise UsageError(_NO_FILE, file=path, hint=hint)
    insist_on_regular(path, hint)


def insist_on_regular(path: Path, hint: str = "move it away, or name another file") -> None:
    """Make sure that what is to be added to is no device, pipe or socket: it might never end.

    Raises:
        UsageError: it is one.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UsageError(_NO_FILE, file=path, hint=hint)


def insist_writable(folder: Path, hint: str) -> None:
    """Make sure that a folder is there, or can be made, and takes files.

    Raises:
        EnvironmentError_: it is not; ``hint`` is the next step.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(error, folder) from error
    if not os.access(folder, os.W_OK):
        raise EnvironmentError_(_WRITTEN, file=folder, hint=hint)
