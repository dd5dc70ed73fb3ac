"""The claim ledger: what the records establish, what they refute, and what they leave open.

Every entry is computed from the counts, the pairing and the stack, for labels and for texts apart,
and by prompt: rows that share a prompt are one unit. A claim about the batch rests on B against S1,
both with the prompt seen before; where S1 was not asked, it is not established, for the study's
comparison (B against S0) cannot tell a batch from a cache. Claims are about the selected rows on
the stack that was tested and about nothing wider. The order is: measured, following, never
established.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from harness.analyse.asking_tables import Counted, ModeEffects
from harness.analyse.ledger import Ledger
from harness.analyse.statistics import ALPHA, MARGINS, trials_for_margin
from harness.analyse.summary import Claim, ClaimStatus, Summary
from harness.analyse.wider_claims import never_established
from harness.numbers import p_equals
from harness.records import Pairing, Records
from harness.words import MIXING, MODES, Effect, Endpoint, Mode

_ESTABLISHED, _REFUTED = ClaimStatus.ESTABLISHED, ClaimStatus.REFUTED
_NOT = ClaimStatus.NOT_ESTABLISHED
Verdict = tuple[ClaimStatus, str]
_NOUN = {Endpoint.LABEL_FLIPS: "label", Endpoint.TEXT_CHANGES: "text"}
_STANDARD, _INVARIANT = MODES
_FEWEST_MIXED = 6
"""Prompts whose batch mixed prefill and decode: as many as an exact test by prompt needs."""

_NONE_COUNTS = (
    "none of these rows counts: an answer is empty, a loop or long and that of another "
    "prompt too, or the batch sent again (B2) is answered otherwise"
)

Look = Callable[[Ledger], Verdict]
_MEASURED: dict[str, tuple[str, Look]] = {}


def _claim(text: str) -> Callable[[Look], Look]:
    """Add a claim, as a sentence with a place for the endpoint, under its function's name."""

    def added(look: Look) -> Look:
        _MEASURED[look.__name__.removeprefix("_")] = text, look
        return look

    return added


def claim_ledger(
    summary: Summary,
    records: Records,
    pairing: Pairing,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Claim, ...]:
    """The ledger of a summary.

    Args:
        summary: all but its claims.
        records, pairing: what it is of.
        failed: what validation refuses in the run, by check: nothing is claimed from such records,
            and where only what lies beside them is incomplete, nothing is established.
    """
    claims: list[Claim] = []
    ledgers = [Ledger(summary, endpoint, failed) for endpoint in Endpoint]
    for name, (text, look) in _MEASURED.items():
        for run in ledgers:
            gap = run.gap
            status, reason = (_NOT, gap) if gap else look(run)
            if status is _ESTABLISHED and failed:
                status, reason = _NOT, f"{next(iter(failed.values()))}; {reason}"
            run.made[name] = status
            basis = None if gap else run.basis() or "study"
            claims.append(
                Claim(
                    name,
                    text.format(_NOUN[run.endpoint]),
                    status,
                    reason,
                    endpoint=run.endpoint,
                    basis=str(basis) if basis else None,
                    direction=None if gap else _direction(run),
                )
            )
    return (*claims, *_following(ledgers, records, pairing), *never_established(summary))


def held_back(summary: Summary) -> dict[str, list[Endpoint]]:
    """What holds claims back that the numbers speak for: of which endpoints, by the reason.

    The words are the ledger's, and what holds both endpoints back comes first.
    """
    reasons: dict[str, list[Endpoint]] = {}
    for run in (Ledger(summary, endpoint, {}) for endpoint in Endpoint):
        left = [c for c in summary.claims if c.endpoint is run.endpoint and c.status is _NOT]
        for why in _may_hold(run) if left else ():
            if any(why in claim.reason for claim in left):
                reasons.setdefault(why, []).append(run.endpoint)
    return dict(sorted(reasons.items(), key=lambda one: -len(one[1])))


def _may_hold(run: Ledger) -> tuple[str, ...]:
    """Every reason that may hold a claim back whatever its counts are."""
    if gap := run.gap:
        return (gap,) if run.summary.stack.sampled else ()  # else the verdict says it
    found = [run.unproven(), run.noise(), run.unwitnessed(), run.unseen(), run.unlike()]
    found += [*map(run.cached, MODES), run.comparable(), _NONE_COUNTS]
    found += [run.weak()] if run.summary.carried else []
    return tuple(dict.fromkeys(filter(None, found)))


def _direction(run: Ledger) -> Mode | None:
    """The mode in which more prompts change."""
    cells = run.pairs().prompts
    if cells.first_only == cells.second_only:
        return None
    return _STANDARD if cells.first_only > cells.second_only else _INVARIANT


def bounded(found: Counted) -> str:
    """What a count of none bounds, by prompt, by row, by dispatch and by compared token."""
    margin = max((m for m in MARGINS if (found.prompts.upper95 or 1) >= m), default=None)
    more = (
        f"; {trials_for_margin(margin)} prompts would bound it under {margin:.1%}" if margin else ""
    )
    return (
        f"none in {found.prompts.n} prompts and {found.rows.n} rows leaves room for up to "
        f"{found.room} (one-sided 95%){more}"
    )


