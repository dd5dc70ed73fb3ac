"""The results of a run: rates, paired outcomes, breakdowns, score pairs, each with its figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.numbers import NONE, p_text, score_text
from harness.report.document import (
    Bar,
    Bars,
    Brief,
    Cell,
    Column,
    Flow,
    FlowPart,
    Flows,
    Forest,
    ForestRow,
    Kind,
    Matrices,
    Matrix,
    Section,
    Table,
    mode_words,
)
from harness.report.summary_numbers import paired_text, rate_text
from harness.words import Endpoint

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
FOREST_SLICES = (
    ("model", "By model"),
    ("domain", "By domain"),
    ("task_name", "By task"),
    ("dispatch_mode", "By dispatch mode"),
)
MOST_SLICES = 30
_PAIR_ROWS = (
    ("both", "changed under both modes"),
    ("standard_only", "changed under standard only (b)"),
    ("invariant_only", "changed under batch-invariant only (c)"),
    ("neither", "changed under neither"),
)
_PARTS = (
    ("both", "both", "changed under both"),
    ("standard_only", "standard", "standard only"),
    ("invariant_only", "invariant", "batch-invariant only"),
    ("neither", "neither", "changed under neither"),
)
"""Cell of the paired table, style of its squares, and what they are."""


def results_section(summary: Json) -> Section:
    """Counts, rates and intervals of each mode."""
    number = Kind.NUMBER
    columns = (
        Column("Kernels"),
        Column("Records", number),
        Column("OK", number),
        Column("Errors", number),
        *(Column(endpoint.words, number) for endpoint in Endpoint),
    )
    by_mode = summary.get("by_mode") or {}
    rows = tuple(
        (
            Cell(mode_words(mode)),
            *(Cell(str(counts.get(key, NONE))) for key in ("records", "ok", "errors")),
            *(Cell(rate_text(counts.get(endpoint))) for endpoint in Endpoint),
        )
        for mode, counts in by_mode.items()
    )
    note = (
        "A label flip: the solo and the batched answer have different scores. A text change: they "
        "have different hashes. Brackets hold the Wilson 95% interval, in per cent."
    )
    table = Table("By mode", columns, rows, note)
    return Section("results", "Results", tables=(table,), figure=_forest(summary), brief=Brief.OPEN)


def paired_section(summary: Json) -> Section:
    """Both paired tables: the same candidate under both modes."""
    paired = summary.get("paired") or {}
    measures = tuple((e.words, paired[e]) for e in Endpoint if paired.get(e))
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
        prose = ("Only one mode was run: nothing is paired.",)
        return Section("paired", "Paired comparison", prose, brief=Brief.OPEN)
    flows = tuple(
        Flow(
            label,
            tuple(FlowPart(int(outcome[key]), style, words) for key, style, words in _PARTS),
        )
        for label, outcome in measures
        if outcome.get("both") is not None
    )
    return Section(
        "paired",
        "Paired comparison",
        prose,
        (table,),
        figure=Flows(flows, counted=False) if flows else None,
        brief=Brief.OPEN,
    )


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
        *(Column(f"{mode_words(m)}: label flips", Kind.NUMBER) for m in modes),
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


def breakdown_section(summary: Json) -> Section | None:
    """A table for each way to slice the rows."""
    breakdowns = summary.get("breakdowns") or {}
    modes = list(summary.get("by_mode") or {})
    given = {key for key, slices in breakdowns.items() if any(s.get("value") for s in slices)}
    known = [key for key in BREAKDOWNS if key in given]
    more = [key for key in breakdowns if key in given and key not in BREAKDOWNS]
    tables = tuple(_breakdown_table(key, breakdowns[key], modes) for key in (*known, *more))
    if not tables:
        return None
    prose = (
        "Label flips, with text changes below them. The slices are exploratory. p is adjusted by "
        "Holm's method within each table, and a slice that could not reach p < 0.05 with any "
        "outcome is marked as underpowered.",
    )
    return Section(
        "breakdowns", "Breakdowns", prose, tables, figure=_bars(summary), brief=Brief.FOLDED
    )


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
            f"{mode_words(mode)} kernels",
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
    return Section("score-pairs", "Score pairs", prose, tables, figure=_matrices(summary))


def _forest(summary: Json) -> Forest | None:
    """Both endpoints over all rows, then label flips by what has more than one slice."""
    by_mode = summary.get("by_mode") or {}
    rows = [
        _forest_row(endpoint.words, mode, counts[endpoint], "All rows")
        for endpoint in Endpoint
        for mode, counts in by_mode.items()
        if counts.get(endpoint)
    ]
    for key, group in FOREST_SLICES:
        slices = (summary.get("breakdowns") or {}).get(key) or ()
        if len(slices) < 2:
            continue  # one slice is all rows once more
        for entry in slices[:MOST_SLICES]:
            for mode in by_mode:
                rate = (entry.get(mode) or {}).get("label_flips")
                if rate and rate.get("n"):
                    name = str(entry.get("value"))
                    rows.append(_forest_row(name, mode, rate, f"{group}: label flips"))
    return Forest(tuple(rows)) if rows else None


def _forest_row(label: str, mode: str, rate: Json, group: str) -> ForestRow:
    low, high = rate.get("wilson95") or (None, None)
    return ForestRow(label, mode, rate["count"], rate["n"], rate.get("rate"), low, high, group)


def _matrices(summary: Json) -> Matrices:
    found = []
    for mode, rows in (summary.get("score_pairs") or {}).items():
        if not rows:
            continue
        seen: dict[tuple[str, str], int] = {}
        order: dict[str, tuple[bool, float, str]] = {}
        for row in rows:
            names = []
            for side in ("solo", "batched"):
                score, word = row.get(side), row.get(f"{side}_label")
                name = score_text(score) if score is not None else str(word or "none")
                number = score if isinstance(score, int | float) else 0.0
                order[name] = (score is None, number, name)
                names.append(name)
            pair = names[0], names[1]
            seen[pair] = seen.get(pair, 0) + int(row.get("rows") or 0)
        scores = tuple(sorted(order, key=order.__getitem__))
        counts = tuple(tuple(seen.get((a, b), 0) for b in scores) for a in scores)
        found.append(Matrix(mode_words(mode), scores, counts))
    return Matrices(tuple(found))


def _bars(summary: Json) -> Bars | None:
    bars = []
    for entry in (summary.get("breakdowns") or {}).get("batch_size") or ():
        for mode in summary.get("by_mode") or {}:
            counts = entry.get(mode) or {}
            flips = counts.get("label_flips")
            if flips:
                texts = (counts.get("text_changes") or {}).get("count") or 0
                bars.append(Bar(str(entry.get("value")), mode, flips["count"], texts, flips["n"]))
    return Bars(tuple(bars)) if bars else None
