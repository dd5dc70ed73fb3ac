"""Results as lines of plain text for a terminal, the most important first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analyse import ClaimStatus, PairTest, Summary
from harness.compare import (
    Comparison,
    Effect,
    FilterComparison,
    GateVerdict,
    MetricComparison,
    ModeComparison,
    SampleComparison,
    StackDifference,
)
from harness.numbers import discordant_text, p_equals, rate_text
from harness.words import Endpoint

MAX_STACK = 12
_HEADLINE_VERSIONS = ("vllm", "torch")


def paired_text(cells: PairTest) -> str:
    """``b=22 c=0 p=4.8e-07 (exact McNemar)``, with a remark where no p could be small."""
    return discordant_text(cells.first_only, cells.second_only, cells.p_two_sided, cells.note)


def summary_lines(summary: Summary) -> list[str]:
    """A summary as lines: rates, paired tests, breakdowns, repeats and the ledger's verdicts."""
    leading, rest = summary.claims[:5], summary.claims[5:]
    claims = [*leading, *(c for c in rest if c.status is not ClaimStatus.NOT_ESTABLISHED)]
    return [
        f"{summary.n_records} records, {summary.n_ok} ok, "
        f"{summary.startup_error_count} start-up errors; "
        f"{summary.pairs.complete} complete pairs, {summary.pairs.left_out} left out",
        "",
        *_rates(summary),
        *_breakdowns(summary),
        "",
        *_beside(summary),
        "",
        *(f"{claim.status.words:<16} {claim.text}: {claim.reason}" for claim in claims),
    ]


def _rates(summary: Summary) -> Iterator[str]:
    names = {endpoint: endpoint.words.lower() for endpoint in Endpoint}
    for mode, table in summary.by_mode.items():
        rates = "   ".join(f"{name} {rate_text(table.of(e)):<28}" for e, name in names.items())
        errors = f"   {table.errors} errors" if table.errors else ""
        yield f"{mode:<16} {rates}{errors}".rstrip()
    if not summary.pairs.complete:
        return
    yield ""
    for endpoint, name in names.items():
        yield f"{f'paired {name}':<21} {paired_text(summary.paired.of(endpoint))}"
    clusters = summary.clusters
    if clusters.largest > 1:  # rows that share a prompt are not independent
        prompts = f"{clusters.n_rows} rows are {clusters.n_clusters} prompts"
        tests = (f"{name} {p_equals(clusters.of(e).p_two_sided)}" for e, name in names.items())
        yield f"by prompt             {', '.join(tests)} (sign-flip test; {prompts})"


def _breakdowns(summary: Summary) -> Iterator[str]:
    for attribute, slices in summary.breakdowns.each():
        if len(slices) < 2:
            continue
        yield ""
        yield f"label flips by {attribute.words}"
        for entry in slices:
            rates = "   ".join(
                f"{mode} {rate_text(entry.mode(mode).label_flips):<28}" for mode in summary.by_mode
            )
            value = "(none)" if entry.value is None else entry.value
            yield f"  {value:<26} {rates}".rstrip()


def _beside(summary: Summary) -> Iterator[str]:
    for mode, floor in summary.noise_floor.items():
        if floor.solo is None:
            yield f"asked again alone, {mode}: not measured"
        else:
            changes, flips = rate_text(floor.solo.text_changes), rate_text(floor.solo.label_flips)
            yield f"asked again alone, {mode}: text changes {changes}, label flips {flips}"
    if summary.pairs.complete:
        differs = summary.cross_mode.solo.text_differs
        yield f"solo answers that differ between the modes: {rate_text(differs)}"


def headline_clauses(comparison: Comparison | SampleComparison) -> tuple[str, ...]:
    """What people quote: what differs between the stacks, then a clause a mode or filter."""
    if isinstance(comparison, SampleComparison):
        return tuple(
            ", ".join(
                (
                    f"{entry.filter}: {entry.answer_changes.count} of {entry.n} answers changed",
                    *(
                        f"{m.name} {m.a.count} → {m.b.count} right ({right_and_wrong(m)})"
                        for m in entry.metrics
                        if m.a and m.b
                    ),
                )
            )
            for entry in comparison.filters
        )
    stack = _stack_clause(comparison.stack)
    modes = (
        f"{mode.title}: label flips {mode.label_flips.a.count} → {mode.label_flips.b.count} "
        f"of {mode.n} ({came_and_went(mode.label_flips)}), answers changed alone (no batch) "
        f"{mode.solo.text_changes.count}, labels {mode.solo.label_changes.count}"
        for mode in comparison.modes
    )
    return (stack, *modes) if stack else tuple(modes)


