"""What a run came to, section by section, as far as its summary tells."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from msgspec import UnsetType

from harness.analyse import ClaimStatus, ModeTable, OfEndpoints, Paired, Rate, Slice, Summary
from harness.flips import unscored_text
from harness.numbers import (
    NONE,
    discordant_text,
    interval_text,
    p_equals,
    p_text,
    percent,
    rate_text,
    score_text,
)
from harness.report.document import (
    Bar,
    Figure,
    Flow,
    FlowPart,
    Measure,
    Section,
    Table,
    rate_entry,
)
from harness.report.run_figures import forest, score_matrix
from harness.report.wording import wording
from harness.words import Endpoint, Mode

T = TypeVar("T")
_CELLS = {
    "both": ("changed under both modes", "both", "changed under both"),
    "first_only": ("changed under standard only (b)", "standard", "standard only"),
    "second_only": ("changed under batch-invariant only (c)", "invariant", "batch-invariant only"),
    "neither": ("changed under neither", "neither", "changed under neither"),
}
"""Cell of a paired table, its words, the style of its squares and what they are."""
_CLAIMS = {
    ClaimStatus.ESTABLISHED: "Basis",
    ClaimStatus.REFUTED: "Basis",
    ClaimStatus.NOT_ESTABLISHED: "Reason",
}
"""Kinds of claims in the order of their strength, and what is said of each."""


def paired_text(paired: Paired) -> str:
    """The discordant pairs and the exact test; ``b`` is standard only, ``c`` invariant only."""
    return discordant_text(paired.first_only, paired.second_only, paired.p_two_sided)


def _rates(counts: OfEndpoints[Rate]) -> Iterator[str]:
    return (rate_text(counts.of(endpoint)) for endpoint in Endpoint)


def _each(of: OfEndpoints[T]) -> Iterator[tuple[str, T]]:
    return ((endpoint.words, of.of(endpoint)) for endpoint in Endpoint)


def _each_of_modes(modes: Mapping[Mode, OfEndpoints[T] | None]) -> Iterator[tuple[str, T]]:
    for mode, both in modes.items():
        for name, one in _each(both) if both else ():
            yield f"{mode.words}, {name.lower()}", one


def measures(summary: Summary) -> tuple[Measure, ...]:
    """The rates in large type, under each mode that has rows, with the paired test."""
    cards = []
    for endpoint in Endpoint:
        rates = ((mode, counts.of(endpoint)) for mode, counts in summary.by_mode.items())
        entries = tuple(rate_entry(mode.words, rate, mode) for mode, rate in rates if rate.n)
        if entries:
            test = paired_text(summary.paired.of(endpoint))
            cards.append(Measure(endpoint.words, entries, test))
    return tuple(cards)


def results(summary: Summary) -> Section | None:
    """Both rates under each mode."""
    told, modes = wording("run/results"), summary.by_mode.items()
    rows = ((mode.words, t.records, t.ok, t.errors, *_rates(t)) for mode, t in modes)
    return told.section(told.table("modes", rows), figure=forest(summary))


def paired(summary: Summary) -> Section | None:
    """The pairs of a candidate's two modes, and the exact test; nothing for one mode."""
    told, measures = wording("run/paired"), dict(_each(summary.paired))
    rows = [
        (words, *(getattr(p, c) for p in measures.values())) for c, (words, *_) in _CELLS.items()
    ]
    rows.append(("exact McNemar, two-sided", *map(paired_text, measures.values())))
    flows = (
        Flow(name, tuple(FlowPart(getattr(p, cell), *of) for cell, (_, *of) in _CELLS.items()))
        for name, p in measures.items()
    )
    shown = told.table("outcomes", rows if len(summary.by_mode) > 1 else ())
    return told.section(shown, figure=Figure("flows", tuple(flows), counted=False))


def claims(summary: Summary) -> Section | None:
    """The claim ledger, a table a verdict."""
    told = wording("run/claims")
    return told.section(
        *(
            told.table(
                "claims",
                ((c.text, c.reason or NONE) for c in summary.claims if c.status is status),
                status=status.words.capitalize(),
                why=why,
            )
            for status, why in _CLAIMS.items()
        )
    )


def threats(summary: Summary) -> Section | None:
    """What is not excluded and what is not controlled."""
    told = wording("run/threats")
    return told.section(
        told.table("threats", ((threat.threat, threat.text) for threat in summary.threats)),
        told.table("uncontrolled", ((point,) for point in summary.stack.not_controlled)),
    )


def breakdowns(summary: Summary) -> Section | None:
    """The rates by model, task and so on, and both endpoints by batch size as bars."""
    told, modes = wording("run/breakdowns"), summary.by_mode
    tables = (
        told.table(
            "slices",
            (_slice_cells(entry, modes) for entry in slices),
            attribute=attribute.words,
            title=attribute.words.capitalize(),
            modes=" | ".join(f"#{mode.words}: label flips" for mode in modes),
        )
        for attribute, slices in summary.breakdowns.each()
        if any(entry.value for entry in slices)
    )
    bars = tuple(
        Bar(str(entry.value), mode, flips.count, texts.count, flips.n)
        for entry in summary.breakdowns.batch_size
        for mode in modes
        for flips, texts in ([rate for _, rate in _each(entry.mode(mode))],)
    )
    return told.section(*tables, figure=Figure("bars", bars) if bars else None)


