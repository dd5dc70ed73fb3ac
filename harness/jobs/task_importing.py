"""What ``harness tasks import`` does after its flags were read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from harness.cli import hub_rows, load_dataset
from harness.errors import UsageError
from harness.settings import nearest
from harness.tasks.importing import (
    DATASETS,
    Dataset,
    Hub,
    ImportedTask,
    import_rows,
    parse_filter,
    read_rows,
    write_task,
)
from harness.tasks.lint import LintReport, Severity, lint_paths

__all__ = ["HubChoice", "Request", "import_task", "imported_lines"]

Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class HubChoice:
    """What the flags say of the hub; ``None`` for the data set's default."""

    dataset_id: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """The verb's flags."""

    dataset: str
    file: Path | None
    out: Path | None
    name: str | None
    where: tuple[str, ...]
    limit: int | None
    seed: int | None
    hub: HubChoice | None


def import_task(request: Request) -> tuple[ImportedTask, LintReport, Path]:
    """Import, write and lint.

    Raises:
        UsageError: a flag or the data is wrong.
        EnvironmentError_: a package or the hub is missing.
    """
    dataset = _dataset(request.dataset)
    filters = [parse_filter(text) for text in request.where]
    rows, source = _rows(request, dataset)
    task = import_rows(
        dataset,
        rows,
        source=source,
        name=request.name or (request.out.stem if request.out else None),
        where=filters,
        limit=request.limit,
        seed=request.seed,
    )
    out = request.out or Path(f"{task.name}.yaml")
    write_task(task, out)
    return task, lint_paths([out]), out


def _dataset(name: str) -> Dataset:
    if name not in DATASETS:
        raise UsageError(
            f"unknown data set '{name}'",
            hint=nearest(name, DATASETS) or f"known: {', '.join(DATASETS)}",
        )
    return DATASETS[name]


def _rows(request: Request, dataset: Dataset) -> tuple[Rows, Mapping[str, Any]]:
    if (request.file is None) == (request.hub is None):
        raise UsageError("name a data file, or give --hub; one of them, not both")
    if request.hub is not None:
        chosen, default = request.hub, dataset.hub
        own = chosen.dataset_id in (None, default.dataset_id)
        place = Hub(
            chosen.dataset_id or default.dataset_id,
            chosen.config or (default.config if own else ""),
            chosen.split or (default.split if own else ""),
        )
        return hub_rows(place, chosen.revision, load_dataset())
    file = request.file
    if file is None or not file.is_file():
        raise UsageError("no such file", file=file, hint="paths start at the current folder")
    with file.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    return read_rows(file), {"file": file.name, "sha256": digest}


def imported_lines(task: ImportedTask, lint: LintReport, out: Path) -> Iterator[str]:
    """What was made of the rows, for a person."""
    dataset = task.dataset
    yield f"{out}: {len(task.samples)} samples of {dataset.title}, licence {dataset.licence}"
    yield (
        f"{task.rows} rows read, {task.filtered} not chosen, "
        f"{sum(task.skipped.values())} not convertible"
    )
    for reason, count in sorted(task.skipped.items(), key=lambda item: -item[1]):
        yield f"  {count} × {reason}"
    yield (
        f"lint: {lint.count(Severity.ERROR)} errors, {lint.count(Severity.WARNING)} warnings "
        f"(harness tasks lint {out})"
    )
