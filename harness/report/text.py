"""Results as lines of plain text for a terminal, the most important first."""

from collections.abc import Iterable, Iterator, Sequence

from harness.analyse import Counted, PairTest, Repeats, Summary
from harness.compare import (
    ChangedAnswers,
    Comparison,
    Fates,
    FilterComparison,
    GateVerdict,
    MetricComparison,
    ModeComparison,
    SampleComparison,
)
from harness.flips import unscored_text
from harness.numbers import RateLike, count_of, discordant_text, p_equals, rate_text
from harness.report.sections_askings import asking_lines, claim_lines, name_of
from harness.report.sections_conduct import label_lines
from harness.words import Endpoint

MAX_STACK = 12
_HEADLINE_VERSIONS = ("vllm", "torch")


def paired_text(cells: PairTest) -> str:
    """``b=22 c=0 p=4.8e-07 (exact McNemar)``, with a remark where no p could be small."""
    return discordant_text(cells.first_only, cells.second_only, cells.p_two_sided, cells.note)


def _rates(name: str, rates: Iterable[tuple[str, RateLike]], more: str = "") -> str:
    shown = "   ".join(f"{what} {rate_text(rate):<28}" for what, rate in rates)
    return f"{name} {shown}{more}".rstrip()


def detail_lines(summary: Summary) -> list[str]:
    """All of a summary as lines: by prompt first, then by row as in the study, and the ledger."""
    pairs = summary.pairs
    lines = [
        f"{summary.n_records} records, {summary.n_ok} ok, "
        f"{summary.startup_error_count} start-up errors; "
        f"{pairs.complete} complete pairs, {pairs.left_out} left out",
        "",
        *asking_lines(summary),
        *_slice_lines(summary),
        "",
    ]
    for mode, floor in summary.noise_floor.items():
        again = "not measured"
        if floor.solo is not None:
            again = ", ".join(
                f"{e.words.lower()} {_repeated(floor.solo, e)}" for e in reversed(Endpoint)
            )
        lines.append(f"asked again alone, {mode.words}: {again}")
    if pairs.complete:
        solo = summary.cross_mode.solo
        texts = f"{solo.text_differs.count}/{solo.text_differs.n} rows"
        if solo.prompts:
            texts = f"{rate_text(solo.prompts.text_changes)} prompts ({texts})"
        lines.append(f"solo answers that differ between the modes: {texts}")
    labels = list(label_lines(summary.labels_by_profile))
    lines += ["", *labels] if labels else []
    return [*lines, "", *_row_lines(summary), "", *claim_lines(summary)]


def _repeated(again: Repeats, endpoint: Endpoint = Endpoint.TEXT_CHANGES) -> str:
    """``0/13 = 0.0% [0.0, 22.8] prompts (0/19 rows)``."""
    rows = f"{again.of(endpoint).count}/{again.of(endpoint).n} rows"
    return f"{rate_text(again.prompts.of(endpoint))} prompts ({rows})" if again.prompts else rows


def _slice_lines(summary: Summary) -> Iterator[str]:
    """Labels and texts by prompt, rows beside them, for what has several slices."""
    effect = summary.leading
    for attribute, slices in summary.breakdowns.each():
        known = [(entry.value, entry.by_prompt) for entry in slices if entry.by_prompt]
        if len(known) > 1:
            yield from ("", f"{name_of(effect)} by {attribute.words}, prompts (rows)")
        for value, found in known if len(known) > 1 else ():
            for mode in summary.by_mode:
                both = found.of(effect).mode(mode)
                counts = (_sliced(both.of(endpoint), endpoint) for endpoint in Endpoint)
                shown = "(none)" if value is None else value
                yield f"  {shown!s:<24} {mode.words:<15} {'   '.join(counts)}"


def _sliced(found: Counted, endpoint: Endpoint) -> str:
    rows = f"({found.rows.count}/{found.rows.n})"
    return f"{endpoint.words.lower()} {rate_text(found.prompts)} {rows}"


