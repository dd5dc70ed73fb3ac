"""From scored records to a candidate file in the study's form, with a summary without any text.

A candidate is a row whose answer changed where it was found; ``original_direction`` and the two
``original_…`` scores say how. Nothing of a prompt or of an answer leaves this module.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.errors import UsageError, nearest
from harness.families import FAMILIES, MMLU, STUDY_TASKS
from harness.files import json_text, write_together
from harness.records.record import Record, RecordKey
from harness.words import Domain, Effect

_RULES: Mapping[str, str] = {
    "label_flip": (
        "the solo (S0) and the batched score differ (a state without a score by its label), or the "
        "batch hides that it differs from S1"
    ),
    "text_change": (
        "the hashes of the solo (S0) and the batched answer differ, or the batch hides that it "
        "differs from S1"
    ),
}
SELECTIONS = tuple(_RULES)
"""The rules by which a record can become a candidate."""
_KEPT = (
    "model",
    "hf_id",
    "task_name",
    "sample_id",
    "batch_size",
    "dispatch_mode",
    "phase",
    "domain",
)
_COLUMNS = (*_KEPT, "original_direction", "original_solo_score", "original_batch_score", "kind")
_SLICES = (
    "model",
    "task_name",
    "domain",
    "phase",
    "batch_size",
    "dispatch_mode",
    "original_direction",
    "kind",
)


def kind_of(record: Record, select: str) -> str | None:
    """What moved the answer: ``batch`` (B differs from S1), ``cache`` (S1 from S0), or ``mixed``.

    By texts or by labels, as is selected; ``None`` where S1 was not asked or nothing moved.
    """
    effects = record.effect(Effect.BATCH), record.effect(Effect.CACHE)
    if None in effects:
        return None
    batch, cache = (one is not None and one[select == "label_flip"] for one in effects)
    return "mixed" if batch and cache else "batch" if batch else "cache" if cache else None


@dataclass(frozen=True, slots=True)
class ExportedCandidates:
    """Selected rows in record order.

    Attributes:
        rows: one mapping of the study's columns each.
        selection: ``label_flip`` or ``text_change``.
        mode: the kernel path whose records were looked at; ``None`` for all.
        source: run id or file name that they came from.
        seen: how many records were read, considered, in error, and given twice.
        score_profiles: the scorer profiles of the records considered.
        left_out: selected rows that only the cache moved, which are not among ``rows``.
        whole_batches: the batches of which ``rows`` are all rows; ``None`` where each is selected.
    """

    rows: tuple[Mapping[str, Any], ...]
    selection: str
    mode: str | None
    source: str
    seen: Mapping[str, int]
    score_profiles: tuple[str, ...]
    left_out: int = 0
    whole_batches: int | None = None

    def csv_text(self) -> str:
        """The candidate file, header first, newline-terminated rows."""
        out = io.StringIO()
        writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()

    @property
    def sha256(self) -> str:
        """SHA-256 of the candidate file's bytes, in hex."""
        return sha256(self.csv_text().encode()).hexdigest()

    def summary(self, file_name: str) -> dict[str, Any]:
        """What the file holds and how it was chosen; counts only, no text of anyone."""
        clusters = {(row["model"], row["task_name"], row["sample_id"]) for row in self.rows}
        slices = {}
        for name in _SLICES:
            values = ("unknown" if row[name] is None else str(row[name]) for row in self.rows)
            slices[name] = dict(sorted(Counter(values).items()))
        return {
            "schema_version": 1,
            "file": file_name,
            "sha256": self.sha256,
            "rows": len(self.rows),
            "samples": len({key[1:] for key in clusters}),
            "clusters": len(clusters),
            "selection": {
                "select": self.selection,
                "rule": _RULES[self.selection],
                "mode": self.mode,
                "cache_rows_left_out": self.left_out,
                "whole_batches": self.whole_batches,
            },
            "source": {
                "run_id": self.source,
                "records": dict(self.seen),
                "score_profiles": list(self.score_profiles),
            },
            "slices": slices,
        }


