"""Candidate files, CSV or JSON lines, checked against the models and the population.

Everything that can be wrong with a row is found here, before any server starts, and said with file,
line and column. Text cells of a CSV and typed values of a JSON line meet the same checks.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.candidates.candidate import REQUIRED, Candidate, CandidateKey
from harness.errors import UsageError, nearest, raise_all, shown
from harness.families import DIRECTIONS
from harness.files import read_text
from harness.settings import ModelSpec, RunSpec
from harness.tasks import Population
from harness.words import DispatchMode, Domain

_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
_KEPT = ("phase", "domain", "original_direction", "original_solo_score", "original_batch_score")


@dataclass(frozen=True, slots=True)
class _Known:
    """What a row may name; ``models`` is ``None`` where any model will do."""

    population: Population
    models: Sequence[ModelSpec] | None


@dataclass(slots=True)
class _Row:
    """A row under check.

    Attributes:
        file, line: where it stands; lines count from 1.
        cells: by column: text of a CSV (``is_text``) or JSON values.
        mistakes: what was found wrong with it so far.
    """

    file: str
    line: int
    cells: Mapping[str, Any]
    is_text: bool
    mistakes: list[UsageError] = field(default_factory=list)

    def wrong(self, column: str, message: str, hint: str | None = None) -> None:
        """One more mistake."""
        why = f"column {column}: {message}"
        self.mistakes.append(UsageError(why, hint=hint, file=self.file, line=self.line))

    def text(self, column: str) -> str | None:
        """The cell as text without spaces around it; ``None`` when it is empty or absent."""
        value = self.cells.get(column)
        if isinstance(value, (bool, float, dict, list)):
            self.wrong(column, f"must be text, not {shown(value)}")
            return None
        return None if value is None else str(value).strip() or None

    def choice(self, column: str, choices: Iterable[str], what: str) -> str | None:
        """The cell as one of ``choices``."""
        text, names = self.text(column), tuple(choices)
        if text is None or text in names:
            return text
        hint = nearest(text, names) or (f"known: {', '.join(names)}" if len(names) <= 8 else None)
        self.wrong(column, f"unknown {what} {shown(text)}", hint)
        return None

    def score(self, column: str) -> float | None:
        """The cell as a finite number."""
        value = self.cells.get(column)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        try:
            number = float(value) if not isinstance(value, bool) else math.nan
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            self.wrong(column, f"must be a number or empty, not {shown(value)}")
            return None
        return number

    def batch_size(self, most: int) -> int | None:
        """The cell as the size of a batch of a population of ``most`` prompts."""
        value, size = self.cells["batch_size"], None
        if self.is_text and _WHOLE.fullmatch(value.strip()):
            size = int(value)
        elif not self.is_text and type(value) is int:
            size = value
        if size is None:
            self.wrong("batch_size", f"must be a whole number, not {shown(value)}")
        elif size < 2:
            hint = "1 would be the solo request"
            self.wrong("batch_size", f"must be 2 or more, not {size}", hint)
        elif size > most:
            self.wrong("batch_size", f"{size} is more than the {most} prompts of the population")
        return size

    def model(self, models: Sequence[ModelSpec] | None) -> str | None:
        """The model's name; a column ``hf_id`` must agree with the spec."""
        if models is None:
            return self.text("model")
        name = self.choice("model", [model.name for model in models], "model")
        hf_id = self.text("hf_id")
        ours = next((model.hf_id for model in models if model.name == name), None)
        if ours is not None and hf_id is not None and hf_id != ours:
            why = f"{shown(hf_id)}, but model '{name}' is '{ours}' in this run"
            self.wrong("hf_id", why, f"give --model {name}=HF_ID, or remove the column")
        return name

    def sample(self, population: Population) -> tuple[str | None, str | None]:
        """Task and sample, both of which must be in the population."""
        task_name = self.choice("task_name", [task.name for task in population.tasks], "task")
        sample_id = self.text("sample_id")
        if task_name and sample_id and (task_name, sample_id) not in population.index:
            owner = next((task for task, sample in population.index if sample == sample_id), None)
            ids = [sample for task, sample in population.index if task == task_name]
            hint = f"it is a sample of task '{owner}'" if owner else nearest(sample_id, ids)
            self.wrong(
                "sample_id", f"unknown sample {shown(sample_id)} of task '{task_name}'", hint
            )
        return task_name, sample_id


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
    known = _Known(population, spec.models)
    candidates = _read(files, spec.candidate_source, known)
    if spec.dispatch_modes != "original":
        out: dict[CandidateKey, Candidate] = {}
        for candidate in candidates:
            for mode in spec.dispatch_modes:
                changed = candidate.model_copy(update={"dispatch_mode": mode})
                out.setdefault(changed.key, changed)
        candidates = tuple(out.values())
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
    return _read(files, source, _Known(population, models))


