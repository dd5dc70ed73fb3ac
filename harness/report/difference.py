"""Where two answers part, and the window of each that is worth showing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from harness.report.model import Piece

__all__ = ["Window", "first_difference", "window"]

_WORD_END = re.compile(r"\s|$")
_LEAD = 0.25

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """The shown part of an answer and how many characters lie outside it."""

    pieces: tuple[Piece, ...]
    before: int
    after: int


def first_difference(one: Sequence[T], other: Sequence[T]) -> int | None:
    """Index of the first character or token that differs; ``None`` for equal sequences.

    Where one is the beginning of the other it is the length of the shorter.
    """
    if one == other:
        return None
    shared = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(shared) if a != b), min(len(one), len(other)))


def _marked_end(text: str, start: int) -> int:
    """End of the word that holds ``start``; a difference at white space marks that one alone."""
    match = _WORD_END.search(text, start)
    end = match.start() if match else len(text)
    return max(end, min(start + 1, len(text)))


def _inside(start: int, end: int, span: tuple[int, int] | None) -> bool:
    return span is not None and span[0] <= start and end <= span[1]


def window(
    text: str, differs_at: int | None, evidence: tuple[int, int] | None, limit: int
) -> Window:
    """Cut an answer to ``limit`` characters round its first difference and mark it.

    Args:
        text: the whole answer.
        differs_at: index of the first difference, ``None`` to mark none.
        evidence: start and end of what the scorer matched, or ``None``.
        limit: the most characters to show, at least 1.
    """
    low = 0
    if len(text) > limit and differs_at is not None:
        low = max(0, min(differs_at - int(limit * _LEAD), len(text) - limit))
    high = min(len(text), low + limit)
    mark = None if differs_at is None else (differs_at, _marked_end(text, differs_at))
    ends = {low, high, *(mark or ()), *(evidence or ())}
    cuts = sorted(end for end in ends if low <= end <= high)
    pieces = tuple(
        Piece(text[a:b], differs=_inside(a, b, mark), evidence=_inside(a, b, evidence))
        for a, b in pairwise(cuts)
    )
    return Window(pieces, before=low, after=len(text) - high)
