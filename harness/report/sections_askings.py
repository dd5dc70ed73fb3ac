"""What the askings of a run show: batch effect, cache effect and noise, by prompt and then by row.

The study's comparison (B against S0) stands beside them, with what it cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.analyse import Claim, ClaimStatus, Counted, EffectPairs, PairTest, Rate, Summary
from harness.numbers import NONE, discordant_text, p_equals, percent, rate_text
from harness.report.document import Section
from harness.report.wording import wording
from harness.words import MODES, Effect, Endpoint, Mode, Pattern

_WIDTH = 100
_UNASKED = "not measured: an asking is missing"
_EFFECTS: tuple[Effect | None, ...] = (*Effect, None)
_PATTERNS = (*map(str, Pattern), "unknown")


def name_of(effect: Effect | None) -> str:
    """``batch effect``; the study's comparison by the askings that it compares."""
    return effect.words if effect else "study (B, S0)"


def measured(summary: Summary) -> bool:
    """Whether S1 was asked of any row, so that a batch can be told from a cache."""
    return any(
        shown.effects.batch_effect.of(e).rows.n
        for shown in summary.askings.values()
        for e in Endpoint
    )


def _counted(summary: Summary) -> Iterator[tuple[Effect | None, Mode, tuple[Counted, Counted]]]:
    """Each comparison of each mode, for labels and for texts."""
    for effect in _EFFECTS:
        for mode in summary.askings:
            labels, texts = (summary.counted(mode, effect, e) for e in Endpoint)
            yield effect, mode, (labels, texts)


def counted_cell(found: Counted) -> tuple[str, str]:
    """A count by prompt; under it by row and by dispatch, and what a count of none leaves room for.

    Of an older summary the rows alone are known.
    """
    if not found.rows.n:
        return _UNASKED, ""
    if not found.prompts.n:
        return f"rows {rate_text(found.rows)}", ""
    parts = [f"rows {rate_text(found.rows)}"]
    parts += [f"dispatches {sent.count}/{sent.n}"] if (sent := found.dispatches) else []
    parts += [f"none: up to {found.room}"] if found.room else []
    return rate_text(found.prompts), "; ".join(parts)


def tested_cell(cells: EffectPairs | None) -> tuple[str, str]:
    """The discordant prompts and the exact test; under it the same by row and by dispatch."""
    if cells is None:
        return NONE, ""
    rows = f"rows {_tested(cells.rows)}"
    sent = cells.dispatches
    parts = [cells.prompts.note or "", rows, f"dispatches {_tested(sent)}" if sent else ""]
    return discordant_text(*_discordant(cells.prompts)), "; ".join(filter(None, parts))


def _discordant(cells: PairTest) -> tuple[int, int, float]:
    return cells.first_only, cells.second_only, cells.p_two_sided


def _tested(cells: PairTest) -> str:
    return f"b={cells.first_only} c={cells.second_only} {p_equals(cells.p_two_sided)}"


def askings(summary: Summary) -> Section | None:
    """Counts, paired tests, patterns, what the study's comparison hides, witness and bounds."""
    told, shown = wording("run/askings"), summary.askings.items()
    if not measured(summary):
        return told.section()
    tests = (
        (name_of(effect), *map(tested_cell, each))
        for effect in _EFFECTS
        for each in ([summary.pairs_of(effect, e) for e in Endpoint],)
        if len(summary.askings) > 1 and each[0] and pairs_counted(each[0])
    )
    hidden = (
        (f"{mode.words}, {e.words.lower()}", found.masked, found.not_batch)
        for mode, of in shown
        for e in Endpoint
        for found in (of.hidden.of(e),)
    )
    occasions = (
        (mode.words, *map(_bounded, (of.first_rows, of.later_rows)))
        for mode, of in shown
        if of.first_rows.n
    )
    return told.section(
        told.table(
            "effects",
            ((name_of(e), m.words, *map(counted_cell, c)) for e, m, c in _counted(summary)),
        ),
        told.table("tests", tests),
        told.table(
            "patterns",
            ((mode.words, *(of.patterns.get(name, 0) for name in _PATTERNS)) for mode, of in shown),
        ),
        told.table("hidden", hidden),
        told.table("occasions", occasions),
        told.table("witness", _witness_rows(summary)),
    )


def _bounded(rate: Rate) -> tuple[str, str]:
    """A rate; of a count of none what it leaves room for."""
    none = rate.n and not rate.count
    return rate_text(rate), f"none: up to {percent(rate.upper95)}" if none else ""


def pairs_counted(pairs: EffectPairs) -> int:
    """How many prompts a paired test is of."""
    cells = pairs.prompts
    return cells.both + cells.first_only + cells.second_only + cells.neither


def _witness_rows(summary: Summary) -> Iterator[tuple[object, ...]]:
    for mode, seen in summary.witnessed.items():
        if seen.witnessed:
            yield mode.words, f"{seen.witnessed}/{seen.rows}", seen.vacuous, seen.mixed
        else:
            yield mode.words, "no witness", None, None


