"""From scored records to a candidate file in the study's form, with a summary without any text.

A candidate is a row whose answer changed where it was found; ``original_direction`` and the two
``original_…`` scores say how. Nothing of a prompt or of an answer leaves this module.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from harness.candidates.candidate import REQUIRED
from harness.candidates.directions import direction
from harness.errors import UsageError
from harness.words import Status

Selection = Literal["label_flip", "text_change"]
Record = Mapping[str, Any]

RULES: Mapping[str, str] = {
    "label_flip": "the solo and the batched score differ (a state without a score by its label)",
    "text_change": "the hashes of the solo and the batched answer differ",
}
COLUMNS = (
    "model",
    "hf_id",
    "task_name",
    "sample_id",
    "batch_size",
    "dispatch_mode",
    "phase",
    "domain",
    "original_direction",
    "original_solo_score",
    "original_batch_score",
)
_SLICES = (
    "model",
    "task_name",
    "domain",
    "phase",
    "batch_size",
    "dispatch_mode",
    "original_direction",
)


@dataclass(frozen=True, slots=True)
class ExportedCandidates:
    """Selected rows in record order.

    Attributes:
        rows: one mapping of `COLUMNS` each.
        selection: ``label_flip`` or ``text_change``.
        mode: the kernel path whose records were looked at; ``None`` for all.
        source: run id or file name that they came from.
        seen: how many records were read, considered, in error, and given twice.
        score_profiles: the scorer profiles of the records considered.
    """

    rows: tuple[Mapping[str, Any], ...]
    selection: Selection
    mode: str | None
    source: str
    seen: Mapping[str, int]
    score_profiles: tuple[str, ...]

    def csv_text(self) -> str:
        """The candidate file, header first, newline-terminated rows."""
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()

    @property
    def sha256(self) -> str:
        """SHA-256 of the candidate file's bytes, in hex."""
        return sha256(self.csv_text().encode()).hexdigest()

    def summary(self, file_name: str) -> dict[str, Any]:
        """What the file holds and how it was chosen; counts only, no text of anyone."""
        samples = {(row["model"], row["task_name"], row["sample_id"]) for row in self.rows}
        return {
            "schema_version": 1,
            "file": file_name,
            "sha256": self.sha256,
            "rows": len(self.rows),
            "samples": len({key[1:] for key in samples}),
            "clusters": len(samples),
            "selection": {
                "select": self.selection,
                "rule": RULES[self.selection],
                "mode": self.mode,
            },
            "source": {
                "run_id": self.source,
                "records": dict(self.seen),
                "score_profiles": list(self.score_profiles),
            },
            "slices": {name: _counts(self.rows, name) for name in _SLICES},
        }


@dataclass(slots=True)
class _Collected:
    """What one walk over the records gathers."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    keys: set[tuple[Any, ...]] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    modes: set[str] = field(default_factory=set)
    profiles: set[str] = field(default_factory=set)


def export_candidates(
    records: Iterable[Record],
    *,
    select: str = "label_flip",
    source: str,
    mode: str | None = "standard",
    scorers: Mapping[str, str] | None = None,
) -> ExportedCandidates:
    """Choose the rows of a scored run that changed between solo and batched.

    Args:
        records: record objects, in file order; they are walked once and not kept.
        select: ``label_flip`` or ``text_change``.
        source: run id or file name, for the summary.
        mode: kernel path to look at; ``None`` for every record, whatever its mode.
        scorers: scorer of each task by its name; where absent, it is read from the record's
            evidence, labels or domain, and a direction that cannot be known stays empty.

    Raises:
        UsageError: an unknown selection, a record without a key column, or no record of ``mode``.
    """
    if select not in RULES:
        raise UsageError(f"--select: unknown rule '{select}'", hint=f"known: {', '.join(RULES)}")
    selection: Selection = "label_flip" if select == "label_flip" else "text_change"
    got = _Collected()
    for number, record in enumerate(records, 1):
        _collect(record, number, got, selection, mode, scorers or {})
    if not got.seen["considered"]:
        raise UsageError(
            f"no record of mode '{mode}' in {source}" if mode else f"no records in {source}",
            hint=f"modes there: {', '.join(sorted(got.modes))}" if got.modes else None,
        )
    seen = {name: got.seen[name] for name in ("read", "considered", "errors", "duplicates")}
    profiles = tuple(sorted(got.profiles))
    return ExportedCandidates(tuple(got.rows), selection, mode, source, seen, profiles)


def label_flipped(record: Record) -> bool:
    """Whether the scores differ; states without a score differ by their label."""
    solo, batched = record.get("solo_score"), record.get("batch_score")
    if solo is None and batched is None:
        return bool(record.get("solo_label") != record.get("batch_label"))
    return bool(solo != batched)


def _collect(
    record: Record,
    number: int,
    got: _Collected,
    selection: Selection,
    mode: str | None,
    scorers: Mapping[str, str],
) -> None:
    got.seen["read"] += 1
    got.modes.add(str(record.get("mode")))
    if mode is not None and record.get("mode") != mode:
        return
    got.seen["considered"] += 1
    if record.get("status", Status.OK) != Status.OK:
        got.seen["errors"] += 1
        return
    got.profiles |= {str(record["score_profile"])} if record.get("score_profile") else set()
    if not _selected(record, selection):
        return
    if missing := [column for column in REQUIRED if record.get(column) is None]:
        raise UsageError(f"record {number} has no {', '.join(missing)}")
    key = tuple(record[column] for column in REQUIRED)
    if key in got.keys:
        got.seen["duplicates"] += 1
        return
    got.keys.add(key)
    got.rows.append(_row(record, scorers))


def _selected(record: Record, selection: Selection) -> bool:
    if selection == "label_flip":
        return label_flipped(record)
    return bool(record.get("solo_response_hash") != record.get("batch_response_hash"))


def _row(record: Record, scorers: Mapping[str, str]) -> dict[str, Any]:
    row = {column: record.get(column) for column in COLUMNS}
    row["original_direction"] = direction(record, scorers.get(str(record["task_name"])))
    row["original_solo_score"] = record.get("solo_score")
    row["original_batch_score"] = record.get("batch_score")
    return row


def _counts(rows: Iterable[Mapping[str, Any]], column: str) -> dict[str, int]:
    counts = Counter("unknown" if row[column] is None else str(row[column]) for row in rows)
    return dict(sorted(counts.items()))
