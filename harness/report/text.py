"""Results as lines of plain text for a terminal, the most important first."""

from collections.abc import Iterable, Iterator, Sequence

from harness.analyse import PairTest, Summary
from harness.compare import (
    ChangedAnswers,
    Comparison,
    Effect,
    FilterComparison,
    GateVerdict,
    MetricComparison,
    ModeComparison,
    SampleComparison,
)
from harness.flips import unscored_text
from harness.numbers import RateLike, discordant_text, p_equals, rate_text
from harness.report.sections_askings import asking_lines, claim_lines
from harness.words import Endpoint

MAX_STACK = 12
_HEADLINE_VERSIONS = ("vllm", "torch")


def paired_text(cells: PairTest) -> str:
    """``b=22 c=0 p=4.8e-07 (exact McNemar)``, with a remark where no p could be small."""
    return discordant_text(cells.first_only, cells.second_only, cells.p_two_sided, cells.note)


def _rates(name: str, rates: Iterable[tuple[str, RateLike]], more: str = "") -> str:
    shown = "   ".join(f"{what} {rate_text(rate):<28}" for what, rate in rates)
    return f"{name} {shown}{more}".rstrip()


def summary_lines(summary: Summary) -> list[str]:
    """A summary as lines: rates, paired tests, breakdowns, repeats and the ledger's verdicts."""
    names = [(endpoint, endpoint.words.lower()) for endpoint in Endpoint]
    pairs, clusters = summary.pairs, summary.clusters
    lines = [
        f"{summary.n_records} records, {summary.n_ok} ok, "
        f"{summary.startup_error_count} start-up errors; "
        f"{pairs.complete} complete pairs, {pairs.left_out} left out",
        "",
    ]
    for mode, table in summary.by_mode.items():
        errors = f"   {table.errors} errors" if table.errors else ""
        lines.append(_rates(f"{mode:<16}", ((name, table.of(e)) for e, name in names), errors))
    if pairs.complete:
        tests = (f"{f'paired {name}':<21} {paired_text(summary.paired.of(e))}" for e, name in names)
        lines += ["", *tests]
        if clusters.largest > 1:  # rows that share a prompt are not independent
            tests = (f"{name} {p_equals(clusters.of(e).p_two_sided)}" for e, name in names)
            prompts = f"{clusters.n_rows} rows are {clusters.n_clusters} prompts"
            lines.append(f"by prompt             {', '.join(tests)} (sign-flip test; {prompts})")
    for attribute, slices in summary.breakdowns.each():
        if len(slices) > 1:
            lines += ["", f"label flips by {attribute.words}"]
            for entry in slices:
                value = "(none)" if entry.value is None else entry.value
                rates = ((mode, entry.mode(mode).label_flips) for mode in summary.by_mode)
                lines.append(_rates(f"  {value:<26}", rates))
    lines.append("")
    for mode in summary.score_pairs:
        solo, batched = map(unscored_text, summary.unscored(mode))
        lines.append(f"answers without a score, {mode}: solo {solo}; batched {batched}")
    for mode, floor in summary.noise_floor.items():
        again = "not measured"
        if floor.solo is not None:
            changes, flips = rate_text(floor.solo.text_changes), rate_text(floor.solo.label_flips)
            again = f"text changes {changes}, label flips {flips}"
        lines.append(f"asked again alone, {mode}: {again}")
    if pairs.complete:
        differs = summary.cross_mode.solo.text_differs
        lines.append(f"solo answers that differ between the modes: {rate_text(differs)}")
    return [*lines, "", *asking_lines(summary), "", *claim_lines(summary)]


def headline_clauses(comparison: Comparison | SampleComparison) -> tuple[str, ...]:
    """What people quote: what differs between the stacks, then a clause a mode or filter."""
    if isinstance(comparison, SampleComparison):
        return tuple(map(_filter_clause, comparison.filters))
    versions = {d.name: d for d in comparison.stack if d.part == "versions"}
    moved = [versions.pop(name) for name in _HEADLINE_VERSIONS if name in versions]
    if not moved and not versions:
        images = (d for d in comparison.stack if d.part == "image")
        moved = [d for d in images if d.name in ("image", "digest")][:1]
    stack = [f"{d.name} {d.a} → {d.b}" for d in moved]
    stack += [f"{len(versions)} more packages changed"] if versions else []
    modes = (
        f"{mode.title}: label flips {mode.label_flips.a.count} → {mode.label_flips.b.count} "
        f"of {mode.n} ({came_and_went(mode.label_flips)}), answers changed alone (no batch) "
        f"{mode.solo.text_changes.count}, labels {mode.solo.label_changes.count}"
        for mode in comparison.modes
    )
    return (", ".join(stack), *modes) if stack else tuple(modes)


