"""Rows to a task: which are taken, what each becomes, what was left out and why, and its file.

The task file is in the study's form, with its source and licence in it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

from harness.errors import UsageError
from harness.families import FAMILIES
from harness.files import write_whole
from harness.numbers import shortened
from harness.tasks.importing.datasets import Dataset
from harness.tasks.importing.references import for_scorer
from harness.tasks.importing.source_rows import RowSkipped, plain_columns
from harness.tasks.lint import Severity, lint_paths
from harness.tasks.task_files import load_task

RowFilter = tuple[str, str]
"""Take rows whose column (the first) is the value (the second), both as text."""


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

    def document(self) -> dict[str, Any]:
        """What the task file holds."""
        made_from = {
            "dataset": self.dataset.name,
            "home": self.dataset.home,
            **self.source,
            "rows_read": self.rows,
            "rows_not_chosen": self.filtered,
            "rows_not_convertible": dict(self.skipped),
        }
        about = f"{self.dataset.title}; imported, {len(self.samples)} samples."
        return {
            "name": self.name,
            "description": about,
            "licence": self.dataset.licence,
            "source": made_from,
            "task_type": FAMILIES[self.dataset.family].task_types[0],
            "prompt_template": self.dataset.template,
            "samples": list(self.samples),
        }


_STYLES = {"task_type": None, "prompt_template": "|"}


class _Dumper(yaml.SafeDumper):
    """Lists indented; keys plain, texts quoted, so that ``No`` and ``1e5`` stay text."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below their key, as the study's files do."""
        del indentless
        super().increase_indent(flow, False)

    def represent_mapping(self, *given: Any, **options: Any) -> yaml.MappingNode:
        """A mapping; two texts of a task file are written in another way than the rest."""
        node = super().represent_mapping(*given, **options)
        for key, value in node.value:
            key.style = None
            if key.value in _STYLES:
                value.style = _STYLES[key.value]
        return node


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def parse_filter(text: str) -> RowFilter:
    """``COLUMN=VALUE``.

    Raises:
        UsageError: no ``=`` in it.
    """
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise UsageError(f"--where: '{text}' is not COLUMN=VALUE", hint="for example label=unsafe")
    return name.strip().lower().replace(" ", "_"), value.strip()


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
            dataset.check_columns(row, [column for column, _ in where])
        count += 1
        if any(str(row.get(column)) != value for column, value in where):
            filtered += 1
            continue
        try:
            samples.append(for_scorer(dataset.sample(row, number), dataset.family))
        except RowSkipped as reason:
            skipped[str(reason)] += 1
    kept = _chosen(samples, limit, seed)
    if not kept:
        raise UsageError(
            f"no row became a sample: {count} read, {filtered} filtered out, "
            f"{skipped.total()} could not be converted",
            hint="; ".join(f"{reason}: {n}" for reason, n in skipped.most_common(3)) or None,
        )
    filtered += len(samples) - len(kept)
    return ImportedTask(
        dataset, name or dataset.name, source, tuple(kept), count, dict(skipped), filtered
    )


def _chosen(
    samples: list[dict[str, Any]], limit: int | None, seed: int | None
) -> list[dict[str, Any]]:
    """At most ``limit`` samples in source order, each with an id of its own."""
    if limit is not None and limit < len(samples):
        chosen = range(limit) if seed is None else Random(seed).sample(range(len(samples)), limit)
        samples = [samples[index] for index in sorted(chosen)]
    seen: Counter[str] = Counter()
    kept = []
    for sample in samples:
        seen[sample["id"]] += 1
        # a repeated id gets the number of its repetition, so that no sample is lost
        times = seen[sample["id"]]
        kept.append(sample if times == 1 else sample | {"id": f"{sample['id']}_{times}"})
    return kept


def write_task(task: ImportedTask, path: Path) -> None:
    """Write the task file, and only if it can be read back and no scorer would go wrong on it.

    Raises:
        EnvironmentError_: it cannot be written.
        UsageError: the result would not load or not pass the linter; what was there stays.
    """
    text = yaml.dump(
        task.document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    write_whole(path, text, parents=True, check=_insist_on_lint)


def _insist_on_lint(path: Path) -> None:
    load_task(path)
    hits = [hit for hit in lint_paths([path]).findings if hit.rule.severity is Severity.ERROR]
    if hits:
        places = [f"{hit.sample or 'the task'}: {hit.message}: {hit.rule.meaning}" for hit in hits]
        remedies = dict.fromkeys(hit.rule.remedy for hit in hits)
        raise UsageError(
            f"nothing was written: {shortened(places, len(places))}", hint="; ".join(remedies)
        )
