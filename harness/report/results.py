"""The result tables: rates, paired outcomes, breakdowns and score pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.report.headline import MEASURES, MODE_NAMES
from harness.report.model import Cell, Column, Kind, Section, Table
from harness.report.numbers import NONE, p_text, paired_text, rate_text, score_text

__all__ = ["breakdown_sections", "paired_section", "results_section", "score_pair_section"]

Json = Mapping[str, Any]

BREAKDOWNS = {
    "model": "Model",
    "domain": "Domain",
    "task_name": "Task",
    "dispatch_mode": "Dispatch mode",
    "phase": "Phase",
    "original_direction": "Original direction",
    "batch_size": "Batch size",
}
_PAIR_ROWS = (
    ("both", "changed under both modes"),
    ("standard_only", "changed under standard only (b)"),
    ("invariant_only", "changed under batch-invariant only (c)"),
    ("neither", "changed under neither"),
)


def results_section(summary: Json) -> Section:
    """Counts, rates and intervals of each mode."""
    number = Kind.NUMBER
    columns = (
        Column("Kernels"),
        Column("Records", number),
        Column("OK", number),
        Column("Errors", number),
        *(Column(label, number) for _, label in MEASURES),
    )
    by_mode = summary.get("by_mode") or {}
    rows = tuple(
        (
            Cell(MODE_NAMES.get(mode, mode)),
            *(Cell(str(counts.get(key, NONE))) for key in ("records", "ok", "errors")),
            *(Cell(rate_text(counts.get(measure))) for measure, _ in MEASURES),
        )
        for mode, counts in by_mode.items()
    )
    note = (
        "A label flip: the solo and the batched answer have different scores. A text change: they "
        "have different hashes. Brackets hold the Wilson 95% interval, in per cent."
    )
    return Section(
        "results", "Results", tables=(Table("By mode", columns, rows, note),), figure="forest"
    )


def paired_section(summary: Json) -> Section:
    """Both paired tables: the same candidate under both modes."""
    paired = summary.get("paired") or {}
    measures = tuple((label, paired[key]) for key, label in MEASURES if paired.get(key))
    columns = (Column("Outcome of a pair"), *(Column(label, Kind.NUMBER) for label, _ in measures))
    counts = tuple(
        (Cell(words), *(Cell(str(table.get(key, NONE))) for _, table in measures))
        for key, words in _PAIR_ROWS
    )
    tests = (
        Cell("exact McNemar, two-sided"),
        *(Cell(paired_text(table)) for _, table in measures),
    )
    prose = (
        "Each candidate was asked under both kernel paths, so the two paths are compared pair by "
        "pair; only pairs in which exactly one path changed carry information about a difference.",
    )
    table = Table("Paired outcomes", columns, (*counts, tests))
    if not measures:
        return Section(
            "paired", "Paired comparison", ("Only one mode was run: nothing is paired.",)
        )
    return Section("paired", "Paired comparison", prose, (table,), figure="paired")


def _test_cell(entry: Json) -> Cell:
    paired = (entry.get("paired") or {}).get("label_flips")
    if not paired:
        return Cell(NONE)
    discordant = f"b={paired['standard_only']} c={paired['invariant_only']}"
    if paired.get("underpowered"):
        smallest = p_text(paired.get("smallest_p"))
        return Cell(discordant, f"underpowered: smallest possible p is {smallest}")
    adjusted = paired.get("p_holm")
    remark = "" if adjusted is None else f"Holm-adjusted p={p_text(adjusted)}"
    return Cell(f"{discordant} p={p_text(paired.get('p_two_sided'))}", remark)


def _slice_cell(counts: Json) -> Cell:
    text = rate_text(counts.get("text_changes"))
    return Cell(rate_text(counts.get("label_flips")), f"text {text}")


def _breakdown_table(key: str, entries: list[Json], modes: list[str]) -> Table:
    columns = (
        Column(BREAKDOWNS.get(key, key), Kind.ID),
        Column("Rows", Kind.NUMBER),
        *(Column(f"{MODE_NAMES.get(m, m)}: label flips", Kind.NUMBER) for m in modes),
        Column("exact McNemar, label flips", Kind.NUMBER),
    )
    rows = tuple(
        (
            Cell(str(entry.get("value")) if entry.get("value") is not None else "(not given)"),
            Cell(str(entry.get("n", NONE))),
            *(_slice_cell(entry.get(m) or {}) for m in modes),
            _test_cell(entry),
        )
        for entry in entries
    )
    return Table(f"By {BREAKDOWNS.get(key, key).lower()}", columns, rows)


def breakdown_sections(summary: Json) -> tuple[Section, ...]:
    """One section that holds a table for each way to slice the rows."""
    breakdowns = summary.get("breakdowns") or {}
    modes = list(summary.get("by_mode") or {})
    given = {key for key, slices in breakdowns.items() if any(s.get("value") for s in slices)}
    known = [key for key in BREAKDOWNS if key in given]
    more = [key for key in breakdowns if key in given and key not in BREAKDOWNS]
    tables = tuple(_breakdown_table(key, breakdowns[key], modes) for key in (*known, *more))
    if not tables:
        return ()
    prose = (
        "Label flips, with text changes below them. The slices are exploratory. p is adjusted by "
        "Holm's method within each table, and a slice that could not reach p < 0.05 with any "
        "outcome is marked as underpowered.",
    )
    return (Section("breakdowns", "Breakdowns", prose, tables, figure="batch_sizes"),)


def score_pair_section(summary: Json) -> Section | None:
    """Which solo score met which batched score, for each mode."""
    pairs = summary.get("score_pairs") or {}
    number = Kind.NUMBER
    columns = (
        Column("Solo score", number),
        Column("Batched score", number),
        Column("Rows", number),
    )
    tables = tuple(
        Table(
            f"{MODE_NAMES.get(mode, mode)} kernels",
            columns,
            tuple(
                (
                    Cell(score_text(row.get("solo"), row.get("solo_label"))),
                    Cell(score_text(row.get("batched"), row.get("batched_label"))),
                    Cell(str(row.get("rows"))),
                )
                for row in rows
            ),
        )
        for mode, rows in pairs.items()
        if rows
    )
    if not tables:
        return None
    prose = ("On the diagonal the two scores agree; every other cell is a label flip.",)
    return Section("score-pairs", "Score pairs", prose, tables, figure="matrices")
