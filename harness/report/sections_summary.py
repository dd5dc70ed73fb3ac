"""What a run came to, section by section, as far as its summary tells."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from msgspec import UnsetType

from harness.analyse import ByPrompt, ClaimStatus, OfEndpoints, PairTest, Rate, Slice, Summary
from harness.flips import unscored_text
from harness.numbers import (
    NONE,
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
from harness.report.sections_askings import basis_words, counted_cell, name_of, tested_cell
from harness.report.wording import wording
from harness.words import Effect, Endpoint, Mode

T = TypeVar("T")
_CELLS = {
    "both": ("changed under both modes", "both", "changed under both"),
    "first_only": ("changed under standard only (b)", "standard", "standard only"),
    "second_only": ("changed under batch-invariant only (c)", "invariant", "batch-invariant only"),
    "neither": ("changed under neither", "neither", "changed under neither"),
}
"""Cell of a paired table, its words, the style of its squares and what they are."""
_BEYOND = ("both", "batch_only", "repeat_only", "neither")
_CLAIMS = {
    ClaimStatus.ESTABLISHED: "Basis",
    ClaimStatus.REFUTED: "Basis",
    ClaimStatus.NOT_ESTABLISHED: "Reason",
}
"""Kinds of claims in the order of their strength, and what is said of each."""


def _each(of: OfEndpoints[T]) -> Iterator[tuple[str, T]]:
    return ((endpoint.words, of.of(endpoint)) for endpoint in Endpoint)


def measures(summary: Summary) -> tuple[Measure, ...]:
    """What leads, in large type and by prompt, under each mode; what a none leaves open."""
    cards, effect = [], summary.leading
    of = "in the batch against alone" if effect else "in the batch against the first time alone"
    for endpoint in Endpoint:
        found = {mode: summary.counted(mode, effect, endpoint) for mode in summary.by_mode}
        entries = tuple(
            rate_entry(f"{mode.words}, prompts", one.prompts, mode)
            if one.prompts.n
            else rate_entry(f"{mode.words}, rows", one.rows, mode)
            for mode, one in found.items()
            if one.rows.n
        )
        if entries:
            rates = {
                m.words: one.prompts if one.prompts.n else one.rows for m, one in found.items()
            }
            bounds = "; ".join(
                f"{name}: none, up to {percent(rate.upper95)}"
                for name, rate in rates.items()
                if rate.upper95 is not None and not rate.count
            )
            cards.append(Measure(f"{endpoint.words}, {of}", entries, bounds))
    return tuple(cards)


def results(summary: Summary) -> Section | None:
    """Both rates of the study's comparison under each mode, by prompt and by row."""
    told = wording("run/results")
    rows = (
        (
            *(mode.words, t.records, t.ok, t.errors),
            *(counted_cell(summary.counted(mode, None, endpoint)) for endpoint in Endpoint),
        )
        for mode, t in summary.by_mode.items()
    )
    return told.section(told.table("modes", rows), figure=forest(summary))


def paired(summary: Summary) -> Section | None:
    """The prompts under both modes, and the exact test; nothing for one mode."""
    told, effect = wording("run/paired"), summary.leading
    found = {e.words: summary.pairs_of(effect, e) for e in Endpoint}
    known = {name: pairs for name, pairs in found.items() if pairs}
    rows = [
        (
            words,
            *((getattr(p.prompts, c), f"rows {getattr(p.rows, c)}") for p in known.values()),
        )
        for c, (words, *_) in _CELLS.items()
    ]
    rows.append(("exact McNemar, two-sided", *map(tested_cell, known.values())))
    flows = (
        Flow(
            name,
            tuple(FlowPart(getattr(p.prompts, cell), *of) for cell, (_, *of) in _CELLS.items()),
        )
        for name, p in known.items()
    )
    shown = told.table(
        "outcomes", rows if len(summary.by_mode) > 1 and known else (), of=name_of(effect)
    )
    return told.section(shown, figure=Figure("flows", tuple(flows), counted=False))


def claims(summary: Summary) -> Section | None:
    """The claim ledger, a table a verdict; under each claim what it is of and rests on."""
    told = wording("run/ledger")
    return told.section(
        *(
            told.table(
                "claims",
                (
                    ((c.text, basis_words(c)), c.reason or NONE)
                    for c in summary.claims
                    if c.status is status
                ),
                status=status.words.capitalize(),
                why=why,
            )
            for status, why in _CLAIMS.items()
        )
    )


def threats(summary: Summary) -> Section | None:
    """What is not excluded, each in one row with all that leaves it open."""
    told, open_ = wording("run/threats"), dict[str, str]()
    for one in summary.threats:
        open_[one.words] = " ".join(filter(None, [open_.get(one.words), one.text]))
    return told.section(told.table("threats", open_.items()))


def uncontrolled(summary: Summary) -> Section | None:
    """What is not controlled."""
    told = wording("run/uncontrolled")
    rows = ((point,) for point in summary.stack.not_controlled)
    return told.section(told.table("uncontrolled", rows))


def breakdowns(summary: Summary) -> Section | None:
    """The counts by model, task and so on, and both endpoints by batch size as bars; by prompt."""
    told, modes, effect = wording("run/breakdowns"), summary.by_mode, summary.leading
    tables = (
        told.table(
            "slices",
            (_slice_cells(entry, one, modes, effect) for entry, one in _by_prompt(slices)),
            attribute=attribute.words,
            title=attribute.words.capitalize(),
            modes=" | ".join(f"#{mode.words}" for mode in modes),
        )
        for attribute, slices in summary.breakdowns.each()
        if any(entry.value for entry in slices)
    )
    bars = tuple(
        Bar(str(entry.value), mode, flips.count, texts.count, flips.n)
        for entry, one in _by_prompt(summary.breakdowns.batch_size)
        for mode in modes
        for flips, texts in ([c.prompts for _, c in _each(one.of(effect).mode(mode))],)
    )
    figure = Figure("bars", bars) if bars else None
    return told.section(*tables, figure=figure, of=name_of(effect))


