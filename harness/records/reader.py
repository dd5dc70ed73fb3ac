"""Reading a records file, some megabytes at a time."""

from __future__ import annotations

import gc
import io
import os
import stat
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from harness.errors import UsageError
from harness.files import lines_of, opened
from harness.records.filling import RecordsBuilder
from harness.records.frame import LineProblem, Records
from harness.records.lines import LineFault, value_of
from harness.records.parts import WHOLE, Part, line_ends
from harness.records.record import Record, decode_record
from harness.records.rows import Row, decode_flat, decode_row, decode_rows
from harness.records.run_files import METADATA
from harness.refused import TO_MOVE, is_of_descriptors, refusal
from harness.words import Status

if TYPE_CHECKING:
    from harness.records.side_by_side import Fill

_BOM = b"\xef\xbb\xbf"
_CHUNK_BYTES, _CHUNK_LINES = 2 << 20, 1000
SMALLEST_PART = 32 << 20
"""Bytes that a process of its own is worth: reading them takes a second, and joining what was read
a tenth of one."""
_HASHES = attrgetter("solo_response_hash"), attrgetter("batch_response_hash")
_NEXT = "give a run folder or a records file (JSONL)"
_GO_ON = "a run that has given none goes on by the same command; else put the file back"
_Row = TypeVar("_Row", Record, Row)


def iter_records(path: Path | str) -> Iterator[tuple[int, Record]]:
    """Each record of a file with its line number from 1, one at a time; empty lines are none.

    Raises:
        UsageError: the file cannot be read, or a line is no record.
    """
    path = Path(path)
    for number, line in _lines(path):
        if line and not line.isspace():
            yield number, _insist(path, _parse(line, number, decode_record))


def first_record(path: Path | str) -> Record:
    """The first record of a file, to see that it is a records file.

    Raises:
        UsageError: the file cannot be read, is empty, or begins with a line that is no record.
    """
    for _, record in iter_records(path):
        return record
    raise _empty(Path(path))


def records_at(path: Path | str, lines: Collection[int]) -> dict[int, Record]:
    """The records on some lines (from 1) of a file; only they are decoded, and none is read after.

    Raises:
        UsageError: the file cannot be read, or a wanted line is no record.
    """
    path, wanted, found = Path(path), sorted({*lines}), dict[int, Record]()
    for numbers, block in _blocks(path):
        here = wanted[len(found) : bisect_right(wanted, numbers[-1])]
        told = io.BytesIO(block).readlines() if here else []
        for number in here:
            line = told[number - numbers[0]]
            found[number] = _insist(path, _parse(line, number, decode_record))
        if len(found) == len(wanted):
            break
    return found


