"""Traces of production traffic: when each request came, and what it asked or how long it was.

CSV with a head, JSON lines, or the JSON that ``vllm bench serve --save-detailed`` writes. Columns
are known by the names that the sources use: this project's, Azure's LLM inference traces, BurstGPT
(vLLM's benchmark data set of that name), and vLLM's timed traces.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import UsageError, raise_all, shown
from harness.files import read_json, read_rows, read_text

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "arrival": ("arrival_s", "timestamp", "start_times"),
    "prompt": ("prompt",),
    "sample": ("sample",),
    "prompt_tokens": (
        *("prompt_tokens", "contexttokens", "request tokens", "input_length", "input_lens"),
        "prompt_len",
    ),
    "answer_tokens": (
        *("output_tokens", "generatedtokens", "response tokens", "output_length", "output_lens"),
        "output_len",
    ),
}
"""What is read, and the columns that hold it, in lower case; the first one that is there counts."""
_UNITS = {"s": 1.0, "ms": 1e-3}
_MOST_TOKENS = 1e9
_SURROGATE = re.compile("[\ud800-\udfff]")


class Arrival(NamedTuple):
    """One request of a trace.

    Attributes:
        at_s: seconds after the first one, as recorded.
        line: of the file; for vLLM's saved results the request's place, from 1.
        prompt: its text, where the trace has it.
        sample: ``task/sample`` of the population, where the trace names one.
        prompt_tokens, answer_tokens: their lengths, where the trace has them.
    """

    at_s: float
    line: int
    prompt: str | None = None
    sample: str | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


def read_trace(path: Path, *, unit: str = "s", limit: int | None = None) -> tuple[Arrival, ...]:
    """The requests of a trace, in the order of their arrival.

    Args:
        path: CSV, JSON lines (``.jsonl``) or vLLM's saved results (``.json``).
        unit: of arrival times that are numbers: ``s`` or ``ms``.
        limit: only the first ones.

    Raises:
        UsageError: a row has no arrival time or a cell that is none; all mistakes, with their
            lines.
    """
    mistakes: list[UsageError] = []
    found = [
        arrival
        for line, cells in _rows(path)
        if (arrival := _arrival(cells, line, path, _UNITS[unit], mistakes)) is not None
    ]
    raise_all(mistakes)
    if not found:
        raise UsageError("no request in this trace", file=path)
    found.sort(key=lambda one: one.at_s)
    first = found[0].at_s
    return tuple(one._replace(at_s=one.at_s - first) for one in found[:limit])


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Each row with its line, its columns in lower case."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        saved = {name.lower(): column for name, column in read_json(path).items()}
        known = [name for names in COLUMNS.values() for name in names]
        columns = {n: saved[n] for n in known if isinstance(saved.get(n), list)}
        if len({len(column) for column in columns.values()}) != 1:
            hint = "vllm bench serve --save-result --save-detailed writes them"
            what = "start_times, input_lens and output_lens are not there, or not equally long"
            raise UsageError(what, file=path, hint=hint)
        for place, values in enumerate(zip(*columns.values(), strict=True), 1):
            yield place, dict(zip(columns, values, strict=True))
    elif suffix == ".jsonl":
        for line, row in read_rows(path):
            yield line, {name.strip().lower(): value for name, value in row.items()}
    else:
        csv.field_size_limit(1 << 24)
        reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
        try:
            yield from _cells(reader, path)
        except csv.Error as error:
            raise UsageError(f"not CSV: {error}", file=path, line=reader.line_num) from error


def _cells(reader: Any, path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Each row of a CSV file, by the names in its head."""
    head = [name.strip().lower() for name in next(reader, [])]
    if twice := [name for name in head if name and head.count(name) > 1]:
        raise UsageError(f"column {twice[0]} is there twice", file=path, line=1)
    for row in filter(None, reader):
        line = reader.line_num - sum(cell.count("\n") for cell in row)
        if len(row) != len(head):
            what = f"{len(row)} cells, and the head has {len(head)}"
            hint = 'a cell with a comma stands in "quotes"'
            raise UsageError(what, file=path, line=line, hint=hint)
        yield line, dict(zip(head, row, strict=True))


