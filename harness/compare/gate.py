"""The gate: named conditions on a comparison, each with its count and its reason.

What nothing proves is not proven: a run without start-up files fails ``mode-not-proven``.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import Struct

from harness.analyse import key_name
from harness.compare.compared_modes import CandidateChange, FlipChange
from harness.compare.run_comparison import Comparison
from harness.compare.sample_comparison import FilterComparison, SampleChange, SampleComparison

MAX_FLIP_RATE = "max-flip-rate"
_SHOWN = 3
Found = Sequence[str]
C = TypeVar("C")


class GateVerdict(Struct, frozen=True):
    """What one condition says: its name as typed, how much was found, and whether it passes.

    ``reason`` is the count in words, with the first places.
    """

    condition: str
    count: int
    ok: bool
    reason: str


class GateFinding(GateVerdict, frozen=True):
    """A verdict with what ``comparison.json`` leaves out: what it looks for, and every place."""

    meaning: str
    places: tuple[str, ...] = ()


_NEW, _KEPT = FlipChange.APPEARED, FlipChange.STAYED
_CHANGES: dict[str, tuple[str, Callable[[CandidateChange], bool]]] = {
    "new-label-flips": ("label flips of B that A does not have", lambda c: c.flip is _NEW),
    "label-flips": ("label flips of B", lambda c: c.flip in (_NEW, _KEPT)),
    "new-text-changes": (
        "text changes of B that A does not have",
        lambda c: c.text_effect is _NEW,
    ),
    "solo-changes": ("answers that changed alone, without a batch", lambda c: c.solo.text_changed),
    "solo-label-changes": (
        "labels that changed alone, without a batch",
        lambda c: c.solo.label_changed,
    ),
    "batched-changes": ("batched answers that changed", lambda c: c.batched.text_changed),
    "batched-label-changes": (
        "labels of batched answers that changed",
        lambda c: c.batched.label_changed,
    ),
}


def _where(test: Callable[[CandidateChange], bool]) -> Callable[[Comparison], Found]:
    return lambda comparison: [
        (f"{mode.title}: " if len(comparison.modes) > 1 else "") + key_name(change.key)
        for mode in comparison.modes
        for change in mode.changes
        if test(change)
    ]


def _gaps(comparison: Comparison | SampleComparison) -> Found:
    return [*comparison.not_checked, *comparison.left_out]


RUN_CONDITIONS: dict[str, tuple[str, Callable[[Comparison], Found]]] = {
    **{name: (meaning, _where(test)) for name, (meaning, test) in _CHANGES.items()},
    "mode-not-proven": ("servers whose kernel path is not proven", lambda found: found.unproven),
    "stack-differs": (
        "differences of the serving stacks",
        lambda found: [f"{d.name}: {d.a} → {d.b}" for d in found.stack if d.part != "harness"],
    ),
    "not-checked": ("things that could not be compared", _gaps),
}


def _samples(
    test: Callable[[FilterComparison, SampleChange], bool],
) -> Callable[[SampleComparison], Found]:
    return lambda comparison: [
        f"{entry.filter}: doc_id {change.doc_id}"
        for entry in comparison.filters
        for change in entry.changes
        if test(entry, change)
    ]


def _steps(entry: FilterComparison, change: SampleChange) -> list[float]:
    """By how much each binary metric of a document moved."""
    binary = {metric.name for metric in entry.metrics if metric.binary}
    return [moved.b - moved.a for name, moved in change.metrics.items() if name in binary]


SAMPLE_CONDITIONS: dict[str, tuple[str, Callable[[SampleComparison], Found]]] = {
    "answer-changes": ("answers that changed", _samples(lambda _, change: change.answer_changed)),
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
        max_flip_rate: the largest share of label flips that B may have in each compared mode, as
            a fraction; for samples, of documents whose correctness changed under each filter.

    Raises:
        KeyError: a condition is not known for this kind of comparison.
    """
    if isinstance(comparison, Comparison):
        found = [_finding(name, *RUN_CONDITIONS[name], comparison) for name in conditions]
        rates = {mode.title: mode.label_flips.b for mode in comparison.modes}
    else:
        found = [_finding(name, *SAMPLE_CONDITIONS[name], comparison) for name in conditions]
        rates = {entry.filter: entry.correctness_changes for entry in comparison.filters}
    if max_flip_rate is None:
        return tuple(found)
    for title, rate in rates.items():
        ok = rate.rate is not None and rate.rate <= max_flip_rate
        shown = f"{rate.count}/{rate.n}" + ("" if rate.rate is None else f" = {rate.rate:.1%}")
        word = "is at most" if ok else "rows to hold to" if rate.rate is None else "is more than"
        reason = f"{shown} {word} {max_flip_rate:.2%}"
        name, meaning = f"{MAX_FLIP_RATE} ({title})", f"flip rate of B under {title}"
        found.append(GateFinding(name, rate.count, ok, reason, meaning))
    return tuple(found)


def _finding(name: str, meaning: str, find: Callable[[C], Found], comparison: C) -> GateFinding:
    places = tuple(find(comparison))
    shown = "; ".join(places[:_SHOWN])
    more = f"; and {len(places) - _SHOWN:,} more" if len(places) > _SHOWN else ""
    reason = f"{len(places):,} {meaning}" + (f": {shown}{more}" if places else "")
    return GateFinding(name, len(places), not places, reason, meaning, places)
