"""What a run came to in words: sentences from its counts, one p, what they show and do not show."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analyse import Claim, ClaimStatus, Counted, Rate, RunState, Summary
from harness.numbers import count_of, p_equals, percent
from harness.report.document import Section
from harness.report.wording import wording
from harness.words import MODES, Effect, Endpoint, Mode

ALPHA = 0.05
NOUNS = {Endpoint.LABEL_FLIPS: "label", Endpoint.TEXT_CHANGES: "text"}
_SHOWN, _REFUTED = ClaimStatus.ESTABLISHED, ClaimStatus.REFUTED


def leading_endpoint(summary: Summary) -> Endpoint:
    """Labels; texts where no label flipped, or where they alone tell the modes apart."""
    flips, texts = (
        sum(summary.counted(mode, summary.leading, e).rows.count for mode in summary.by_mode)
        for e in Endpoint
    )
    told = [_resolved(summary, e) for e in Endpoint]
    by_text = texts and (not flips or told == [False, True])
    return Endpoint.TEXT_CHANGES if by_text else Endpoint.LABEL_FLIPS


def _resolved(summary: Summary, endpoint: Endpoint) -> bool:
    pairs = summary.pairs_of(summary.leading, endpoint)
    return pairs is not None and pairs.prompts.p_two_sided < ALPHA


def headline(summary: Summary, state: RunState = RunState.COUNTS) -> str:
    """What people quote, by prompt; it says so itself when the run does not count."""
    said = " ".join(sentences(summary)) or _word("nothing")
    if state is RunState.COUNTS:
        return said
    open_ = state in (RunState.UNFINISHED, RunState.UNPROVEN)
    return f"{state.capitalize() if open_ else 'Not countable'}: {said[0].lower()}{said[1:]}"


def sentences(summary: Summary) -> list[str]:
    """How many prompts changed in each mode, whether by chance, and what S0 cannot tell."""
    shown, modes = leading_endpoint(summary), list(summary.by_mode)
    found = [_of(summary, mode, shown) for mode in modes]
    if not modes or not any(one.rows.n for one in found):
        return []
    lead = "batch" if modes[0] is Mode.STANDARD else "batch_invariant"
    moved = any(_of(summary, mode, e).rows.count for mode in modes for e in Endpoint)
    said = [_word(lead, _count(found[0], NOUNS[shown] if moved else "label or its text", summary))]
    if len(found) > 1:
        said[0] += " " + _word("other", _other(found[1], found[0], summary))
        said += [] if summary.unfinished else _chance(summary, shown)
    if not summary.leading:
        return [*said, _word("study")]
    return said if moved else [*said, *_not_the_batch(summary)]


def _not_the_batch(summary: Summary) -> Iterator[str]:
    """What changed where nothing did with the batch: with the cache, or with nothing but time."""
    for effect, name in ((Effect.CACHE, "apart"), (Effect.NOISE, "again")):
        told, changed = dict[Mode, str](), 0
        for mode in summary.by_mode:
            found = [(NOUNS[e], summary.counted(mode, effect, e)) for e in Endpoint]
            rates = [(noun, one.prompts if one.prompts.n else one.rows) for noun, one in found]
            counts = [f"the {noun}s of {r.count} of {r.n}" for noun, r in rates if r.count]
            changed += len(counts)
            unit = "prompts" if found[0][1].prompts.n else "rows"
            said = f"{' and '.join(counts)} {unit}" if counts else "none"
            told[mode] = said
        alike = len(set(told.values())) == 1
        by_mode = " and ".join(f"with {mode.words} kernels {said}" for mode, said in told.items())
        what = next(iter(told.values())) if alike else by_mode
        both = " on both kernel paths" if alike and len(told) > 1 else ""
        if changed:
            yield _word(name, f"But asked alone again, {what} changed{both}")


def _of(summary: Summary, mode: Mode, endpoint: Endpoint) -> Counted:
    return summary.counted(mode, summary.leading, endpoint)


def _word(name: str, *facts: object) -> str:
    return wording(f"verdict/{name}").prose.format(*facts)


def _count(of: Counted, noun: str, summary: Summary) -> str:
    """``the answers to 7 of 8 prompts changed their text``; by row where prompts are not known."""
    rate, asked = _asked(of, summary)
    if not rate.count:
        return f"no answer to {asked} changed its {noun}{_room(of)}"
    which = f"the {asked}" if rate.n == 1 else f"{rate.count} of {asked}"
    return f"the answers to {which} changed their {noun}"


def _other(of: Counted, first: Counted, summary: Summary) -> str:
    """``none did (up to 6.6% of prompts may)``; of how many, where not as many were asked."""
    rate, asked = _asked(of, summary)
    alike = of.rows.n == first.rows.n and not summary.unfinished
    if not rate.count:
        none = "none" if alike else f"none of the {asked}"
        return f"{none} did{'' if first.rows.count else ' either'}{_room(of)}"
    return f"{rate.count} did" if alike else f"{rate.count} of {asked} did"


def _asked(of: Counted, summary: Summary) -> tuple[Rate, str]:
    """The rate that is told, and of what: ``8 prompts``, ``1 prompt asked so far``, ``9 rows``."""
    rate, unit = (of.prompts, "prompt") if of.prompts.n else (of.rows, "row")
    told = count_of(rate.n, unit)
    return rate, f"{told} asked so far" if summary.unfinished else told


def _room(of: Counted) -> str:
    rate, units = (of.prompts, "prompts") if of.prompts.n else (of.rows, "rows")
    return f" (up to {percent(rate.upper95)} of {units} may)" if rate.upper95 is not None else ""


def _chance(summary: Summary, endpoint: Endpoint) -> Iterator[str]:
    pairs = summary.pairs_of(summary.leading, endpoint)
    if pairs is None:
        return
    test = pairs.prompts
    equals = p_equals(test.p_two_sided)
    if not test.first_only and not test.second_only:
        yield _word("same")
    elif test.note:
        yield _word("few", equals)
    else:
        yield _word("unlikely" if test.p_two_sided < ALPHA else "chance", equals)


def _beside(summary: Summary, shown: Endpoint) -> Iterator[str]:
    """What the other endpoint counts, without a test of its own."""
    other = next(e for e in Endpoint if e is not shown)
    found = [_of(summary, mode, other) for mode in summary.by_mode]
    rates = [one.prompts if one.prompts.n else one.rows for one in found]
    if any(rate.count for rate in rates):
        counts = " and ".join(f"{rate.count} of {rate.n}" for rate in rates)
        yield _word("beside", NOUNS[other].capitalize(), counts)


def shows(summary: Summary) -> tuple[str, ...]:
    """What else changed, what the run shows by endpoint, and what no run of its kind shows."""
    if not summary.by_mode:
        return ()
    beside = _beside(summary, leading_endpoint(summary))
    if len(summary.by_mode) < len(MODES):
        unproven = [_word("unproven")] if summary.stack.unproven else []
        tells = _tells_which(summary) and not unproven
        return (*beside, _word("one_mode" if tells else "counts"), *unproven, _word("open_scan"))
    status = {(c.claim, c.endpoint): c.status for c in summary.claims}
    told = [_shown(status, endpoint) for endpoint in Endpoint]
    known = [text for text in told if text]
    missing = [NOUNS[e] for e, text in zip(Endpoint, told, strict=True) if not text]
    said = [_word("shows", "; ".join(known))] if known else [_word("shows_nothing")]
    if known and missing:
        said.append(_word("unresolved", missing[0]))
    return (*beside, *said, _word("open_cpu" if summary.stack.device == "cpu" else "open"))


def _tells_which(summary: Summary) -> bool:
    """Whether one mode's answers changed with the batch, and not with a cache that S0 had."""
    of_batch = (summary.counted(m, summary.leading, e) for m in summary.by_mode for e in Endpoint)
    return summary.leading is not None and any(one.rows.count for one in of_batch)


