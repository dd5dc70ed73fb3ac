"""Where an answer leaves another one: the place, how close the choice was, what hangs on it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

TIE = 0.05
"""Between the two likeliest tokens, in nats: what other sums of 16-bit numbers alone can turn over.

vllm#47069 tells ties from a confident flip (a gap of 0.125); two orders of summation moved a
log-probability by 0.0047 at most on a GPU (vllm#52701) and 0.01 on a CPU."""


class Likely(Struct, frozen=True, array_like=True):
    """A token and its log-probability in nats."""

    token: int
    logprob: float


Choice = tuple[Likely, ...]
"""The likeliest tokens at one place, the likeliest first."""


class Closeness(StrEnum):
    """How close the choice was where two answers part."""

    TIE = "tie"
    CONFIDENT = "confident"
    UNKNOWN = "unknown"


class Divergence(Struct, frozen=True, kw_only=True):
    """Where the answer in a batch leaves the answer alone.

    Attributes:
        token: index of the first token that is another one; ``None`` where no ids are recorded.
        char: index of the first character that is another one; ``None`` where the texts agree.
        of: tokens of the answer alone.
        alone, batched: the likeliest tokens there, on either side, where they were asked for.
        evidence_after: whether what the scorer matched in either answer reaches beyond it, so
            that the label may hang on it; ``None`` where the scorer matched nothing.
    """

    token: int | None
    char: int | None
    of: int | None = None
    alone: Choice | None = None
    batched: Choice | None = None
    evidence_after: bool | None = None

    @property
    def gap(self) -> float | None:
        """The smaller gap of the two sides between likeliest and second, in nats."""
        gaps = [gap_of(side) for side in (self.alone, self.batched)]
        known = [gap for gap in gaps if gap is not None]
        return min(known) if len(known) == len(gaps) else None

    @property
    def closeness(self) -> Closeness:
        """A tie, a confident choice, or unknown."""
        if self.gap is None:
            return Closeness.UNKNOWN
        return Closeness.TIE if self.gap <= TIE else Closeness.CONFIDENT


def gap_of(choice: Choice | None) -> float | None:
    """Between the likeliest token and the second, in nats; ``None`` where two are not known."""
    if choice is None or len(choice) < 2:
        return None
    return choice[0].logprob - choice[1].logprob


def first_difference(one: Sequence[Any], other: Sequence[Any]) -> int | None:
    """Index at which two sequences part (the shorter one's end counts); ``None`` if equal."""
    if one == other:
        return None
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
