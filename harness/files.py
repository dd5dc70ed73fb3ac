"""Files written whole and read with their line numbers: text, JSON objects and rows of JSON.

A reader sees the old file or the new one, never half of one: what is written stands in a temporary
file beside the target until it is on disk. What cannot be written is an `EnvironmentError_`, what
cannot be read a `UsageError`; both name the file asked for.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import stat
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from hashlib import file_digest
from importlib import resources
from io import BufferedReader
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from harness.errors import UsageError
from harness.numbers import size_text
from harness.refused import insist_on_file, insist_on_regular, not_read, refusal

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_DEEPEST = 64
"""Nesting of an object in a file."""
LARGEST = 256 << 20
"""Bytes of an object in a file, or of a line."""
_GIVEN = ("/dev/fd/", "/dev/null", "/dev/stdin", "/proc/")  # names of what a caller pipes in
_T = TypeVar("_T")
_Check = Callable[[Path], object] | None


def write_whole(
    path: Path,
    content: str | bytes,
    *,
    parents: bool = False,
    private: bool = False,
    check: _Check = None,
) -> None:
    """Replace ``path`` by ``content``; text is UTF-8, its line ends stay as they are.

    Args:
        path: the file.
        content: all of it.
        parents: make the folder where it is missing.
        private: readable by this user only; folders made on the way too.
        check: looks at the temporary file; when it raises, ``path`` stays as it was.

    Raises:
        EnvironmentError_: it cannot be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with _replacing(path, parents=parents, private=private, check=check) as stream:
        stream.write(data)


def write_new(contents: Mapping[Path, str], *, hint: str) -> None:
    """Write files that belong together, folders too; nothing that is there is overwritten.

    What is there with the same content, as an interrupted call leaves it, stays; the rest is
    written. ``hint`` says how another folder is named.

    Raises:
        UsageError: one is there with another content; nothing is written then.
        EnvironmentError_: one cannot be written.
    """
    there = [path for path in contents if path.exists() or path.is_symlink()]
    for path in there:
        if not _holds(path, contents[path].encode("utf-8")):
            raise UsageError("there already", file=path, hint=hint)
    write_together({path: text for path, text in contents.items() if path not in there})


def write_together(contents: Mapping[Path, str]) -> None:
    """Replace files that belong together, all of them or none; folders are made.

    Raises:
        EnvironmentError_: one cannot be written.
    """
    with ExitStack() as all_of_them:
        for path, content in contents.items():
            stream = all_of_them.enter_context(_replacing(path, parents=True))
            stream.write(content.encode("utf-8"))
            stream.flush()  # a full disk is met here, where none has its name yet


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file is these bytes."""
    return path.is_file() and path.stat().st_size == len(data) and _bytes_of(path) == data


def write_json(path: Path, value: Mapping[str, Any], *, parents: bool = False) -> None:
    """Replace ``path`` by ``value`` as ASCII JSON, indented by 2; see `write_whole`."""
    write_whole(path, json_text(value), parents=parents)


def json_text(value: Mapping[str, Any]) -> str:
    """A value as ASCII JSON, indented by 2; paths, times and enums in it as they read."""
    return json.dumps(value, indent=2, default=str) + "\n"


def write_rows(
    path: Path, rows: Iterable[Mapping[str, Any]], *, parents: bool = False, check: _Check = None
) -> None:
    """Replace ``path`` by one line of ASCII JSON for each row, taken one at a time.

    ASCII, because an answer may hold what UTF-8 cannot (a lone surrogate). When ``rows`` raises, or
    ``check`` as in `write_whole`, ``path`` stays as it was.
    """
    with _replacing(path, parents=parents, check=check) as stream:
        stream.writelines(f"{json.dumps(row)}\n".encode("ascii") for row in rows)


def append_text(path: Path, text: str) -> None:
    """Add text at the end, as UTF-8; see `append_bytes`."""
    append_bytes(path, text.encode("utf-8"))


def append_bytes(path: Path, data: bytes) -> None:
    """Add bytes at the end, and see them on disk; nothing that is there is touched.

    Raises:
        UsageError: it is a device, a pipe or a socket.
        EnvironmentError_: they cannot be written; of what was begun nothing is left.
    """
    try:
        insist_on_regular(path)
        left, new = memoryview(data), not path.exists()
        with path.open("ab", buffering=0) as stream:
            size = stream.tell()
            try:
                while left:
                    left = left[stream.write(left) :]
                os.fsync(stream.fileno())
            except OSError:
                with suppress(OSError):
                    stream.truncate(size)
                raise
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise refusal(error, path) from error


def cut(path: Path, size: int) -> None:
    """Take everything behind the first ``size`` bytes of a file away, on disk too.

    Raises:
        UsageError: it is a device, a pipe or a socket.
        EnvironmentError_: it cannot be written.
    """
    try:
        insist_on_regular(path)
        with path.open("r+b") as stream:
            stream.truncate(size)
            os.fsync(stream.fileno())
    except OSError as error:
        raise refusal(error, path) from error


def sweep_temporary(folder: Path, *, dry_run: bool = False) -> int:
    """Remove what writers that were killed left in a folder, as `write_whole` does; how many."""
    left = [path for path in folder.glob(".*.tmp") if _is_left(path)]
    for path in () if dry_run else left:
        with suppress(OSError):
            path.unlink()
    return sum(dry_run or not path.exists() for path in left)


def _is_left(path: Path) -> bool:
    """Whether its writer is gone: no process here has its id, and none elsewhere holds the file."""
    pid = path.name.split(".")[-2]
    if pid.isdigit() and not Path("/proc", pid).exists():
        with suppress(OSError), path.open("r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


@contextmanager
def _replacing(
    path: Path, *, parents: bool, private: bool = False, check: _Check = None
) -> Iterator[IO[bytes]]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        insist_on_file(path)
        sweep_temporary(path.parent)
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with open(os.open(temporary, flags, 0o600 if private else 0o666), "wb") as stream:  # noqa: PTH123
            with suppress(OSError):  # its id says nothing on another host or in another container
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if check is not None:
                check(temporary)
            temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise refusal(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put the new name on disk too; some file systems refuse, and the content is there anyway."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def opened(path: Path) -> BufferedReader:
    """A file to read, or a pipe that the caller gave; any other, a `UsageError`, might not end."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or str(path).startswith(_GIVEN)):
        raise UsageError("not a regular file", file=path)
    return path.open("rb")


