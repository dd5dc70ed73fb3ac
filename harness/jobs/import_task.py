"""A published data set, from a file or from the hub, made into a linted task file."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentError_, UsageError, nearest
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

Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class HubChoice:
    """What the flags say of the hub; ``None`` for the data set's default."""

    dataset_id: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """A task file that was written, and what its linter says."""

    task: ImportedTask
    lint: LintReport
    out: Path

    def lines(self) -> Iterator[str]:
        """What was made of the rows, for a person."""
        task, dataset, out = self.task, self.task.dataset, self.out
        yield f"{out}: {len(task.samples)} samples of {dataset.title}, licence {dataset.licence}"
        yield (
            f"{task.rows} rows read, {task.filtered} not chosen, "
            f"{sum(task.skipped.values())} not convertible"
        )
        for reason, count in sorted(task.skipped.items(), key=lambda item: -item[1]):
            yield f"  {count} × {reason}"
        errors, warnings = map(self.lint.count, (Severity.ERROR, Severity.WARNING))
        yield f"lint: {errors} errors, {warnings} warnings (harness tasks lint {out})"


def import_task(
    dataset: str,
    file: Path | None,
    hub: HubChoice | None,
    *,
    out: Path | None,
    name: str | None,
    where: Sequence[str],
    limit: int | None,
    seed: int | None,
) -> Imported:
    """Import a published data set, write the task file and lint it.

    Args:
        dataset: a key of `DATASETS`.
        file: its rows, or
        hub: where on the hub they are.
        out: the task file; else the task's name in the current folder.
        name: of the task; else that of ``out``.
        where: ``COLUMN=VALUE``, only such rows.
        limit: most samples to keep.
        seed: choose them at random; else the first.

    Raises:
        UsageError: a flag or the data is wrong.
        EnvironmentError_: a package or the hub is missing.
    """
    if dataset not in DATASETS:
        raise UsageError(
            f"unknown data set '{dataset}'",
            hint=nearest(dataset, DATASETS) or f"known: {', '.join(DATASETS)}",
        )
    chosen, filters = DATASETS[dataset], [parse_filter(text) for text in where]
    rows, source = _rows(chosen, file, hub)
    task = import_rows(
        chosen,
        rows,
        source=source,
        name=name or (out.stem if out else None),
        where=filters,
        limit=limit,
        seed=seed,
    )
    target = out or Path(f"{task.name}.yaml")
    write_task(task, target)
    return Imported(task, lint_paths([target]), target)


def _rows(
    dataset: Dataset, file: Path | None, hub: HubChoice | None
) -> tuple[Rows, Mapping[str, Any]]:
    if (file is None) == (hub is None):
        raise UsageError("name a data file, or give --hub; one of them, not both")
    if hub is not None:
        default = dataset.hub
        own = hub.dataset_id in (None, default.dataset_id)
        place = Hub(
            hub.dataset_id or default.dataset_id,
            hub.config or (default.config if own else ""),
            hub.split or (default.split if own else ""),
        )
        try:
            load = importlib.import_module("datasets").load_dataset
        except ImportError as error:
            raise EnvironmentError_(
                "--hub needs the package datasets, which is not installed",
                hint="pip install 'harness[datasets]', or download the file and give it instead",
            ) from error
        return hub_rows(place, hub.revision, load)
    if file is None or not file.is_file():
        raise UsageError("no such file", file=file, hint="paths start at the current folder")
    with file.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    return read_rows(file), {"file": file.name, "sha256": digest}


def hub_rows(
    place: Hub, revision: str | None, load: Callable[..., Any]
) -> tuple[Rows, dict[str, Any]]:
    """The rows of one split, and what says which rows they are.

    Args:
        place: id, configuration and split.
        revision: commit, tag or branch of the hub's repository.
        load: ``datasets.load_dataset``.

    Raises:
        UsageError: no data set or no split is named.
        EnvironmentError_: the hub does not give it.
    """
    if not place.dataset_id or not place.split:
        raise UsageError(
            "--hub: which data set and which split?",
            hint="give --hub-id ORG/NAME and --split; for this one none is known to fit",
        )
    try:
        rows = load(place.dataset_id, place.config or None, split=place.split, revision=revision)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EnvironmentError_(
            f"the hub does not give {place.dataset_id}: {reason}",
            hint="check id, --config, --split and the network",
        ) from error
    return rows, {
        "hub": place.dataset_id,
        "config": place.config,
        "split": place.split,
        "revision": revision,
        "fingerprint": getattr(rows, "_fingerprint", None),
    }