def asking_lines(summary: Summary) -> Iterator[str]:
    """The same for a terminal: a line a comparison, mode and endpoint; witness, what is hidden."""
    if not measured(summary):
        yield "batch effect: not measured (S1 was not asked): S0 cannot tell a batch from a cache"
    yield "≤ after a count of none: what it leaves room for (one-sided 95%)"
    for effect, mode, both in _counted(summary):
        if effect is None or measured(summary):
            for endpoint, found in zip(Endpoint, both, strict=True):
                what = f"{name_of(effect):<13} {endpoint.words.lower():<12} {mode.words:<15}"
                yield f"{what} {count_line(found)}"
    for effect in (Effect.BATCH, None) if measured(summary) else (None,):
        for endpoint in Endpoint if len(summary.askings) > 1 else ():
            if cells := summary.pairs_of(effect, endpoint):
                p, beside = tested_cell(cells)
                yield f"{name_of(effect)}, modes by prompt, {endpoint.words.lower()}: {p}"
                yield f"  {beside}"
    for mode, shown in summary.askings.items() if measured(summary) else ():
        texts = shown.hidden.text_changes
        kinds = ", ".join(f"{name} {n}" for name in _PATTERNS if (n := shown.patterns.get(name)))
        yield f"patterns, {mode.words}: {kinds}"
        if texts.masked or texts.not_batch:
            yield (
                f"S0 misleads, {mode.words}: {texts.masked} texts masked, "
                f"{texts.not_batch} blamed on the batch that are not its doing"
            )
    yield from _witness_lines(summary)


def count_line(found: Counted) -> str:
    """A count by every unit; after a count of none what each leaves room for."""
    units = {"prompts": found.prompts, "rows": found.rows, "dispatches": found.dispatches}
    known = {name: rate for name, rate in units.items() if rate and rate.n}
    if not found.rows.n:
        return _UNASKED
    if not found.room:
        (name, first), *others = known.items()
        beside = (f"{rate.count}/{rate.n} {name}" for name, rate in others)
        return ", ".join((f"{rate_text(first)} {name}", *beside))
    told = [f"0/{rate.n} {name} ≤{percent(rate.upper95)}" for name, rate in known.items()]
    if found.compared_upper95 is not None:
        told.append(f"0/{found.compared_tokens} tokens ≤{found.compared_upper95:.2g}")
    return ", ".join(told)


def _witness_lines(summary: Summary) -> Iterator[str]:
    for mode, seen in summary.witnessed.items():
        told = "no witness that a batch shared engine steps"
        if seen.witnessed:
            told = (
                f"{seen.witnessed} of {seen.rows} rows, {seen.vacuous} vacuous, {seen.mixed} mixed"
            )
        yield f"witness, {mode.words}: {told}"


def claim_lines(summary: Summary) -> Iterator[str]:
    """A line a claim: status, claim, endpoint and leading numbers; reasons are in the report."""
    for claim in summary.claims:
        if claim.endpoint or claim.status is not ClaimStatus.NOT_ESTABLISHED:
            what = f"{claim.claim.replace('_', ' ')}{_of(claim)}"
            line = f"{claim.status.words:<16} {what:<25} {_numbers(summary, claim)}"
            yield line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _of(claim: Claim) -> str:
    return f", {_endpoint(claim.endpoint)}" if claim.endpoint else ""


def _endpoint(endpoint: Endpoint) -> str:
    return f"{endpoint.words.split()[0].lower()}s"


def basis_words(claim: Claim) -> str:
    """What a claim is of and rests on: ``texts; B against S1; more in standard; by prompt``."""
    parts = [_endpoint(claim.endpoint)] if claim.endpoint else []
    if claim.basis:
        effect = None if claim.basis == "study" else Effect(claim.basis)
        parts.append(f"B against {effect.askings[0] if effect else 'S0'}")
        ahead = f"more in {claim.direction.words}" if claim.direction else "neither mode more"
        parts += [ahead, f"by {claim.unit}"]
    return "; ".join(parts)


def _numbers(summary: Summary, claim: Claim) -> str:
    """Prompts that change in each mode on the claim's basis, with the test; else its reason."""
    if claim.endpoint is None or claim.basis is None:
        return claim.reason
    effect = None if claim.basis == "study" else Effect(claim.basis)
    of = [summary.counted(mode, effect, claim.endpoint).prompts for mode in MODES]
    pairs = summary.pairs_of(effect, claim.endpoint)
    p = p_equals(pairs.prompts.p_two_sided if pairs else None)
    counts = f"standard {of[0].count}/{of[0].n}, invariant {of[1].count}/{of[1].n}"
    return f"{counts} {claim.unit}s, {p}, B/{effect.askings[0] if effect else 'S0'}"