def _unasked(run: Ledger) -> Verdict | None:
    """The verdict of a claim about the batch where S1 is missing."""
    if run.basis() is Effect.BATCH:
        return None
    return _NOT, (
        "S1 was not asked of every row: against the first solo answer (S0) a change by the cache "
        "cannot be told from one by the batch"
    )


def _late(effects: ModeEffects) -> str:
    """What to say of an S1 that was asked after B."""
    return "; S1 was asked after B in these records" if effects.s1_after_batch else ""


@_claim("In standard mode the {} changes with the batch on the selected rows")
def _standard_changes(run: Ledger) -> Verdict:
    if verdict := _unasked(run):
        return verdict
    batch = run.counted(_STANDARD, Effect.BATCH)
    says = f"{batch.told} differ between alone (S1) and batched (B)"
    hidden = run.summary.askings[_STANDARD].hidden.of(run.endpoint)
    if not batch.rows.count:
        study = run.counted(_STANDARD, None)
        if hidden.not_batch:
            return _REFUTED, (
                f"{says}; every one of the {study.rows.count} rows that differ from the first solo "
                "answer (S0) equals asking again alone: a cache or order effect, and nothing about "
                "the batch or the kernels"
            )
        return _NOT, f"{says}: {bounded(batch)}"
    says += _late(run.summary.askings[_STANDARD])
    reason = run.unproven() or run.noise() or run.cached(_STANDARD) or run.unscored()
    if not reason and not run.carried.standard:
        reason = _NONE_COUNTS
    if reason:
        return _NOT, f"{says}; {reason}"
    noise = run.counted(_STANDARD, Effect.NOISE)
    return _ESTABLISHED, (
        f"{says}; {noise.told} when nothing changes but time (up to {noise.room}); on "
        f"{run.summary.stack.place}"
    )


@_claim("The batch-invariant path removes the change of the {} on the selected rows")
def _removes_change(run: Ledger) -> Verdict:
    if verdict := _unasked(run):
        return verdict
    standard, left = (run.counted(mode, Effect.BATCH) for mode in MODES)
    noise = run.counted(_INVARIANT, Effect.NOISE)
    if left.rows.count:
        says = f"{left.told} change with the batch in batch-invariant mode"
        says += f", {standard.told} in standard"
        hidden = run.summary.askings[_INVARIANT].hidden.of(run.endpoint).masked
        if hidden:
            says += f"; {hidden} of these rows equal the first solo answer (masked)"
        says += _late(run.summary.askings[_INVARIANT])
        if not run.beyond_noise(_INVARIANT):
            return _NOT, f"{says}; {noise.told} when nothing changes but time"
        if reason := run.of_the_cache():
            return _NOT, f"{says}; {reason}"
        if not noise.rows.n:
            says += "; noise is unknown, S2 was not asked"
        return _REFUTED, says
    if not standard.rows.count:
        return _NOT, (
            f"the standard path changed no {_NOUN[run.endpoint]} with the batch, so there was "
            f"nothing to remove, and nothing shows that a change would have been seen; "
            f"{bounded(standard)}"
        )
    cells = run.pairs().prompts
    p = p_equals(cells.p_two_sided)
    says = f"{standard.told} in standard mode, none in batch-invariant; by prompt {p}"
    reason = run.unproven() or run.noise() or run.unwitnessed() or run.unseen()
    reason = reason or run.unlike() or run.cached(_STANDARD) or run.comparable()
    if not reason and cells.p_two_sided >= ALPHA:
        reason = "too few prompts to tell the modes apart"
    if reason := reason or run.weak():
        return _NOT, f"{says}; {reason}; {bounded(left)}"
    return _ESTABLISHED, f"{says}; {bounded(left)}; {_under(run)}{run.resting_none()}"


@_claim("In batch-invariant mode the {} does not depend on the batch")
def _invariant(run: Ledger) -> Verdict:
    if verdict := _unasked(run):
        return verdict
    left = run.counted(_INVARIANT, Effect.BATCH)
    if left.rows.count:
        reason = run.of_the_cache()
        return (
            _REFUTED if run.beyond_noise(_INVARIANT) and not reason else _NOT,
            f"{left.told} differ between alone (S1) and batched (B)"
            + (f"; {reason}" if reason else ""),
        )
    reason = run.unproven() or run.noise() or run.unwitnessed() or run.unseen()
    reason = reason or run.unlike() or run.comparable()
    if not reason and not run.counted(_STANDARD, Effect.BATCH).rows.count:
        reason = (
            "nothing shows that a change would have been seen: standard mode changed none either"
        )
    if not reason and run.made["standard_changes"] is not _ESTABLISHED:
        unseen = "nothing shows that a change would have been seen: standard mode's is not shown"
        reason = next(iter(run.failed.values()), unseen)
    mixed = min(run.summary.witnessed[mode].mixed_prompts for mode in MODES)
    if not reason and (len(run.summary.schedules) < 2 or mixed < _FEWEST_MIXED):
        reason = (
            "seen under one kind of schedule only: it takes two, one of which lets a prefill join "
            f"running decodes (staggered or wide) for {_FEWEST_MIXED} prompts or more; here {mixed}"
        )
    if not reason:
        reason = _uncontrolled(run)
    says = f"{bounded(left)}; {_under(run)}{run.resting_none()}"
    return (_NOT, f"{reason}; {says}") if reason else (_ESTABLISHED, says)


