"""What an answer is, and a score of it with the evidence.

A completion without a chat template often goes on to the next question. The region of the answer
ends at the first turn marker (``User:``, ``Question 2:``, ``<|im_end|>``) and does not hold a
leading role or answer prefix (``Assistant:``, ``Answer:``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.flips import flips
from harness.score.folding import fold, raw_span, wordings
from harness.score.form import BOX, QUOTE_WITHIN, THINKING, undressed, value_of_object
from harness.score.patterns import lazily

_ASKING = r"(?:user|human|instruction|context|question(?:\s*\#?\d+)?|q\d*)"
_ANSWERING = (
    r"(?:(?:gpt4 correct )?assistant|ai|bot|chatbot|model|me|claude|chatgpt|gpt-?4\w?"
    r"|(?:(?:my|the) )?(?:(?:final|correct|best|short) )?(?:answer|response|output|reply|result)"
    rf"|{wordings('answer')}|{wordings('answer_joined')})"
)
_SPEAKER = r"(?:assistant|model|ai|bot|chatbot)"
_MARKUP = r"(?:\#+\s*|\*\*|__)?"
_COLON = r"(?:\*\*|__)?\s*:(?:\*\*|__)?"
_SPECIAL_TOKEN = (
    r"(?:<\|/?[a-z0-9_\u2581 ]+\|>|\[\|[a-z0-9_ ]+\|\]|</?s>|<(?:start|end)_of_turn>"
    r"|<\|turn>|<turn\|>"
    r"|\[/?(?:INST|BOS|EOS|gMASK|ASSISTANT|USER|SYSTEM|HUMAN|BOT|AI|AVAILABLE_TOOLS|OUT)\]"
    rf"|<(?:bos|eos|sop|eop|(?:unused|reserved_|extra_id_|special_)\d+)>|</{BOX}>)"
)
_OF_ROLE = r"(?:<\||\[\|)(?:{})(?:\|>|\|\])"
_ASKER_TOKEN = _OF_ROLE.format("system|user|human")
_TURN_OPENS = (
    r"<(?:\|(?:im_start|start_header_id|header_start|start_of_role|role_start|turn_start|start|turn)"
    r"\|?|extra_id_1|special_\d+|start_of_turn)>"
)
"""A token after which the name of the turn stands, whatever follows it."""
_NAME_ENDS = rf"(?=[ ]*(?:\n|$|{_SPECIAL_TOKEN}))"
_TOKENS = rf"(?:\s|{_SPECIAL_TOKEN})*"
_OPENING = lazily(
    rf"(?:\s|\[INST\][^\[]{{0,4000}}\[/INST\]|<{BOX}>|{_TURN_OPENS} *assistant(?: *:)?"
    rf"|(?<=[\]>]) *:"
    rf"|<>[^<]{{0,4000}}<>"
    rf"|(?!{_ASKER_TOKEN}){_SPECIAL_TOKEN}(?: *{_SPEAKER}{_NAME_ENDS})?)*"
    rf"(?:(?:assistant{_NAME_ENDS}|\#+ *assistant *\n"
    r"|(?:\#+ *)?(?:\*\*|__)?(?:(?:the|my|final|correct) ){0,2}(?:answer|response)(?:\*\*|__)? *\n"
    rf"|(?-i:model)\n){_TOKENS})?",
    re.I,
)
"""What a chat template puts before an answer: its tokens, and the name of the turn."""
_PREFIX = lazily(
    rf"{_MARKUP}{_ANSWERING}{_COLON}\s*|a: *(?=\(?[a-z]\)?[. ]*(?:\n|$|{_SPECIAL_TOKEN}))",
    re.I,
)
_PREFIX_OR_A = lazily(rf"{_MARKUP}(?:{_ANSWERING}|a){_COLON}\s*", re.I)
_RULED = lazily(r"(?:\s|```\w*\n|[-*_=#>]+ *\n)*")
"""Before a letter also what draws a box around it: a fence, a rule."""
_RULE = lazily(r"\s*(?:[-*_=]{3,} *\n\s*)?")
_HEADING = lazily(r"\#{1,6} +")
_AGREED = lazily(
    r"\W{0,4}(?:sure|okay|ok|certainly|of course|absolutely|great question)[,:!.]{1,3}"
    r"\s{1,4}(?=\S)",
    re.I,
)
"""Before a letter also that one is given."""
_WHOLE = lazily(
    r"\s*(?P<mark>\*\*|__|\")(?=\S)(?P<inner>(?:(?!(?P=mark))(?:[^\n]|(?<=\")\n|\n(?=[^\n]*\"\s*\Z)))+)"
    r"(?P=mark)\s*\Z"
)
"""All of the answer, between two marks."""
_FRAME = lazily(r"\#{1,6} +(?=[^\n]+\s*\Z)|[\"'](?=[^\"\n]+[\"']\s*\Z)")
"""Around a line that is all of the answer: a heading's mark, an opening quote."""
_ASKED_FIRST = lazily(
    rf"{_MARKUP}(?:{_ASKING}|{THINKING}){_COLON}|(?:user|human|system){_NAME_ENDS}"
    rf"|\#+ *{THINKING} *\n|(?:\*\*|__){THINKING}(?:\*\*|__) *\n|{_ASKER_TOKEN}",
    re.I,
)
_ANSWERED = lazily(
    rf"\n *{_MARKUP}{_ANSWERING}{_COLON}\s*|\n *\#+ *{_ANSWERING} *\n"
    rf"|\n *(?:\*\*|__){_ANSWERING}(?:\*\*|__) *\n"
    rf"|{_OF_ROLE.format('assistant|bot|model')}:?{_TOKENS}"
    rf"|(?:\n *assistant|{_SPECIAL_TOKEN} *{_SPEAKER}){_NAME_ENDS}{_TOKENS}",
    re.I,
)
_TURN = lazily(
    rf"\n *{_MARKUP}(?:{_ASKING}|assistant|system){_COLON}"
    rf"|\n *{_MARKUP}question\s*\#?\d+\b"
    r"|\n *\#+\s*(?:instruction|question|input|user|human|response|end)\b"
    r"|\n *(?:user|human|assistant|system) *(?=\n)"
    r"|(?<=[\w.!?)])assistant *(?=\n\n|\Z)"
    rf"|{_SPECIAL_TOKEN}",
    re.I,
)
_THINKING = lazily(
    # what ends it: a closing tag, or the channel or tag that holds the answer
    rf"(?P<closes><<? ?/ ?{THINKING} ?>>?|\[/ ?{THINKING}\]|\{{\{{/{THINKING}\}}\}}"
    r"|\[(?:final )?answer\]"
    rf"|\u25c1/{THINKING}\u25b7|<\|end_of_{THINKING}\|>"
    rf"|<\|(?:end_{THINKING}|/{THINKING})\|>|<channel\|>|<unused95>|<(?:final_)?answer>"
    r"|<\|channel\|>\s*final\b[^<\n]{0,80}(?:<\|constrain\|>[^<\n]{0,80})?<\|message\|>|(?-i:assistantfinal))"
    rf"|<<? ?{THINKING}(?: [^<>\n]{{0,80}})?>>?|\[{THINKING}\]"
    rf"|\{{\{{{THINKING}\}}\}}|\u25c1{THINKING}\u25b7"
    rf"|<\|(?:begin|start)_of_{THINKING}\|>|<\|(?:start_)?{THINKING}\|>|<unused94>(?:thought)?"
    r"|<\|channel\|>\s*(?:analysis|commentary)\b|<\|channel>\s*thought\b"
    # the channel's name where its tokens were left out
    r"|\A\s*(?-i:analysis)(?=(?-i:[A-Z]))",
    re.I,
)
_BACKTICK = lazily(r"(?<=[^\W\d_])`(?=[^\W\d_])")
"""Typed for an apostrophe, between two letters."""
_WRAPPED = lazily(r"(?<=[^\W\d_])(?<!\A)\n(?=[a-z])|(?<=,)\n(?=[a-z])")
"""A line broken within a sentence."""
_EMPHASIS = lazily(r"(?<=\S)\*+|\*+(?=\S)|__+|~~|(?<![^\W_])_|_(?![^\W_])|(?<!`)`(?!`)")
_NO_APOSTROPHE = lazily(
    r"\b(?:ca|wo|do|does|did|is|was|are|were|could|would|should|ai|has|have|had)n(?=t\b)", re.I
)
_LAYERS = 4
"""How many dresses an answer may wear, one in another (a heading in an object of JSON)."""
_STRUCK = lazily(r"~~[^~\n]{1,200}~~")


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
        places: where in ``fold(raw)`` each character of ``text`` stands.
        scorer: name that goes into every score made from it.
        unfinished: whether it ends in thinking that does not come to an end.
    """

    raw: str
    text: str
    places: Sequence[int]
    scorer: str
    unfinished: bool = False

    @property
    def first_line(self) -> str:
        """The answer up to its first newline."""
        return self.text.split("\n", 1)[0]

    def spoken(self) -> tuple[str, list[int]]:
        """The text as it is read aloud, and where in ``text`` each of its characters was.

        Without emphasis, runs of spaces and line breaks within a sentence, with each apostrophe.
        """
        text = _WRAPPED.sub(" ", _BACKTICK.sub("'", self.text))
        emphasis = {place for hit in _EMPHASIS.finditer(text) for place in range(*hit.span())}
        origin = [
            place
            for place, char in enumerate(text)
            if place not in emphasis and not (char == " " and text[place - 1 : place] == " ")
        ]
        said = "".join(text[place] for place in origin)
        for bare in reversed(list(_NO_APOSTROPHE.finditer(said))):
            origin.insert(bare.end(), origin[bare.end()])
        return _NO_APOSTROPHE.sub(r"\g<0>'", said), origin

    def score(self, value: float | None, label: str, rule: str) -> Score:
        """A score without a span."""
        return Score(value, label, rule, None, "", self.scorer)

    def score_at(
        self,
        value: float | None,
        label: str,
        rule: str,
        span: tuple[int, int],
        origin: Sequence[int] | None = None,
    ) -> Score:
        """A score whose evidence is ``text[span]``, given back as a span of the raw text.

        With the ``origin`` that `spoken` gives, the span is one of the spoken text.
        """
        start, end = span
        if start >= end:
            return self.score(value, label, rule)
        if origin is not None:
            start, end = origin[start], origin[end - 1] + 1
        raw_start, raw_end = raw_span(self.raw, self.places[start], self.places[end - 1] + 1)
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
    said, places = undressed(fold(raw).rstrip())
    said = _STRUCK.sub(lambda struck: " " * len(struck.group()), said)
    folded, unfinished = _without_thinking(said)
    start, end, before = 0, len(folded), None
    for _ in range(_LAYERS):
        if before == (start, end):
            break
        before = start, end
        start, end = _within(folded, *before, letters=letters)
    region = folded[start:end]
    start += len(region) - len(region.lstrip())
    text = region.strip().replace(QUOTE_WITHIN, '"')
    return Answer(raw, text, places[start : start + len(text)], scorer, unfinished)


def _within(folded: str, start: int, end: int, *, letters: bool) -> tuple[int, int]:
    """What is left of a region when one dress is taken off."""
    region = folded[:end]
    start = _after(_OPENING, region, start)
    if _ASKED_FIRST.match(region, start):
        # the model asked itself something first: the answer is what it says then
        if answered := _ANSWERED.search(region, start):
            start = answered.end()
    else:
        start = _after(_PREFIX if letters else _PREFIX_OR_A, region, start)
    start = _after(_RULED if letters else _RULE, region, start)
    turn = _TURN.search(region, start)
    end = turn.start() if turn else end
    agreed = _AGREED.match(folded[:end], start)
    if agreed and (letters or _PREFIX.match(folded[:end], agreed.end())):
        start = agreed.end()
    if value := value_of_object(folded[start:end]):
        return start + value[0], start + value[1]
    if whole := _WHOLE.match(folded[:end], start):
        return whole.span("inner")
    return _after(_HEADING if letters else _FRAME, folded[:end], start), end


def _after(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a pattern that may stand at ``start`` ends; ``start`` where it does not."""
    hit = pattern.match(text, start)
    return hit.end() if hit else start


def _without_thinking(folded: str) -> tuple[str, bool]:
    """The text with blocks of thinking blanked out, every offset kept; and is one left open?

    A closing tag without an opening one ends thinking that began in the prompt, or that goes on
    after thinking within it; an opening tag that is only said twice is closed once.
    """
    kept: list[str] = []
    start, opened, within = 0, None, 0
    for tag in _THINKING.finditer(folded):
        if not tag["closes"]:
            within += opened is not None
            opened = tag.start() if opened is None else opened
            continue
        begin = opened if opened is not None else (0 if within or not kept else tag.start())
        within -= opened is None and within > 0
        kept.append(folded[start : max(begin, start)] + " " * (tag.end() - max(begin, start)))
        start, opened = tag.end(), None
    end = len(folded) if opened is None else opened
    return "".join([*kept, folded[start:end]]), opened is not None
