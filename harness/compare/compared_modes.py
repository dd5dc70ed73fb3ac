"""One mode of A against one mode of B: the numbers, and the candidates that changed.

Three questions are kept apart. *Alone*: did the answer to the prompt on its own change? *In its
batch*: did the batched answer change? *Flips*: did the batch's effect, solo against batched of
the same run, appear, vanish or stay?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from itertools import starmap
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from harness.analyse import (
    NoiseFloor,
    OfEndpoints,
    PairTest,
    Rate,
    noise_floor,
    paired_counts,
    paired_statistics,
    rate,
    symmetry_p,
)
from harness.compare.alignment import CONDITIONS, KEY, Alignment, Side
from harness.flips import flip_direction
from harness.records import RecordKey
from harness.words import Condition, Mode

if TYPE_CHECKING:
    from pandas import DataFrame, Series


T = TypeVar("T")


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

    ``flip`` and ``text_effect`` say what became of the batch's effect on its label and its text.
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


class Sides(Struct, Generic[T], frozen=True):
    """The same of A and of B."""

    a: T
    b: T


class Effect(Sides[Rate], frozen=True):
    """The batch's effect in A and in B: how often, and what became of it."""

    appeared: int
    vanished: int
    stayed: int
    paired: PairedSides


class ChangedAnswers(Struct, frozen=True):
    """Answers to the same question that differ between A and B, and which way scores went.

    ``unscored`` counts all answers of a side that are in a state without a score, by its label.
    """

    text_changes: Rate
    label_changes: Rate
    up: int
    down: int
    p_symmetry: float
    unscored: Sides[dict[str, int]]


class ChangedPrompts(Struct, frozen=True):
    """Distinct (model, task, sample), and those whose solo answer changed in any batch size."""

    n: int
    solo_text_changes: Rate


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
        noise_floor: what asking again within a run changed.
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
    noise_floor: Sides[NoiseFloor]
    breakdowns: ChangedBy
    changes: tuple[CandidateChange, ...]

    @property
    def title(self) -> str:
        """``standard``, or ``standard against batch_invariant``."""
        if self.mode_a == self.mode_b:
            return str(self.mode_a)
        return f"{self.mode_a} against {self.mode_b}"


def compare_mode(a: Side, b: Side, aligned: Alignment) -> ModeComparison:
    """Compare the records of an alignment; those that failed on either side are not counted."""
    pairs = aligned.pairs
    out = pairs[pairs["ok_a"] & pairs["ok_b"]]
    # several batch sizes ask the same prompt alone
    prompts = out.groupby(KEY[:3])["solo_text_changes"].any()
    one, other = out["label_flip_a"], out["label_flip_b"]
    marked = out.assign(
        n=1, flips_a=one, flips_b=other, appeared=other & ~one, vanished=one & ~other
    )
    counts = list(ChangedSlice.__struct_fields__[1:])
    sums = (marked.groupby(name)[counts].sum() for name in ChangedBy.__struct_fields__)
    return ModeComparison(
        mode_a=aligned.mode_a,
        mode_b=aligned.mode_b,
        candidates=len(pairs),
        n=len(out),
        errors_a=int((~pairs["ok_a"]).sum()),
        errors_b=int((~pairs["ok_b"]).sum()),
        label_flips=_effect(one, other),
        text_changes=_effect(out["text_change_a"], out["text_change_b"]),
        solo=_answers(out, Condition.SOLO),
        batched=_answers(out, Condition.BATCHED),
        prompts=ChangedPrompts(len(prompts), rate(int(prompts.sum()), len(prompts))),
        noise_floor=Sides(
            noise_floor(a.records, out["row_a"].to_numpy()),
            noise_floor(b.records, out["row_b"].to_numpy()),
        ),
        breakdowns=ChangedBy(*(tuple(starmap(ChangedSlice, table.itertuples())) for table in sums)),
        changes=tuple(_changes(aligned, out)),
    )


def _effect(one: Series[bool], other: Series[bool]) -> Effect:
    cells = both, only_a, only_b, _ = paired_counts(one.to_numpy(), other.to_numpy())
    return Effect(
        a=rate(both + only_a, len(one)),
        b=rate(both + only_b, len(one)),
        appeared=only_b,
        vanished=only_a,
        stayed=both,
        paired=PairedSides(*astuple(paired_statistics(*cells))),
    )


def _answers(out: DataFrame, condition: Condition) -> ChangedAnswers:
    changed = out[out[f"{condition}_label_changes"]]
    states = zip(changed[f"{condition}_state_a"], changed[f"{condition}_state_b"], strict=True)
    directions = [flip_direction(before[0], after[0]) for before, after in states]
    up, down = directions.count("up"), directions.count("down")
    texts = rate(int(out[f"{condition}_text_changes"].sum()), len(out))
    without: list[dict[str, int]] = []
    for side in "ab":
        given = out[f"{condition}_state_{side}"]
        without.append(
            dict(Counter(label or "no score" for score, label in given if score is None))
        )
    labels = rate(len(changed), len(out))
    return ChangedAnswers(texts, labels, up, down, symmetry_p(up, down), Sides(*without))


def _changes(aligned: Alignment, out: DataFrame) -> Iterator[CandidateChange]:
    flipped = out["label_flip_a"] | out["label_flip_b"]
    answered = [f"{c}_{what}_changes" for c in CONDITIONS for what in ("text", "label")]
    for row in out[flipped | out[answered].any(axis=1)].to_dict("records"):
        answers = {
            condition: AnswerChange(
                row[f"{condition}_text_changes"],
                row[f"{condition}_label_changes"],
                Scored(*row[f"{condition}_state_a"]),
                Scored(*row[f"{condition}_state_b"]),
            )
            for condition in CONDITIONS
        }
        yield CandidateChange(
            **{name: row[name] for name in KEY},
            mode_a=aligned.mode_a,
            mode_b=aligned.mode_b,
            line_a=row["line_a"],
            line_b=row["line_b"],
            flip=_became(row["label_flip_a"], row["label_flip_b"]),
            text_effect=_became(row["text_change_a"], row["text_change_b"]),
            solo=answers[Condition.SOLO],
            batched=answers[Condition.BATCHED],
        )


def _became(before: bool, after: bool) -> FlipChange:
    if before and after:
        return FlipChange.STAYED
    if after:
        return FlipChange.APPEARED
    return FlipChange.VANISHED if before else FlipChange.NONE