def _slice_cells(entry: Slice, modes: Mapping[Mode, object]) -> Iterator[object]:
    """Its value, rows and rates; an underpowered slice shows no p that would be read as one."""
    yield "(not given)" if entry.value is None else entry.value
    yield entry.n
    for mode in modes:
        flips, texts = _rates(entry.mode(mode))
        yield flips, f"text {texts}"
    test = entry.paired.label_flips
    discordant = f"b={test.first_only} c={test.second_only}"
    if test.underpowered:
        yield discordant, f"underpowered: smallest possible p is {p_text(test.smallest_p)}"
    else:
        adjusted = None if isinstance(test.p_holm, UnsetType) else p_equals(test.p_holm)
        yield (
            f"{discordant} {p_equals(test.p_two_sided)}",
            f"Holm-adjusted {adjusted}" if adjusted else "",
        )


def score_pairs(summary: Summary) -> Section | None:
    """How often each solo score met each batched score."""
    told, pairs = wording("run/score-pairs"), summary.score_pairs
    tables = (
        told.table(
            "pairs",
            (
                (
                    score_text(row.solo, row.solo_label or None),
                    score_text(row.batched, row.batched_label or None),
                    row.rows,
                )
                for row in rows
            ),
            mode=mode.words,
            solo=unscored_text(solo),
            batched=unscored_text(batched),
        )
        for mode, rows in pairs.items()
        for solo, batched in [summary.unscored(mode)]
    )
    drawn = tuple(score_matrix(mode, rows) for mode, rows in pairs.items() if rows)
    return told.section(*tables, figure=Figure("matrices", drawn))


def kinds(summary: Summary) -> Section | None:
    """Flips by direction and by what kind of scores they lie between."""
    told = wording("run/kinds")
    rows = (
        (mode.words, k.up, k.down, p_text(k.p_symmetry), k.hard, k.soft, k.state)
        for mode, k in summary.flip_kinds.items()
    )
    return told.section(told.table("kinds", rows))


def noise(summary: Summary) -> Section | None:
    """What asking again changed, and the batch against that."""
    told, floors = wording("run/noise"), summary.noise_floor.items()
    repeats = (
        (f"{mode.words}, {condition} again", again.repeats, *_rates(again))
        for mode, floor in floors
        for condition, again in (("solo", floor.solo), ("batched", floor.batched))
        if again
    )
    beyond = (
        (name, c.both, c.batch_only, c.repeat_only, c.neither, p_text(c.p_two_sided))
        for name, c in _each_of_modes({mode: floor.batch_beyond_repeat for mode, floor in floors})
    )
    return told.section(told.table("repeats", repeats), told.table("beyond", beyond))


def robustness(summary: Summary) -> Section | None:
    """The result by other methods: intervals of the difference, exact bounds, clusters."""
    told, cross, clusters = wording("run/robustness"), summary.cross_mode, summary.clusters
    difference = (
        (
            *(name, percent(d.estimate), interval_text(d.newcombe95), interval_text(d.tango95)),
            *(p_text(test.p_one_sided), percent(test.detectable_rate80)),
        )
        for name, test in _each(summary.paired)
        if (d := test.difference).estimate is not None
    )
    agreement = (
        (name, rate_text(differs.label_differs), rate_text(differs.text_differs))
        for name, differs in (("solo", cross.solo), ("batched", cross.batched))
    )
    tests = ((n, t.informative, p_text(t.p_two_sided), t.method) for n, t in _each(clusters))
    return told.section(
        told.table("difference", difference),
        told.table("bounds", _exact_bounds(summary.by_mode)),
        told.table("agreement", agreement),
        told.table("clusters", tests, of=clusters),
    )


def _exact_bounds(modes: Mapping[Mode, ModeTable]) -> Iterator[tuple[str, ...]]:
    for name, rate in _each_of_modes(modes):
        if rate.upper95 is not None:
            exact = interval_text(rate.clopper_pearson95)
            yield name, f"{rate.count}/{rate.n}", exact, percent(rate.upper95), percent(rate.margin)


def answers_table(summary: Summary) -> Table:
    """Median times of an answer, retries and answers cut at the token limit."""
    rows = (
        (
            mode.words,
            *(NONE if t is None else f"{t:.2f} s" for t in (t.solo_median_s, t.batched_median_s)),
            *(tries.solo, tries.batched, tries.truncated),
        )
        for mode, t in summary.latency.items()
        for tries in (summary.retries[mode],)
    )
    return wording("run/conditions").table("answers", rows)
