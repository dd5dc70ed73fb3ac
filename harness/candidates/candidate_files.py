"""Candidate files, CSV or JSON lines, checked against the models and the population.

Everything that can be wrong with a row is found here, before any server starts, and said with file,
line and column. Text cells of a CSV and typed values of a JSON line meet the same checks.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import UsageError, nearest, raise_all, shown
from harness.families import DIRECTIONS
from harness.files import read_text, sha256_of
from harness.hostile import unreadable
from harness.settings import ModelSpec, RunSpec
from harness.tasks import Population
from harness.words import DispatchMode, Domain

CandidateKey = tuple[str, str, str, int, str]
Files = Sequence[str | Path]
Models = Sequence[ModelSpec]
REQUIRED = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
"""The columns that every row has, and that make it unique."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
_KEPT = ("phase", "domain", "original_direction", "original_solo_score", "original_batch_score")


class Candidate(BaseModel):
    """``(model, task_name, sample_id, batch_size, dispatch_mode)`` and what came with it.

    ``phase``, ``domain``, ``original_direction`` and the original scores are kept when present;
    any other column passes through in ``extra`` untouched (its own strings).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    task_name: str
    sample_id: str
    batch_size: Annotated[int, Field(ge=2)]
    dispatch_mode: DispatchMode
    phase: str | None = None
    domain: str | None = None
    original_direction: str | None = None
    original_solo_score: float | None = None
    original_batch_score: float | None = None
    extra: dict[str, Any] = Field(default_factory=dict)

    @property
    def key(self) -> CandidateKey:
        """What makes the row unique."""
        model, task, sample = self.model, self.task_name, self.sample_id
        return model, task, sample, self.batch_size, str(self.dispatch_mode)


@dataclass(slots=True)
class _Row:
    """A row under check: its place, its cells by column (a CSV's are text), and its mistakes."""

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
        hint = nearest(text, names, "known" if len(names) <= 8 else "")
        self.wrong(column, f"unknown {what} {shown(text)}", hint)
        return None

    def score(self, column: str) -> float | None:
        """The cell as a finite number."""
        value, number = self.cells.get(column), math.nan
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        with suppress(TypeError, ValueError, OverflowError):
            number = math.nan if isinstance(value, bool) else float(value)
        if not math.isfinite(number):
            self.wrong(column, f"must be a number or empty, not {shown(value)}")
            return None
        return number

    def batch_size(self, most: int) -> int | None:
        """The cell as the size of a batch of a population of ``most`` prompts."""
        value = self.cells["batch_size"]
        if not (_WHOLE.fullmatch(value.strip()) if self.is_text else type(value) is int):
            self.wrong("batch_size", f"must be a whole number, not {shown(value)}")
            return None
        if (size := int(value)) < 2:
            hint = "1 would be the solo request"
            self.wrong("batch_size", f"must be 2 or more, not {size}", hint)
        elif size > most:
            self.wrong("batch_size", f"{size} is more than the {most} prompts of the population")
        return size

    def model(self, models: Models | None) -> str | None:
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
            why = f"unknown sample {shown(sample_id)} of task '{task_name}'"
            self.wrong("sample_id", why, hint)
        return task_name, sample_id

    def candidate(self, population: Population, models: Models | None) -> Candidate | None:
        """The candidate that the row is; ``None`` where ``mistakes`` then says why it is none."""
        for column in REQUIRED:
            value = self.cells.get(column)
            if column not in self.cells:
                others = [name for name in self.cells if name not in REQUIRED]
                self.wrong(column, "is missing", nearest(column, others))
            elif value is None or (isinstance(value, str) and not value.strip()):
                self.wrong(column, "is empty")
        if self.mistakes:
            return None
        model, (task_name, sample_id) = self.model(models), self.sample(population)
        task = population.task(task_name) if task_name else None
        size = self.batch_size(len(population.prompts))
        mode = self.choice("dispatch_mode", DispatchMode, "dispatch mode")
        phase = self.text("phase")
        # a row that names no domain counts as its task does
        domain = self.choice("domain", Domain, "domain") or (str(task.domain) if task else None)
        direction = self.choice("original_direction", DIRECTIONS, "direction")
        scores = map(self.score, ("original_solo_score", "original_batch_score"))
        found = (model, task_name, sample_id, size, mode, phase, domain, direction, *scores)
        values: dict[str, Any] = dict(zip((*REQUIRED, *_KEPT), found, strict=True))
        extra = {name: cell for name, cell in self.cells.items() if name not in values}
        return None if self.mistakes else Candidate(**values, extra=extra)


def load_candidates(
    files: Files, *, spec: RunSpec, population: Population
) -> tuple[Candidate, ...]:
    """The candidates of a run in file order, with the spec's dispatch modes and limit applied.

    Args:
        files: CSV or JSON lines, told by suffix or by ``spec.candidate_source``.
        spec: gives the models, ``dispatch_modes`` (a list replaces the candidates' own, unless
            it holds ``original``, and rows that become alike count once) and ``limit``.
        population: where tasks and samples must be found.

    Raises:
        UsageError: every mistake, at most twenty shown, with file, line and column.
    """
    candidates = _read(files, spec.candidate_source, population, spec.models)
    out: dict[CandidateKey, Candidate] = {}
    for candidate in candidates:
        for mode in spec.schedules((candidate.dispatch_mode,)):
            changed = candidate.model_copy(update={"dispatch_mode": mode})
            out.setdefault(changed.key, changed)
    return tuple(out.values())[: spec.limit]


def check_candidates(
    files: Files, *, population: Population, models: Models | None = None, source: str = "auto"
) -> tuple[Candidate, ...]:
    """The candidates as the files give them; any model is known when ``models`` is ``None``.

    Raises:
        UsageError: as `load_candidates`.
    """
    return _read(files, source, population, models)


def candidate_hashes(files: Files) -> dict[str, str]:
    """SHA-256 in hex of the bytes of every file, by its path as given."""
    return {str(file): sha256_of(Path(file)) for file in files}


def _read(
    files: Files, source: str, population: Population, models: Models | None
) -> tuple[Candidate, ...]:
    if not files:
        raise UsageError("no candidate file is named", hint="--candidates FILE")
    mistakes: list[UsageError] = []
    found: dict[CandidateKey, tuple[Candidate, str]] = {}
    for file in map(str, files):
        rows_of = _READERS.get(Path(file).suffix.lower() if source == "auto" else f".{source}")
        if rows_of is None:
            hint = "name it .csv or .jsonl, or give --candidate-source"
            raise UsageError("neither .csv nor .jsonl", file=file, hint=hint)
        for row in rows_of(file, read_text(Path(file))):
            if isinstance(row, UsageError):
                mistakes.append(row)
                continue
            if (candidate := row.candidate(population, models)) is not None:
                twin, place = found.setdefault(candidate.key, (candidate, f"{row.file}:{row.line}"))
                if twin is not candidate:
                    why = f"the same candidate as {place}: {', '.join(map(str, twin.key))}"
                    row.wrong("sample_id", why, "remove one")
            mistakes += row.mistakes
    raise_all(mistakes)
    if not found:
        raise UsageError("no candidates in this file", file=str(files[0]))
    return tuple(candidate for candidate, _ in found.values())


def _csv_rows(file: str, text: str) -> Iterator[_Row | UsageError]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    before, header = 0, list[str]()
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                if wrong := list(_header_mistakes(header)):
                    yield from (UsageError(w, hint=h, file=file, line=line) for w, h in wrong)
                    return
            elif len(cells) != len(header):
                why = f"{len(cells)} cells where the header has {len(header)} columns"
                yield UsageError(why, hint="quote cells that hold a comma", file=file, line=line)
            else:
                yield _Row(file, line, dict(zip(header, cells, strict=True)), is_text=True)
    except csv.Error as error:
        yield UsageError(f"not readable as CSV: {error}", file=file, line=before + 1)
    if not header:
        yield UsageError("the file is empty", hint=f"columns: {', '.join(REQUIRED)}", file=file)


def _header_mistakes(header: list[str]) -> Iterator[tuple[str, str | None]]:
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        yield "the columns are not separated by commas", "save as CSV with commas"
        return
    others = [name for name in header if name not in REQUIRED]
    for column in REQUIRED:
        if column not in header:
            hint = nearest(column, others) or f"columns needed: {', '.join(REQUIRED)}"
            yield f"column {column} is missing", hint
    try:
        _once([(name, None) for name in header])
    except ValueError as error:
        yield from ((why, None) for why in error.args)


def _json_rows(file: str, text: str) -> Iterator[_Row | UsageError]:
    for number, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            value: Any = json.loads(content, object_pairs_hook=_once)
        except json.JSONDecodeError as error:
            why = f"not readable as JSON: {error.msg} (column {error.colno})"
        except (ValueError, RecursionError) as error:
            why = unreadable(error)
        else:
            if isinstance(value, dict):
                yield _Row(file, number, value, is_text=False)
                continue
            why = f"a line is a JSON object, not {shown(value)}"
        yield UsageError(why, file=file, line=number)


def _once(cells: list[tuple[str, Any]]) -> dict[str, Any]:
    """The cells by column; a `ValueError` says which columns are there twice, an argument each."""
    names = [name for name, _ in cells]
    if twice := [name for index, name in enumerate(names) if name in names[:index]]:
        raise ValueError(*(f"column {name or '(no name)'} is there twice" for name in twice))
    return dict(cells)


_READERS = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
