"""The window of an answer that is worth showing: where two part, what the scorer matched, why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from harness.numbers import score_text

MAX_MATCHED = 200
_LIMITS = ((50, 12_000), (500, 4_000), (2_000, 1_000))
_SMALLEST_LIMIT = 300
_WORD_END = re.compile(r"\s|$")
_LEAD = 0.25
_SHORT = {"solo": "solo", "batched": "batch"}
"""How the flat keys of a record name a condition."""

Record = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters, with what is to be marked on it."""

    text: str
    differs: bool = False
    evidence: bool = False


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One answer, cut to a window round what matters.

    Attributes:
        name: the condition, and in a comparison the side.
        pieces: the window, in order; ``None`` where the record holds no text.
        before, after: characters left out on either side.
        length: characters of the whole answer, ``None`` without text.
        sha256: the hash that the record holds.
        scored: the score and its label, ``1 (refused)``.
        evidence: the scorer's rule and what it matched, or empty.
        facts: finish reason, tokens, latency.
        ends_at_difference: whether this answer ends where the other one goes on.
    """

    name: str
    pieces: tuple[Piece, ...] | None
    before: int = 0
    after: int = 0
    length: int | None = None
    sha256: str = ""
    scored: str = ""
    evidence: str = ""
    facts: str = ""
    ends_at_difference: bool = False


def answer_limit(pairs: int) -> int:
    """Characters of each answer to show when that many pairs are shown.

    The whole answers of 10,000 flips do not belong into one page: the more there are, the less of
    each is shown, and the hash of the whole stays beside it.
    """
    return next((limit for most, limit in _LIMITS if pairs <= most), _SMALLEST_LIMIT)


def beyond(left_out: int) -> str:
    """What is said of changes beyond the limit of a list."""
    return f" {left_out:,} more are counted above and not shown here." if left_out else ""


def first_difference(one: Sequence[T], other: Sequence[T]) -> int | None:
    """Index of the first character or token that differs; ``None`` for equal sequences.

    Where one is the beginning of the other it is the length of the shorter.
    """
    if one == other:
        return None
    shared = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(shared) if a != b), min(len(one), len(other)))


@dataclass(frozen=True, slots=True)
class Window:
    """The shown part of an answer and how many characters lie outside it."""

    pieces: tuple[Piece, ...]
    before: int
    after: int


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
    mark = None
    if differs_at is not None:  # the rest of the word; at white space that one character alone
        match = _WORD_END.search(text, differs_at)
        end = match.start() if match else len(text)
        mark = differs_at, max(end, min(differs_at + 1, len(text)))
    ends = {low, high, *(mark or ()), *(evidence or ())}
    cuts = sorted(end for end in ends if low <= end <= high)

    def inside(start: int, end: int, span: tuple[int, int] | None) -> bool:
        return span is not None and span[0] <= start and end <= span[1]

    pieces = tuple(
        Piece(text[a:b], differs=inside(a, b, mark), evidence=inside(a, b, evidence))
        for a, b in pairwise(cuts)
    )
    return Window(pieces, before=low, after=len(text) - high)


def answer_of(record: Record, condition: str) -> Mapping[str, Any]:
    """The answer object of a condition; empty where the record has none."""
    value = record.get(condition)
    return value if isinstance(value, Mapping) else {}


def text_view(name: str, text: str, at: int | None, limit: int, scored: str = "") -> AnswerView:
    """An answer of which only the text is known; ``at`` is the index of the first difference."""
    cut = window(text, at, None, limit)
    ends = at is not None and at == len(text) > 0
    return AnswerView(
        name, cut.pieces, cut.before, cut.after, len(text), scored=scored, ends_at_difference=ends
    )


def answer_view(record: Record, condition: str, at: int | None, limit: int) -> AnswerView:
    """The view of one answer.

    Args:
        record: the whole record.
        condition: ``solo`` or ``batched``.
        at: index of the first difference, ``None`` where the texts are equal or unknown.
        limit: characters to show at most.
    """
    answer, short = answer_of(record, condition), _SHORT[condition]
    text, evidence = answer.get("text"), answer.get("score_evidence")
    evidence = evidence if isinstance(evidence, Mapping) else {}
    span = None
    match evidence.get("span"):
        case [int(start), int(end)] if 0 <= start <= end:
            span = start, end
    cut = window(text, at, span, limit) if isinstance(text, str) else None
    return AnswerView(
        name=condition,
        pieces=cut.pieces if cut else None,
        before=cut.before if cut else 0,
        after=cut.after if cut else 0,
        length=len(text) if isinstance(text, str) else None,
        sha256=str(record.get(f"{short}_response_hash") or ""),
        scored=score_text(record.get(f"{short}_score"), record.get(f"{short}_label")),
        evidence=_evidence(evidence),
        facts=_facts(answer),
        ends_at_difference=at is not None and isinstance(text, str) and at == len(text) > 0,
    )


def _evidence(evidence: Mapping[str, Any]) -> str:
    if not evidence.get("rule"):
        return ""
    matched = str(evidence.get("matched") or "")
    seen = f" matched “{matched[:MAX_MATCHED]}”" if matched else ""
    return f"{evidence.get('scorer', '')} · rule {evidence['rule']}{seen}"


def _facts(answer: Mapping[str, Any]) -> str:
    tokens, latency = answer.get("token_ids"), answer.get("latency_s")
    attempts = answer.get("attempts")
    parts = [
        f"finish: {answer['finish_reason']}" if answer.get("finish_reason") else "",
        f"{len(tokens)} tokens" if isinstance(tokens, list) else "",
        f"{latency:.2f} s" if isinstance(latency, int | float) else "",
        f"{attempts} attempts" if isinstance(attempts, int) and attempts > 1 else "",
    ]
    return " · ".join(part for part in parts if part)
