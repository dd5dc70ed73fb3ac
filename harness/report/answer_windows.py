"""The window of an answer that is worth showing: which words part, what the scorer matched, why."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import groupby, pairwise

from harness.numbers import score_text
from harness.records import Answer, Evidence, Record
from harness.words import Condition

MAX_MATCHED = 200
_LIMITS = ((50, 12_000), (500, 4_000), (2_000, 1_000))
_SMALLEST_LIMIT = 300
_WORD = re.compile(r"\S+")
_MOST_WORDS = 400
_WORD_END = re.compile(r"\s|$")
Marks = tuple[range, ...]
_LEAD = 0.25


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


def marked_text(answer: AnswerView) -> str:
    """The window of an answer with ⟪…⟫ round what differs."""
    said = ""
    for differs, of in groupby(answer.pieces or (), key=lambda piece: piece.differs):
        text = "".join(piece.text for piece in of)
        said += f"⟪{text}⟫" if differs else text
    return said + ("⟪end of answer⟫" if answer.ends_at_difference else "")


def answer_limit(pairs: int) -> int:
    """Characters of each answer to show when that many pairs are shown.

    The whole answers of 10,000 flips do not belong into one page: the more there are, the less of
    each is shown, and the hash of the whole stays beside it.
    """
    return next((limit for most, limit in _LIMITS if pairs <= most), _SMALLEST_LIMIT)


def beyond(left_out: int) -> str:
    """What is said of changes beyond the limit of a list."""
    return f" {left_out:,} more are counted above and not shown here." if left_out else ""


def changed_words(one: str | None, other: str | None, at: int | None) -> tuple[Marks, Marks]:
    """What of either text is not in the other one, by words from the first difference on.

    Args:
        at: index of the first difference, ``None`` where the texts are equal or unknown.
    """
    if at is None or one is None or other is None:
        return (), ()
    found = []
    for text in (one, other):
        start = max(text.rfind(" ", 0, at), text.rfind("\n", 0, at)) + 1
        words = (match.span() for match in _WORD.finditer(text, start))
        found.append([span for span, _ in zip(words, range(_MOST_WORDS), strict=False)])
    said = ([t[a:b] for a, b in of] for t, of in zip((one, other), found, strict=True))
    marks: tuple[list[range], list[range]] = [], []
    for kind, *ends in SequenceMatcher(None, next(said), next(said), autojunk=False).get_opcodes():
        for spans, into, (a, b) in zip(found, marks, (ends[:2], ends[2:]), strict=True):
            if kind != "equal" and a < b:
                into.append(range(spans[a][0], spans[b - 1][1]))
    return tuple(marks[0]), tuple(marks[1])


def _word_at(text: str, at: int) -> range:
    """The rest of the word; at white space that one character alone."""
    match = _WORD_END.search(text, at)
    end = match.start() if match else len(text)
    return range(at, max(end, min(at + 1, len(text))))


def text_view(
    name: str,
    text: str | None,
    at: int | None,
    limit: int,
    *,
    scored: str = "",
    span: tuple[int, int] | None = None,
    marks: Sequence[range] = (),
) -> AnswerView:
    """The view of an answer of which only the text is known, if that, cut round ``at``.

    Args:
        at: index of the first difference, ``None`` where the texts are equal or unknown.
        limit: characters to show at most, at least 1.
        span: start and end of what the scorer matched.
        marks: what differs; without any the word at ``at``.
    """
    if text is None:
        return AnswerView(name, None, scored=scored)
    low, matched = 0, range(*span) if span and span[0] >= 0 else range(0)
    if at is not None:
        low = max(0, min(at - int(limit * _LEAD), len(text) - limit))
        marks = marks or (_word_at(text, at),)
    high = min(len(text), low + limit)
    ends = {low, high, *(end for r in (*marks, matched) if r for end in (r.start, r.stop))}
    cuts = sorted(end for end in ends if low <= end <= high)
    pieces = (
        Piece(text[a:b], any(a in mark for mark in marks), a in matched) for a, b in pairwise(cuts)
    )
    return AnswerView(
        *(name, tuple(pieces), low, len(text) - high, len(text)),
        scored=scored,
        ends_at_difference=at is not None and at == len(text) > 0,
    )


def narrowed(sides: Sequence[AnswerView], limit: int) -> tuple[AnswerView, ...]:
    """The views of both sides cut closer, from one place where that shows the marks of each.

    A difference stands in the first quarter of its side, or after words that the other has more of.
    """
    firsts = [_first_mark(side) for side in sides]
    near = [first if first - min(firsts) > limit // 2 else min(firsts) for first in firsts]
    return tuple(_cut(side, limit, at) for side, at in zip(sides, near, strict=True))


def _first_mark(answer: AnswerView) -> int:
    """Where in the whole answer its first difference is; its start where none is marked."""
    at = answer.before
    for piece in answer.pieces or ():
        if piece.differs:
            return at
        at += len(piece.text)
    return at if answer.ends_at_difference else answer.before


def _cut(answer: AnswerView, limit: int, at: int) -> AnswerView:
    text, marks = "", list[range]()
    for piece in answer.pieces or ():
        if piece.differs:
            marks.append(range(len(text), len(text) + len(piece.text)))
        text += piece.text
    lead = at - answer.before - int(limit * _LEAD)
    low = max(0, lead) if len(text) > limit else 0
    kept = [range(mark.start - low, mark.stop - low) for mark in marks]
    view = text_view(answer.name, text[low:], None, limit, marks=kept)
    return replace(
        answer,
        pieces=view.pieces,
        before=answer.before + low,
        after=answer.after + view.after,
        evidence="",
        facts="",
        sha256="",
    )


def answer_view(
    record: Record, condition: str, at: int | None, limit: int, marks: Marks = ()
) -> AnswerView:
    """The view of a record's ``solo`` or ``batched`` answer; the rest as above."""
    answer = record.answer(condition) or Answer()
    score, label, digest = (
        (record.solo_score, record.solo_label, record.solo_response_hash)
        if condition == "solo"
        else (record.batch_score, record.batch_label, record.batch_response_hash)
    )
    evidence = answer.score_evidence or Evidence()
    why = ""
    if evidence.rule:
        matched = f" matched “{evidence.matched[:MAX_MATCHED]}”" if evidence.matched else ""
        why = f"{evidence.scorer or ''} · rule {evidence.rule}{matched}"
    facts = (
        f"finish: {answer.finish_reason}" if answer.finish_reason else "",
        "" if answer.token_ids is None else f"{len(answer.token_ids)} tokens",
        "" if answer.latency_s is None else f"{answer.latency_s:.2f} s",
        f"{answer.attempts} attempts" if (answer.attempts or 1) > 1 else "",
    )
    scored = score_text(score, label)
    view = text_view(
        Condition(condition).words, answer.text, at, limit, span=evidence.span, marks=marks
    )
    told = " · ".join(fact for fact in facts if fact)
    return replace(view, scored=scored, sha256=digest or "", evidence=why, facts=told)
