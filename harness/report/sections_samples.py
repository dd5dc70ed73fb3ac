"""The numbers of two lm-evaluation-harness sample files against each other."""

from __future__ import annotations

from collections.abc import Iterable

from harness.compare import FilterComparison, SampleComparison
from harness.numbers import discordant_text, rate_text
from harness.report.document import (
    Brief,
    Flow,
    FlowPart,
    Flows,
    Measure,
    Section,
    Table,
    rate_entry,
    table,
)
from harness.report.text import paired_text, right_and_wrong


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
            if metric.a and metric.b and metric.paired:
                sides = rate_entry("A", metric.a), rate_entry("B", metric.b)
                test = f"{right_and_wrong(metric)}; {paired_text(metric.paired)}"
                found.append(Measure(f"{entry.filter}: {metric.name}", sides, test))
    return tuple(found)


def sample_sections(comparison: SampleComparison) -> tuple[Section, ...]:
    """Answers and metrics of each filter, and what was not compared."""
    heads = ("#Samples", "#Answers changed", "#Anything given changed", "#Correctness changed")
    rows = (
        (
            entry.filter,
            entry.n,
            rate_text(entry.answer_changes),
            rate_text(entry.response_changes),
            rate_text(entry.correctness_changes),
        )
        for entry in comparison.filters
    )
    note = (
        "An answer is what the filter left, or the likeliest choice; log-likelihoods can change "
        "and leave it as it was."
    )
    answers = table("By filter", ("@Filter", *heads), rows, note)
    metrics = [_metrics(entry) for entry in comparison.filters if entry.metrics]
    effects = Section(
        "effects", "Changes", (), (answers, *metrics), _flows(comparison), brief=Brief.OPEN
    )
    kinds = (("not checked", comparison.not_checked), ("left out", comparison.left_out))
    reservations = reservations_section(kinds)
    return (effects, reservations) if reservations else (effects,)


def reservations_section(kinds: Iterable[tuple[str, Iterable[str]]]) -> Section | None:
    """What was not proven, checked or compared: texts under the kind of reservation."""
    rows = [(kind, text) for kind, texts in kinds for text in texts]
    tables = (table("Reservations", ("Kind", "What"), rows),)
    title = "What this comparison does not show"
    return Section("open", title, (), tables, brief=Brief.FOLDED) if rows else None


def _metrics(entry: FilterComparison) -> Table:
    rows = []
    for metric in entry.metrics:
        test = "not tested", "values are not 0 or 1"
        if metric.paired is not None:
            cells = metric.paired.first_only, metric.paired.second_only
            test = discordant_text(*cells, metric.paired.p_two_sided), metric.paired.note or ""
        moved = metric.newly_right, metric.newly_wrong
        rows.append((metric.name, f"{metric.mean_a:.4f}", f"{metric.mean_b:.4f}", *moved, test))
    heads = ("@Metric", "#A", "#B", "#Newly right", "#Newly wrong", "#A against B, paired")
    binary = all(metric.binary for metric in entry.metrics)
    note = "" if binary else "Where a metric is not 0 or 1, up and down."
    return table(f"Metrics under {entry.filter}", heads, rows, note)


def _flows(comparison: SampleComparison) -> Flows | None:
    """A drawing for each binary metric."""
    flows = []
    for entry in comparison.filters:
        for metric in entry.metrics:
            if metric.paired:
                parts = (
                    FlowPart(metric.paired.both, "both", "right in A and B"),
                    FlowPart(metric.newly_wrong, "standard", "right only in A"),
                    FlowPart(metric.newly_right, "invariant", "right only in B"),
                    FlowPart(metric.paired.neither, "neither", "wrong in both"),
                )
                flows.append(Flow(f"{entry.filter}: {metric.name}", parts))
    return Flows(tuple(flows)) if flows else None
