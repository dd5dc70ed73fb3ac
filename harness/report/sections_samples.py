"""The numbers of two lm-evaluation-harness sample files against each other."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analyse import PairTest
from harness.compare import FilterComparison, MetricComparison, SampleComparison
from harness.numbers import discordant_text, rate_text
from harness.report.document import (
    Brief,
    Cell,
    Column,
    Flow,
    FlowPart,
    Flows,
    Kind,
    Measure,
    Section,
    Table,
)
from harness.report.summary_numbers import rate_entry
from harness.report.text import paired_text

NUMBER = Kind.NUMBER


def sample_measures(comparison: SampleComparison) -> tuple[Measure, ...]:
    """Changed answers of each filter, and what they did to each binary metric."""
    found = []
    for entry in comparison.filters:
        changed = (
            rate_entry("answers", entry.answer_changes),
            rate_entry("correctness", entry.correctness_changes),
        )
        found.append(Measure(f"{entry.filter}: changed", changed))
        for metric in entry.metrics:
            if metric.paired:
                sides = tuple(
                    rate_entry(side, rate)
                    for side, rate in (("A", metric.a), ("B", metric.b))
                    if rate
                )
                moved = f"{metric.newly_right} newly right, {metric.newly_wrong} newly wrong"
                test = f"{moved}; {paired_text(metric.paired)}"
                found.append(Measure(f"{entry.filter}: {metric.name}", sides, test))
    return tuple(found)


def sample_sections(comparison: SampleComparison) -> tuple[Section, ...]:
    """Answers and metrics of each filter, and what was not compared."""
    heads = ("Samples", "Answers changed", "Anything given changed", "Correctness changed")
    rows = tuple(
        (
            Cell(entry.filter),
            Cell(str(entry.n)),
            *(
                Cell(rate_text(r))
                for r in (entry.answer_changes, entry.response_changes, entry.correctness_changes)
            ),
        )
        for entry in comparison.filters
    )
    note = (
        "An answer is what the filter left, or the likeliest choice; log-likelihoods can change "
        "and leave it as it was."
    )
    columns = (Column("Filter", Kind.ID), *(Column(head, NUMBER) for head in heads))
    answers = Table("By filter", columns, rows, note)
    metrics = [_metrics(entry) for entry in comparison.filters if entry.metrics]
    flows = tuple(
        Flow(f"{entry.filter}: {metric.name}", _fates(metric, metric.paired))
        for entry in comparison.filters
        for metric in entry.metrics
        if metric.paired
    )
    effects = Section(
        "effects",
        "Changes",
        tables=(answers, *metrics),
        figure=Flows(flows) if flows else None,
        brief=Brief.OPEN,
    )
    kinds = (("not checked", comparison.not_checked), ("left out", comparison.left_out))
    reservations = reservations_section(kinds)
    return (effects, reservations) if reservations else (effects,)


def reservations_section(kinds: Iterable[tuple[str, Iterable[str]]]) -> Section | None:
    """What was not proven, checked or compared: texts under the kind of reservation."""
    rows = tuple((Cell(kind), Cell(text)) for kind, texts in kinds for text in texts)
    if not rows:
        return None
    table = Table("Reservations", (Column("Kind"), Column("What")), rows)
    title = "What this comparison does not show"
    return Section("open", title, tables=(table,), brief=Brief.FOLDED)


def _fates(metric: MetricComparison, paired: PairTest) -> tuple[FlowPart, ...]:
    return (
        FlowPart(paired.both, "both", "right in A and B"),
        FlowPart(metric.newly_wrong, "standard", "right only in A"),
        FlowPart(metric.newly_right, "invariant", "right only in B"),
        FlowPart(paired.neither, "neither", "wrong in both"),
    )


def _metrics(entry: FilterComparison) -> Table:
    columns = (
        Column("Metric", Kind.ID),
        Column("A", NUMBER),
        Column("B", NUMBER),
        Column("Newly right", NUMBER),
        Column("Newly wrong", NUMBER),
        Column("A against B, paired", NUMBER),
    )
    rows = tuple(
        (
            Cell(metric.name),
            Cell(f"{metric.mean_a:.4f}"),
            Cell(f"{metric.mean_b:.4f}"),
            Cell(str(metric.newly_right)),
            Cell(str(metric.newly_wrong)),
            _test(metric),
        )
        for metric in entry.metrics
    )
    note = (
        "" if all(m.binary for m in entry.metrics) else "Where a metric is not 0 or 1, up and down."
    )
    return Table(f"Metrics under {entry.filter}", columns, rows, note)


def _test(metric: MetricComparison) -> Cell:
    if metric.paired is None:
        return Cell("not tested", "values are not 0 or 1")
    paired = metric.paired
    text = discordant_text(paired.first_only, paired.second_only, paired.p_two_sided)
    return Cell(text, paired.note or "")
