"""Files that hold their checksum, in each of their lines or once in a JSON object.

Lines are records, rows of experiments and what people judged; objects are what lies beside them.

Who appends may be cut in the middle of a line. The next writer sets what is left of it aside, so
that its own first line stands alone; a last line that is whole gets its end.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.errors import UsageError
from harness.files import (
    append_bytes,
    append_text,
    cut,
    opened,
    read_json,
    read_lines,
    write_json,
    write_whole,
)
from harness.hostile import shaped
from harness.records.lines import LineFault, is_sealed, sealed, sealed_line, value_of

T = TypeVar("T")
SIDE_SCHEMA = 2
"""Form of a file beside the records that holds its checksum; one of form 1 may have none."""
UNSEALED_SCHEMA = (None, 1)
"""Forms of such a file that may have none."""


@dataclass(frozen=True, slots=True)
class TornTail:
    """A half-written last line that was set aside: its size in bytes and where it is now."""

    size: int
    kept_in: Path


def sealed_value(line: bytes, kind: type[T]) -> T:
    """What a line holds that ends in its checksum.

    Raises:
        LineFault: it does not, it was damaged, or it is nothing of this kind.
    """
    if not is_sealed(line):
        raise LineFault("it does not end in its checksum")
    return value_in(line, kind)


def value_in(line: bytes, kind: type[T]) -> T:
    """What a line holds, with or without a checksum.

    Raises:
        LineFault: it is nothing of this kind.
    """
    try:
        return shaped(value_of(line), kind)
    except msgspec.ValidationError as error:
        raise LineFault(str(error)) from None


def read_sealed(path: Path, kind: type[T], *, what: str, hint: str) -> Iterator[tuple[int, T]]:
    """Each line of a file with its number, none of them without its checksum.

    Args:
        what: is said of a line that is none, such as ``no row of this experiment``.
        hint: what to do then.

    Raises:
        UsageError: the file cannot be read, or a line is not as it was written; with its number.
    """
    for number, line in read_lines(path):
        try:
            yield number, sealed_value(line, kind)
        except LineFault as fault:
            raise UsageError(f"{what}: {fault}", file=path, line=number, hint=hint) from None


def write_side_file(path: Path, value: Mapping[str, Any]) -> None:
    """Replace ``path`` by JSON values with the checksum of all of them; see `write_json`."""
    write_json(path, sealed({**value, "schema_version": SIDE_SCHEMA}))


def read_side_file(path: Path) -> dict[str, Any]:
    """What ``metadata.json`` or a start-up file tells, without its checksum.

    Raises:
        UsageError: it cannot be read, or is not as it was written.
    """
    value = read_json(path)
    told = value.pop("sum", None)
    if told is None and value.get("schema_version") == SIDE_SCHEMA:
        raise UsageError("damaged: its checksum is gone", file=path)
    if told not in (None, sealed(value)["sum"]):
        raise UsageError("damaged: the file does not have its checksum", file=path)
    return value


def append_sealed(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows at the end, each with its checksum; the file has to end where a line does.

    Raises:
        EnvironmentError_: they cannot be written; of what was begun nothing is left.
    """
    unshare(path)
    append_text(path, "".join(map(sealed_line, rows)))


def unshare(path: Path) -> None:
    """Give a file that has a second name, as in a copy by ``cp -al``, bytes of its own."""
    if path.is_file() and path.stat().st_nlink > 1:
        write_whole(path, path.read_bytes())


def mend_tail(path: Path, kept: Path, is_whole: Callable[[bytes], bool]) -> TornTail | None:
    """Set aside a half-written last line, if there is one; one that is whole gets its end.

    Args:
        kept: where it is added.
        is_whole: whether a last line without its end is whole; a `LineFault` says that it is not.
    """
    if not path.exists():
        return None
    with opened(path) as stream:
        data = stream.read()
    start = data.rfind(b"\n") + 1
    tail = data[start:]
    if not tail:
        return None
    with suppress(LineFault):
        if is_whole(tail):
            append_text(path, "\n")
            return None
    add_aside(kept, [tail])
    cut(path, start)
    return TornTail(len(tail), kept)


def set_aside(path: Path, lines: Container[int], kept: Path) -> int:
    """Move these lines (from 1) to the end of another file; how many there were.

    They are there before they are gone here, so that a crash in between loses none.
    """
    if not path.exists():
        return 0
    numbered = list(enumerate(BytesIO(path.read_bytes()), start=1))
    aside = [line for number, line in numbered if number in lines]
    if aside:
        add_aside(kept, aside)
        write_whole(path, b"".join(line for number, line in numbered if number not in lines))
    return len(aside)


def add_aside(path: Path, lines: Iterable[bytes]) -> None:
    """Add lines to those that were set aside, whatever a call that was killed has done of it.

    It took nothing away, so its lines come again: what it began is cut, what it wrote stays once.
    """
    whole = [line.rstrip(b"\n") + b"\n" for line in lines]
    there = path.read_bytes() if path.is_file() else b""
    if tail := there[there.rfind(b"\n") + 1 :]:
        if any(line.startswith(tail) for line in whole):
            cut(path, len(there) - len(tail))
        else:
            append_bytes(path, b"\n")
    known = set(there.splitlines(keepends=True))
    if new := b"".join(line for line in whole if line not in known):
        append_bytes(path, new)
