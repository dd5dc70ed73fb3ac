"""One mode of A against one mode of B: the numbers, and the candidates that changed.

Three questions are kept apart. *Alone*: did the answer to the prompt on its own change? *In its
batch*: did the batched answer change? *Flips*: did the batch's effect, solo against batched of
the same run, appear, vanish or stay?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeVar

import numpy as np
from msgspec import Struct
from msgspec.structs import astuple

from harness.analyse import (
    NoiseFloor,
    OfEndpoints,
    PairTest,
    Rate,
    endpoint,
    noise_floor,
    paired_counts,
    paired_statistics,
    rate,
    score_states,
    symmetry_p,
)
from harness.compare.alignment import Alignment
from harness.compare.run_side import Side
from harness.flips import flip_direction
from harness.records import BoolArray, IntArray, RecordKey, ScoreState
from harness.words import Condition, Endpoint, Mode

CONDITIONS = (Condition.SOLO, Condition.BATCHED)
_Value = TypeVar("_Value", str, int)
_SHORT = {Condition.SOLO: "solo", Condition.BATCHED: "batch"}


class FlipChange(StrEnum):
    """What became of the batch's effect on a candidate, from A to B."""

    APPEARED = "appeared"
    VANISHED = "vanished"
    STAYED = "stayed"
    NONE = "none"


class Scored(Struct, frozen=True):
    """What an answer came to: its score, or the scorer's word where there is no score."""

    score: float | None
    label: str | None


class AnswerChange(Struct, frozen=True):
    """Whether B's answer has another hash, and whether it has another score, than A's."""

    text_changed: bool
    label_changed: bool
    a: Scored
    b: Scored


class CandidateChange(Struct, frozen=True):
    """One candidate of which anything changed from A to B.

    Attributes:
        mode_a, mode_b: the kernel paths that are compared.
        line_a, line_b: where its records stand.
        flip: what became of its label flip, the batch's effect on the label.
        text_effect: what became of its text change, the batch's effect on the text.
    """

    model: str
    task_name: str
    sample_id: str
    batch_size: int
    dispatch_mode: str
    mode_a: Mode
    mode_b: Mode
    line_a: int
    line_b: int
    flip: FlipChange
    text_effect: FlipChange
    solo: AnswerChange
    batched: AnswerChange

    @property
    def key(self) -> RecordKey:
        """The candidate."""
        return self.model, self.task_name, self.sample_id, self.batch_size, self.dispatch_mode


class PairedSides(PairTest, frozen=True, rename={"first_only": "a_only", "second_only": "b_only"}):
    """A against B, candidate by candidate."""

    first_only: int
    second_only: int


class Effect(Struct, frozen=True):
    """The batch's effect in A and in B: how often, and what became of it."""

    a: Rate
    b: Rate
    appeared: int
    vanished: int
    stayed: int
    paired: PairedSides


class ChangedAnswers(Struct, frozen=True):
    """Answers to the same question that differ between A and B, and which way scores went."""

    text_changes: Rate
    label_changes: Rate
    up: int
    down: int
    p_symmetry: float


class ChangedPrompts(Struct, frozen=True):
    """Distinct (model, task, sample), and those whose solo answer changed in any batch size."""

    n: int
    solo_text_changes: Rate


class NoiseOfSides(Struct, frozen=True):
    """What asking again within a run changed."""

    a: NoiseFloor
    b: NoiseFloor


class ChangedSlice(Struct, frozen=True):
    """Counts over the candidates with one value of an attribute."""

    value: str | int
    n: int
    flips_a: int
    flips_b: int
    appeared: int
    vanished: int
    solo_text_changes: int
    solo_label_changes: int
    batched_text_changes: int
    batched_label_changes: int


class ChangedBy(Struct, frozen=True):
    """The slices of each attribute of a candidate."""

    model: tuple[ChangedSlice, ...]
    task_name: tuple[ChangedSlice, ...]
    batch_size: tuple[ChangedSlice, ...]
    dispatch_mode: tuple[ChangedSlice, ...]


class ModeComparison(OfEndpoints[Effect], frozen=True):
    """One mode of A against one mode of B.

    Attributes:
        candidates: candidates on both sides; ``n`` of them are ok on both and counted.
        errors_a, errors_b: records of the aligned candidates that failed.
        label_flips, text_changes: the batch's effect within each run.
        solo, batched: A's answers against B's.
        changes: the candidates of which anything changed, in A's order.
    """

    mode_a: Mode
    mode_b: Mode
    candidates: int
    n: int
    errors_a: int
    errors_b: int
    label_flips: Effect
    text_changes: Effect
    solo: ChangedAnswers
    batched: ChangedAnswers
    prompts: ChangedPrompts
    noise_floor: NoiseOfSides
    breakdowns: ChangedBy
    changes: tuple[CandidateChange, ...]

    @property
    def title(self) -> str:
        """``standard``, or ``standard against batch_invariant``."""
        if self.mode_a == self.mode_b:
            return str(self.mode_a)
        return f"{self.mode_a} against {self.mode_b}"


class _Outcome(NamedTuple):
    """What changed, one entry a counted candidate."""

    keys: Sequence[RecordKey]
    rows: tuple[IntArray, IntArray]
    events: Mapping[Endpoint, tuple[BoolArray, BoolArray]]
    texts: Mapping[Condition, BoolArray]
    labels: Mapping[Condition, BoolArray]
    states: Mapping[Condition, tuple[list[ScoreState], list[ScoreState]]]


