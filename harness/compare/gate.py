"""The gate: named conditions on a comparison, each with its count and its reason.

What nothing proves is not proven: a run without start-up files fails ``mode-not-proven``. And
where nothing could be found, finding nothing fails: labels of answers that mostly have no score.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import NamedTuple, TypeVar

from msgspec import Struct

from harness.analyse import Rate, key_name, upper_bound
from harness.compare.alignment import CONDITIONS
from harness.compare.compared_modes import CandidateChange, FlipChange, ModeComparison
from harness.compare.run_comparison import Comparison
from harness.compare.sample_comparison import (
    FilterComparison,
    SampleChange,
    SampleComparison,
    steps_of,
)
from harness.flips import unresolved
from harness.numbers import count_of
from harness.words import Condition

MAX_FLIP_RATE = "max-flip-rate"
_SHOWN = 3
_BLIND = "a change would hardly have been seen: "
C = TypeVar("C")


class GateVerdict(Struct, frozen=True):
    """What one condition says: its name as typed, how much was found, and whether it passes.

    ``count`` is of rows, or documents, and ``prompts`` of the prompts that these share, ``None``
    where a condition is of neither; ``reason`` is both in words, with the first places.
    """

    condition: str
    count: int
    ok: bool
    reason: str
    prompts: int | None = None


class GateFinding(GateVerdict, frozen=True):
    """A verdict with what ``comparison.json`` leaves out: what it looks for, and every place."""

    meaning: str = ""
    places: tuple[str, ...] = ()


class Found(NamedTuple):
    """The places that a condition names, and the prompts of these among those compared.

    ``blind`` is why none could have been found, if so.
    """

    places: Sequence[str]
    prompts: int | None = None
    compared: int = 0
    blind: str | None = None


_ALONE, _TOGETHER = (Condition.SOLO,), (Condition.BATCHED,)
_SIDES = {Condition.SOLO: "answers alone", Condition.BATCHED: "answers in the batch"}
_NEW, _KEPT = FlipChange.APPEARED, FlipChange.STAYED
_CHANGES: dict[str, tuple[str, Callable[[CandidateChange], bool], tuple[Condition, ...]]] = {
    "new-label-flips": (
        "label flips of B that A does not have",
        lambda c: c.flip is _NEW,
        CONDITIONS,
    ),
    "label-flips": ("label flips of B", lambda c: c.flip in (_NEW, _KEPT), CONDITIONS),
    "new-text-changes": (
        "text changes of B that A does not have",
        lambda c: c.text_effect is _NEW,
        (),
    ),
    "solo-changes": (
        "answers that changed alone, without a batch",
        lambda c: c.solo.text_changed,
        (),
    ),
    "solo-label-changes": (
        "labels that changed alone, without a batch",
        lambda c: c.solo.label_changed,
        _ALONE,
    ),
    "batched-changes": ("batched answers that changed", lambda c: c.batched.text_changed, ()),
    "batched-label-changes": (
        "labels of batched answers that changed",
        lambda c: c.batched.label_changed,
        _TOGETHER,
    ),
}
"""What each condition looks for, and of which answers it takes the scores."""


def _unread(mode: ModeComparison, scored: Iterable[Condition], sides: str) -> str | None:
    """Why the labels of a mode say little on one of the sides, if so."""
    for condition, side in product(scored, sides):
        which = f"{_SIDES[condition]} have no score in {side.upper()} ({mode.title})"
        missing = sum(getattr(getattr(mode, condition).unscored, side).values())
        if reason := unresolved(missing, mode.n, which):
            return reason
    return None


def _where(
    test: Callable[[CandidateChange], bool], scored: Sequence[Condition]
) -> Callable[[Comparison], Found]:
    sides = "b" if scored == CONDITIONS else "ab"  # flips are within a run, and those of B count

    def found(comparison: Comparison) -> Found:
        modes = comparison.modes
        changes = [(mode, change) for mode in modes for change in mode.changes if test(change)]
        title = len(modes) > 1
        empty = [f"no answers to compare ({mode.title})" for mode in modes if not mode.n]
        return Found(
            [(f"{mode.title}: " if title else "") + key_name(one.key) for mode, one in changes],
            len({one.prompt for _, one in changes}),
            max(mode.prompts.n for mode in modes),
            next(filter(None, [*empty, *(_unread(mode, scored, sides) for mode in modes)]), None),
        )

    return found


def _gaps(comparison: Comparison | SampleComparison) -> Found:
    return Found([*comparison.not_checked, *comparison.left_out])


RUN_CONDITIONS: dict[str, tuple[str, Callable[[Comparison], Found]]] = {
    **{name: (meaning, _where(test, of)) for name, (meaning, test, of) in _CHANGES.items()},
    "mode-not-proven": (
        "servers whose kernel path is not proven",
        lambda found: Found(found.unproven),
    ),
    "stack-differs": (
        "differences of the serving stacks",
        lambda found: Found(
            [f"{d.name}: {d.a} → {d.b}" for d in found.stack if d.part != "harness"]
        ),
    ),
    "not-checked": ("things that could not be compared", _gaps),
}


def _samples(
    test: Callable[[FilterComparison, SampleChange], bool], *, judged: bool = True
) -> Callable[[SampleComparison], Found]:
    def found(comparison: SampleComparison) -> Found:
        places = [
            f"{entry.filter}: doc_id {change.doc_id}"
            for entry in comparison.filters
            for change in entry.changes
            if test(entry, change)
        ]
        blind = filter(None, map(_unjudged, comparison.filters)) if judged else ()
        return Found(places, blind=next(iter(blind), None))

    return found


def _unjudged(entry: FilterComparison) -> str | None:
    """Why hardly any answer under a filter can turn right or wrong, if so."""
    binary = [metric for metric in entry.metrics if metric.binary]
    if not binary:
        return f"no metric of both files is 0 or 1 in most documents ({entry.filter})"
    for metric in binary:
        which = f"documents have no {metric.name} of 0 or 1 on both sides ({entry.filter})"
        if reason := unresolved(entry.n - metric.n, entry.n, which):
            return reason
    return None


def _steps(entry: FilterComparison, change: SampleChange) -> list[float]:
    """By how much each binary metric of a document moved."""
    return steps_of(entry.metrics, change.metrics)


SAMPLE_CONDITIONS: dict[str, tuple[str, Callable[[SampleComparison], Found]]] = {
    "answer-changes": (
        "answers that changed",
        _samples(lambda _, change: change.answer_changed, judged=False),
    ),
    "correctness-changes": (
        "answers that became right or wrong",
        _samples(lambda entry, change: bool(_steps(entry, change))),
    ),
    "newly-wrong": (
        "answers that were right in A and are wrong in B",
        _samples(lambda entry, change: min(_steps(entry, change), default=0) < 0),
    ),
    "not-checked": ("things that could not be compared", _gaps),
}


def judge(
    comparison: Comparison | SampleComparison,
    conditions: Sequence[str],
    max_flip_rate: float | None = None,
) -> tuple[GateFinding, ...]:
    """Judge a comparison.

    Args:
        conditions: names from `RUN_CONDITIONS`, or from `SAMPLE_CONDITIONS` for samples.
        max_flip_rate: the largest share of prompts with a label flip that B may have in each
            compared mode, as a fraction; for samples, of documents whose correctness changed
            under each filter.

    Raises:
        KeyError: a condition is not known for this kind of comparison.
    """
    if isinstance(comparison, Comparison):
        found = [_finding(name, *RUN_CONDITIONS[name], comparison) for name in conditions]
        rates: dict[str, tuple[Rate, Rate | None, str | None]] = {
            mode.title: (
                mode.label_flips.prompts.b,
                mode.label_flips.b,
                _unread(mode, CONDITIONS, "b"),
            )
            for mode in comparison.modes
        }
    else:
        found = [_finding(name, *SAMPLE_CONDITIONS[name], comparison) for name in conditions]
        rates = {
            entry.filter: (entry.correctness_changes, None, _unjudged(entry))
            for entry in comparison.filters
        }
    if max_flip_rate is not None:
        found += (_held(title, *of, max_flip_rate) for title, of in rates.items())
    return tuple(found)


def _held(
    title: str, rate: Rate, rows: Rate | None, blind: str | None, limit: float
) -> GateFinding:
    """Whether a rate, by prompt where rows stand beside it, is at most the limit."""
    within = rate.rate is not None and rate.rate <= limit
    shown = f"{rate.count}/{rate.n}" + ("" if rate.rate is None else f" = {rate.rate:.1%}")
    word = "is at most" if within else "nothing to hold to" if not rate.n else "is more than"
    reason = f"{shown} {word} {limit:.2%}"
    reason += f" of prompts (rows {rows.count}/{rows.n})" if rows else ""
    if rate.n and not rate.count and not blind:
        beside = f", {rows.upper95:.2%} of rows" if rows and rows.upper95 else ""
        reason += f"; none leaves room for up to {rate.upper95:.2%}{beside} (one-sided 95%)"
    reason += f"; {_BLIND}{blind}" if blind else ""
    name, meaning = f"{MAX_FLIP_RATE} ({title})", f"flip rate of B under {title}"
    prompts = rate.count if rows else None
    ok = within and not blind
    return GateFinding(name, (rows or rate).count, ok, reason, prompts, meaning)


def _finding(name: str, meaning: str, find: Callable[[C], Found], comparison: C) -> GateFinding:
    found = find(comparison)
    places, prompts = tuple(found.places), found.prompts
    shown = "; ".join(places[:_SHOWN])
    more = f"; and {len(places) - _SHOWN:,} more" if len(places) > _SHOWN else ""
    counted = f"{len(places):,} {meaning}"
    if prompts is not None:
        by_row = f"by prompt of {found.compared:,}; {count_of(len(places), 'row')}"
        counted = f"{prompts:,} {meaning} ({by_row})"
    reason = f"{counted}: {shown}{more}" if places else counted
    if found.blind:
        reason += f"; {_BLIND}{found.blind}"
    elif found.compared and not prompts:
        room = upper_bound(0, found.compared)
        reason += f"; none leaves room for up to {room:.2%} of prompts (one-sided 95%)"
    ok = not places and not found.blind
    return GateFinding(name, len(places), ok, reason, prompts, meaning, places)