def _arrival(
    cells: Mapping[str, Any], line: int, path: Path, unit: float, mistakes: list[UsageError]
) -> Arrival | None:
    """One row; ``None`` where it has a mistake."""

    def wrong(column: str, message: str) -> None:
        mistakes.append(UsageError(f"column {column}: {message}", file=path, line=line))

    def of(what: str) -> tuple[str, Any]:
        for name in COLUMNS[what]:
            if cells.get(name) not in (None, ""):
                return name, cells[name]
        return COLUMNS[what][0], None

    before = len(mistakes)
    column, value = of("arrival")
    at = _seconds(value, unit)
    if at is None:
        known = " or ".join(COLUMNS["arrival"])
        wrong(column, f"no time of arrival ({known}), but {shown(value)}")
    counts: dict[str, int | None] = {}
    for what in ("prompt_tokens", "answer_tokens"):
        column, value = of(what)
        counts[what] = None if value is None else _whole(value)
        if value is not None and counts[what] is None:
            wrong(column, f"must be a whole number of 1 or more, not {shown(value)}")
    texts = {what: of(what)[1] for what in ("prompt", "sample")}
    for what, text in texts.items():
        if text is not None and not isinstance(text, str):
            wrong(what, f"must be text, not {shown(text)}")
        elif text is not None and _SURROGATE.search(text):
            wrong(what, f"half of a surrogate pair cannot be sent: {shown(text)}")
    if all(text is not None for text in texts.values()):
        wrong("sample", "a row has a prompt or names a sample, not both")
    asks = [name for what in (*texts, "prompt_tokens") for name in COLUMNS[what] if name in cells]
    has_text = any(text is not None for text in texts.values())
    if asks and not has_text and of("prompt_tokens")[1] is None:
        wrong(asks[0], "empty, so what was asked is not told")
    if len(mistakes) > before or at is None:
        return None
    length = None if has_text else counts["prompt_tokens"]
    return Arrival(at, line, texts["prompt"], texts["sample"], length, counts["answer_tokens"])


def _seconds(value: Any, unit: float) -> float | None:
    """A time as seconds: a number of the unit, or a date with its time (Azure's), UTC by itself."""
    if (number := _number(value)) is not None:
        return number * unit
    # Azure writes seven digits of a second; Python reads up to six
    head, dot, rest = str(value).strip().partition(".")
    digits = rest[: next((i for i, c in enumerate(rest) if not c.isdigit()), len(rest))]
    text = f"{head}{dot}{digits[:6].ljust(6, '0')}{rest[len(digits) :]}" if dot else head
    try:
        told = datetime.fromisoformat(text)
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _whole(value: Any) -> int | None:
    number = _number(value)
    if number is None or not 1 <= number < _MOST_TOKENS or number != int(number):
        return None
    return int(number)


def _number(value: Any) -> float | None:
    """A number, or a text that is one; neither infinite nor none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def refuse_long(arrivals: Iterable[Arrival], room: int, path: Path) -> None:
    """Refuse requests that the server cannot hold, before it is started.

    Args:
        room: tokens of prompt and answer together.

    Raises:
        UsageError: the first of them, with its line, and how many there are.
    """
    long = [a for a in arrivals if (a.prompt_tokens or 1) + (a.answer_tokens or 1) > room]
    if long:
        one = long[0]
        tokens = (one.prompt_tokens or 1) + (one.answer_tokens or 1)
        raise UsageError(
            f"{tokens} tokens do not fit in server.max_model_len {room} ({len(long)} such rows)",
            file=path,
            line=one.line,
            hint="raise --max-model-len, or --clip to cut such requests",
        )


def clipped(arrivals: Iterable[Arrival], room: int) -> tuple[Arrival, ...]:
    """The same requests cut to what the server can hold: the answer to half of it, then the prompt.

    Args:
        room: tokens of prompt and answer together.
    """
    found = []
    for one in arrivals:
        answer = None if one.answer_tokens is None else min(one.answer_tokens, room // 2)
        prompt = None
        if one.prompt_tokens is not None:
            prompt = min(one.prompt_tokens, room - (answer or 1))
        found.append(one._replace(prompt_tokens=prompt, answer_tokens=answer))
    return tuple(found)