def compare_mode(a: Side, b: Side, pairs: Alignment) -> ModeComparison:
    """Compare the records of an alignment; those that failed on either side are not counted."""
    ok_a, ok_b = a.records.columns.ok[pairs.rows_a], b.records.columns.ok[pairs.rows_b]
    counted = ok_a & ok_b
    out = _outcome(a, b, pairs, counted)
    solo_changed: dict[tuple[str, str, str], bool] = {}
    for key, differs in zip(out.keys, out.texts[Condition.SOLO].tolist(), strict=True):
        # several batch sizes ask the same prompt alone
        solo_changed[key[:3]] = solo_changed.get(key[:3], False) or differs
    return ModeComparison(
        mode_a=pairs.mode_a,
        mode_b=pairs.mode_b,
        candidates=len(pairs.keys),
        n=int(counted.sum()),
        errors_a=int((~ok_a).sum()),
        errors_b=int((~ok_b).sum()),
        label_flips=_effect(*out.events[Endpoint.LABEL_FLIPS]),
        text_changes=_effect(*out.events[Endpoint.TEXT_CHANGES]),
        solo=_answers(out, Condition.SOLO),
        batched=_answers(out, Condition.BATCHED),
        prompts=ChangedPrompts(
            len(solo_changed), rate(sum(solo_changed.values()), len(solo_changed))
        ),
        noise_floor=NoiseOfSides(
            noise_floor(a.records, out.rows[0]), noise_floor(b.records, out.rows[1])
        ),
        breakdowns=ChangedBy(
            model=_slices(out, [key[0] for key in out.keys]),
            task_name=_slices(out, [key[1] for key in out.keys]),
            batch_size=_slices(out, [key[3] for key in out.keys]),
            dispatch_mode=_slices(out, [key[4] for key in out.keys]),
        ),
        changes=tuple(_changes(a, b, pairs, out)),
    )


def _outcome(a: Side, b: Side, pairs: Alignment, counted: BoolArray) -> _Outcome:
    rows_a, rows_b = pairs.rows_a[counted], pairs.rows_b[counted]
    events = {e: (endpoint(a.records, e)[rows_a], endpoint(b.records, e)[rows_b]) for e in Endpoint}
    hashes = {
        Condition.SOLO: (a.records.solo_hash, b.records.solo_hash),
        Condition.BATCHED: (a.records.batch_hash, b.records.batch_hash),
    }
    lists = list(zip(rows_a.tolist(), rows_b.tolist(), strict=True))
    texts = {
        name: np.array([one[i] != other[j] for i, j in lists], dtype=bool)
        for name, (one, other) in hashes.items()
    }
    states = {
        name: (score_states(a.records, short, rows_a), score_states(b.records, short, rows_b))
        for name, short in _SHORT.items()
    }
    labels = {
        name: np.array([x != y for x, y in zip(one, other, strict=True)], dtype=bool)
        for name, (one, other) in states.items()
    }
    keys = [pairs.keys[index] for index in np.flatnonzero(counted).tolist()]
    return _Outcome(keys, (rows_a, rows_b), events, texts, labels, states)


def _effect(one: BoolArray, other: BoolArray) -> Effect:
    cells = both, only_a, only_b, _ = paired_counts(one, other)
    return Effect(
        a=rate(both + only_a, len(one)),
        b=rate(both + only_b, len(one)),
        appeared=only_b,
        vanished=only_a,
        stayed=both,
        paired=PairedSides(*astuple(paired_statistics(*cells))),
    )


def _answers(out: _Outcome, condition: Condition) -> ChangedAnswers:
    one, other = out.states[condition]
    changed = np.flatnonzero(out.labels[condition]).tolist()
    directions = [flip_direction(one[index][0], other[index][0]) for index in changed]
    up, down = directions.count("up"), directions.count("down")
    n = len(out.keys)
    return ChangedAnswers(
        rate(int(out.texts[condition].sum()), n),
        rate(len(changed), n),
        up,
        down,
        symmetry_p(up, down),
    )


def _slices(out: _Outcome, values: Sequence[_Value]) -> tuple[ChangedSlice, ...]:
    codes = {value: code for code, value in enumerate(sorted(set(values)))}
    column = np.array([codes[value] for value in values], dtype=np.int32)
    one, other = out.events[Endpoint.LABEL_FLIPS]
    counted = (
        one,
        other,
        other & ~one,
        one & ~other,
        *(changed[c] for c in CONDITIONS for changed in (out.texts, out.labels)),
    )
    return tuple(
        ChangedSlice(value, int(mask.sum()), *(int((events & mask).sum()) for events in counted))
        for value, code in codes.items()
        for mask in [column == code]
    )


def _changes(a: Side, b: Side, pairs: Alignment, out: _Outcome) -> Iterator[CandidateChange]:
    one, other = out.events[Endpoint.LABEL_FLIPS]
    text_a, text_b = out.events[Endpoint.TEXT_CHANGES]
    anything = one != other
    for condition in CONDITIONS:
        anything = anything | out.texts[condition] | out.labels[condition]
    for index in np.flatnonzero(anything | (one & other)).tolist():
        answers = (
            AnswerChange(
                bool(out.texts[c][index]),
                bool(out.labels[c][index]),
                *(Scored(*states[index]) for states in out.states[c]),
            )
            for c in CONDITIONS
        )
        yield CandidateChange(
            *out.keys[index],
            pairs.mode_a,
            pairs.mode_b,
            a.line(int(out.rows[0][index])),
            b.line(int(out.rows[1][index])),
            _became(bool(one[index]), bool(other[index])),
            _became(bool(text_a[index]), bool(text_b[index])),
            *answers,
        )


def _became(before: bool, after: bool) -> FlipChange:
    if before and after:
        return FlipChange.STAYED
    if after:
        return FlipChange.APPEARED
    return FlipChange.VANISHED if before else FlipChange.NONE