@_claim("The two modes differ in how often the {} changes")
def _paths_differ(run: Ledger) -> Verdict:
    pairs, against = (
        run.pairs(),
        "S1" if run.basis() else "S0, which cannot tell a batch from a cache",
    )
    cells, rows = pairs.prompts, pairs.rows
    says = (
        f"B against {against}; prompts that change in standard mode only {cells.first_only}, in "
        f"batch-invariant only {cells.second_only}: exact McNemar by prompt "
        f"{p_equals(cells.p_two_sided)}"
        + (f" ({cells.note})" if cells.note else "")
        + f"; by row {rows.first_only} and {rows.second_only}, {p_equals(rows.p_two_sided)}"
    )
    if sent := pairs.dispatches:
        p = p_equals(sent.p_two_sided)
        says += f"; by dispatch {sent.first_only} and {sent.second_only}, {p}"
    reason = run.unproven() or run.noise() or run.unwitnessed() or run.unlike()
    reason = reason or run.cached(_STANDARD) or run.cached(_INVARIANT) or run.comparable()
    if not reason and cells.p_two_sided < ALPHA:
        reason = run.weak()
    if unasked := _unasked(run):
        reason = unasked[1]
    if reason or cells.p_two_sided >= ALPHA:
        return _NOT, f"{says}; {reason}" if reason else says
    return _ESTABLISHED, f"{says}{run.resting()}"


@_claim("The change of the {} with the batch depends on the kernel path of the tested stack")
def _kernel_path(run: Ledger) -> Verdict:
    if reason := run.unproven():
        return _NOT, reason
    needed = ("standard_changes", "paths_differ")
    missing = [name for name in needed if run.made[name] is not _ESTABLISHED]
    if missing:
        names = " and ".join(f"`{name}`" for name in missing)
        return _NOT, f"it rests on {names}, which is not established here"
    left = run.counted(_INVARIANT, Effect.BATCH).rows.count
    effect = "removes the change" if not left else "lessens the change and does not remove it"
    if not left and (unseen := run.unseen()):
        effect = f"removes it from these rows, and {unseen}"
    if _direction(run) is _INVARIANT:
        effect = "changes more"
    return _ESTABLISHED, (
        "same rows, same batches, another kernel path, each proven; the invariant path "
        f"{effect}; on {run.summary.stack.place}"
    )


def _uncontrolled(run: Ledger) -> str | None:
    """Why a change would not have been seen under two schedules, one of them mixing, if so."""
    seen = run.carried.seen_under
    if not MIXING.intersection(seen):
        found = sum(run.carried.control[n].count for n in MIXING if n in run.carried.control)
        return (
            "nothing shows that a change would have been seen where a prefill joins running "
            f"decodes (staggered or wide): there standard mode changes {found} answers that count"
        )
    if len(seen) < 2:
        return "nothing shows that a change would have been seen under another schedule"
    return run.weak()


def _under(run: Ledger) -> str:
    """The schedules under which it was seen, those where it could not have been, and the place."""
    control, seen = run.carried.control, run.carried.seen_under
    told = ", ".join(
        f"{name} (standard mode changes {control[name].count} of {control[name].n} answers there)"
        for name in seen
    )
    if blind := [name for name in run.summary.schedules if name not in seen]:
        told = (f"{told}; not " if told else "no schedule, ") + (
            f"under {', '.join(blind)}, where standard mode changes too few answers that count to "
            "show that one would have been seen"
        )
    return f"under {told}; on {run.summary.stack.place}"


def _following(ledgers: Sequence[Ledger], records: Records, pairing: Pairing) -> list[Claim]:
    """What follows where the kernel path is established for any endpoint."""
    holds = any(run.made["kernel_path"] is _ESTABLISHED for run in ledgers)
    no = _NOT, "the dependence on the kernel path is not established"
    complete, group = pairing.complete(records), records.column("group")
    one, other = (group[pairing.slots[mode][complete]] for mode in MODES)
    same = len(one) and not np.any(one != other) and not np.any(one == 0)
    companions = (
        (_ESTABLISHED, "both modes sent the same companions, and the modes' answers differ")
        if same
        else (_NOT, "the records do not show that both modes used the same batches")
    )
    stack = _ESTABLISHED, "the same rows answer differently under the two paths"
    found = {
        "exact_stack_validation": (
            "A batch-served model has to be validated on its exact stack, kernel path included",
            stack,
        ),
        "not_companions": (
            "The batch effect is not explained by what the companions in the batch say",
            companions,
        ),
    }
    return [Claim(name, text, *(yes if holds else no)) for name, (text, yes) in found.items()]
