"""What the askings of a run show: batch effect, cache effect and noise, by prompt and then by row.

The study's comparison (B against S0) stands beside them, with what it cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.analyse import Claim, ClaimStatus, Counted, PairTest, Summary
from harness.numbers import discordant_text, p_equals, percent, rate_text
from harness.report.document import Section
from harness.report.wording import wording
from harness.words import MODES, Effect, Endpoint, Mode, Pattern

_WIDTH = 100
_UNASKED = "not measured: an asking is missing"
_EFFECTS: tuple[Effect | None, ...] = (*Effect, None)
_PATTERNS = (*map(str, Pattern), "unknown")


def _name(effect: Effect | None) -> str:
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
        for mode, shown in summary.askings.items():
            labels, texts = (shown.effects.of(effect).of(e) for e in Endpoint)
            yield effect, mode, (labels, texts)


def _both(found: Counted) -> tuple[str, str]:
    if not found.rows.n:
        return _UNASKED, ""
    return rate_text(found.prompts), f"rows {rate_text(found.rows)}"


def _tested(cells: PairTest) -> str:
    return discordant_text(cells.first_only, cells.second_only, cells.p_two_sided, cells.note)


def askings(summary: Summary) -> Section | None:
    """Counts, paired tests, patterns, what the study's comparison hides, witness and bounds."""
    told, shown, pairs = wording("run/askings"), summary.askings.items(), summary.paired_askings
    if not measured(summary):
        return told.section()
    tests = (
        (_name(effect), *((_tested(p.prompts), f"rows {_tested(p.rows)}") for p in each))
        for effect in _EFFECTS
        for each in ([pairs.of(effect).of(e) for e in Endpoint] if pairs else (),)
        if len(summary.askings) > 1 and each and each[0].prompts.neither + _changed(each[0].prompts)
    )
    hidden = (
        (f"{mode.words}, {e.words.lower()}", found.masked, found.not_batch)
        for mode, of in shown
        for e in Endpoint
        for found in (of.hidden.of(e),)
    )
    occasions = (
        (mode.words, rate_text(of.first_rows), rate_text(of.later_rows))
        for mode, of in shown
        if of.first_rows.n
    )
    return told.section(
        told.table(
            "effects", ((_name(e), m.words, *map(_both, c)) for e, m, c in _counted(summary))
        ),
        told.table("tests", tests),
        told.table(
            "patterns",
            ((mode.words, *(of.patterns.get(name, 0) for name in _PATTERNS)) for mode, of in shown),
        ),
        told.table("hidden", hidden),
        told.table("occasions", occasions),
        told.table("witness", _witness_rows(summary)),
        told.table("zeros", _zeros(summary)),
    )


def _changed(cells: PairTest) -> int:
    return cells.both + cells.first_only + cells.second_only


def _witness_rows(summary: Summary) -> Iterator[tuple[object, ...]]:
    for mode, seen in summary.witnessed.items():
        if seen.witnessed:
            yield mode.words, f"{seen.witnessed}/{seen.rows}", seen.vacuous, seen.mixed
        else:
            yield mode.words, "no witness", None, None


def _zeros(summary: Summary) -> Iterator[tuple[str, ...]]:
    for effect, mode, both in _counted(summary):
        for endpoint, found in zip(Endpoint, both, strict=True):
            if found.rows.n and not found.rows.count:
                yield f"{_name(effect)}, {mode.words}, {endpoint.words.lower()}", *_bounds(found)


def _bounds(found: Counted) -> tuple[str, str, str]:
    token = "not recorded"
    if found.compared_upper95 is not None:
        token = f"{found.compared_upper95:.2g} ({found.compared_tokens:,} compared)"
    return (
        f"{percent(found.prompts.upper95)} (of {found.prompts.n})",
        f"{percent(found.rows.upper95)} (of {found.rows.n})",
        token,
    )


def asking_lines(summary: Summary) -> Iterator[str]:
    """The same for a terminal: a line a comparison, mode and endpoint; witness, what is hidden."""
    if not measured(summary):
        yield "batch effect: not measured (S1 was not asked): S0 cannot tell a batch from a cache"
        yield from _witness_lines(summary)
        return
    yield "flips and changes above: B against S0, which cannot tell a batch from a cache"
    for effect, mode, both in (one for one in _counted(summary) if one[0]):
        for endpoint, found in zip(Endpoint, both, strict=True):
            what = f"{_name(effect):<13} {endpoint.words.lower():<12} {mode.words:<15}"
            rows = f" prompts  {found.rows.count}/{found.rows.n} rows" if found.rows.n else ""
            yield f"{what} {rate_text(found.prompts) if rows else _UNASKED:<30}{rows}"
            if effect is Effect.BATCH and found.rows.n and not found.rows.count:
                prompts, by_row, token = _bounds(found)
                yield f"{'':<43}leaves room for: prompts {prompts},"
                yield f"{'':<43}rows {by_row}, a token {token}"
    if summary.paired_askings and len(summary.askings) > 1:
        for endpoint in Endpoint:
            cells = summary.paired_askings.batch_effect.of(endpoint).prompts
            p = discordant_text(cells.first_only, cells.second_only, cells.p_two_sided)
            yield f"batch effect, modes by prompt, {endpoint.words.lower()}: {p}"
    for mode, shown in summary.askings.items():
        texts = shown.hidden.text_changes
        kinds = ", ".join(f"{name} {n}" for name in _PATTERNS if (n := shown.patterns.get(name)))
        yield f"patterns, {mode.words}: {kinds}"
        if texts.masked or texts.not_batch:
            yield (
                f"S0 misleads, {mode.words}: {texts.masked} texts masked, "
                f"{texts.not_batch} blamed on the batch that are not its doing"
            )
    yield from _witness_lines(summary)


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
    return f", {claim.endpoint.words.split()[0].lower()}s" if claim.endpoint else ""


def _numbers(summary: Summary, claim: Claim) -> str:
    """Prompts that change in each mode on the claim's basis, with the test; else its reason."""
    pairs = summary.paired_askings
    if claim.endpoint is None or claim.basis is None or pairs is None:
        return claim.reason
    effect = None if claim.basis == "study" else Effect(claim.basis)
    of = [summary.askings[mode].effects.of(effect).of(claim.endpoint).prompts for mode in MODES]
    p = p_equals(pairs.of(effect).of(claim.endpoint).prompts.p_two_sided)
    basis = "" if effect else " (S0)"
    counts = f"standard {of[0].count}/{of[0].n}, invariant {of[1].count}/{of[1].n}"
    return f"{counts} prompts, {p}{basis}"
