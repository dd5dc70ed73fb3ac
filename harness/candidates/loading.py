"""Candidate files, CSV or JSON lines, checked against the models and the population.

Everything that can be wrong with a row is found here, before any server starts, and said with file,
line and column. What is read is `RawRow`: text cells of a CSV and typed values of a JSON line meet
the same checks in `harness.candidates.rows`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.candidates.candidate import Candidate, CandidateKey
from harness.candidates.rows import REQUIRED, Known, RawRow, check_row
from harness.errors import UsageError
from harness.settings import ModelSpec, Problem, RunSpec, nearest, raise_problems, read_text, shown
from harness.tasks import Population
from harness.words import DispatchMode

__all__ = ["candidate_hashes", "check_candidates", "load_candidates"]

_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def load_candidates(
    files: Sequence[str | Path], *, spec: RunSpec, population: Population
) -> tuple[Candidate, ...]:
    """The candidates of a run: read, checked, with the spec's dispatch modes and limit applied.

    Args:
        files: CSV or JSON lines, told by suffix or by ``spec.candidate_source``.
        spec: gives the models, ``dispatch_modes`` (a list replaces the candidates' own, and rows
            that become alike count once) and ``limit``.
        population: where tasks and samples must be found.

    Returns:
        Candidates in file order.

    Raises:
        UsageError: every mistake, at most twenty shown, with file, line and column.
    """
    known = Known(population, spec.models)
    candidates = _read(files, spec.candidate_source, known)
    if spec.dispatch_modes != "original":
        candidates = _with_dispatch_modes(candidates, spec.dispatch_modes)
    return candidates[: spec.limit]


def check_candidates(
    files: Sequence[str | Path],
    *,
    population: Population,
    models: Sequence[ModelSpec] | None = None,
    source: str = "auto",
) -> tuple[Candidate, ...]:
    """The candidates as the files give them; any model is known when ``models`` is ``None``.

    Raises:
        UsageError: as `load_candidates`.
    """
    return _read(files, source, Known(population, None if models is None else tuple(models)))


def candidate_hashes(files: Sequence[str | Path]) -> dict[str, str]:
    """SHA-256 in hex of the bytes of every file, by its path as given."""
    return {str(file): hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files}


def _read(files: Sequence[str | Path], source: str, known: Known) -> tuple[Candidate, ...]:
    if not files:
        raise UsageError("no candidate file is named", hint="--candidate-files FILE")
    candidates: list[Candidate] = []
    problems: list[Problem] = []
    places: dict[CandidateKey, str] = {}
    for file in files:
        for row in _rows(file, source):
            candidate, found = (None, [row]) if isinstance(row, Problem) else check_row(row, known)
            problems += found
            if candidate is None or isinstance(row, Problem):
                continue
            if candidate.key in places:
                where = places[candidate.key]
                message = f"column sample_id: the same candidate as {where}: {_named(candidate)}"
                problems.append(Problem(message, "remove one", row.file, row.line))
            places.setdefault(candidate.key, f"{row.file}:{row.line}")
            candidates.append(candidate)
    raise_problems(problems)
    if not candidates:
        raise UsageError("no candidates in this file", file=str(files[0]))
    return tuple(candidates)


def _named(candidate: Candidate) -> str:
    return ", ".join(map(str, candidate.key))


def _with_dispatch_modes(
    candidates: tuple[Candidate, ...], modes: Sequence[DispatchMode]
) -> tuple[Candidate, ...]:
    """Every candidate under each of ``modes``; the first of those that become alike is kept."""
    out: dict[CandidateKey, Candidate] = {}
    for candidate in candidates:
        for mode in modes:
            changed = candidate.model_copy(update={"dispatch_mode": mode})
            out.setdefault(changed.key, changed)
    return tuple(out.values())


def _rows(file: str | Path, source: str) -> Iterator[RawRow | Problem]:
    kind = source if source != "auto" else _SUFFIXES.get(Path(file).suffix.lower())
    if kind is None:
        hint = "name it .csv or .jsonl, or give --candidate-source"
        raise UsageError("neither .csv nor .jsonl", file=file, hint=hint)
    text = read_text(file)
    yield from _csv_rows(str(file), text) if kind == "csv" else _json_rows(str(file), text)


def _csv_rows(file: str, text: str) -> Iterator[RawRow | Problem]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                problems = list(_header_problems(header, file, line))
                yield from problems
                if problems:
                    return
            elif len(cells) != len(header):
                message = f"{len(cells)} cells where the header has {len(header)} columns"
                yield Problem(message, "quote cells that hold a comma", file, line)
            else:
                yield RawRow(file, line, dict(zip(header, cells, strict=True)), is_text=True)
    except csv.Error as error:
        yield Problem(f"not readable as CSV: {error}", None, file, before + 1)
    if header is None:
        yield Problem("the file is empty", f"columns: {', '.join(REQUIRED)}", file)


def _header_problems(header: list[str], file: str, line: int) -> Iterator[Problem]:
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        yield Problem(
            "the columns are not separated by commas", "save as CSV with commas", file, line
        )
        return
    for column in REQUIRED:
        if column not in header:
            others = [name for name in header if name not in REQUIRED]
            hint = nearest(column, others) or f"columns needed: {', '.join(REQUIRED)}"
            yield Problem(f"column {column} is missing", hint, file, line)
    for index, column in enumerate(header):
        if column in header[:index]:
            yield Problem(f"column {column or '(no name)'} is there twice", None, file, line)


def _json_rows(file: str, text: str) -> Iterator[RawRow | Problem]:
    for number, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            value: Any = json.loads(content, object_pairs_hook=_once)
        except json.JSONDecodeError as error:
            yield Problem(
                f"not readable as JSON: {error.msg} (column {error.colno})", None, file, number
            )
        except (ValueError, RecursionError) as error:
            yield Problem(str(error), None, file, number)
        else:
            if isinstance(value, dict):
                yield RawRow(file, number, value, is_text=False)
            else:
                yield Problem(f"a line is a JSON object, not {shown(value)}", None, file, number)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            raise ValueError(f"column {key} is there twice")
    return dict(pairs)
