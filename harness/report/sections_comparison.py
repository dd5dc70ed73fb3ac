"""The report of one run or sample file against another: what changed, and whether a gate passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import astuple

from harness.compare import (
    Comparison,
    GateFinding,
    ModeComparison,
    SampleComparison,
    StackDifference,
)
from harness.numbers import RateLike, discordant_text, p_equals, p_text, rate_text
from harness.report.compared_answers import change_groups, sample_groups
from harness.report.document import (
    Banner,
    Case,
    Check,
    Document,
    Flow,
    FlowPart,
    Flows,
    Look,
    Measure,
    Section,
    Suite,
    Table,
    Tone,
    rate_entry,
)
from harness.report.sections_run import cpu_nature
from harness.report.text import (
    came_and_went,
    headline_clauses,
    noise_text,
    paired_text,
    right_and_wrong,
)
from harness.report.wording import wording
from harness.words import Endpoint

MAX_CASES = 200
"""Places of one condition that CI is told one by one; the condition itself counts them all."""
_FAMILIES = ("Model", "Task", "Batch size", "Dispatch mode")
_FATES = ("both", "standard", "invariant", "neither")
_FLIPPED = ("flip in A and B", "only in A (gone)", "only in B (new)", "in neither")
_RIGHT = ("right in A and B", "right only in A", "right only in B", "wrong in both")
_ANSWERED = ("another label", "another text, same label", "the same text")


def comparison_document(
    comparison: Comparison | SampleComparison,
    verdicts: Sequence[GateFinding] = (),
    defects: Sequence[str] = (),
) -> Document:
    """Everything that a report of a comparison shows; answers are read from the two files.

    Args:
        comparison: what `compare_runs` or `compare_samples` gave.
        verdicts: of the gate.
        defects: checks of validation that a run failed, in words.
    """
    nature, unproven = "", tuple[str, ...]()
    if isinstance(comparison, SampleComparison):
        names, kicker = (comparison.a.path, comparison.b.path), "Samples against samples"
        (measures, sections), groups = _of_samples(comparison), sample_groups(comparison)
    else:
        names, kicker = (comparison.a.name, comparison.b.name), "Run against run"
        mode_a, mode_b = comparison.modes[0].mode_a, comparison.modes[0].mode_b
        if mode_a != mode_b:
            names = f"{names[0]}, {mode_a}", f"{names[1]}, {mode_b}"
        (measures, sections), groups = _of_runs(comparison), change_groups(comparison)
        unproven = comparison.unproven
        if "cpu" in (comparison.a.device, comparison.b.device):
            nature = cpu_nature("At least one run")
    reservations = (
        *(("not proven", text) for text in unproven),
        *(("not checked", text) for text in comparison.not_checked),
        *(("left out", text) for text in comparison.left_out),
    )
    told = wording("comparison/open")
    sections.append(told.section(told.table("reservations", reservations)))
    clauses = headline_clauses(comparison)
    facts = (("a", names[0]), ("b", names[1]), ("result", "; ".join(clauses)))
    asked = "documents" if isinstance(comparison, SampleComparison) else "prompts"
    return Document(
        look=Look.COMPARISON,
        kicker=kicker,
        title=f"{names[0]} against {names[1]}: comparison",
        heading="Comparison",
        names=names,
        banner=_banner(verdicts, defects, tuple(text for _, text in reservations), asked),
        headline=clauses,
        nature=nature,
        measures=tuple(measures),
        checks=tuple(Check(v.condition, v.ok, v.reason) for v in verdicts),
        sections=tuple(filter(None, sections)),
        groups=groups,
        suites=tuple(_suites(verdicts, facts)),
        program="harness compare",
    )


def _banner(
    verdicts: Sequence[GateFinding], defects: Sequence[str], open_: tuple[str, ...], asked: str
) -> Banner:
    if defects:
        title = "A run does not count: do not quote these numbers as a result"
        return Banner(Tone.BAD, title, tuple(defects))
    if failed := [verdict.condition for verdict in verdicts if not verdict.ok]:
        return Banner(Tone.BAD, f"The gate fails: {', '.join(failed)}")
    passed = "The gate passes" if verdicts else "Comparable"
    if open_:
        return Banner(Tone.NOTE, f"{passed}, with reservations", open_)
    same = f"the same {asked}, asked in the same way, on both sides"
    return Banner(Tone.GOOD, f"{passed}: {same}")


def _suites(verdicts: Sequence[GateFinding], facts: tuple[tuple[str, str], ...]) -> Iterator[Suite]:
    """A test for each condition, and where one fails a test for each place that broke it."""
    cases = [
        Case(v.condition)
        if v.ok
        else Case(v.condition, v.reason, "\n".join(v.places[:MAX_CASES]) or v.reason)
        for v in verdicts
    ]
    yield Suite("gate", tuple(cases or [Case("compared, no gate asked for")]), facts)
    for v in verdicts:
        if not v.ok:
            yield Suite(v.condition, tuple(Case(p, v.meaning) for p in v.places[:MAX_CASES]))


def _card(label: str, test: str = "", **rates: RateLike) -> Measure:
    return Measure(label, tuple(rate_entry(name, rate) for name, rate in rates.items()), test)


def _flow(
    label: str, counts: Sequence[int], words: Sequence[str], styles: Sequence[str] = _FATES
) -> Flow:
    return Flow(label, tuple(map(FlowPart, counts, styles, words)))


def _of_runs(comparison: Comparison) -> tuple[list[Measure], list[Section | None]]:
    """For each mode: what changed alone, the flips of either side, and where."""
    cards: list[Measure] = []
    flows: list[Flow] = []
    for mode in comparison.modes:
        title, flips, n = mode.title, mode.label_flips, mode.n
        texts, labels = mode.solo.text_changes, mode.solo.label_changes
        noise, test = noise_text(mode), f"{came_and_went(flips)}; {paired_text(flips.paired)}"
        cards += [
            _card(f"{title}: changed alone, no batch", noise, answers=texts, labels=labels),
            _card(f"{title}: label flips", test, A=flips.a, B=flips.b),
        ]
        fates = flips.stayed, flips.vanished, flips.appeared, flips.paired.neither
        kept = labels.count, max(0, texts.count - labels.count), n - max(texts.count, labels.count)
        styles = ("invariant", "text-only", "neither")
        flows += [
            _flow(f"{title}: label flips", fates, _FLIPPED),
            _flow(f"{title}: answered alone, no batch", kept, _ANSWERED, styles),
        ]
    answers, effects, where = map(
        wording, ("comparison/answers", "comparison/effects", "comparison/breakdowns")
    )
    return cards, [
        answers.section(*map(_answers_table, comparison.modes)),
        effects.section(*map(_effects_table, comparison.modes), figure=Flows(tuple(flows))),
        _stack_section(comparison.stack),
        where.section(*(table for mode in comparison.modes for table in _slice_tables(mode))),
    ]


def _answers_table(mode: ModeComparison) -> Table:
    noise, failed = noise_text(mode), mode.candidates - mode.n
    rows = (
        (
            *(words, rate_text(a.text_changes), rate_text(a.label_changes)),
            *(a.up, a.down, p_text(a.p_symmetry)),
        )
        for words, a in (("Alone, no batch", mode.solo), ("In its batch", mode.batched))
    )
    return wording("comparison/answers").table(
        "answers",
        rows,
        mode=mode.title,
        prompts=rate_text(mode.prompts.solo_text_changes),
        left_out=f" {failed} candidates failed on a side and are not counted." if failed else "",
        noise=f"{noise[0].upper()}{noise[1:]}",
    )


def _effects_table(mode: ModeComparison) -> Table:
    rows = []
    for endpoint in Endpoint:
        effect = mode.of(endpoint)
        counts, test = (effect.appeared, effect.vanished, effect.stayed), effect.paired
        tested = f"b={test.first_only} c={test.second_only} {p_equals(test.p_two_sided)}"
        rates = map(rate_text, (effect.a, effect.b))
        rows.append((endpoint.words, *rates, *counts, (tested, test.note or "")))
    return wording("comparison/effects").table("effects", rows, mode=mode.title)


def _slice_tables(mode: ModeComparison) -> Iterator[Table]:
    """A table for each way to slice the candidates that has more than one slice."""
    for words, family in zip(_FAMILIES, astuple(mode.breakdowns), strict=True):
        rows = (
            (value, n, f"{flips_a} → {flips_b}", *changed)
            for value, n, flips_a, flips_b, *changed in map(astuple, family)
        )
        if len(family) > 1:
            yield wording("comparison/breakdowns").table(
                "slices", rows, mode=mode.title, family=words.lower(), title=words
            )


def _stack_section(stack: Sequence[StackDifference]) -> Section | None:
    told, tables = wording("comparison/stack"), []
    for part in told.tables:
        found = [d for d in stack if d.part == part]
        by_server = any(d.where for d in found)
        rows = ((d.name, d.a, d.b, d.where or "all")[: 4 if by_server else 3] for d in found)
        tables.append(told.table(part, rows, servers=" | Servers" if by_server else ""))
    return told.section(*tables)


def _of_samples(comparison: SampleComparison) -> tuple[list[Measure], list[Section | None]]:
    """For each filter: changed answers, and what they did to each metric."""
    told = wording("samples/effects")
    cards: list[Measure] = []
    flows: list[Flow] = []
    filters: list[tuple[object, ...]] = []
    tables: list[Table] = []
    for entry in comparison.filters:
        answers, correct = entry.answer_changes, entry.correctness_changes
        rates = map(rate_text, (answers, entry.response_changes, correct))
        filters.append((entry.filter, entry.n, *rates))
        cards.append(_card(f"{entry.filter}: changed", answers=answers, correctness=correct))
        rows = []
        for m in entry.metrics:
            title, test = f"{entry.filter}: {m.name}", ("not tested", "values are not 0 or 1")
            if m.paired:
                both, right, wrong = m.paired.both, m.newly_right, m.newly_wrong
                flows.append(_flow(title, (both, wrong, right, m.paired.neither), _RIGHT))
                counts = m.paired.first_only, m.paired.second_only
                test = discordant_text(*counts, m.paired.p_two_sided), m.paired.note or ""
                if m.a and m.b:
                    words = f"{right_and_wrong(m)}; {paired_text(m.paired)}"
                    cards.append(_card(title, words, A=m.a, B=m.b))
            means = f"{m.mean_a:.4f}", f"{m.mean_b:.4f}"
            rows.append((m.name, *means, m.newly_right, m.newly_wrong, test))
        binary = all(metric.binary for metric in entry.metrics)
        note = "" if binary else "Where a metric is not 0 or 1, up and down."
        tables.append(told.table("metrics", rows, filter=entry.filter, note=note))
    figure = Flows(tuple(flows)) if flows else None
    return cards, [told.section(told.table("filters", filters), *tables, figure=figure)]
