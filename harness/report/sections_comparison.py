"""What changed from one run or sample file to another, section by section."""

from collections.abc import Sequence

from harness.analyse import StackDifference
from harness.compare import (
    Changed,
    ChangedSlice,
    Fates,
    ModeComparison,
    SampleComparison,
    SliceCounts,
)
from harness.numbers import RateLike, discordant_text, p_equals, p_text, rate_text
from harness.report.document import Figure, Flow, FlowPart, Measure, Section, rate_entry
from harness.report.text import effect_text, mean_text, metric_text, noise_text, unscored_sides
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
        alone, flips = mode.solo.prompts, mode.label_flips
        rates = {"answers": alone.text_changes, "labels": alone.label_changes}
        test = f"{effect_text(flips.prompts)}; rows A {rate_text(flips.a)}, B {rate_text(flips.b)}"
        both = {"A": flips.prompts.a, "B": flips.prompts.b}
        cards += [
            _card(f"{mode.title}: prompts changed alone, no batch", noise_text(mode), **rates),
            _card(f"{mode.title}: label flips, prompts", test, **both),
        ]
    return cards


def changed_answers(modes: Modes) -> Section | None:
    """A's answers against B's, alone and in the batch; by prompt, rows beside it."""
    told, tables = wording("comparison/answers"), []
    for mode in modes:
        noise, failed = noise_text(mode), mode.candidates - mode.n
        left_out = f" {failed} candidates failed on a side and are not counted." if failed else ""
        rows = (
            (words, *zip(_answer_cells(a.prompts, ""), _answer_cells(a, "rows "), strict=True))
            for words, a in (("Alone, no batch", mode.solo), ("In its batch", mode.batched))
        )
        facts = {
            "alone": unscored_sides(mode.solo),
            "batched": unscored_sides(mode.batched),
        }
        facts |= {"left_out": left_out, "noise": f"{noise[0].upper()}{noise[1:]}"}
        tables.append(told.table("answers", rows, mode=mode.title, **facts))
    return told.section(*tables)


def _answer_cells(of: Changed, unit: str) -> tuple[str, ...]:
    """Texts, labels, scores up and down and their test, each after its unit."""
    told = rate_text(of.text_changes), rate_text(of.label_changes), of.up, of.down
    return tuple(f"{unit}{text}" for text in (*told, p_text(of.p_symmetry)))


def batch_effects(modes: Modes) -> Section | None:
    """The effect of the batch in A against the one in B; by prompt, rows beside it."""
    told, flows, tables = wording("comparison/effects"), list[Flow](), []
    for mode in modes:
        flips, alone = mode.label_flips.prompts, mode.solo.prompts
        texts, labels = alone.text_changes.count, alone.label_changes.count
        fates = flips.stayed, flips.vanished, flips.appeared, flips.paired.neither
        kept = labels, max(0, texts - labels), flips.a.n - max(texts, labels)
        styles = ("invariant", "text-only", "neither")
        flows += [
            _flow(f"{mode.title}: label flips", fates, _FLIPPED),
            _flow(f"{mode.title}: answered alone, no batch", kept, _ANSWERED, styles),
        ]
        rows = []
        for endpoint, effect in ((endpoint, mode.of(endpoint)) for endpoint in Endpoint):
            cells = zip(_fate_cells(effect.prompts, ""), _fate_cells(effect, "rows "), strict=True)
            rows.append((endpoint.words, *cells))
        tables.append(told.table("effects", rows, mode=mode.title))
    return told.section(*tables, figure=Figure("flows", tuple(flows)))


def _fate_cells(of: Fates, unit: str) -> tuple[str, ...]:
    """Both rates, what came, went and stayed, and the paired test, each after its unit."""
    cells = of.paired
    test = f"b={cells.first_only} c={cells.second_only} {p_equals(cells.p_two_sided)}"
    tested = "; ".join(filter(None, (test, None if unit else cells.note)))
    counts = (of.appeared, of.vanished, of.stayed)
    return tuple(f"{unit}{text}" for text in (rate_text(of.a), rate_text(of.b), *counts, tested))


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
                (one.value, *zip(_slice(one.prompts, ""), _slice(one, "rows "), strict=True))
                for one in family
            ),
            mode=mode.title,
            family=words.lower(),
            title=words,
        )
        for mode in modes
        for words, family in zip(_FAMILIES, _families(mode), strict=True)
        if len(family) > 1
    )
    return told.section(*tables)


def _families(mode: ModeComparison) -> tuple[tuple[ChangedSlice, ...], ...]:
    by = mode.breakdowns
    return by.model, by.task_name, by.batch_size, by.dispatch_mode


def _slice(of: SliceCounts, unit: str) -> tuple[str, ...]:
    """The counts of a slice, each after its unit."""
    n, flips_a, flips_b, *changed = (getattr(of, name) for name in SliceCounts.__struct_fields__)
    return tuple(f"{unit}{text}" for text in (n, f"{flips_a} → {flips_b}", *changed))


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
            rows.append((m.name, *map(mean_text, (m.mean_a, m.mean_b)), right, wrong, test))
        binary = all(metric.binary for metric in entry.metrics)
        note = "" if binary else "Where a metric is not 0 or 1, up and down."
        tables.append(told.table("metrics", rows, filter=entry.filter, note=note))
    figure = Figure("flows", tuple(flows)) if flows else None
    return cards, told.section(told.table("filters", filters), *tables, figure=figure)
