"""Where the answer is: a completion without a chat template often goes on to the next question.

The region of the answer ends at the first turn marker (``User:``, ``Question 2:``, ``<|im_end|>``)
and does not hold a leading role or answer prefix (``Assistant:``, ``Answer:``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.score.folding import fold, raw_span
from harness.score.model import Score

__all__ = ["Answer", "read_answer"]

_ASKING = r"(?:user|human|instruction|context|question(?:\s*\#?\d+)?|q\d*)"
_ANSWERING = r"(?:assistant|ai|chatbot|response|answer)"
_MARKUP = r"(?:\#+\s*|\*\*)?"
_COLON = r"(?:\*\*)?\s*:(?:\*\*)?"
_SPECIAL_TOKEN = r"(?:<\|[a-z_]+\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>)"
_OPENING_TOKENS = re.compile(rf"(?:\s|{_SPECIAL_TOKEN})*", re.I)
_PREFIX = re.compile(rf"{_MARKUP}{_ANSWERING}{_COLON}\s*", re.I)
_PREFIX_OR_A = re.compile(rf"{_MARKUP}(?:{_ANSWERING}|a){_COLON}\s*", re.I)
_ASKED_FIRST = re.compile(rf"{_MARKUP}{_ASKING}{_COLON}", re.I)
_ANSWERED = re.compile(rf"\n *{_MARKUP}{_ANSWERING}{_COLON}\s*", re.I)
_TURN = re.compile(
    rf"\n *{_MARKUP}(?:{_ASKING}|assistant|system){_COLON}"
    rf"|\n *{_MARKUP}question\s*\#?\d+\b"
    r"|\n *\#+\s*(?:instruction|question|input|user|human|response|end)\b"
    rf"|{_SPECIAL_TOKEN}",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A raw completion and the part of its folded form that counts as the answer.

    Attributes:
        raw: the completion as the server sent it.
        text: the folded answer: turn markers, prefixes and outer whitespace cut away.
        offset: where ``text`` starts in ``fold(raw)``.
        scorer: name that goes into every score made from it.
    """

    raw: str
    text: str
    offset: int
    scorer: str

    @property
    def first_line(self) -> str:
        """The answer up to its first newline."""
        return self.text.split("\n", 1)[0]

    def score(self, value: float | None, label: str, rule: str) -> Score:
        """A score without a span."""
        return Score(value, label, rule, None, "", self.scorer)

    def score_at(self, value: float | None, label: str, rule: str, span: tuple[int, int]) -> Score:
        """A score whose evidence is ``text[span]``, given back as a span of the raw text."""
        start, end = span
        if start >= end:
            return self.score(value, label, rule)
        raw_start, raw_end = raw_span(self.raw, self.offset + start, self.offset + end)
        matched = self.raw[raw_start:raw_end]
        return Score(value, label, rule, (raw_start, raw_end), matched, self.scorer)

    def empty(self) -> Score:
        """The state of an answer without a character in it."""
        return self.score(None, "empty", "empty")


def read_answer(raw: str, scorer: str, *, letters: bool = False) -> Answer:
    """Fold a completion and cut it down to its answer.

    Args:
        raw: the completion.
        scorer: ``scorer/profile/version``.
        letters: whether the answer may be a letter, so that a leading ``A:`` is an answer and
            not the name of a turn.

    Returns:
        The answer; its ``text`` is empty when nothing but whitespace and markers is there.
    """
    folded = fold(raw)
    start = _start(folded, _PREFIX if letters else _PREFIX_OR_A)
    turn = _TURN.search(folded, start)
    region = folded[start : turn.start() if turn else len(folded)]
    text = region.strip()
    return Answer(raw, text, start + len(region) - len(region.lstrip()), scorer)


def _start(folded: str, prefix: re.Pattern[str]) -> int:
    """Where the answer begins: after a leading prefix, or after the turn that the model made up."""
    opening = _OPENING_TOKENS.match(folded)
    start = opening.end() if opening else 0
    if _ASKED_FIRST.match(folded, start):
        answered = _ANSWERED.search(folded, start)
        return answered.end() if answered else start
    named = prefix.match(folded, start)
    return named.end() if named else start
