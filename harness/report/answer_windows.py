"""The window of an answer that is worth showing: where two part, what the scorer matched, why."""

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from harness.numbers import score_text
from harness.records import Answer, Evidence, Record

MAX_MATCHED = 200
_LIMITS = ((50, 12_000), (500, 4_000), (2_000, 1_000))
_SMALLEST_LIMIT = 300
_WORD_END = re.compile(r"\s|$")
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


def answer_limit(pairs: int) -> int:
    """Characters of each answer to show when that many pairs are shown.

    The whole answers of 10,000 flips do not belong into one page: the more there are, the less of
    each is shown, and the hash of the whole stays beside it.
    """
    return next((limit for most, limit in _LIMITS if pairs <= most), _SMALLEST_LIMIT)


def beyond(left_out: int) -> str:
    """What is said of changes beyond the limit of a list."""
    return f" {left_out:,} more are counted above and not shown here." if left_out else ""


def text_view(
    name: str,
    text: str | None,
    at: int | None,
    limit: int,
    *,
    scored: str = "",
    span: tuple[int, int] | None = None,
) -> AnswerView:
    """The view of an answer of which only the text is known, if that, cut round ``at``.

    Args:
        at: index of the first difference, ``None`` where the texts are equal or unknown.
        limit: characters to show at most, at least 1.
        span: start and end of what the scorer matched.
    """
    if text is None:
        return AnswerView(name, None, scored=scored)
    low, mark, matched = 0, range(0), range(*span) if span and span[0] >= 0 else range(0)
    if at is not None:  # the rest of the word; at white space that one character alone
        low = max(0, min(at - int(limit * _LEAD), len(text) - limit))
        match = _WORD_END.search(text, at)
        end = match.start() if match else len(text)
        mark = range(at, max(end, min(at + 1, len(text))))
    high = min(len(text), low + limit)
    ends = {low, high, *(end for r in (mark, matched) if r for end in (r.start, r.stop))}
    cuts = sorted(end for end in ends if low <= end <= high)
    pieces = (Piece(text[a:b], a in mark, a in matched) for a, b in pairwise(cuts))
    return AnswerView(
        *(name, tuple(pieces), low, len(text) - high, len(text)),
        scored=scored,
        ends_at_difference=at is not None and at == len(text) > 0,
    )


def answer_view(record: Record, condition: str, at: int | None, limit: int) -> AnswerView:
    """The view of a record's ``solo`` or ``batched`` answer; ``at`` and ``limit`` as above."""
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
    view = text_view(condition, answer.text, at, limit, scored=scored, span=evidence.span)
    told = " · ".join(fact for fact in facts if fact)
    return replace(view, sha256=digest or "", evidence=why, facts=told)