def _stack_clause(stack: Sequence[StackDifference]) -> str:
    versions = {d.name: d for d in stack if d.part == "versions"}
    named = [versions.pop(name) for name in _HEADLINE_VERSIONS if name in versions]
    clauses = [f"{d.name} {d.a} → {d.b}" for d in named]
    if versions:
        clauses.append(f"{len(versions)} more packages changed")
    if not clauses:
        images = [d for d in stack if d.part == "image" and d.name in ("image", "digest")]
        clauses = [f"{d.name} {d.a} → {d.b}" for d in images[:1]]
    return ", ".join(clauses)


def came_and_went(effect: Effect) -> str:
    """``1 new, 0 gone, 2 stayed``."""
    return f"{effect.appeared} new, {effect.vanished} gone, {effect.stayed} stayed"


def right_and_wrong(metric: MetricComparison) -> str:
    """``1 newly right, 0 newly wrong``."""
    return f"{metric.newly_right} newly right, {metric.newly_wrong} newly wrong"


def noise_text(mode: ModeComparison) -> str:
    """What asking again within a run changed: without it, a change alone has no yardstick."""
    words = [
        f"{name} {'not asked again' if floor.solo is None else rate_text(floor.solo.text_changes)}"
        for name, floor in (("A", mode.noise_floor.a), ("B", mode.noise_floor.b))
    ]
    return f"changed when asked again alone in the same run: {', '.join(words)}"


def comparison_lines(comparison: Comparison | SampleComparison) -> list[str]:
    """A comparison as lines for a terminal."""
    clauses = headline_clauses(comparison)
    if isinstance(comparison, SampleComparison):
        lines = [f"A {comparison.a.path}", f"B {comparison.b.path}", "", *clauses]
        for entry in comparison.filters:
            lines += ["", *_filter_lines(entry)]
    else:
        sides = (("A", comparison.a), ("B", comparison.b))
        lines = [*(f"{name} {side.name}   {side.path}" for name, side in sides), "", *clauses]
        for mode in comparison.modes:
            lines += ["", *_mode_lines(mode)]
        lines += ["", *_stack_lines(comparison.stack)]
        lines += [f"not proven: {text}" for text in comparison.unproven]
    lines += [f"left out: {text}" for text in comparison.left_out]
    return lines + [f"not checked: {text}" for text in comparison.not_checked]


def _mode_lines(mode: ModeComparison) -> Iterator[str]:
    failed = f", {mode.errors_a + mode.errors_b} records failed" if mode.n < mode.candidates else ""
    yield f"{mode.title}: {mode.n} of {mode.candidates} candidates compared{failed}"
    for answers, words in ((mode.solo, "changed alone"), (mode.batched, "changed in its batch")):
        texts, labels = rate_text(answers.text_changes), rate_text(answers.label_changes)
        scores = f"scores up {answers.up}, down {answers.down}"
        yield f"  {words:<21} texts {texts:<28} labels {labels:<28} {scores}"
    for endpoint in Endpoint:
        effect = mode.of(endpoint)
        name = endpoint.words.lower()
        yield f"  {name:<21} A {rate_text(effect.a):<32} B {rate_text(effect.b)}"
        yield f"  {'':<21} {came_and_went(effect)}; {paired_text(effect.paired)}"
    yield f"  {noise_text(mode)}"


def _stack_lines(stack: Sequence[StackDifference]) -> Iterator[str]:
    if not stack:
        yield "no difference of stack or settings is recorded"
        return
    yield f"{len(stack)} difference(s) of stack and settings"
    for d in stack[:MAX_STACK]:
        where = f" ({d.where})" if d.where else ""
        yield f"  {d.part} {d.name}: {d.a} → {d.b}{where}"
    if len(stack) > MAX_STACK:
        yield f"  and {len(stack) - MAX_STACK} more (--format html, --json)"


def _filter_lines(entry: FilterComparison) -> Iterator[str]:
    yield f"filter {entry.filter}: {entry.n} samples"
    yield f"  answers changed {rate_text(entry.answer_changes)}"
    yield f"  anything the model gave changed {rate_text(entry.response_changes)}"
    for metric in entry.metrics:
        tested = f"{metric.changed} values changed (not 0 or 1: not tested)"
        if metric.paired is not None:
            tested = f"{right_and_wrong(metric)}; {paired_text(metric.paired)}"
        means = f"{metric.mean_a:.4f} → {metric.mean_b:.4f} over {metric.n}"
        yield f"  {metric.name}: {means}, {tested}"


def gate_lines(verdicts: Sequence[GateVerdict]) -> list[str]:
    """``pass`` or ``FAIL`` for each condition, with the reason."""
    return [f"{'pass' if v.ok else 'FAIL'} {v.condition}: {v.reason}" for v in verdicts]
