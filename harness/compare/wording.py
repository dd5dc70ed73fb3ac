"""A comparison as a few lines of plain text, the headline first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import convert

from harness import numbers
from harness.analyse import Rate
from harness.compare.comparison import Comparison
from harness.compare.gate import GateVerdict
from harness.compare.model import ModeComparison
from harness.compare.sample_comparison import FilterComparison, MetricComparison, SampleComparison
from harness.compare.stack_difference import StackDifference

__all__ = [
    "comparison_lines",
    "discordant_text",
    "gate_lines",
    "headline_clauses",
    "headline_text",
    "noise_text",
    "stack_text",
]

MAX_STACK = 12
_HEADLINE_VERSIONS = ("vllm", "torch")


def headline_clauses(comparison: Comparison | SampleComparison) -> tuple[str, ...]:
    """What people quote: what differs between the stacks, then a clause a mode or filter."""
    if isinstance(comparison, SampleComparison):
        return tuple(map(_filter_headline, comparison.filters))
    clauses = [_versions(comparison.stack), *map(_mode_headline, comparison.modes)]
    return tuple(clause for clause in clauses if clause)


def headline_text(comparison: Comparison | SampleComparison) -> str:
    """The clauses as one sentence."""
    return "; ".join(headline_clauses(comparison)) + "."


def _versions(stack: Sequence[StackDifference]) -> str:
    versions = {d.name: d for d in stack if d.part == "versions"}
    named = [versions.pop(name) for name in _HEADLINE_VERSIONS if name in versions]
    clauses = [f"{d.name} {d.a} → {d.b}" for d in named]
    if versions:
        clauses.append(f"{len(versions)} more packages changed")
    if not clauses:
        images = [d for d in stack if d.part == "image" and d.name in ("image", "digest")]
        clauses = [f"{d.name} {d.a} → {d.b}" for d in images[:1]]
    return ", ".join(clauses)


def _mode_headline(mode: ModeComparison) -> str:
    flips, alone = mode.flips["label_flips"], mode.answers["solo"]
    counts = f"{flips['a']['count']} → {flips['b']['count']}"
    return (
        f"{mode.title}: label flips {counts} of {mode.n} ({flips['appeared']} new, "
        f"{flips['vanished']} gone, {flips['stayed']} stayed), answers changed alone (no batch) "
        f"{alone['text_changes']['count']}, labels {alone['label_changes']['count']}"
    )


def _filter_headline(entry: FilterComparison) -> str:
    changed = entry.answers["count"]
    parts = [f"{entry.filter}: {changed} of {entry.n} answers changed"]
    for metric in entry.metrics:
        if metric.binary:
            right = f"{round(metric.mean_a * metric.n)} → {round(metric.mean_b * metric.n)}"
            parts.append(
                f"{metric.name} {right} right "
                f"({metric.newly_right} newly right, {metric.newly_wrong} newly wrong)"
            )
    return ", ".join(parts)


def rate_text(value: Mapping[str, Any]) -> str:
    """``22/55 = 40.0% [28.1, 53.2]`` (Wilson 95%)."""
    return numbers.rate_text(convert(value, Rate))


def discordant_text(paired: Mapping[str, Any]) -> str:
    """``b=3 c=0 p=0.25 (exact McNemar)``; ``b`` is A only, ``c`` is B only."""
    cells = paired["a_only"], paired["b_only"]
    return numbers.discordant_text(*cells, paired["p_two_sided"], paired["note"])


def noise_text(mode: ModeComparison) -> str:
    """What asking again within a run changed: without it, a change alone has no yardstick."""
    words = []
    for name, floor in (("A", mode.noise_a), ("B", mode.noise_b)):
        solo = floor["solo"]
        found = "not asked again" if solo is None else rate_text(solo["text_changes"])
        words.append(f"{name} {found}")
    return f"changed when asked again alone in the same run: {', '.join(words)}"


def stack_text(difference: StackDifference) -> str:
    """``versions vllm: 0.30.0 → 0.32.0 (m, standard)``."""
    where = f" ({difference.where})" if difference.where else ""
    return f"{difference.part} {difference.name}: {difference.a} → {difference.b}{where}"


def comparison_lines(comparison: Comparison | SampleComparison) -> list[str]:
    """A comparison as lines for a terminal."""
    if isinstance(comparison, SampleComparison):
        lines = [f"A {comparison.a}", f"B {comparison.b}", "", *headline_clauses(comparison)]
        for entry in comparison.filters:
            lines += ["", *_filter_lines(entry)]
    else:
        lines = [f"A {comparison.a.name}   {comparison.a.path}"]
        lines += [f"B {comparison.b.name}   {comparison.b.path}", "", *headline_clauses(comparison)]
        for mode in comparison.modes:
            lines += ["", *_mode_lines(mode)]
        lines += ["", *_stack_lines(comparison.stack)]
        unproven = [*dict.fromkeys((*comparison.a.unproven, *comparison.b.unproven))]
        lines += [f"not proven: {text}" for text in unproven]
    lines += [f"left out: {text}" for text in comparison.left_out]
    return lines + [f"not checked: {text}" for text in comparison.not_checked]


def _mode_lines(mode: ModeComparison) -> Iterator[str]:
    failed = f", {mode.errors_a + mode.errors_b} records failed" if mode.n < mode.candidates else ""
    yield f"{mode.title}: {mode.n} of {mode.candidates} candidates compared{failed}"
    for condition, words in (("solo", "changed alone"), ("batched", "changed in its batch")):
        answers = mode.answers[condition]
        texts, labels = rate_text(answers["text_changes"]), rate_text(answers["label_changes"])
        scores = f"scores up {answers['up']}, down {answers['down']}"
        yield f"  {words:<21} texts {texts:<28} labels {labels:<28} {scores}"
    for name, words in (("label_flips", "label flips"), ("text_changes", "text changes")):
        flips = mode.flips[name]
        yield f"  {words:<21} A {rate_text(flips['a']):<32} B {rate_text(flips['b'])}"
        moved = f"{flips['appeared']} new, {flips['vanished']} gone, {flips['stayed']} stayed"
        yield f"  {'':<21} {moved}; {discordant_text(flips['paired'])}"
    yield f"  {noise_text(mode)}"


def _stack_lines(stack: Sequence[StackDifference]) -> Iterator[str]:
    if not stack:
        yield "no difference of stack or settings is recorded"
        return
    yield f"{len(stack)} difference(s) of stack and settings"
    for difference in stack[:MAX_STACK]:
        yield f"  {stack_text(difference)}"
    if len(stack) > MAX_STACK:
        yield f"  and {len(stack) - MAX_STACK} more (--format html, --json)"


def _filter_lines(entry: FilterComparison) -> Iterator[str]:
    yield f"filter {entry.filter}: {entry.n} samples"
    yield f"  answers changed {rate_text(entry.answers)}"
    yield f"  anything the model gave changed {rate_text(entry.responses)}"
    for metric in entry.metrics:
        yield f"  {_metric_line(metric)}"


def _metric_line(metric: MetricComparison) -> str:
    means = f"{metric.name}: {metric.mean_a:.4f} → {metric.mean_b:.4f} over {metric.n}"
    if metric.paired is None:
        return f"{means}, {metric.changed} values changed (not 0 or 1: not tested)"
    moved = f"{metric.newly_right} newly right, {metric.newly_wrong} newly wrong"
    return f"{means}, {moved}; {discordant_text(metric.paired)}"


def gate_lines(verdicts: Sequence[GateVerdict]) -> list[str]:
    """``pass`` or ``FAIL`` for each condition, with the reason."""
    return [f"{'pass' if v.ok else 'FAIL'} {v.condition}: {v.reason}" for v in verdicts]
