"""The gate: named conditions on a comparison, each with its count and its reason.

What nothing proves is not proven: a run without start-up files fails ``mode-not-proven``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.analyse import key_name
from harness.compare.comparison import Comparison
from harness.compare.model import CandidateChange, FlipChange
from harness.compare.sample_comparison import FilterComparison, SampleChange, SampleComparison

__all__ = ["MAX_FLIP_RATE", "RUN_CONDITIONS", "SAMPLE_CONDITIONS", "GateVerdict", "judge"]

MAX_FLIP_RATE = "max-flip-rate"
_SHOWN = 3
Found = Sequence[str]
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What one condition says.

    Attributes:
        condition: its name, as typed.
        meaning: what it looks for, in words.
        count: how much of it was found.
        ok: whether the gate passes.
        reason: the count in words, with the first places.
        places: every place, for a report.
    """

    condition: str
    meaning: str
    count: int
    ok: bool
    reason: str
    places: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON values, without the list of places."""
        return {
            "condition": self.condition,
            "count": self.count,
            "ok": self.ok,
            "reason": self.reason,
        }


def _where(test: Callable[[CandidateChange], bool]) -> Callable[[Comparison], Found]:
    def found(comparison: Comparison) -> Found:
        several = len(comparison.modes) > 1
        return [
            f"{mode.title}: {key_name(change.key)}" if several else key_name(change.key)
            for mode in comparison.modes
            for change in mode.changes
            if test(change)
        ]

    return found


RUN_CONDITIONS: dict[str, tuple[str, Callable[[Comparison], Found]]] = {
    "new-label-flips": (
        "label flips of B that A does not have",
        _where(lambda change: change.flip is FlipChange.APPEARED),
    ),
    "label-flips": (
        "label flips of B",
        _where(lambda change: change.flip in (FlipChange.APPEARED, FlipChange.STAYED)),
    ),
    "new-text-changes": (
        "text changes of B that A does not have",
        _where(lambda change: change.text_effect is FlipChange.APPEARED),
    ),
    "solo-changes": (
        "answers that changed alone, without a batch",
        _where(lambda change: change.text_changed["solo"]),
    ),
    "solo-label-changes": (
        "labels that changed alone, without a batch",
        _where(lambda change: change.label_changed["solo"]),
    ),
    "batched-changes": (
        "batched answers that changed",
        _where(lambda change: change.text_changed["batched"]),
    ),
    "batched-label-changes": (
        "labels of batched answers that changed",
        _where(lambda change: change.label_changed["batched"]),
    ),
    "mode-not-proven": (
        "servers whose kernel path is not proven",
        lambda comparison: [*dict.fromkeys((*comparison.a.unproven, *comparison.b.unproven))],
    ),
    "stack-differs": (
        "differences of the serving stacks",
        lambda comparison: [
            f"{d.name}: {d.a} → {d.b}" for d in comparison.stack if d.part != "harness"
        ],
    ),
    "not-checked": (
        "things that could not be compared",
        lambda comparison: [*comparison.not_checked, *comparison.left_out],
    ),
}


def _samples(
    test: Callable[[FilterComparison, SampleChange], bool],
) -> Callable[[SampleComparison], Found]:
    def found(comparison: SampleComparison) -> Found:
        return [
            f"{entry.filter}: doc_id {change.doc_id}"
            for entry in comparison.filters
            for change in entry.changes
            if test(entry, change)
        ]

    return found


def _moves(entry: FilterComparison, change: SampleChange) -> list[tuple[float, float]]:
    binary = {metric.name for metric in entry.metrics if metric.binary}
    return [values for name, values in change.metrics.items() if name in binary]


SAMPLE_CONDITIONS: dict[str, tuple[str, Callable[[SampleComparison], Found]]] = {
    "answer-changes": (
        "answers that changed",
        _samples(lambda _, change: change.answer_changed),
    ),
    "correctness-changes": (
        "answers that became right or wrong",
        _samples(lambda entry, change: bool(_moves(entry, change))),
    ),
    "newly-wrong": (
        "answers that were right in A and are wrong in B",
        _samples(lambda entry, change: any(b < a for a, b in _moves(entry, change))),
    ),
    "not-checked": (
        "things that could not be compared",
        lambda comparison: [*comparison.not_checked, *comparison.left_out],
    ),
}


def judge(
    comparison: Comparison | SampleComparison,
    conditions: Sequence[str],
    max_flip_rate: float | None = None,
) -> tuple[GateVerdict, ...]:
    """Judge a comparison.

    Args:
        conditions: names from `RUN_CONDITIONS`, or from `SAMPLE_CONDITIONS` for samples.
        max_flip_rate: the largest share of label flips that B may have in each compared mode, as
            a fraction; for samples, of documents whose correctness changed under each filter.

    Raises:
        KeyError: a condition is not known for this kind of comparison.
    """
    if isinstance(comparison, Comparison):
        verdicts = [_verdict(name, *RUN_CONDITIONS[name], comparison) for name in conditions]
        rates = {mode.title: mode.flips["label_flips"]["b"] for mode in comparison.modes}
    else:
        verdicts = [_verdict(name, *SAMPLE_CONDITIONS[name], comparison) for name in conditions]
        rates = {entry.filter: entry.correctness for entry in comparison.filters}
    if max_flip_rate is not None:
        verdicts += _rate_verdicts(rates, max_flip_rate)
    return tuple(verdicts)


def _verdict(name: str, meaning: str, find: Callable[[C], Found], comparison: C) -> GateVerdict:
    places = tuple(find(comparison))
    shown = "; ".join(places[:_SHOWN])
    more = f"; and {len(places) - _SHOWN:,} more" if len(places) > _SHOWN else ""
    reason = f"{len(places):,} {meaning}" + (f": {shown}{more}" if places else "")
    return GateVerdict(name, meaning, len(places), not places, reason, places)


def _rate_verdicts(rates: Mapping[str, Mapping[str, Any]], limit: float) -> Iterator[GateVerdict]:
    for title, rate in rates.items():
        share = rate["rate"]
        ok = share is not None and share <= limit
        shown = f"{rate['count']}/{rate['n']}" + ("" if share is None else f" = {share:.1%}")
        word = "is at most" if ok else "is more than" if share is not None else "rows to hold to"
        yield GateVerdict(
            f"{MAX_FLIP_RATE} ({title})",
            f"flip rate of B under {title}",
            int(rate["count"]),
            ok,
            f"{shown} {word} {limit:.2%}",
        )