def _filter_clause(entry: FilterComparison) -> str:
    rights = (
        f"{m.name} {m.a.count} → {m.b.count} right ({right_and_wrong(m)})"
        for m in entry.metrics
        if m.a and m.b
    )
    changed = f"{entry.filter}: {entry.answer_changes.count} of {entry.n} answers changed"
    return ", ".join((changed, *rights))


def came_and_went(effect: Effect) -> str:
    """``1 new, 0 gone, 2 stayed``."""
    return f"{effect.appeared} new, {effect.vanished} gone, {effect.stayed} stayed"


def effect_text(effect: Effect) -> str:
    """What came, went and stayed, and the paired test between A and B."""
    return f"{came_and_went(effect)}; {paired_text(effect.paired)}"


def right_and_wrong(metric: MetricComparison) -> str:
    """``1 newly right, 0 newly wrong``."""
    return f"{metric.newly_right} newly right, {metric.newly_wrong} newly wrong"


def metric_text(metric: MetricComparison) -> str:
    """What became right and wrong, and the paired test where the values allow one."""
    if metric.paired is None:
        return f"{metric.changed} values changed (not 0 or 1: not tested)"
    return f"{right_and_wrong(metric)}; {paired_text(metric.paired)}"


def unscored_sides(answers: ChangedAnswers) -> str:
    """How many answers of either side are in each state without a score."""
    a, b = map(unscored_text, (answers.unscored.a, answers.unscored.b))
    return f"A {a}; B {b}"


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
        stack = comparison.stack
        found = f"{len(stack)} difference(s) of stack and settings"
        lines += ["", found if stack else "no difference of stack or settings is recorded"]
        for d in stack[:MAX_STACK]:
            lines.append(f"  {d.part} {d.name}: {d.a} → {d.b}{f' ({d.where})' if d.where else ''}")
        if len(stack) > MAX_STACK:
            lines.append(f"  and {len(stack) - MAX_STACK} more (--format html, --json)")
        lines += [f"not proven: {text}" for text in comparison.unproven]
    lines += [f"left out: {text}" for text in comparison.left_out]
    return lines + [f"not checked: {text}" for text in comparison.not_checked]


def _filter_lines(entry: FilterComparison) -> Iterator[str]:
    yield f"filter {entry.filter}: {entry.n} samples"
    yield f"  answers changed {rate_text(entry.answer_changes)}"
    yield f"  anything the model gave changed {rate_text(entry.response_changes)}"
    for metric in entry.metrics:
        means = f"{metric.mean_a:.4f} → {metric.mean_b:.4f} over {metric.n}"
        yield f"  {metric.name}: {means}, {metric_text(metric)}"


def _mode_lines(mode: ModeComparison) -> Iterator[str]:
    failed = f", {mode.errors_a + mode.errors_b} records failed" if mode.n < mode.candidates else ""
    yield f"{mode.title}: {mode.n} of {mode.candidates} candidates compared{failed}"
    for answers, words in ((mode.solo, "changed alone"), (mode.batched, "changed in its batch")):
        texts, labels = rate_text(answers.text_changes), rate_text(answers.label_changes)
        scores = f"scores up {answers.up}, down {answers.down}"
        yield f"  {words:<21} texts {texts:<28} labels {labels:<28} {scores}"
        yield f"  {'':<21} without a score: {unscored_sides(answers)}"
    for endpoint in Endpoint:
        effect = mode.of(endpoint)
        name = endpoint.words.lower()
        yield f"  {name:<21} A {rate_text(effect.a):<32} B {rate_text(effect.b)}"
        yield f"  {'':<21} {effect_text(effect)}"
    yield f"  {noise_text(mode)}"


def gate_lines(verdicts: Sequence[GateVerdict]) -> list[str]:
    """``pass`` or ``FAIL`` for each condition, with the reason."""
    return [f"{'pass' if v.ok else 'FAIL'} {v.condition}: {v.reason}" for v in verdicts]