def _shown(status: dict[tuple[str, Endpoint | None], ClaimStatus], endpoint: Endpoint) -> str:
    """The strongest that is established of an endpoint; empty where nothing is."""
    noun = NOUNS[endpoint]
    for name in ("kernel_path", "standard_changes"):
        if status.get((name, endpoint)) is _SHOWN:
            said = _word(name, noun)
            if status.get(("removes_change", endpoint)) is _REFUTED:
                said += f" {_word('not_removed')}"
            elif status.get(("invariant", endpoint)) is _SHOWN:
                said += f" {_word('invariant')}"
            return said
    return ""


def claims(summary: Summary) -> Section | None:
    """Each claim for labels and for texts; the reasons are in the ledger."""
    told = wording("run/findings")
    return told.section(told.table("findings", finding_rows(summary)))


def finding_rows(summary: Summary) -> Iterator[tuple[str, ...]]:
    """A claim in a few words, and its status for labels and for texts."""
    names = wording("run/findings").names
    for name in dict.fromkeys(claim.claim for claim in summary.claims if claim.endpoint):
        by_endpoint: dict[Endpoint | None, Claim]
        by_endpoint = {c.endpoint: c for c in summary.claims if c.claim == name}
        yield names[name], *(by_endpoint[e].status.words for e in Endpoint)
