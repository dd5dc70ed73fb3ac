"""Which option an answer names: an explicit letter, or the option's own words.

A letter counts where it stands alone, opens the line with a delimiter, is stated (``the answer is
B``) or is written ``B)``. The article of ``A person who is older`` is no letter, a letter that is
turned down (``A is incorrect``) is not chosen, and of ``A or B`` none is.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.score.answer import Answer
from harness.score.folding import fold

SEVERAL = -1
"""The option of a choice that is none: the answer names several."""

LINE = 2000
"""Characters of a first line in which its letter is looked for; a stated one counts anywhere."""

_WRAP = r"[\s(\[{*_$`\"'-]{0,12}(?:\\(?:boxed|text|mathrm)\{)*"
_CLOSE = r"[)\]}*_$`\"']{0,8}"
_NOUN = r"(?:(?:option|choice|letter|answer)\s{1,4})?"
_BE = r"(?:is|was|would be|should be|must be|will be)"
_HEDGE = (
    r"(?:(?:most|likely|probably|definitely|clearly|certainly|simply|therefore|thus|indeed|actually"
    r"|either|both|the|option|choice|letter)\s{1,4}){0,3}"
)
_GOES_ON = (
    r"\s{1,4}(?:because|since|as|for|due|given|but|not|which|so|and|or|if|though|although|rather"
    r"|instead|is|was|isn't|wasn't)\b"
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ARTICLES = frozenset({"a", "an", "the"})
_DENIALS = frozenset({"not", "never", "isn't", "wasn't", "neither", "nor"})
_DENIAL_REACH = 3
_STATED = re.compile(
    rf"\banswer(?:\s{{1,4}}{_BE}\b\s{{0,4}}:?|\s{{0,4}}:)\s{{0,8}}",
    re.I,
)
_REPEATED_OPTIONS = re.compile(r"\W*A[).:][^\n]*\n\W*B[).:]")

_LETTER = re.compile(r"(?<![^\W_])(?<!')([A-Za-z])(?![^\W_])(?!'[A-Za-z])")
_ALONE = re.compile(rf"{_WRAP}{_NOUN}([a-z]){_CLOSE}[.!]*\s*$", re.I | re.M)
_BEFORE_STATED = re.compile(
    rf"(?:{_STATED.pattern}|\bcorrect (?:option|choice|one)\s{{1,4}}{_BE}\b:?\s{{1,4}}"
    r"|\b(?:I|we)(?:'d|'ll| would| will)? (?:choose|pick|select|say|go with|think|believe|guess)"
    rf"(?: that)?(?: it(?:'s| {_BE}))?\s{{1,4}}|\bit(?:'s| {_BE})\s{{1,4}}){_HEDGE}{_WRAP}$",
    re.I,
)
_BEFORE_OPENING = re.compile(rf"{_WRAP}{_NOUN}", re.I)
_AFTER_OPENING = re.compile(
    r"[)\]}*$]+|[.:,;](?=\s|$)|\s[-:]\s|\s(?:is|was|isn't|wasn't|because)\b", re.I
)
_BEFORE_DENIED = re.compile(
    r"(?:\b(?:not|never|neither|nor|than|except|exclude|eliminate|reject|discard|rul(?:e|ing) out)"
    rf"|n't)\s{{1,4}}{_NOUN}{_WRAP}$",
    re.I,
)
_AFTER_REJECTED = re.compile(
    rf"{_CLOSE}\s{{1,4}}(?:(?:isn't|wasn't|cannot be|can't be)\b|(?:is|was|seems|looks)\s{{1,4}}"
    r"(?:(?:clearly|also|definitely|obviously|just|simply|initially|tempting but)\s{1,4}){0,2}"
    r"(?:not\b(?!\s+only)|incorrect|invalid|wrong|false|out\b|ruled out|eliminated|unlikely"
    r"|impossible|(?:my|the) (?:first|initial|original) (?:thought|guess|choice|answer|idea)))",
    re.I,
)
_BETWEEN_JOINED = re.compile(
    rf"{_CLOSE}\s{{0,4}}(?:[,;/|&+]\s{{0,4}}(?:(?:or|and)\s{{1,4}})?|(?:and/or|or|and|versus|vs\.?)"
    rf"\s{{1,4}})(?:(?:maybe|possibly|perhaps|also|even|either)\s{{1,4}}){{0,2}}{_NOUN}{_WRAP}",
    re.I,
)
_CORRECTED = re.compile(
    r"\b(?:but|actually|however|no|wait|rather|instead|correction|hmm|sorry)\b", re.I
)
_WINDOW = 80


class Choice(NamedTuple):
    """An option that an answer names: its index (or `SEVERAL`), the rule and where it was read."""

    option: int
    rule: str
    span: tuple[int, int]


class _Mention(NamedTuple):
    """A letter that stands for an option: how it is put, and which others it is joined with."""

    option: int
    start: int
    rule: str
    group: int


def explicit_letter(answer: Answer, options: int) -> Choice | None:
    """The option letter that the first line gives.

    Read in this order: a letter alone, ``answer is X``, a letter that opens the line, a delimited
    ``X)``. A list of the options that the model repeats is not an answer, and ``E)`` is no letter
    of a question with four ``options``, of which there are 1 to 26.

    Returns:
        ``None`` where no letter is given; `SEVERAL` where more than one is and none is preferred.
    """
    if _REPEATED_OPTIONS.match(answer.text):
        return None
    line = answer.first_line[:LINE]
    if (alone := _ALONE.match(line)) and (option := option_of(alone[1])) < options:
        return Choice(option, "letter:alone", alone.span(1))
    mentions = list(_mentions(line, options))
    for rule in ("stated", "opening", "delimited"):
        if chosen := _choice(line, mentions, rule, f"letter:{rule}"):
            return chosen
    return None


def later_letter(answer: Answer, options: int) -> Choice | None:
    """The letter that is stated first, on whatever line."""
    mentions = [m for m in _mentions(answer.text, options) if m.rule == "stated"]
    group = [mention for mention in mentions if mention.group == mentions[0].group]
    return _choice(answer.text, group, "stated", "letter:stated_later")


def option_of(letter: str) -> int:
    """The index of the option that a letter, large or small, stands for."""
    return ord(letter.upper()) - ord("A")


def _mentions(text: str, options: int) -> Iterator[_Mention]:
    """Every letter that stands for an option and is not turned down, in order."""
    group, last = 0, 0
    for hit in _LETTER.finditer(text):
        start, end = hit.span()
        before, after = text[max(0, start - _WINDOW) : start], text[end : end + _WINDOW]
        goes_on = re.match(_GOES_ON, after, re.I)
        article = hit[1] in "Aa" and re.match(r"\s+[a-z]", after) and not goes_on
        if option_of(hit[1]) >= options or article:
            continue
        if not _BETWEEN_JOINED.fullmatch(text, last, start):
            group += 1
        last = end
        if _BEFORE_DENIED.search(before) or _AFTER_REJECTED.match(after):
            continue
        if _BEFORE_STATED.search(before):
            rule = "stated"
        elif _BEFORE_OPENING.fullmatch(text, 0, start) and _AFTER_OPENING.match(after):
            rule = "opening"
        elif hit[1].isupper() and after.startswith(")"):
            rule = "delimited"
        else:
            rule = "joined" if hit[1].isupper() or re.match(r"[)\]}]", after) else ""
        yield _Mention(option_of(hit[1]), start, rule, group)


def _choice(text: str, mentions: Sequence[_Mention], rule: str, name: str) -> Choice | None:
    """The option of the mentions put in one way, or `SEVERAL`; a later one may correct another."""
    put = [mention for mention in mentions if mention.rule == rule]
    if not put:
        return None
    groups = {mention.group for mention in put}
    first, last = put[0], put[-1]
    named = {m.option for m in mentions if m.rule and m.group in groups}
    beside = {m.option for m in mentions if m.rule and m.group == last.group}
    chosen = first if len(named) == 1 else last
    if len(named) > 1 and not (
        len(beside) == 1 and len(groups) > 1 and _CORRECTED.search(text, put[-2].start, last.start)
    ):
        return Choice(SEVERAL, "letter:several", (first.start, first.start + 1))
    return Choice(chosen.option, name, (chosen.start, chosen.start + 1))


def named_option(answer: Answer, options: Sequence[str], *, anywhere: bool) -> Choice | None:
    """The one option (texts in letter order) whose words stand in the first line, articles aside.

    Unless they may stand ``anywhere`` in it, they open the line or follow ``answer is``.

    Returns:
        ``None`` when no option or more than one is named, or the only one is denied.
    """
    if _REPEATED_OPTIONS.match(answer.text):
        return None
    line = answer.first_line
    words = _words(line)
    said = [word.group().lower() for word in words]
    found: dict[int, tuple[int, int]] = {}
    for index, option in enumerate(options):
        wanted = [word.group().lower() for word in _words(fold(option))]
        places = (i for i in range(len(said)) if wanted and said[i : i + len(wanted)] == wanted)
        if (start := next(places, None)) is not None:
            found[index] = start, start + len(wanted)
    named = [
        index
        for index, (first, last) in found.items()
        # "the baker's son" names no "baker" beside itself
        if not any((f, n) != (first, last) and f <= first and last <= n for f, n in found.values())
    ]
    if len(named) != 1:
        return None
    first, last = found[named[0]]
    if not _DENIALS.isdisjoint(said[max(0, first - _DENIAL_REACH) : first]):
        return None
    stated = _STATED.search(line)
    after = [i for i, word in enumerate(words) if stated and word.start() >= stated.end()]
    if not (anywhere or first == 0 or after[:1] == [first]):
        return None
    return Choice(named[0], "option:named", (words[first].start(), words[last - 1].end()))


def _words(text: str) -> list[re.Match[str]]:
    return [word for word in _WORD.finditer(text) if word.group().lower() not in _ARTICLES]
