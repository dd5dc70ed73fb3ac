"""One row of a candidate file: its columns, their types, and what they must point at."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.candidates.candidate import Candidate
from harness.families import DIRECTIONS
from harness.settings import ModelSpec, Problem, nearest, shown
from harness.tasks import Population
from harness.words import DispatchMode, Domain

__all__ = ["REQUIRED", "Known", "RawRow", "check_row"]

REQUIRED = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
_KEPT = ("phase", "domain", "original_direction", "original_solo_score", "original_batch_score")


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as read: text cells (``is_text``) or JSON values, and its line, from 1."""

    file: str
    line: int
    cells: Mapping[str, Any]
    is_text: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What a row may name; ``models`` is ``None`` where any model will do."""

    population: Population
    models: tuple[ModelSpec, ...] | None


@dataclass(slots=True)
class _Reading:
    """The row under check: values as they are accepted, and problems."""

    row: RawRow
    known: Known
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, column: str, message: str, hint: str | None = None) -> None:
        self.problems.append(
            Problem(f"column {column}: {message}", hint, self.row.file, self.row.line)
        )

    def text(self, column: str) -> str | None:
        """The cell as text without spaces around it; ``None`` when it is empty or absent."""
        value = self.row.cells.get(column)
        if value is None:
            return None
        if isinstance(value, (bool, float, dict, list)):
            self.wrong(column, f"must be text, not {shown(value)}")
            return None
        return str(value).strip() or None

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
        value = self.row.cells.get(column)
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


def check_row(row: RawRow, known: Known) -> tuple[Candidate | None, list[Problem]]:
    """The candidate of a row, or ``None`` and everything wrong with it."""
    reading = _Reading(row, known)
    for column in REQUIRED:
        value = row.cells.get(column)
        if value is None or (isinstance(value, str) and not value.strip()):
            others = [name for name in row.cells if name not in REQUIRED]
            absent = column not in row.cells
            message = "is missing" if absent else "is empty"
            reading.wrong(column, message, nearest(column, others) if absent else None)
    if reading.problems:
        return None, reading.problems
    values = {
        "model": _model(reading),
        **_sample(reading),
        "batch_size": _batch_size(reading),
        "dispatch_mode": reading.choice("dispatch_mode", DispatchMode, "dispatch mode"),
        "phase": reading.text("phase"),
        "domain": reading.choice("domain", Domain, "domain") or _domain(reading),
        "original_direction": reading.choice("original_direction", DIRECTIONS, "direction"),
        "original_solo_score": reading.score("original_solo_score"),
        "original_batch_score": reading.score("original_batch_score"),
    }
    extra = {key: value for key, value in row.cells.items() if key not in (*REQUIRED, *_KEPT)}
    if reading.problems:
        return None, reading.problems
    return Candidate.model_validate({**values, "extra": extra}), []


def _model(reading: _Reading) -> str | None:
    """The model's name; a column ``hf_id`` must agree with the spec."""
    models = reading.known.models
    if models is None:
        return reading.text("model")
    name = reading.choice("model", [model.name for model in models], "model")
    hf_id = reading.text("hf_id")
    ours = next((model.hf_id for model in models if model.name == name), None)
    if ours is not None and hf_id is not None and hf_id != ours:
        message = f"{shown(hf_id)}, but model '{name}' is '{ours}' in this run"
        reading.wrong("hf_id", message, f"give --model {name}=HF_ID, or remove the column")
    return name


def _sample(reading: _Reading) -> dict[str, str | None]:
    """Task and sample, both of which must be in the population."""
    population = reading.known.population
    task_name = reading.choice("task_name", [task.name for task in population.tasks], "task")
    sample_id = reading.text("sample_id")
    if task_name and sample_id and (task_name, sample_id) not in population.index:
        owner = next((task for task, sample in population.index if sample == sample_id), None)
        ids = [sample for task, sample in population.index if task == task_name]
        hint = f"it is a sample of task '{owner}'" if owner else nearest(sample_id, ids)
        reading.wrong("sample_id", f"unknown sample {shown(sample_id)} of task '{task_name}'", hint)
    return {"task_name": task_name, "sample_id": sample_id}


def _batch_size(reading: _Reading) -> int | None:
    value = reading.row.cells["batch_size"]
    if reading.row.is_text:
        size = int(value) if _WHOLE.fullmatch(value.strip()) else None
    else:
        size = value if type(value) is int else None
    most = len(reading.known.population.prompts)
    if size is None:
        reading.wrong("batch_size", f"must be a whole number, not {shown(value)}")
    elif size < 2:
        reading.wrong("batch_size", f"must be 2 or more, not {size}", "1 would be the solo request")
    elif size > most:
        reading.wrong("batch_size", f"{size} is more than the {most} prompts of the population")
    return size


def _domain(reading: _Reading) -> str | None:
    """The task's domain, for a row that names none."""
    name = reading.row.cells.get("task_name")
    task = reading.known.population.task(str(name).strip())
    return str(task.domain) if task else None
