"""The results of a run: rates, paired outcomes, breakdowns, score pairs, each with its figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UnsetType

from harness.numbers import discordant_text, p_equals, p_text, rate_text, score_text
from harness.report.document import (
    Bar,
    Bars,
    Brief,
    Flow,
    FlowPart,
    Flows,
    Forest,
    ForestRow,
    Matrices,
    Matrix,
    Section,
    Table,
    table,
)
from harness.words import Endpoint, Mode

if TYPE_CHECKING:
    from harness.analyse import Attribute, Paired, Rate, ScorePair, Slice, Summary

MOST_SLICES = 30
"""Slices of one attribute that the forest plot draws."""
_FOREST_SLICES = ("model", "domain", "task_name", "dispatch_mode")
_CELLS = (
    ("both", "changed under both modes", "both", "changed under both"),
    ("first_only", "changed under standard only (b)", "standard", "standard only"),
    (
        "second_only",
        "changed under batch-invariant only (c)",
        "invariant",
        "batch-invariant only",
    ),
    ("neither", "changed under neither", "neither", "changed under neither"),
)
"""Cell of a paired table, its words, the style of its squares and what they are."""


def paired_text(paired: Paired) -> str:
    """The discordant pairs and the exact test; ``b`` is standard only, ``c`` invariant only."""
    return discordant_text(paired.first_only, paired.second_only, paired.p_two_sided)


def results_section(summary: Summary) -> Section:
    """Counts, rates and intervals of each mode."""
    rows = (
        (mode.words, t.records, t.ok, t.errors, *(rate_text(t.of(e)) for e in Endpoint))
        for mode, t in summary.by_mode.items()
    )
    heads = ("Kernels", "#Records", "#OK", "#Errors", *(f"#{e.words}" for e in Endpoint))
    note = (
        "A label flip: the solo and the batched answer have different scores. A text change: they "
        "have different hashes. Brackets hold the Wilson 95% interval, in per cent."
    )
    tables = (table("By mode", heads, rows, note),)
    return Section("results", "Results", (), tables, _forest(summary), brief=Brief.OPEN)


def _forest(summary: Summary) -> Forest | None:
    """Both endpoints over all rows, then label flips by what has more than one slice."""

    def row(label: object, mode: Mode, rate: Rate) -> ForestRow:
        low, high = rate.wilson95 or (None, None)
        return ForestRow(str(label), mode, rate.count, rate.n, rate.rate, low, high)

    everything = (
        row(endpoint.words, mode, counts.of(endpoint))
        for endpoint in Endpoint
        for mode, counts in summary.by_mode.items()
    )
    groups = [("All rows", tuple(everything))]
    for attribute, slices in summary.breakdowns.each():
        if attribute in _FOREST_SLICES and len(slices) > 1:  # one slice is all rows once more
            rows = (
                row(entry.value, mode, rate)
                for entry in slices[:MOST_SLICES]
                for mode in summary.by_mode
                if (rate := entry.mode(mode).label_flips).n
            )
            groups.append((f"By {attribute.words}: label flips", tuple(rows)))
    return Forest(tuple(groups)) if groups[0][1] else None


def paired_section(summary: Summary) -> Section:
    """Both paired tables: the same candidate under both modes."""
    title = "Paired comparison"
    if len(summary.by_mode) < 2:
        prose = ("Only one mode was run: nothing is paired.",)
        return Section("paired", title, prose, brief=Brief.OPEN)
    paired = [summary.paired.of(endpoint) for endpoint in Endpoint]
    rows = [
        *((words, *(getattr(p, cell) for p in paired)) for cell, words, *_ in _CELLS),
        ("exact McNemar, two-sided", *map(paired_text, paired)),
    ]
    flows = tuple(
        Flow(
            endpoint.words,
            tuple(FlowPart(getattr(p, cell), style, part) for cell, _, style, part in _CELLS),
        )
        for endpoint, p in zip(Endpoint, paired, strict=True)
    )
    prose = (
        "Each candidate was asked under both kernel paths, so the two paths are compared pair by "
        "pair; only pairs in which exactly one path changed carry information about a difference.",
    )
    heads = ("Outcome of a pair", *(f"#{endpoint.words}" for endpoint in Endpoint))
    tables = (table("Paired outcomes", heads, rows),)
    return Section("paired", title, prose, tables, Flows(flows, counted=False), brief=Brief.OPEN)


def breakdown_section(summary: Summary) -> Section | None:
    """A table for each way to slice the rows."""
    tables = tuple(
        _breakdown_table(attribute, slices, tuple(summary.by_mode))
        for attribute, slices in summary.breakdowns.each()
        if any(entry.value for entry in slices)
    )
    if not tables:
        return None
    prose = (
        "Label flips, with text changes below them. The slices are exploratory. p is adjusted by "
        "Holm's method within each table, and a slice that could not reach p < 0.05 with any "
        "outcome is marked as underpowered.",
    )
    bars = tuple(
        Bar(str(entry.value), mode, t.label_flips.count, t.text_changes.count, t.label_flips.n)
        for entry in summary.breakdowns.batch_size
        for mode in summary.by_mode
        for t in (entry.mode(mode),)
    )
    figure = Bars(bars) if bars else None
    return Section("breakdowns", "Breakdowns", prose, tables, figure, brief=Brief.FOLDED)


def _breakdown_table(
    attribute: Attribute, slices: tuple[Slice, ...], modes: tuple[Mode, ...]
) -> Table:
    rows = (
        (
            "(not given)" if entry.value is None else entry.value,
            entry.n,
            *(
                (rate_text(t.label_flips), f"text {rate_text(t.text_changes)}")
                for t in map(entry.mode, modes)
            ),
            _slice_test(entry.paired.label_flips),
        )
        for entry in slices
    )
    flips = (f"#{mode.words}: label flips" for mode in modes)
    heads = (
        f"@{attribute.words.capitalize()}",
        "#Rows",
        *flips,
        "#exact McNemar, label flips",
    )
    return table(f"By {attribute.words}", heads, rows)


def _slice_test(paired: Paired) -> tuple[str, ...]:
    discordant = f"b={paired.first_only} c={paired.second_only}"
    if paired.underpowered:
        return discordant, f"underpowered: smallest possible p is {p_text(paired.smallest_p)}"
    holm = paired.p_holm
    remark = "" if isinstance(holm, UnsetType) else f"Holm-adjusted {p_equals(holm)}"
    return f"{discordant} {p_equals(paired.p_two_sided)}", remark


def score_pair_section(summary: Summary) -> Section | None:
    """Which solo score met which batched score, for each mode."""
    pairs = {mode: rows for mode, rows in summary.score_pairs.items() if rows}
    if not pairs:
        return None
    heads = ("#Solo score", "#Batched score", "#Rows")
    tables = tuple(
        table(
            f"{mode.words} kernels",
            heads,
            (
                (
                    score_text(row.solo, row.solo_label or None),
                    score_text(row.batched, row.batched_label or None),
                    row.rows,
                )
                for row in rows
            ),
        )
        for mode, rows in pairs.items()
    )
    prose = ("On the diagonal the two scores agree; every other cell is a label flip.",)
    figure = Matrices(tuple(_matrix(mode, rows) for mode, rows in pairs.items()))
    return Section("score-pairs", "Score pairs", prose, tables, figure)


def _matrix(mode: Mode, rows: tuple[ScorePair, ...]) -> Matrix:
    """Scores in order, then states without a score by their name."""
    seen: dict[tuple[str, str], int] = {}
    order: dict[str, tuple[bool, float, str]] = {}
    for row in rows:
        names = []
        for score, label in ((row.solo, row.solo_label), (row.batched, row.batched_label)):
            name = score_text(score) if score is not None else str(label or "none")
            order[name] = (score is None, score or 0.0, name)
            names.append(name)
        seen[names[0], names[1]] = seen.get((names[0], names[1]), 0) + row.rows
    scores = tuple(sorted(order, key=order.__getitem__))
    counts = tuple(tuple(seen.get((a, b), 0) for b in scores) for a in scores)
    return Matrix(mode.words, scores, counts)
