"""The tables of a comparison of two lm-evaluation-harness sample files."""

from __future__ import annotations

from harness.compare import FilterComparison, MetricComparison, SampleComparison, discordant_text
from harness.report.comparison.model import Flow, FlowPart
from harness.report.model import Cell, Column, Kind, Measure, Section, Table
from harness.report.numbers import interval_text, p_text, percent, rate_text

__all__ = ["sample_flows", "sample_measures", "sample_sections"]

NUMBER = Kind.NUMBER


def sample_measures(comparison: SampleComparison) -> tuple[Measure, ...]:
    """Changed answers of each filter, and what they did to each binary metric."""
    found = []
    for entry in comparison.filters:
        rates = (("answers", entry.answers), ("correctness", entry.correctness))
        entries = tuple(
            (name, f"{rate['count']}/{rate['n']}", _share(rate)) for name, rate in rates
        )
        found.append(Measure(f"{entry.filter}: changed", entries, ""))
        found += [_metric_measure(entry, metric) for metric in entry.metrics if metric.paired]
    return tuple(found)


def _share(rate: object) -> str:
    assert isinstance(rate, dict)
    return f"{percent(rate['rate'])} {interval_text(rate['wilson95'])}".strip()


def _metric_measure(entry: FilterComparison, metric: MetricComparison) -> Measure:
    value = metric.as_json()
    sides = tuple(
        (side.upper(), f"{value[side]['count']}/{metric.n}", _share(value[side])) for side in "ab"
    )
    moved = f"{metric.newly_right} newly right, {metric.newly_wrong} newly wrong"
    test = discordant_text(metric.paired) if metric.paired else ""
    return Measure(f"{entry.filter}: {metric.name}", sides, f"{moved}; {test}")


def sample_flows(comparison: SampleComparison) -> tuple[Flow, ...]:
    """One drawing a binary metric: one square a document."""
    return tuple(
        Flow(
            f"{entry.filter}: {metric.name}",
            (
                FlowPart(metric.paired["both"], "both", "right in A and B"),
                FlowPart(metric.newly_wrong, "standard", "right only in A"),
                FlowPart(metric.newly_right, "invariant", "right only in B"),
                FlowPart(metric.paired["neither"], "neither", "wrong in both"),
            ),
        )
        for entry in comparison.filters
        for metric in entry.metrics
        if metric.paired
    )


def sample_sections(comparison: SampleComparison) -> tuple[Section, ...]:
    """Answers and metrics of each filter, and what was not compared."""
    columns = (
        Column("Filter", Kind.ID),
        Column("Samples", NUMBER),
        Column("Answers changed", NUMBER),
        Column("Anything given changed", NUMBER),
        Column("Correctness changed", NUMBER),
    )
    rows = tuple(
        (
            Cell(entry.filter),
            Cell(str(entry.n)),
            *(Cell(rate_text(r)) for r in (entry.answers, entry.responses, entry.correctness)),
        )
        for entry in comparison.filters
    )
    note = (
        "An answer is what the filter left, or the likeliest choice; log-likelihoods can change "
        "and leave it as it was."
    )
    answers = Table("By filter", columns, rows, note)
    metrics = [_metrics(entry) for entry in comparison.filters if entry.metrics]
    found = [Section("effects", "Changes", tables=(answers, *metrics), figure="flows")]
    reservations = [("not checked", text) for text in comparison.not_checked]
    reservations += [("left out", text) for text in comparison.left_out]
    if reservations:
        cells = tuple((Cell(kind), Cell(text)) for kind, text in reservations)
        table = Table("Reservations", (Column("Kind"), Column("What")), cells)
        found.append(Section("open", "What this comparison does not show", tables=(table,)))
    return tuple(found)


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
    p = p_text(metric.paired["p_two_sided"])
    text = f"b={metric.paired['a_only']} c={metric.paired['b_only']} p={p} (exact McNemar)"
    return Cell(text, metric.paired["note"] or "")