def iter_values(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each record as it stands in a file, with all that the harness does not know of it.

    Raises:
        UsageError: as `iter_records`.
    """
    path = Path(path)
    for number, line in _lines(path):
        if line and not line.isspace():
            _insist(path, _parse(line, number, decode_record))
            yield number, value_of(line)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    for numbers, block in _blocks(path):
        yield from zip(numbers, io.BytesIO(block), strict=False)


def _insist(path: Path, found: Record | LineProblem) -> Record:
    if isinstance(found, LineProblem):
        raise _refusal(path, found)
    return found


def read_records(path: Path | str, *, check: bool = False) -> Records:
    """Read a records file (JSONL, the harness's own or one with the required columns).

    Returns:
        The records as columns; texts are not kept.

    Raises:
        UsageError: the file cannot be read, is empty, or has a line that is no record.
    """
    records = _read(Path(path), strict=True, check=check)
    if not len(records):
        raise _empty(Path(path))
    return records


def scan_records(path: Path | str) -> Records:
    """Read what can be read, for validation: bad lines become `Records.problems`.

    Also compares recorded hashes with the answers' texts.

    Raises:
        UsageError: the file cannot be read at all.
    """
    return _read(Path(path), strict=False, check=True)


def _read(path: Path, *, strict: bool, check: bool) -> Records:
    new = partial(RecordsBuilder, str(path), check=check)
    fill = partial(_fill, path=path, strict=strict)
    collecting = gc.isenabled()
    gc.disable()  # rows hold no cycles, and looking for some takes a third of the time
    try:
        builder = _side_by_side(path, new, fill)
        if builder is None:
            fill(builder := new(), WHOLE, 1)
    finally:
        if collecting:
            gc.enable()
    return builder.finish()


def _side_by_side(
    path: Path, new: Callable[[], RecordsBuilder], fill: Fill
) -> RecordsBuilder | None:
    """What several processes read, where the file is large and there are processors for them."""
    with suppress(OSError):  # which reading it will tell
        about = path.stat()
        many = min(_cores(), about.st_size // SMALLEST_PART)
        if many > 1 and stat.S_ISREG(about.st_mode):
            from harness.records.side_by_side import read_side_by_side  # most files are small

            return read_side_by_side(path, many, new, fill)
    return None


def _cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _fill(builder: RecordsBuilder, part: Part, line: int, *, path: Path, strict: bool) -> None:
    for numbers, block in _blocks(path, part, line):
        flat = decode_flat(block, len(numbers))
        if flat is not None:
            builder.add_flat(flat, numbers)
            continue
        lines = io.BytesIO(block).readlines()
        rows = decode_rows(lines)
        if rows is None or _faulty(rows):
            rows, numbers, problems = _closely(lines, numbers[0])
            if strict and problems:
                raise _refusal(path, problems[0])
            builder.problems += problems
        builder.add(rows, numbers)


def _faulty(rows: Sequence[Row]) -> bool:
    """Whether any row has a fault; only one that lacks a hash can."""
    return any(None in map(get, rows) for get in _HASHES) and any(map(_fault, rows))


def _blocks(
    path: Path, part: Part = WHOLE, number: int = 1
) -> Iterator[tuple[Sequence[int], bytes]]:
    """Whole lines, so many at a time as a processor's cache holds, with their numbers."""
    size, left = _CHUNK_BYTES, part.size
    try:
        with opened(path) as stream:
            if part.start:
                stream.seek(part.start)
            while block := stream.read(int(min(size, left))):
                ends, last = line_ends(block), b""
                if len(block) < left:
                    block += (last := next(lines_of(stream, path, number + ends), b""))
                count = ends + (last != b"" or not block.endswith(b"\n"))
                left -= len(block)
                yield (
                    range(number, number + count),
                    block.removeprefix(_BOM if number == 1 else b""),
                )
                number += count
                size = min(_CHUNK_BYTES, _CHUNK_LINES * len(block) // count + 1)
    except OSError as error:
        if is_of_descriptors(error):
            raise refusal(error, path, "cannot be read") from error
        if isinstance(error, FileNotFoundError) and path.with_name(METADATA).exists():
            raise UsageError("no record is there", file=path, hint=_GO_ON) from error
        reason = error.strerror or str(error)
        hint = TO_MOVE.get(error.errno or 0, _NEXT)
        raise UsageError(f"cannot read the records: {reason}", file=path, hint=hint) from error


def _closely(lines: list[bytes], first: int) -> tuple[list[Row], list[int], list[LineProblem]]:
    rows: list[Row] = []
    numbers: list[int] = []
    problems: list[LineProblem] = []
    for number, line in enumerate(lines, start=first):
        if line.isspace() or not line:
            continue
        result = _parse(line, number, decode_row)
        if isinstance(result, LineProblem):
            problems.append(result)
        else:
            rows.append(result)
            numbers.append(number)
    return rows, numbers, problems


def _parse(line: bytes, number: int, decode: Callable[[bytes], _Row]) -> _Row | LineProblem:
    try:
        row = decode(line)
    except msgspec.ValidationError as error:
        return LineProblem(number, f"not a record: {error}")
    except (LineFault, UnicodeError) as error:
        if not line.endswith(b"\n"):
            return LineProblem(
                number, "the last line is truncated: the file was cut while it was written", True
            )
        return LineProblem(number, str(error))
    fault = _fault(row)
    return LineProblem(number, fault) if fault else row


def _fault(row: Record | Row) -> str | None:
    if row.status is not Status.OK:
        return None
    if row.solo_response_hash is None:
        return "status is ok but solo_response_hash is null"
    if row.batch_response_hash is None:
        return "status is ok but batch_response_hash is null"
    return None


def _empty(path: Path) -> UsageError:
    hint = "a run writes one record a line into it"
    return UsageError("the records file is empty", file=path, hint=hint)


def _refusal(path: Path, problem: LineProblem) -> UsageError:
    hint = (
        "resume the run to complete it, or remove that line"
        if problem.truncated
        else "`harness validate` lists every such line"
    )
    return UsageError(problem.message, file=path, line=problem.line, hint=hint)
