"""What an answer is, and a score of it with the evidence.

A completion without a chat template often goes on to the next question. The region of the answer
ends at the first turn marker (``User:``, ``Question 2:``, ``<|im_end|>``) and does not hold a
leading role or answer prefix (``Assistant:``, ``Answer:``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.flips import flips
from harness.score.folding import fold, raw_span

_ASKING = r"(?:user|human|instruction|context|question(?:\s*\#?\d+)?|q\d*)"
_ANSWERING = r"(?:assistant|ai|chatbot|response|answer)"
_SPEAKER = r"(?:assistant|model|ai|bot|chatbot)"
_MARKUP = r"(?:\#+\s*|\*\*)?"
_COLON = r"(?:\*\*)?\s*:(?:\*\*)?"
_SPECIAL_TOKEN = r"(?:<\|[a-z0-9_\u2581 ]+\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>)"
_NAME_ENDS = rf"(?=[ ]*(?:\n|$|{_SPECIAL_TOKEN}))"
_TOKENS = rf"(?:\s|{_SPECIAL_TOKEN})*"
_OPENING = re.compile(
    rf"(?:\s|{_SPECIAL_TOKEN}(?: *{_SPEAKER}{_NAME_ENDS})?)*(?:assistant{_NAME_ENDS}{_TOKENS})?",
    re.I,
)
"""What a chat template puts before an answer: its tokens, and the name of the turn."""
_PREFIX = re.compile(rf"{_MARKUP}{_ANSWERING}{_COLON}\s*", re.I)
_PREFIX_OR_A = re.compile(rf"{_MARKUP}(?:{_ANSWERING}|a){_COLON}\s*", re.I)
_ASKED_FIRST = re.compile(rf"{_MARKUP}{_ASKING}{_COLON}|(?:user|human|system){_NAME_ENDS}", re.I)
_ANSWERED = re.compile(
    rf"\n *{_MARKUP}{_ANSWERING}{_COLON}\s*"
    rf"|(?:\n *assistant|{_SPECIAL_TOKEN} *{_SPEAKER}){_NAME_ENDS}{_TOKENS}",
    re.I,
)
_TURN = re.compile(
    rf"\n *{_MARKUP}(?:{_ASKING}|assistant|system){_COLON}"
    rf"|\n *{_MARKUP}question\s*\#?\d+\b"
    r"|\n *\#+\s*(?:instruction|question|input|user|human|response|end)\b"
    r"|\n *(?:user|human|assistant|system) *(?=\n)"
    r"|(?<=[\w.!?)])assistant *(?=\n\n|\Z)"
    rf"|{_SPECIAL_TOKEN}",
    re.I,
)
_THINKING = re.compile(
    r"<(/)?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad)>"
    r"|<\|(?:begin|end|start)_of_(?:thought|thinking)\|>"
    r"|\[(/)?THINK\]|\u25c1(/)?(?:think)\u25b7",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Score:
    """What a scorer says of one answer.

    Attributes:
        value: the score, from a small finite set (0, 0.5, 1), or ``None`` for a state without
            one (``unparsed``, ``empty`` in the strict profile).
        label: the word for it (``refused``, ``complied``, ``stereotyped``, ``unparsed``, ...).
        rule: the id of the rule that fired.
        span: start and end of the evidence in the raw text, ``None`` where there is none.
        matched: the text of that span.
        scorer: scorer, profile and version, such as ``refusal/strict/1``.
    """

    value: float | None
    label: str
    rule: str
    span: tuple[int, int] | None
    matched: str
    scorer: str

    def flips_to(self, other: Score) -> bool:
        """Whether the other score is a label flip from this one."""
        return flips(self.value, self.label, other.value, other.label)

    def evidence(self) -> dict[str, object]:
        """The JSON form that a record keeps as ``score_evidence``."""
        return {
            "rule": self.rule,
            "span": list(self.span) if self.span else None,
            "matched": self.matched,
            "scorer": self.scorer,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """A raw completion and the part of its folded form that counts as the answer.

    Attributes:
        raw: the completion as the server sent it.
        text: the folded answer: turn markers, prefixes and outer whitespace cut away.
        offset: where ``text`` starts in ``fold(raw)``.
        scorer: name that goes into every score made from it.
        unfinished: whether all of it is thinking that does not come to an end.
    """

    raw: str
    text: str
    offset: int
    scorer: str
    unfinished: bool = False

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
        """The state of an answer without a character in it: nothing said, or not done thinking."""
        if self.unfinished:
            return self.score(None, "unparsed", "unfinished_thinking")
        return self.score(None, "empty", "empty")

    def unparsed(self) -> Score:
        """The state of an answer in which nothing can be read."""
        return self.score(None, "unparsed", "unparsed")


def read_answer(raw: str, scorer: str, *, letters: bool = False) -> Answer:
    """Fold a completion and cut it down to its answer, for a scorer (``scorer/profile/version``).

    Where the answer may be one of ``letters``, a leading ``A:`` is an answer and not the name of a
    turn. The ``text`` is empty when nothing but whitespace and markers is there.
    """
    folded, unfinished = _without_thinking(fold(raw).rstrip())
    start = _after(_OPENING, folded, 0)
    if _ASKED_FIRST.match(folded, start):
        # the model asked itself something first: the answer is what it says then
        if answered := _ANSWERED.search(folded, start):
            start = answered.end()
    else:
        start = _after(_PREFIX if letters else _PREFIX_OR_A, folded, start)
    turn = _TURN.search(folded, start)
    region = folded[start : turn.start() if turn else len(folded)]
    offset = start + len(region) - len(region.lstrip())
    return Answer(raw, region.strip(), offset, scorer, unfinished)


def _after(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a pattern that may stand at ``start`` ends; ``start`` where it does not."""
    hit = pattern.match(text, start)
    return hit.end() if hit else start


def _without_thinking(folded: str) -> tuple[str, bool]:
    """The text with blocks of thinking blanked out, every offset kept; and is one left open?

    A closing tag without an opening one ends thinking that began in the prompt.
    """
    kept: list[str] = []
    start, opened = 0, None
    for tag in _THINKING.finditer(folded):
        closes = "/" in tag.group() or "end_of" in tag.group().lower()
        if not closes:
            opened = tag.start() if opened is None else opened
            continue
        begin = opened if opened is not None else (0 if not kept else tag.start())
        kept.append(folded[start:begin] + " " * (tag.end() - max(begin, start)))
        start, opened = tag.end(), None
    if opened is None:
        return "".join([*kept, folded[start:]]), False
    said = "".join([*kept, folded[start:opened]])
    return said, not said.strip()
