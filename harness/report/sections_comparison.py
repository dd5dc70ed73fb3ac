"""The report of one run against another: what changed from A to B, and whether a gate passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import astuple

from harness import __version__
from harness.compare import (
    Comparison,
    GateFinding,
    ModeComparison,
    SampleComparison,
)
from harness.numbers import p_equals, p_text, rate_text
from harness.report.compared_answers import change_groups, sample_groups
from harness.report.document import (
    Banner,
    Brief,
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
    Tone,
    rate_entry,
    table,
)
from harness.report.sections_run import cpu_nature
from harness.report.sections_samples import (
    reservations_section,
    sample_measures,
    sample_sections,
)
from harness.report.text import came_and_went, headline_clauses, noise_text, paired_text
from harness.words import Endpoint

MAX_CASES = 200
"""Places of one condition that CI is told one by one; the condition itself counts them all."""
_FAMILIES = ("Model", "Task", "Batch size", "Dispatch mode")
_PARTS = {
    "versions": "Versions of the server",
    "image": "Image",
    "device": "Device",
    "settings": "Settings of the run",
    "server": "What the servers were given and logged",
    "harness": "The harness itself",
}


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
    unproven: Sequence[str] = ()
    nature = ""
    if isinstance(comparison, SampleComparison):
        names, kicker = (comparison.a.path, comparison.b.path), "Samples against samples"
        measures, sections = sample_measures(comparison), sample_sections(comparison)
        groups = sample_groups(comparison)
    else:
        names, kicker = (comparison.a.name, comparison.b.name), "Run against run"
        mode_a, mode_b = comparison.modes[0].mode_a, comparison.modes[0].mode_b
        if mode_a != mode_b:
            names = f"{names[0]}, {mode_a}", f"{names[1]}, {mode_b}"
        measures, groups = _measures(comparison), change_groups(comparison)
        reservations = (
            ("not proven", comparison.unproven),
            ("not checked", comparison.not_checked),
            ("left out", comparison.left_out),
        )
        found = (
            _answers_section(comparison.modes),
            _effects_section(comparison),
            _stack_section(comparison),
            _breakdown_section(comparison.modes),
            reservations_section(reservations),
        )
        sections = tuple(section for section in found if section is not None)
        unproven = comparison.unproven
        if "cpu" in (comparison.a.device, comparison.b.device):
            nature = cpu_nature("At least one run")
    clauses = headline_clauses(comparison)
    facts = (("a", names[0]), ("b", names[1]), ("result", "; ".join(clauses)))
    return Document(
        look=Look.COMPARISON,
        kicker=kicker,
        title=f"{names[0]} against {names[1]}: comparison",
        heading="Comparison",
        names=names,
        banner=_banner(comparison, verdicts, defects, unproven),
        headline=clauses,
        nature=nature,
        measures=measures,
        checks=tuple(Check(v.condition, v.ok, v.reason) for v in verdicts),
        sections=sections,
        groups=groups,
        suites=tuple(_suites(verdicts, facts)),
        made_with=f"harness {__version__}",
        program="harness compare",
    )


def _banner(
    comparison: Comparison | SampleComparison,
    verdicts: Sequence[GateFinding],
    defects: Sequence[str],
    unproven: Sequence[str],
) -> Banner:
    if defects:
        title = "A run does not count: do not quote these numbers as a result"
        return Banner(Tone.BAD, title, tuple(defects))
    failed = [verdict.condition for verdict in verdicts if not verdict.ok]
    if failed:
        return Banner(Tone.BAD, f"The gate fails: {', '.join(failed)}")
    reservations = (*unproven, *comparison.not_checked, *comparison.left_out)
    passed = "The gate passes" if verdicts else "Comparable"
    if reservations:
        return Banner(Tone.NOTE, f"{passed}, with reservations", reservations)
    asked = "the same documents" if isinstance(comparison, SampleComparison) else "the same prompts"
    return Banner(Tone.GOOD, f"{passed}: {asked}, asked in the same way, on both sides")


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
            places = (Case(place, v.meaning) for place in v.places[:MAX_CASES])
            yield Suite(v.condition, tuple(places))


def _measures(comparison: Comparison) -> tuple[Measure, ...]:
    """For each mode: what changed alone, and the flips of either side."""
    found = []
    for mode in comparison.modes:
        alone, flips = mode.solo, mode.label_flips
        changed = (
            rate_entry("answers", alone.text_changes),
            rate_entry("labels", alone.label_changes),
        )
        found.append(Measure(f"{mode.title}: changed alone, no batch", changed, noise_text(mode)))
        sides = rate_entry("A", flips.a), rate_entry("B", flips.b)
        test = f"{came_and_went(flips)}; {paired_text(flips.paired)}"
        found.append(Measure(f"{mode.title}: label flips", sides, test))
    return tuple(found)


def _flows(comparison: Comparison) -> Flows:
    """One drawing a mode and question: one square a candidate."""
    found = []
    for mode in comparison.modes:
        flips, alone = mode.label_flips, mode.solo
        labels = alone.label_changes.count
        texts = alone.text_changes.count
        flipped = (
            FlowPart(flips.stayed, "both", "flip in A and B"),
            FlowPart(flips.vanished, "standard", "only in A (gone)"),
            FlowPart(flips.appeared, "invariant", "only in B (new)"),
            FlowPart(flips.paired.neither, "neither", "in neither"),
        )
        answered = (
            FlowPart(labels, "invariant", "another label"),
            FlowPart(max(0, texts - labels), "text-only", "another text, same label"),
            FlowPart(mode.n - max(texts, labels), "neither", "the same text"),
        )
        found.append(Flow(f"{mode.title}: label flips", flipped))
        found.append(Flow(f"{mode.title}: answered alone, no batch", answered))
    return Flows(tuple(found))


def _answers_section(modes: Sequence[ModeComparison]) -> Section:
    heads = (
        *("Answers", "#Texts changed", "#Labels changed", "#Scores up", "#Scores down"),
        "#Up against down, exact p",
    )
    tables = []
    for mode in modes:
        rows = (
            (
                words,
                rate_text(answers.text_changes),
                rate_text(answers.label_changes),
                answers.up,
                answers.down,
                p_text(answers.p_symmetry),
            )
            for words, answers in (("Alone, no batch", mode.solo), ("In its batch", mode.batched))
        )
        noise, failed = noise_text(mode), mode.candidates - mode.n
        left_out = f" {failed} candidates failed on a side and are not counted." if failed else ""
        note = (
            f"By prompt, each once: {rate_text(mode.prompts.solo_text_changes)} changed alone."
            f"{left_out} {noise[0].upper()}{noise[1:]}."
        )
        tables.append(table(mode.title, heads, rows, note))
    prose = (
        "A's answer against B's answer to the same prompt. A change alone, without any batch, is "
        "the stack's doing and not the batch's: kernels, versions, settings or chance. What asking "
        "again within one run changed is the yardstick for chance.",
    )
    return Section("answers", "Answers of A against B", prose, tuple(tables), brief=Brief.OPEN)


def _effects_section(comparison: Comparison) -> Section:
    heads = (
        *("Effect", "#A", "#B", "#New in B", "#Gone in B", "#Stayed"),
        "#A against B, paired",
    )
    tables = []
    for mode in comparison.modes:
        rows = (
            (
                endpoint.words,
                rate_text(effect.a),
                rate_text(effect.b),
                effect.appeared,
                effect.vanished,
                effect.stayed,
                (
                    f"b={test.first_only} c={test.second_only} {p_equals(test.p_two_sided)}",
                    test.note or "",
                ),
            )
            for endpoint in Endpoint
            for effect in (mode.of(endpoint),)
            for test in (effect.paired,)
        )
        tables.append(table(mode.title, heads, rows))
    prose = (
        "Within each run, solo against batched: a label flip has another score, a text change "
        "another hash. The exact McNemar test sets the candidates that changed only in A (b) "
        "against those that changed only in B (c). Brackets hold the Wilson 95% interval, in per "
        "cent.",
    )
    title, figure = "Effect of the batch in A and in B", _flows(comparison)
    return Section("effects", title, prose, tuple(tables), figure, brief=Brief.OPEN)


def _stack_section(comparison: Comparison) -> Section:
    tables = []
    for part, caption in _PARTS.items():
        found = [d for d in comparison.stack if d.part == part]
        heads: tuple[str, ...] = ("@What", "A", "B")
        rows: list[tuple[str, ...]] = [(d.name, d.a, d.b) for d in found]
        if any(d.where for d in found):
            heads = (*heads, "Servers")
            rows = [(d.name, d.a, d.b, d.where or "all") for d in found]
        if rows:
            tables.append(table(caption, heads, rows))
    prose = (
        "As the runs' own files say: metadata.json, and what each server was given and logged. "
        "Ports, time limits and paths of the run's files are left out."
        if tables
        else "The files of the two runs record no difference of stack or settings.",
    )
    title = "What differs between the stacks"
    return Section("stack", title, prose, tuple(tables), brief=Brief.FOLDED)


def _breakdown_section(modes: Sequence[ModeComparison]) -> Section | None:
    counts = ("#Rows", "#Flips A → B", "#New", "#Gone", "#Alone: texts", "#labels")
    tables = []
    for mode in modes:
        for words, slices in zip(_FAMILIES, astuple(mode.breakdowns), strict=True):
            if len(slices) > 1:
                heads = (f"@{words}", *counts, "#Batched: texts", "#labels")
                rows = (
                    (value, n, f"{flips_a} → {flips_b}", *changed)
                    for value, n, flips_a, flips_b, *changed in map(astuple, slices)
                )
                tables.append(table(f"{mode.title}, by {words.lower()}", heads, rows))
    prose = ("Counts only; the slices are exploratory.",)
    title = "Where it changed"
    return Section("breakdowns", title, prose, tuple(tables)) if tables else None