def read_text(path: Path) -> str:
    """The text of ``path``: UTF-8, with or without a byte order mark; line ends become ``\\n``.

    Raises:
        UsageError: the file is missing, unreadable or not UTF-8; with the line that is not.
    """
    text = _decoded(_bytes_of(path), path)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        UsageError: the file is missing, unreadable or not a JSON object; with the line at fault.
    """
    return _object(_bytes_of(path), path)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line that is not empty with its number from 1, without byte order mark and line end.

    Only ``\\n`` ends a line: an answer may hold other line ends of Unicode.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with opened(path) as stream:
            for number, line in enumerate(lines_of(stream, path), 1):
                data = (line.removeprefix(_BOM) if number == 1 else line).strip(_BLANKS)
                if data:
                    yield number, data
    except OSError as error:
        raise not_read(path, error) from error


def lines_of(stream: BufferedReader, path: Path, first: int = 1) -> Iterator[bytes]:
    """The lines that are left of a file, each with its end.

    Args:
        stream: the file, open.
        path: its name, for a message.
        first: the number of the next line.

    Raises:
        UsageError: one is longer than any of ours: no end may be in sight, as of a disk's zeros.
    """
    for number in count(first):
        if not (line := stream.readline(LARGEST)):
            return
        if len(line) == LARGEST:
            what = f"a line longer than {size_text(LARGEST)}: none of ours is"
            raise UsageError(what, file=path, line=number)
        yield line


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row of a JSONL file with its line number; see `read_lines`.

    Raises:
        UsageError: the file cannot be read or a line is not a JSON object; with its number.
    """
    return ((number, _object(data, path, number)) for number, data in read_lines(path))


def packaged(package: str, name: str, kind: type[_T]) -> _T:
    """The YAML file of that name that stands with a package's code, checked against ``kind``."""
    return msgspec.yaml.decode(resources.files(package).joinpath(name).read_bytes(), type=kind)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        UsageError: it cannot be read, or is a pipe, whose bytes are gone once they were read.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: not a regular file, and it is read twice: save it first")
    with opened(path) as stream:
        return file_digest(stream, "sha256").hexdigest()


def sha256_unpacked(path: Path) -> str | None:
    """The SHA-256 of a file, or of what ``<path>.gz`` holds; ``None`` where neither is readable."""
    with suppress(OSError, EOFError, zlib.error), _unpacked(path) as stream:
        return file_digest(stream, "sha256").hexdigest()
    return None


def text_unpacked(path: Path) -> str | None:
    """A file's text, or that of ``<path>.gz``, whatever its bytes; ``None`` if not readable."""
    with suppress(OSError, EOFError, zlib.error), _unpacked(path) as stream:
        return stream.read().decode(errors="replace")
    return None


def _unpacked(path: Path) -> BufferedReader | gzip.GzipFile:
    packed = path.with_name(f"{path.name}.gz")
    return gzip.open(packed) if packed.is_file() and not path.is_file() else opened(path)


def rows_at(path: Path, lines: Container[int]) -> dict[int, dict[str, Any]]:
    """The rows on these lines of a JSONL file, by line number from 1; only they are decoded.

    Half of a surrogate pair, which a model's answer may hold, is let through.

    Raises:
        UsageError: the file cannot be read or one of these lines is not a JSON object.
    """
    return {
        number: _object(data, path, number, "surrogatepass")
        for number, data in read_lines(path)
        if number in lines
    }


def _bytes_of(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise UsageError(f"too large to be read: {size_text(size)}", file=path)
        with opened(path) as stream:
            return stream.read()
    except OSError as error:
        raise not_read(path, error) from error


def _decoded(data: bytes, path: Path, first: int = 1, errors: str = "strict") -> str:
    data = data.removeprefix(_BOM)
    try:
        return data.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        line = first + data.count(b"\n", 0, error.start)
        message = f"not UTF-8: byte 0x{data[error.start]:02x}"
        raise UsageError(message, file=path, line=line, hint="save it as UTF-8") from error


def _object(data: bytes, path: Path, first: int = 1, errors: str = "strict") -> dict[str, Any]:
    """The object that ``data`` holds, which begins on line ``first`` of ``path``."""
    try:
        value = json.loads(_decoded(data, path, first, errors))
    except json.JSONDecodeError as error:
        line = first + error.lineno - 1
        message = f"not JSON: {error.msg} at column {error.colno}"
        raise UsageError(message, file=path, line=line) from error
    except RecursionError:
        raise UsageError("not readable: nested too deeply", file=path, line=first) from None
    except ValueError as error:
        # Python refuses whole numbers of more than 4,300 digits
        raise UsageError(f"not readable: {error}", file=path, line=first) from error
    if not isinstance(value, dict):
        raise UsageError("not a JSON object", file=path, line=first)
    layer: list[Any] = [value]
    for _ in range(_DEEPEST):
        inner = (one.values() if isinstance(one, dict) else one for one in layer)
        layer = [one for held in inner for one in held if isinstance(one, dict | list)]
    if layer:
        raise UsageError("not readable: nested too deeply", file=path, line=first)
    return value