def _by_prompt(slices: Iterable[Slice]) -> Iterator[tuple[Slice, ByPrompt]]:
    """Each slice with its prompts; an older summary has none."""
    return ((entry, entry.by_prompt) for entry in slices if entry.by_prompt)


def _slice_cells(
    entry: Slice, one: ByPrompt, modes: Iterable[Mode], effect: Effect | None
) -> Iterator[object]:
    """Its value, prompts and rates; an underpowered slice shows no p that would be read as one."""
    found = one.of(effect)
    yield "(not given)" if entry.value is None else entry.value
    yield one.n, f"rows {entry.n}"
    for mode in modes:
        flips, texts = (counted_cell(found.mode(mode).of(e)) for e in Endpoint)
        yield flips[0], "; ".join(filter(None, (flips[1], f"text {texts[0]}", texts[1])))
    test = found.paired.label_flips
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
        (
            mode.words,
            *((k.prompts_up, f"rows {k.up}"), (k.prompts_down, f"rows {k.down}")),
            (p_text(k.p_symmetry_prompts), f"rows {p_text(k.p_symmetry)}"),
            *(k.hard, k.soft, k.state),
        )
        for mode, k in summary.flip_kinds.items()
    )
    return told.section(told.table("kinds", rows))


def noise(summary: Summary) -> Section | None:
    """What asking again changed, and the batch against that; by prompt, rows beside it."""
    told, floors = wording("run/noise"), summary.noise_floor.items()
    repeats = (
        (
            *(f"{mode.words}, {condition} again", again.repeats),
            *(_beside(again.prompts.of(e), again.of(e)) for e in Endpoint),
        )
        for mode, floor in floors
        for condition, again in (("solo", floor.solo), ("batched", floor.batched))
        if again and again.prompts
    )
    beyond = (
        (
            f"{mode.words}, {e.words.lower()}",
            *((getattr(c, cell), f"rows {getattr(r, cell)}") for cell in _BEYOND),
            (p_text(c.p_two_sided), f"rows {p_text(r.p_two_sided)}"),
        )
        for mode, floor in floors
        if (both := floor.batch_beyond_repeat) and both.prompts
        for e in Endpoint
        for c, r in ((both.prompts.of(e), both.of(e)),)
    )
    return told.section(told.table("repeats", repeats), told.table("beyond", beyond))


def _beside(prompts: Rate, rows: Rate) -> tuple[str, str]:
    """A rate by prompt with the rows under it; a rate of none with its one-sided bounds."""
    none = rows.n and not rows.count
    room = f"; none: up to {percent(prompts.upper95)}, {percent(rows.upper95)}" if none else ""
    return rate_text(prompts), f"rows {rate_text(rows)}{room}"


def robustness(summary: Summary) -> Section | None:
    """The result by other methods: intervals of the difference, exact bounds, clusters."""
    told, cross, clusters = wording("run/robustness"), summary.cross_mode, summary.clusters
    difference = (
        (
            f"{name_of(effect)}, {e.words.lower()}",
            *zip(*(_difference(test, unit) for unit, test in of), strict=True),
        )
        for effect in dict.fromkeys((summary.leading, None))
        for e in Endpoint
        if (pairs := summary.pairs_of(effect, e)) and pairs.prompts.difference.estimate is not None
        for of in ((("", pairs.prompts), ("rows ", pairs.rows)),)
    )
    agreement = (
        (
            name,
            _beside(differs.prompts.label_flips, differs.label_differs),
            _beside(differs.prompts.text_changes, differs.text_differs),
        )
        for name, differs in (("solo", cross.solo), ("batched", cross.batched))
        if differs.prompts
    )
    tests = ((n, t.informative, p_text(t.p_two_sided), t.method) for n, t in _each(clusters))
    return told.section(
        told.table("difference", difference),
        told.table("bounds", _exact_bounds(summary)),
        told.table("agreement", agreement),
        told.table("clusters", tests, of=clusters),
    )


def _difference(test: PairTest, unit: str) -> tuple[str, ...]:
    """Difference, intervals, one-sided p and detectable rate, each after its unit."""
    d = test.difference
    told = (percent(d.estimate), interval_text(d.newcombe95), interval_text(d.tango95))
    return tuple(
        f"{unit}{text}"
        for text in (*told, p_text(test.p_one_sided), percent(test.detectable_rate80))
    )


def _exact_bounds(summary: Summary) -> Iterator[tuple[object, ...]]:
    effect = summary.leading
    for mode in summary.by_mode:
        for endpoint in Endpoint:
            found = summary.counted(mode, effect, endpoint)
            if found.prompts.upper95 is not None:
                cells = (_exact(found.prompts, ""), _exact(found.rows, "rows "))
                what = f"{name_of(effect)}, {mode.words}, {endpoint.words.lower()}"
                yield what, *zip(*cells, strict=True)


def _exact(rate: Rate, unit: str) -> tuple[str, ...]:
    exact = interval_text(rate.clopper_pearson95)
    told = f"{rate.count}/{rate.n}", exact, percent(rate.upper95), percent(rate.margin)
    return tuple(f"{unit}{text}" for text in told)


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
