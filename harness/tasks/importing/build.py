"""Rows to a task: which are taken, what each becomes, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from harness.errors import UsageError, nearest
from harness.tasks.importing.cells import RowSkipped
from harness.tasks.importing.datasets import Dataset
from harness.tasks.importing.rows import plain_columns

__all__ = ["ImportedTask", "RowFilter", "import_rows", "parse_filter"]


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Take rows whose ``column`` is ``value``, both as text."""

    column: str
    value: str


@dataclass(frozen=True, slots=True)
class ImportedTask:
    """A task file as data, with the account of its making.

    Attributes:
        dataset: what was imported.
        name: the task's name.
        source: where the rows came from: file or hub id, with what identifies it.
        samples: in the order of the rows.
        rows: rows read.
        skipped: reason to number of rows that could not be converted.
        filtered: rows left out by filters and limit.
    """

    dataset: Dataset
    name: str
    source: Mapping[str, Any]
    samples: tuple[Mapping[str, Any], ...]
    rows: int
    skipped: Mapping[str, int]
    filtered: int


def parse_filter(text: str) -> RowFilter:
    """``COLUMN=VALUE``.

    Raises:
        UsageError: no ``=`` in it.
    """
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise UsageError(f"--where: '{text}' is not COLUMN=VALUE", hint="for example label=unsafe")
    return RowFilter(name.strip().lower().replace(" ", "_"), value.strip())


def import_rows(
    dataset: Dataset,
    rows: Iterable[Mapping[str, Any]],
    *,
    source: Mapping[str, Any],
    name: str | None = None,
    where: Sequence[RowFilter] = (),
    limit: int | None = None,
    seed: int | None = None,
) -> ImportedTask:
    """Convert rows into samples.

    Args:
        dataset: whose columns they have.
        rows: in source order.
        source: for the task file's ``source:`` key.
        name: the task's name; the data set's when not given.
        where: filters that a row must all pass.
        limit: most samples to keep.
        seed: keep a random choice of ``limit`` samples, in source order; the first ones otherwise.

    Raises:
        UsageError: the columns are not the data set's, or no row is left.
    """
    samples: list[dict[str, Any]] = []
    skipped: Counter[str] = Counter()
    count = filtered = 0
    for number, raw in enumerate(rows):
        row = plain_columns(raw)
        if not count:
            _check_columns(dataset, row, where)
        count += 1
        if any(str(row.get(wanted.column)) != wanted.value for wanted in where):
            filtered += 1
            continue
        try:
            samples.append(dataset.convert(row, number))
        except RowSkipped as reason:
            skipped[str(reason)] += 1
    kept = _choose(samples, limit, seed)
    if not kept:
        raise UsageError(
            f"no row became a sample: {count} read, {filtered} filtered out, "
            f"{skipped.total()} could not be converted",
            hint="; ".join(f"{reason}: {n}" for reason, n in skipped.most_common(3)) or None,
        )
    filtered += len(samples) - len(kept)
    unique = tuple(_with_unique_ids(kept))
    return ImportedTask(
        dataset, name or dataset.name, source, unique, count, dict(skipped), filtered
    )


def _check_columns(dataset: Dataset, row: Mapping[str, Any], where: Sequence[RowFilter]) -> None:
    missing = [column for column in dataset.columns if column not in row]
    if missing:
        raise UsageError(
            f"{dataset.name}: no column {', '.join(missing)}",
            hint=nearest(missing[0], row) or f"columns there: {', '.join(row)}",
        )
    for wanted in where:
        if wanted.column not in row:
            raise UsageError(
                f"--where: no column '{wanted.column}'",
                hint=nearest(wanted.column, row) or f"columns there: {', '.join(row)}",
            )


def _choose(
    samples: list[dict[str, Any]], limit: int | None, seed: int | None
) -> list[dict[str, Any]]:
    if limit is None or limit >= len(samples):
        return samples
    if seed is None:
        return samples[:limit]
    chosen = sorted(Random(seed).sample(range(len(samples)), limit))
    return [samples[index] for index in chosen]


def _with_unique_ids(samples: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """A repeated id gets the number of its repetition, so that no sample is lost."""
    seen: Counter[str] = Counter()
    for sample in samples:
        seen[sample["id"]] += 1
        times = seen[sample["id"]]
        yield sample if times == 1 else {**sample, "id": f"{sample['id']}_{times}"}
