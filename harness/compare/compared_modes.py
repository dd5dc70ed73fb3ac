"""One mode of A against one mode of B: the numbers, and the candidates that changed.

Three questions are kept apart. *Alone*: did the answer to the prompt on its own change? *In its
batch*: did the batched answer change? *Flips*: did the batch's effect, solo against batched of
the same run, appear, vanish or stay?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import asdict, astuple

from harness.analyse import (
    NoiseFloor,
    OfEndpoints,
    PairTest,
    Rate,
    by_unit,
    noise_floor,
    paired_counts,
    paired_statistics,
    rate,
    symmetry_p,
)
from harness.compare.alignment import CONDITIONS, KEY, Alignment, Side
from harness.flips import flip_direction
from harness.records import BoolArray, IntArray, RecordKey
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

    ``flip`` and ``text_effect`` say what became of the batch's effect on its label and its text;
    ``prompt_sha256`` is ``None`` where it is not recorded.
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
    prompt_sha256: str | None = None

    @property
    def prompt(self) -> tuple[str, str]:
        """What tells its prompt: rows of one model that were asked in the same words share it."""
        return self.model, self.prompt_sha256 or f"{self.task_name}/{self.sample_id}"

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


class Fates(Sides[Rate], frozen=True):
    """The batch's effect in A and in B: how often, and what became of it."""

    appeared: int
    vanished: int
    stayed: int
    paired: PairedSides


class Effect(Fates, frozen=True):
    """The same by row, and by prompt, which leads: a prompt shows it where any of its rows does."""

    prompts: Fates


class Changed(Struct, frozen=True):
    """Answers to the same question that differ between A and B, and which way scores went."""

    text_changes: Rate
    label_changes: Rate
    up: int
    down: int
    p_symmetry: float


class ChangedAnswers(Changed, frozen=True):
    """The same by row, and by prompt, which leads; a prompt goes where most of its scores go.

    ``unscored`` counts all answers of a side that are in a state without a score, by its label.
    """

    prompts: Changed
    unscored: Sides[dict[str, int]]


class ChangedPrompts(Struct, frozen=True):
    """Distinct (model, task, sample), and those whose solo answer changed in any batch size."""

    n: int
    solo_text_changes: Rate


class SliceCounts(Struct, frozen=True):
    """Counts over candidates, or over their prompts."""

    n: int
    flips_a: int
    flips_b: int
    appeared: int
    vanished: int
    solo_text_changes: int
    solo_label_changes: int
    batched_text_changes: int
    batched_label_changes: int


class ChangedSlice(SliceCounts, frozen=True):
    """Counts over the candidates with one value of an attribute, and over their prompts."""

    value: str | int
    prompts: SliceCounts


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
    unit = a.records.prompts[a.records.column("key")[out["row_a"].to_numpy()]]
    # several batch sizes ask the same prompt alone
    prompts = out["solo_text_changes"].groupby(unit).any()
    return ModeComparison(
        mode_a=aligned.mode_a,
        mode_b=aligned.mode_b,
        candidates=len(pairs),
        n=len(out),
        errors_a=int((~pairs["ok_a"]).sum()),
        errors_b=int((~pairs["ok_b"]).sum()),
        label_flips=_effect(unit, out["label_flip_a"], out["label_flip_b"]),
        text_changes=_effect(unit, out["text_change_a"], out["text_change_b"]),
        solo=_answers(out, unit, Condition.SOLO),
        batched=_answers(out, unit, Condition.BATCHED),
        prompts=ChangedPrompts(len(prompts), rate(int(prompts.sum()), len(prompts))),
        noise_floor=Sides(
            noise_floor(a.records, out["row_a"].to_numpy()),
            noise_floor(b.records, out["row_b"].to_numpy()),
        ),
        breakdowns=ChangedBy(*(_slices(out, unit, name) for name in ChangedBy.__struct_fields__)),
        changes=tuple(_changes(aligned, out)),
    )


def _effect(unit: IntArray, one: Series[bool], other: Series[bool]) -> Effect:
    rows = one.to_numpy(), other.to_numpy()
    return Effect(**asdict(_fates(*rows)), prompts=_fates(*by_unit(unit, *rows)))


def _fates(one: BoolArray, other: BoolArray) -> Fates:
    cells = both, only_a, only_b, _ = paired_counts(one, other)
    return Fates(
        a=rate(both + only_a, len(one)),
        b=rate(both + only_b, len(one)),
        appeared=only_b,
        vanished=only_a,
        stayed=both,
        paired=PairedSides(*astuple(paired_statistics(*cells))),
    )


def _answers(out: DataFrame, unit: IntArray, condition: Condition) -> ChangedAnswers:
    texts, labels = (out[f"{condition}_{what}_changes"].to_numpy() for what in ("text", "label"))
    changed = out[labels]
    states = zip(changed[f"{condition}_state_a"], changed[f"{condition}_state_b"], strict=True)
    ways = [flip_direction(before[0], after[0]) for before, after in states]
    net = Counter[int]()
    for prompt, way in zip(unit[labels].tolist(), ways, strict=True):
        net[prompt] += (way == "up") - (way == "down")
    nets = [sum(sign * n > 0 for n in net.values()) for sign in (1, -1)]
    rows = _changed((texts, labels), ways.count("up"), ways.count("down"))
    without: list[dict[str, int]] = []
    for side in "ab":
        given = out[f"{condition}_state_{side}"]
        without.append(
            dict(Counter(label or "no score" for score, label in given if score is None))
        )
    prompts = _changed(by_unit(unit, texts, labels), *nets)
    return ChangedAnswers(**asdict(rows), prompts=prompts, unscored=Sides(*without))


def _changed(both: Iterable[BoolArray], up: int, down: int) -> Changed:
    texts, labels = (rate(int(one.sum()), len(one)) for one in both)
    return Changed(texts, labels, up, down, symmetry_p(up, down))


def _slices(out: DataFrame, unit: IntArray, name: str) -> tuple[ChangedSlice, ...]:
    """Counts by the values of an attribute: rows, and prompts of which any row has it."""
    one, other = out["label_flip_a"], out["label_flip_b"]
    counts = list(SliceCounts.__struct_fields__)
    marks = out.assign(
        n=True, flips_a=one, flips_b=other, appeared=other & ~one, vanished=one & ~other
    )
    rows = marks.groupby(name)[counts].sum()
    prompts = marks.groupby([marks[name], unit])[counts].any().groupby(level=0).sum()
    told = zip(rows.index, rows.to_numpy(), prompts.to_numpy(), strict=True)
    return tuple(
        ChangedSlice(
            **dict(zip(counts, map(int, of), strict=True)),
            value=value,
            prompts=SliceCounts(*map(int, by)),
        )
        for value, of, by in told
    )


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
            prompt_sha256=row["prompt_a"],
        )


def _became(before: bool, after: bool) -> FlipChange:
    if before and after:
        return FlipChange.STAYED
    if after:
        return FlipChange.APPEARED
    return FlipChange.VANISHED if before else FlipChange.NONE
