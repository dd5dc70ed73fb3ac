"""The gate: named conditions on a comparison, each with its count and its reason.

What nothing proves is not proven: a run without start-up files fails ``mode-not-proven``.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from msgspec import Struct

from harness.analyse import Rate, key_name, upper_bound
from harness.compare.compared_modes import CandidateChange, FlipChange
from harness.compare.run_comparison import Comparison
from harness.compare.sample_comparison import FilterComparison, SampleChange, SampleComparison
from harness.numbers import count_of

MAX_FLIP_RATE = "max-flip-rate"
_SHOWN = 3
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
    """The places that a condition names, and the prompts of these among those compared."""

    places: Sequence[str]
    prompts: int | None = None
    compared: int = 0


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
    def found(comparison: Comparison) -> Found:
        changes = [
            (mode, change) for mode in comparison.modes for change in mode.changes if test(change)
        ]
        title = len(comparison.modes) > 1
        return Found(
            [(f"{mode.title}: " if title else "") + key_name(one.key) for mode, one in changes],
            len({one.prompt for _, one in changes}),
            max(mode.prompts.n for mode in comparison.modes),
        )

    return found


def _gaps(comparison: Comparison | SampleComparison) -> Found:
    return Found([*comparison.not_checked, *comparison.left_out])


RUN_CONDITIONS: dict[str, tuple[str, Callable[[Comparison], Found]]] = {
    **{name: (meaning, _where(test)) for name, (meaning, test) in _CHANGES.items()},
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
    test: Callable[[FilterComparison, SampleChange], bool],
) -> Callable[[SampleComparison], Found]:
    return lambda comparison: Found(
        [
            f"{entry.filter}: doc_id {change.doc_id}"
            for entry in comparison.filters
            for change in entry.changes
            if test(entry, change)
        ]
    )


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
        max_flip_rate: the largest share of prompts with a label flip that B may have in each
            compared mode, as a fraction; for samples, of documents whose correctness changed
            under each filter.

    Raises:
        KeyError: a condition is not known for this kind of comparison.
    """
    if isinstance(comparison, Comparison):
        found = [_finding(name, *RUN_CONDITIONS[name], comparison) for name in conditions]
        rates: dict[str, tuple[Rate, Rate | None]] = {
            mode.title: (mode.label_flips.prompts.b, mode.label_flips.b)
            for mode in comparison.modes
        }
    else:
        found = [_finding(name, *SAMPLE_CONDITIONS[name], comparison) for name in conditions]
        rates = {entry.filter: (entry.correctness_changes, None) for entry in comparison.filters}
    if max_flip_rate is not None:
        found += (_held(title, *of, max_flip_rate) for title, of in rates.items())
    return tuple(found)


def _held(title: str, rate: Rate, rows: Rate | None, limit: float) -> GateFinding:
    """Whether a rate, by prompt where rows stand beside it, is at most the limit."""
    ok = rate.rate is not None and rate.rate <= limit
    shown = f"{rate.count}/{rate.n}" + ("" if rate.rate is None else f" = {rate.rate:.1%}")
    word = "is at most" if ok else "nothing to hold to" if rate.rate is None else "is more than"
    reason = f"{shown} {word} {limit:.2%}"
    reason += f" of prompts (rows {rows.count}/{rows.n})" if rows else ""
    if rate.n and not rate.count:
        beside = f", {rows.upper95:.2%} of rows" if rows and rows.upper95 else ""
        reason += f"; none leaves room for up to {rate.upper95:.2%}{beside} (one-sided 95%)"
    name, meaning = f"{MAX_FLIP_RATE} ({title})", f"flip rate of B under {title}"
    prompts = rate.count if rows else None
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
    if found.compared and not prompts:
        room = upper_bound(0, found.compared)
        reason += f"; none leaves room for up to {room:.2%} of prompts (one-sided 95%)"
    return GateFinding(name, len(places), not places, reason, prompts, meaning, places)
