"""The claim ledger, the threats that were not excluded, and what two scorer profiles say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.report.headline import MODE_NAMES
from harness.report.model import Cell, Column, Kind, Section, Table
from harness.report.numbers import NONE, score_text

__all__ = ["claims_section", "profiles_section", "threats_section"]

Json = Mapping[str, Any]
MAX_LISTED = 200
_STATUSES = {
    "established": "Established",
    "strengthened": "Strengthened",
    "inconclusive": "Inconclusive",
    "not_established": "Not established",
}
_OUTCOMES = ("both", "paper_only", "strict_only", "neither")


def claims_section(summary: Json) -> Section | None:
    """One table a status, in the order of their strength."""
    claims: Sequence[Json] = summary.get("claims") or ()
    known = dict.fromkeys([*_STATUSES, *(str(claim.get("status")) for claim in claims)])
    tables = []
    for status in known:
        rows = tuple(
            (Cell(str(claim.get("text"))), Cell(str(claim.get("reason") or NONE)))
            for claim in claims
            if str(claim.get("status")) == status
        )
        if rows:
            head = Column("Reason" if status in ("not_established", "inconclusive") else "Basis")
            title = _STATUSES.get(status, status)
            tables.append(Table(title, (Column("Claim"), head), rows))
    if not tables:
        return None
    prose = (
        "Computed from these records. A claim is about the tested rows on the tested stack and "
        "about nothing wider.",
    )
    return Section("claims", "Claim ledger", prose, tuple(tables))


def threats_section(summary: Json, metadata: Json) -> Section | None:
    """What the run could not exclude, and what it says itself that it left open."""
    columns = (Column("Threat", Kind.ID), Column("What leaves it open"))
    found = tuple(
        (Cell(str(threat.get("threat"))), Cell(str(threat.get("text"))))
        for threat in summary.get("threats") or ()
    )
    left = metadata.get("not_controlled")
    open_points = tuple((Cell(str(point)),) for point in left) if isinstance(left, list) else ()
    tables = tuple(
        table
        for table in (
            Table("Threats", columns, found),
            Table("Left to the server or to chance", (Column("Not controlled"),), open_points),
        )
        if table.rows
    )
    if not tables:
        return None
    return Section("threats", "Threats not excluded", (), tables)


def _count_rows(comparison: Json) -> Iterator[tuple[Cell, ...]]:
    by_mode = comparison.get("by_mode") or {}
    for mode in sorted(by_mode, key=lambda mode: (mode != "standard", mode)):
        tally = by_mode[mode]
        flips = tally.get("label_flips") or {}
        texts = [
            MODE_NAMES.get(mode, mode),
            f"{tally.get('scores_differ')}/{tally.get('answers')}",
            flips.get("paper"),
            flips.get("strict"),
            *(flips.get(outcome) for outcome in _OUTCOMES),
        ]
        yield tuple(Cell(str(text)) for text in texts)


def _said(change: Json) -> Cell:
    solo = score_text(change.get("solo_score"), change.get("solo_label"))
    batched = score_text(change.get("batch_score"), change.get("batch_label"))
    rules = f"{change.get('solo_rule')}; {change.get('batch_rule')}"
    return Cell(f"{solo} → {batched}", rules)


def _disagreement_rows(comparison: Json) -> Iterator[tuple[Cell, ...]]:
    for row in (comparison.get("disagreements") or ())[:MAX_LISTED]:
        paper, strict = row.get("paper") or {}, row.get("strict") or {}
        mode = str(row.get("mode"))
        yield (
            Cell(f"{row.get('task_name')}/{row.get('sample_id')}", str(row.get("model"))),
            Cell(f"{MODE_NAMES.get(mode, mode)}, batch {row.get('batch_size')}"),
            Cell("paper" if paper.get("flip") else "strict"),
            _said(paper),
            _said(strict),
        )


def profiles_section(comparison: Json | None) -> Section | None:
    """Flips under both scorer profiles, and the rows on which they disagree."""
    if not comparison or not comparison.get("by_mode"):
        return None
    heads = ("Scores differ", "Flips: paper", "Flips: strict")
    outcomes = ("Both", "Paper only", "Strict only", "Neither")
    columns = (Column("Kernels"), *(Column(head, Kind.NUMBER) for head in (*heads, *outcomes)))
    tables = [Table("Flips under both profiles", columns, tuple(_count_rows(comparison)))]
    rows = tuple(_disagreement_rows(comparison))
    total = len(comparison.get("disagreements") or ()) + int(
        comparison.get("disagreements_left_out") or 0
    )
    if rows:
        titles = ("Condition", "Flip in", "paper: solo → batched", "strict: solo → batched")
        heads_ = (Column("Row", Kind.ID), *(Column(title) for title in titles))
        note = f"{total - len(rows):,} more are not listed here." if total > len(rows) else ""
        tables.append(Table("Where the profiles disagree", heads_, rows, note))
    prose = (
        "The same answers, scored twice: “paper” is the study's own algorithm, “strict” reads the "
        "answer alone and has states for answers that it cannot parse.",
    )
    return Section("profiles", "Two scorer profiles", prose, tuple(tables))