def candidate_hashes(files: Sequence[str | Path]) -> dict[str, str]:
    """SHA-256 in hex of the bytes of every file, by its path as given."""
    return {str(file): hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files}


def _read(files: Sequence[str | Path], source: str, known: _Known) -> tuple[Candidate, ...]:
    if not files:
        raise UsageError("no candidate file is named", hint="--candidate-files FILE")
    candidates: list[Candidate] = []
    mistakes: list[UsageError] = []
    places: dict[CandidateKey, str] = {}
    for file in map(str, files):
        kind = source if source != "auto" else _SUFFIXES.get(Path(file).suffix.lower())
        if kind is None:
            hint = "name it .csv or .jsonl, or give --candidate-source"
            raise UsageError("neither .csv nor .jsonl", file=file, hint=hint)
        text = read_text(Path(file))
        for row in _csv_rows(file, text) if kind == "csv" else _json_rows(file, text):
            if isinstance(row, UsageError):
                mistakes.append(row)
            elif (candidate := _candidate(row, known)) is None:
                mistakes += row.mistakes
            else:
                if candidate.key in places:
                    twin = f"{places[candidate.key]}: {', '.join(map(str, candidate.key))}"
                    row.wrong("sample_id", f"the same candidate as {twin}", "remove one")
                    mistakes += row.mistakes
                places.setdefault(candidate.key, f"{row.file}:{row.line}")
                candidates.append(candidate)
    raise_all(mistakes)
    if not candidates:
        raise UsageError("no candidates in this file", file=str(files[0]))
    return tuple(candidates)


def _csv_rows(file: str, text: str) -> Iterator[_Row | UsageError]:
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
                mistakes = list(_header_mistakes(header, file, line))
                yield from mistakes
                if mistakes:
                    return
            elif len(cells) != len(header):
                why = f"{len(cells)} cells where the header has {len(header)} columns"
                yield UsageError(why, hint="quote cells that hold a comma", file=file, line=line)
            else:
                yield _Row(file, line, dict(zip(header, cells, strict=True)), is_text=True)
    except csv.Error as error:
        yield UsageError(f"not readable as CSV: {error}", file=file, line=before + 1)
    if header is None:
        yield UsageError("the file is empty", hint=f"columns: {', '.join(REQUIRED)}", file=file)


def _header_mistakes(header: list[str], file: str, line: int) -> Iterator[UsageError]:
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        why, hint = "the columns are not separated by commas", "save as CSV with commas"
        yield UsageError(why, hint=hint, file=file, line=line)
        return
    for column in REQUIRED:
        if column not in header:
            others = [name for name in header if name not in REQUIRED]
            hint = nearest(column, others) or f"columns needed: {', '.join(REQUIRED)}"
            yield UsageError(f"column {column} is missing", hint=hint, file=file, line=line)
    for index, column in enumerate(header):
        if column in header[:index]:
            why = f"column {column or '(no name)'} is there twice"
            yield UsageError(why, file=file, line=line)


def _json_rows(file: str, text: str) -> Iterator[_Row | UsageError]:
    for number, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            value: Any = json.loads(content, object_pairs_hook=_once)
        except json.JSONDecodeError as error:
            why = f"not readable as JSON: {error.msg} (column {error.colno})"
        except (ValueError, RecursionError) as error:
            why = str(error)
        else:
            if isinstance(value, dict):
                yield _Row(file, number, value, is_text=False)
                continue
            why = f"a line is a JSON object, not {shown(value)}"
        yield UsageError(why, file=file, line=number)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            raise ValueError(f"column {key} is there twice")
    return dict(pairs)


def _candidate(row: _Row, known: _Known) -> Candidate | None:
    """The candidate of a row; ``None`` where the row then says what is wrong with it."""
    for column in REQUIRED:
        value = row.cells.get(column)
        if column not in row.cells:
            others = [name for name in row.cells if name not in REQUIRED]
            row.wrong(column, "is missing", nearest(column, others))
        elif value is None or (isinstance(value, str) and not value.strip()):
            row.wrong(column, "is empty")
    if row.mistakes:
        return None
    population = known.population
    model, (task_name, sample_id) = row.model(known.models), row.sample(population)
    task = population.task(task_name) if task_name else None
    values = {
        "model": model,
        "task_name": task_name,
        "sample_id": sample_id,
        "batch_size": row.batch_size(len(population.prompts)),
        "dispatch_mode": row.choice("dispatch_mode", DispatchMode, "dispatch mode"),
        "phase": row.text("phase"),
        # a row that names no domain counts as its task does
        "domain": row.choice("domain", Domain, "domain") or (str(task.domain) if task else None),
        "original_direction": row.choice("original_direction", DIRECTIONS, "direction"),
        "original_solo_score": row.score("original_solo_score"),
        "original_batch_score": row.score("original_batch_score"),
        "extra": {k: v for k, v in row.cells.items() if k not in (*REQUIRED, *_KEPT)},
    }
    return None if row.mistakes else Candidate.model_validate(values)
