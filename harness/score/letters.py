"""Which option an answer names: an explicit letter, or the option's own words.

A letter counts only with a delimiter, alone on its line or after ``answer is``; the article of
``A person who is older`` is no letter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from harness.score.answer import Answer
from harness.score.folding import fold

_WRAP = r"[\s(\[{*_$`\"'-]{0,12}(?:\\(?:boxed|text|mathrm)\{)*"
_CLOSE = r"[)\]}*_$`\"']*"
_NOUN = r"(?:(?i:option|choice|letter)\s{1,4})?"
_HEDGE = (
    r"(?:(?:most|likely|probably|definitely|clearly|certainly|simply|therefore|thus|option|choice"
    r"|letter)\s{1,4}){0,3}"
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ARTICLES = frozenset({"a", "an", "the"})
_DENIALS = frozenset({"not", "never", "isn't", "wasn't", "neither", "nor"})
_DENIAL_REACH = 3
_STATED = re.compile(
    r"\banswer(?:\s{1,4}(?:is|was|would be|should be)\b\s{0,4}:?|\s{0,4}:)\s{0,8}", re.I
)

_REPEATED_OPTIONS = re.compile(r"\W*A[).:][^\n]*\n\W*B[).:]")


class Choice(NamedTuple):
    """An option that an answer names: its index, the rule that read it and where."""

    option: int
    rule: str
    span: tuple[int, int]


class _Word(NamedTuple):
    text: str
    start: int
    end: int


@lru_cache
def _letter_patterns(options: int) -> dict[str, re.Pattern[str]]:
    """Patterns whose group 1 is an option letter, for a number of options."""
    upper = f"[A-{chr(ord('A') + options - 1)}]"
    either = f"(?:{upper}|{upper.lower()})"
    return {
        "alone": re.compile(rf"{_WRAP}{_NOUN}({either}){_CLOSE}[.!]*\s*$", re.M),
        "opening": re.compile(
            rf"{_WRAP}{_NOUN}({either})"
            r"(?:[)\]}*$]+|[.:,;](?=\s|$)|\s[-:]\s|\s(?:is|was|because)\b)"
        ),
        "stated": re.compile(
            rf"{_STATED.pattern}{_HEDGE}{_WRAP}(?-i:({upper}))(?![^\W_])(?!\s{{1,4}}(?-i:[a-z]))",
            re.I,
        ),
        "delimited": re.compile(rf"(?<![^\W_])\(?({upper})\)(?![^\W_])"),
    }


def explicit_letter(answer: Answer, options: int) -> Choice | None:
    """The option letter that the first line gives.

    Read in this order: a letter alone, a letter that opens the line, ``answer is X``, a delimited
    ``X)``. A list of the options that the model repeats is not an answer.

    Args:
        answer: the folded answer.
        options: number of options, 1 to 26, so that ``E)`` is no letter of a four-option question.
    """
    if _repeats_options(answer):
        return None
    patterns = _letter_patterns(options)
    line = answer.first_line
    for rule in ("alone", "opening"):
        if hit := patterns[rule].match(line):
            return _choice(hit, rule)
    for rule in ("stated", "delimited"):
        if hit := patterns[rule].search(line):
            return _choice(hit, rule)
    return None


def later_letter(answer: Answer, options: int) -> Choice | None:
    """The letter of the first ``answer is X``, on whatever line."""
    hit = _letter_patterns(options)["stated"].search(answer.text)
    return _choice(hit, "stated_later") if hit else None


def _repeats_options(answer: Answer) -> bool:
    return _REPEATED_OPTIONS.match(answer.text) is not None


def _choice(hit: re.Match[str], rule: str) -> Choice:
    return Choice(ord(hit.group(1).upper()) - ord("A"), f"letter:{rule}", hit.span(1))


def named_option(answer: Answer, options: Sequence[str], *, anywhere: bool) -> Choice | None:
    """The one option whose words stand in the first line, articles aside.

    Args:
        answer: the folded answer.
        options: option texts in letter order.
        anywhere: accept the words anywhere in the line; otherwise only at its start or right
            after ``answer is``.

    Returns:
        ``None`` when no option or more than one is named, or the only one is denied.
    """
    if _repeats_options(answer):
        return None
    line = answer.first_line
    words = _words(line)
    spans = (_span(words, _words(fold(option))) for option in options)
    found = {index: at for index, at in enumerate(spans) if at}
    named = [
        index
        for index, (first, last) in found.items()
        # "the baker's son" names no "baker" beside itself
        if not any((f, n) != (first, last) and f <= first and last <= n for f, n in found.values())
    ]
    if len(named) != 1:
        return None
    first, last = found[named[0]]
    if _DENIALS & {word.text for word in words[max(0, first - _DENIAL_REACH) : first]}:
        return None
    stated = _STATED.search(line)
    after = [i for i, word in enumerate(words) if stated and word.start >= stated.end()]
    if not (anywhere or first == 0 or after[:1] == [first]):
        return None
    return Choice(named[0], "option:named", (words[first].start, words[last - 1].end))


def _words(text: str) -> list[_Word]:
    words = [_Word(w.group().lower(), w.start(), w.end()) for w in _WORD.finditer(text)]
    return [word for word in words if word.text not in _ARTICLES]


def _span(words: list[_Word], option: list[_Word]) -> tuple[int, int] | None:
    """Where an option's words stand among a line's: first and one past the last."""
    said = [word.text for word in words]
    wanted = [word.text for word in option]
    for start in range(len(said) - len(wanted) + 1):
        if wanted and said[start : start + len(wanted)] == wanted:
            return start, start + len(wanted)
    return None