def export_candidates(
    records: Iterable[Record],
    *,
    select: str = "label_flip",
    source: str,
    mode: str | None = "standard",
    scorers: Mapping[str, str] | None = None,
    include_cache: bool = False,
    whole_batches: int | None = None,
) -> ExportedCandidates:
    """Choose the rows of a scored run that changed between solo and batched.

    Args:
        records: in file order; they are walked once and not kept.
        select: ``label_flip`` or ``text_change``.
        source: run id or file name, for the summary.
        mode: kernel path to look at; ``None`` for every record, whatever its mode.
        scorers: scorer of each task by its name; where absent, it is read from the record's
            evidence, task or domain, and a direction that cannot be known stays empty.
        include_cache: also rows that the cache moved and the batch did not.
        whole_batches: only so many batches, those with the most selected rows (the earlier of two
            with as many), and all of their rows, selected or not.

    Raises:
        UsageError: an unknown selection, or no record of ``mode``.
    """
    if select not in _RULES:
        raise UsageError(
            f"--select: unknown rule '{select}'", hint=nearest(select, _RULES, "known")
        )
    rows: dict[RecordKey, Mapping[str, Any]] = {}
    seen = Counter(read=0, considered=0, errors=0, duplicates=0)
    batches: dict[tuple[Any, ...], dict[RecordKey, Mapping[str, Any]]] = {}
    left_out: set[RecordKey] = set()
    modes: set[str] = set()
    profiles: set[str] = set()
    for record in records:
        seen["read"] += 1
        modes.add(str(record.mode))
        if mode is not None and record.mode != mode:
            continue
        seen["considered"] += 1
        if not record.ok:
            seen["errors"] += 1
            continue
        if record.score_profile:
            profiles.add(record.score_profile)
        kind = kind_of(record, select)
        studied = record.label_flip if select == "label_flip" else record.text_change
        row = {**_row(record, (scorers or {}).get(record.task_name)), "kind": kind}
        if whole_batches is not None:
            batches.setdefault(record.batch, {}).setdefault(record.key, row)
        if not studied and kind != "mixed":
            continue
        if kind == "cache" and not include_cache:
            left_out.add(record.key)
            continue
        seen["duplicates"] += record.key in rows
        rows.setdefault(record.key, row)
    if not seen["considered"]:
        raise UsageError(
            f"no record of mode '{mode}' in {source}" if mode else f"no records in {source}",
            hint=f"modes there: {', '.join(sorted(modes))}" if modes else None,
        )
    if whole_batches is not None:
        fullest = sorted(batches.values(), key=lambda batch: -len(batch.keys() & rows.keys()))
        rows = {key: row for batch in fullest[:whole_batches] for key, row in batch.items()}
    return ExportedCandidates(
        *(tuple(rows.values()), select, mode, source, seen, tuple(sorted(profiles))),
        left_out=len(left_out),
        whole_batches=whole_batches,
    )


def write_candidates(exported: ExportedCandidates, path: Path) -> Path:
    """Write the candidate file, and its summary beside it.

    Args:
        exported: the rows.
        path: the CSV; its folder is made when missing.

    Returns:
        Where the summary is: ``<name>.summary.json`` beside ``<name>.csv``.

    Raises:
        EnvironmentError_: one of the two cannot be written; neither is then.
    """
    beside = path.with_suffix(".summary.json")
    summary = json_text(exported.summary(path.name))
    write_together({path: exported.csv_text(), beside: summary})
    return beside


def _row(record: Record, scorer: str | None) -> Mapping[str, Any]:
    """The study's columns of a record; a direction needs two scores and the scorer behind them."""
    solo, batched = record.solo_score, record.batch_score
    row = {column: getattr(record, column) for column in _KEPT}
    row |= {
        "original_direction": None,
        "original_solo_score": solo,
        "original_batch_score": batched,
    }
    if solo is not None and batched is not None and solo != batched:
        evidences = (answer.score_evidence for answer in (record.solo, record.batched) if answer)
        read = [(evidence.scorer or "").split("/")[0] for evidence in evidences if evidence]
        named = (FAMILIES[name] for name in (scorer or "", *read) if name in FAMILIES)
        by_domain = MMLU if record.domain == Domain.CAPABILITY else None
        if family := next(named, STUDY_TASKS.get(record.task_name, by_domain)):
            falling, rising = family.directions
            row["original_direction"] = falling if batched < solo else rising
    return row