def _row_lines(summary: Summary) -> Iterator[str]:
    """The study's comparison as the study counts it."""
    names = [(endpoint, endpoint.words.lower()) for endpoint in Endpoint]
    yield "by row, B against S0 as the study counts, which cannot tell a batch from a cache"
    for mode, table in summary.by_mode.items():
        errors = f"   {table.errors} errors" if table.errors else ""
        yield _rates(f"{mode:<16}", ((name, table.of(e)) for e, name in names), errors)
    if summary.pairs.complete:
        for endpoint, name in names:
            yield f"{f'paired {name}':<21} {paired_text(summary.paired.of(endpoint))}"


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
    modes = tuple(_mode_clause(mode) for mode in comparison.modes)
    return (", ".join(stack), *modes) if stack else modes


def _mode_clause(mode: ModeComparison) -> str:
    flips, rows, alone = mode.label_flips.prompts, mode.label_flips, mode.solo.prompts
    texts = mode.text_changes.prompts
    return (
        f"{mode.title}: label flips {flips.a.count} → {flips.b.count} of {flips.a.n} "
        f"({came_and_went(flips)}), texts changed by the batch {texts.a.count} → {texts.b.count} "
        f"({came_and_went(texts)}), answers changed alone (no batch) {alone.text_changes.count}, "
        f"labels {alone.label_changes.count}, by prompt (label flips by row {rows.a.count} → "
        f"{rows.b.count} of {mode.n})"
    )


def _filter_clause(entry: FilterComparison) -> str:
    rights = (
        f"{m.name} {m.a.count} → {m.b.count} right ({right_and_wrong(m)})"
        for m in entry.metrics
        if m.a and m.b
    )
    changed = f"{entry.filter}: {entry.answer_changes.count} of {entry.n} answers changed"
    return ", ".join((changed, *rights))


def came_and_went(effect: Fates) -> str:
    """``1 new, 0 gone, 2 stayed``."""
    return f"{effect.appeared} new, {effect.vanished} gone, {effect.stayed} stayed"


def effect_text(effect: Fates) -> str:
    """What came, went and stayed, and the paired test between A and B, by prompt or by row."""
    return f"{came_and_went(effect)}; {paired_text(effect.paired)}"


def right_and_wrong(metric: MetricComparison) -> str:
    """``1 newly right, 0 newly wrong``."""
    return f"{metric.newly_right} newly right, {metric.newly_wrong} newly wrong"


def mean_text(mean: float | None) -> str:
    """A metric's mean, to four places."""
    return "none" if mean is None else f"{mean:.4f}"


def metric_text(metric: MetricComparison) -> str:
    """What became right and wrong, and the paired test where the values allow one."""
    if not metric.n:
        return "compared in no document"
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
        f"{name} {_repeated(floor.solo) if floor.solo else 'not asked again'}"
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
        found = f"{count_of(len(stack), 'difference')} of stack and settings"
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
        means = f"{mean_text(metric.mean_a)} → {mean_text(metric.mean_b)} over {metric.n}"
        yield f"  {metric.name}: {means}, {metric_text(metric)}"


def _mode_lines(mode: ModeComparison) -> Iterator[str]:
    failed = f", {mode.errors_a + mode.errors_b} records failed" if mode.n < mode.candidates else ""
    yield f"{mode.title}: {mode.n} of {mode.candidates} candidates compared{failed}"
    for answers, words in ((mode.solo, "changed alone"), (mode.batched, "changed in its batch")):
        for unit, of in (("prompts", answers.prompts), ("rows", answers)):
            texts, labels = rate_text(of.text_changes), rate_text(of.label_changes)
            scores = f"scores up {of.up}, down {of.down}, {p_equals(of.p_symmetry)}"
            yield f"  {words:<21} {unit:<7} texts {texts:<28} labels {labels:<28} {scores}"
            words = ""
        yield f"  {'':<21} without a score: {unscored_sides(answers)}"
    for endpoint in Endpoint:
        effect, name = mode.of(endpoint), endpoint.words.lower()
        for unit, fates in (("prompts", effect.prompts), ("rows", effect)):
            yield f"  {name:<21} {unit:<7} A {rate_text(fates.a):<32} B {rate_text(fates.b)}"
            yield f"  {'':<21} {'':<7} {effect_text(fates)}"
            name = ""
    yield f"  {noise_text(mode)}"


def gate_lines(verdicts: Sequence[GateVerdict]) -> list[str]:
    """``pass`` or ``FAIL`` for each condition, with the reason."""
    return [f"{'pass' if v.ok else 'FAIL'} {v.condition}: {v.reason}" for v in verdicts]
