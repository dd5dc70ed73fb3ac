"""What changed from one run or sample file to another, section by section."""

from collections.abc import Sequence

from msgspec.structs import astuple

from harness.compare import ModeComparison, SampleComparison, StackDifference
from harness.numbers import RateLike, discordant_text, p_equals, p_text, rate_text
from harness.report.document import Figure, Flow, FlowPart, Measure, Section, rate_entry
from harness.report.text import effect_text, metric_text, noise_text, unscored_sides
from harness.report.wording import wording
from harness.words import Endpoint

Modes = Sequence[ModeComparison]

_FAMILIES = ("Model", "Task", "Batch size", "Dispatch mode")
_FATES = ("both", "standard", "invariant", "neither")
_FLIPPED = ("flip in A and B", "only in A (gone)", "only in B (new)", "in neither")
_RIGHT = ("right in A and B", "right only in A", "right only in B", "wrong in both")
_ANSWERED = ("another label", "another text, same label", "the same text")


def _card(label: str, test: str = "", **rates: RateLike) -> Measure:
    return Measure(label, tuple(rate_entry(name, rate) for name, rate in rates.items()), test)


def _flow(
    label: str, counts: Sequence[int], words: Sequence[str], styles: Sequence[str] = _FATES
) -> Flow:
    return Flow(label, tuple(map(FlowPart, counts, styles, words)))


def run_cards(modes: Modes) -> list[Measure]:
    """For each mode: what changed alone, and the label flips of either side."""
    cards = []
    for mode in modes:
        alone, flips = mode.solo, mode.label_flips
        rates = {"answers": alone.text_changes, "labels": alone.label_changes}
        cards += [
            _card(f"{mode.title}: changed alone, no batch", noise_text(mode), **rates),
            _card(f"{mode.title}: label flips", effect_text(flips), A=flips.a, B=flips.b),
        ]
    return cards


def changed_answers(modes: Modes) -> Section | None:
    """A's answers against B's, alone and in the batch."""
    told, tables = wording("comparison/answers"), []
    for mode in modes:
        noise, failed = noise_text(mode), mode.candidates - mode.n
        left_out = f" {failed} candidates failed on a side and are not counted." if failed else ""
        rows = (
            (
                *(words, rate_text(a.text_changes), rate_text(a.label_changes)),
                *(a.up, a.down, p_text(a.p_symmetry)),
            )
            for words, a in (("Alone, no batch", mode.solo), ("In its batch", mode.batched))
        )
        facts = {
            "prompts": rate_text(mode.prompts.solo_text_changes),
            "left_out": left_out,
            "alone": unscored_sides(mode.solo),
            "batched": unscored_sides(mode.batched),
            "noise": f"{noise[0].upper()}{noise[1:]}",
        }
        tables.append(told.table("answers", rows, mode=mode.title, **facts))
    return told.section(*tables)


def batch_effects(modes: Modes) -> Section | None:
    """The effect of the batch in A against the one in B."""
    told, flows, tables = wording("comparison/effects"), list[Flow](), []
    for mode in modes:
        flips, texts = mode.label_flips, mode.solo.text_changes.count
        labels = mode.solo.label_changes.count
        fates = flips.stayed, flips.vanished, flips.appeared, flips.paired.neither
        kept = labels, max(0, texts - labels), mode.n - max(texts, labels)
        styles = ("invariant", "text-only", "neither")
        flows += [
            _flow(f"{mode.title}: label flips", fates, _FLIPPED),
            _flow(f"{mode.title}: answered alone, no batch", kept, _ANSWERED, styles),
        ]
        rows = []
        for endpoint, effect in ((endpoint, mode.of(endpoint)) for endpoint in Endpoint):
            counts, test = (effect.appeared, effect.vanished, effect.stayed), effect.paired
            tested = f"b={test.first_only} c={test.second_only} {p_equals(test.p_two_sided)}"
            rates = rate_text(effect.a), rate_text(effect.b)
            rows.append((endpoint.words, *rates, *counts, (tested, test.note or "")))
        tables.append(told.table("effects", rows, mode=mode.title))
    return told.section(*tables, figure=Figure("flows", tuple(flows)))


def stack_changes(stack: Sequence[StackDifference]) -> Section | None:
    """What differs between the stacks, by part."""
    told, tables = wording("comparison/stack"), []
    for part in told.tables:
        found = [d for d in stack if d.part == part]
        by_server = any(d.where for d in found)
        rows = ((d.name, d.a, d.b, d.where or "all")[: 4 if by_server else 3] for d in found)
        tables.append(told.table(part, rows, servers=" | Servers" if by_server else ""))
    return told.section(*tables)


def slices(modes: Modes) -> Section | None:
    """A table for each way to slice the candidates of a mode that has more than one slice."""
    told = wording("comparison/breakdowns")
    tables = (
        told.table(
            "slices",
            (
                (value, n, f"{flips_a} → {flips_b}", *changed)
                for value, n, flips_a, flips_b, *changed in map(astuple, family)
            ),
            mode=mode.title,
            family=words.lower(),
            title=words,
        )
        for mode in modes
        for words, family in zip(_FAMILIES, astuple(mode.breakdowns), strict=True)
        if len(family) > 1
    )
    return told.section(*tables)


def of_samples(comparison: SampleComparison) -> tuple[list[Measure], Section | None]:
    """For each filter: changed answers, and what they did to each metric."""
    told, flows, tables = wording("samples/effects"), list[Flow](), []
    cards: list[Measure] = []
    filters: list[tuple[object, ...]] = []
    for entry in comparison.filters:
        answers, correct = entry.answer_changes, entry.correctness_changes
        rates = map(rate_text, (answers, entry.response_changes, correct))
        filters.append((entry.filter, entry.n, *rates))
        cards.append(_card(f"{entry.filter}: changed", answers=answers, correctness=correct))
        rows = []
        for m in entry.metrics:
            title, test = f"{entry.filter}: {m.name}", ("not tested", "values are not 0 or 1")
            right, wrong, cells = m.newly_right, m.newly_wrong, m.paired
            if cells:
                flows.append(_flow(title, (cells.both, wrong, right, cells.neither), _RIGHT))
                counts = cells.first_only, cells.second_only
                test = discordant_text(*counts, cells.p_two_sided), cells.note or ""
            if cells and m.a and m.b:
                cards.append(_card(title, metric_text(m), A=m.a, B=m.b))
            rows.append((m.name, f"{m.mean_a:.4f}", f"{m.mean_b:.4f}", right, wrong, test))
        binary = all(metric.binary for metric in entry.metrics)
        note = "" if binary else "Where a metric is not 0 or 1, up and down."
        tables.append(told.table("metrics", rows, filter=entry.filter, note=note))
    figure = Figure("flows", tuple(flows)) if flows else None
    return cards, told.section(told.table("filters", filters), *tables, figure=figure)
