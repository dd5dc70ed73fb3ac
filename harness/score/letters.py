"""Which option an answer names: an explicit letter, or the option's own words.

A letter counts where it stands alone, opens the line with a delimiter, is stated (``the answer is
B``) or is written ``B)``. The article of ``A person who is older`` is no letter, a letter that is
turned down (``A is incorrect``) is not chosen, and of ``A or B`` none is.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from harness.score.answer import Answer
from harness.score.folding import fold

SEVERAL = -1
"""The option of a choice that is none: the answer names several."""

LINE = 2000
"""Characters of a first line in which its letter is looked for; a stated one counts anywhere."""
MOST_LETTERS = 2000
"""Letters that are looked at, from the first on."""

_LATEX = r"\\(?:boxed|fbox|text(?:bf|rm)?|math(?:rm|bf|bb)?)\{"
_WRAP = rf"(?:[\s(\[{{*_$`\"'<|-]|\\[(\[]|{_LATEX}){{0,12}}"
_CLOSE = r"(?:[)\]}*_$`\"'>|]|\\[)\]]){0,8}"
_NOUN = r"(?:(?:option|choice|letter|answer)s?\s{1,4})?"
_BE = (
    r"(?:is|was|would be|should be|must be|will be|has to be|can only be|has got to be|seems to be"
    r"|appears to be)"
)
_HEDGE = (
    r"(?:(?:most|likely|probably|definitely|clearly|certainly|simply|therefore|thus|indeed|actually"
    r"|either|both|the|option|choice|letter)\s{1,4}){0,3}"
)
_GOES_ON = (
    r"\s{1,4}(?:because|since|as|for|due|given|but|not|which|so|and|or|if|though|although|rather"
    r"|instead|is|was|isn't|wasn't|seems|looks|appears|cannot|can't|can be|must|would|should"
    r"|could|versus|vs|makes|weil|denn|da|parce|car|porque|perch\u00e9)\b"
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ARTICLES = frozenset({"a", "an", "the"})
_ELSEWHERE = (
    r"(?:\b(?:antwort|richtige option|bonne option|opci\u00f3n|op\u00e7\u00e3o"
    r"|\u0432\u0430\u0440\u0438\u0430\u043d\u0442|l\u00f6sung|r\u00e9ponse|respuesta|risposta|resposta|antwoord|odpowied\u017a|cevap"
    r"|\u043e\u0442\u0432\u0435\u0442|\u0111\u00e1p \u00e1n)(?:\s(?:correcta?|corretta|correta"
    r"|exacte|finale?|\u0111\u00fang))?"
    r"(?:\s(?:ist|lautet|w\u00e4re|est|es|\u00e8|\u00e9|is|to|l\u00e0)\b[\s*_]{0,4}:?|[\s*_]{0,4}[:=-])"
    r"|(?:\u7b54\u6848|\u6b63\u786e\u9009\u9879|\u6b63\u78ba\u9078\u9805|\u6b63\u89e3|\u7b54\u3048|\u6b63\u7b54|\uc815\ub2f5|\ub2f5)"
    r"\s{0,2}(?:\u5e94\u8be5\u662f|\u61c9\u8a72\u662f|\u662f|\u4e3a|\u70ba|\u9009|\u9078|\u306f|\uc740|\ub294|:)[\s*_]{0,4}:?"
    r"|(?<!\u4e0d)(?<!\u4e0d\u5e94\u8be5)(?:\u9009\u62e9?|\u9078\u64c7?))"
)
"""``The answer is`` in other languages."""
_STATED = re.compile(
    rf"(?:{_ELSEWHERE}|\banswer(?:(?:\s{{1,4}}(?:here\s)?{_BE}\b|'s\b)[\s*_]{{0,4}}:?|[\s*_\"']{{0,4}}(?:[:=\u2192\u21d2\u27a1]|-{{1,2}}>?)))"
    r"\s{0,8}",
    re.I,
)
_EACH = re.compile(
    r"\b(?:each|every|all|one|any|which|following)(?: (?:of|the|these|those|possible"
    r"|answer)){0,3} (?:answer|option|choice|selection)[*_]{0,3}\s{0,4}:\W*$",
    re.I,
)
"""Before a list of the options, not before the one that is chosen."""
_MARKED = r"[*_]{0,3}(?:[).:]|\s-\s)"
_LISTED = re.compile(
    rf"A{_MARKED}[^\n]*\n(?:(?![^\w\n]*[A-Z]{_MARKED})[^\n]*\n){{0,4}}"
    rf"[^\w\n]*B{_MARKED}(?!\s{{1,4}}(?:is|was|isn't)\b)",
    re.I,
)
_REPEATED_OPTIONS = re.compile(r"\W*A[).:](?:[^\n]*\n\W*B[).:]|[^\n.]*\sB[).:][^\n.]*\sC[).:])")

_IN_WORD = r"[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
"""What makes a letter beside it a part of a word: not a script that sets no spaces."""
_LETTER = re.compile(rf"(?<!{_IN_WORD})(?<!\w')([A-Za-z])(?!{_IN_WORD})(?!'[A-Za-z])")
_ALONE = re.compile(
    rf"(?:[^\w\n\u274c\u2716\u2717\u2718\u00ac~!]|_){{0,8}}(?:\d{{1,2}}[.)]\s{{0,4}})?{_WRAP}{_NOUN}"
    rf"{_WRAP}([a-z]){_CLOSE}[^\w\n]{{0,4}}\s*$",
    re.I | re.M,
)
_TURN_ROUND = (
    r"(?:correction|actually|no wait|wait|I mean|I meant|or rather|make that|on second thoughts?"
    r"|chang(?:e|ed|ing)(?: it| that| my answer)? to|switch(?:ed|ing)? to)"
)
_BEFORE_STATED = re.compile(
    rf"(?:{_STATED.pattern}"
    rf"|\b(?:correct|best|right|only|final|my) (?:option|choice|one|letter|pick|guess){_CLOSE}"
    rf"\s{{1,4}}{_BE}\b:?\s{{1,4}}"
    r"|\b(?:correct|right|solution|conclusion|result|choice|option|selection|pick|guess|vote|ans\.?)"
    r"(?: (?:option|choice))?[*_]{0,3}\s{0,4}:\s{0,4}|\bans\.\s"
    r"|\b(?:I|we)(?:'d|'ll|'m| would| will| am)? (?:choose|pick|select|say|answer|vote(?: for)?"
    rf"|(?:go|going) (?:with|for)|think|believe|guess)(?: that)?(?: it(?:'s| {_BE}))?\s{{1,4}}"
    r"|\blet(?:'s| us) (?:go with|say|pick)\s|(?:^|[.!?\n]\s{0,4})(?:choose|select|pick)\s"
    rf"|\b(?:it|that|this)(?:'s| {_BE})\s{{1,4}}|\bsondern\s|\bsino\s|\u800c\u662f\s{{0,2}}"
    rf"|\b{_TURN_ROUND}\b[,.:;!\s-]{{1,4}}"
    r"|(?:^|[.!?,;\n-]\s{0,4})no(?:pe)?[,:;.!]\s{1,4}(?:sorry[,.]?\s)?"
    rf"|\bnot\s{{1,4}}{_NOUN}{_WRAP}[a-z]{_CLOSE},?\s{{1,4}}but\s{{1,4}}(?:rather\s)?)"
    rf"{_HEDGE}{_NOUN}{_WRAP}$",
    re.I,
)
_PREFERRED = re.compile(
    rf"{_CLOSE}\s{{1,4}}(?:is|was|must be|has to be|seems|looks|appears)(?: to be)?\s{{0,4}}"
    r"(?:$|[.!,;\n]|(?:\s(?:clearly|also|definitely|obviously|indeed|therefore|thus|both|all)){0,2}"
    r"\s{0,4}(?:the\s)?(?:one\b|answer\b"
    r"|(?:most |more )?(?:correct|right|true|best|accurate|appropriate|likely|plausible)\b))"
    rf"|{_CLOSE}\s{{1,4}}(?:remains|fits|works|holds|applies|makes (?:the most )?sense"
    r"|makes the best sense|best (?:fits|matches|answers|describes)|matches best|stands out|it is"
    r"|\((?:right|correct)"
    r"|(?:alone|only) is (?:correct|right|true))\b"
    rf"|{_CLOSE}\s{{1,4}}does\s{{0,4}}[.!]|{_CLOSE}\s{{0,4}}[:-]\s{{0,4}}(?:correct|right|true|yes)\b",
    re.I,
)
"""After a letter of which it is said that it is the right one."""
_LONE = re.compile(
    r"(?:^|[.!?;)\n]\s{0,4}|\s-\s|,\s(?=but|so|hence|thus|therefore))(?:(?:so|thus|hence|therefore"
    r"|sure|ok|okay|of course|certainly|yes|yeah|probably|definitely|clearly|obviously|likely"
    r"|most likely|maybe|perhaps|then|well|right|again|but|only|just|hmm|um|ah|oh|alright)"
    rf"[,:!.]?\s{{1,4}}){{0,3}}{_NOUN}{_WRAP}$",
    re.I,
)
_LONE_ENDS = re.compile(
    rf"{_CLOSE}(?: (?:only|alone|and nothing else))?\s{{0,4}}(?:[.!?;]|$)", re.I | re.M
)
"""What stands around a letter that is a sentence of its own."""
_BEFORE_OPENING = re.compile(rf"{_WRAP}{_NOUN}{_WRAP}", re.I)
_AFTER_OPENING = re.compile(
    r"[)\]}*_$`\"'>|]+|[.:,;][*_]{0,3}(?=\s|$)|\s[-:=]\s|\s\("
    r"|\s(?:is|was|isn't|wasn't|because|since|as|rather than|instead of|over|not|seems|looks)\b",
    re.I,
)
_BEFORE_DENIED = re.compile(
    r"(?:\b(?:not|never|neither|nor|than|instead of|except|exclude|eliminate|reject|discard|strike"
    r"|although|though|while|whereas|even if|rul(?:e|ing) out|cross out|over"
    r"|doubt(?: that)? it(?:'s| is)|(?:don't|do not|wouldn't|would not) (?:think|believe|say"
    r"|choose|pick|select)(?: that)?(?: it(?:'s| is)| the answer is)?)|n't"
    r"|[\u274c\u2716\u2717\u2718\u00ac])"
    rf"\s{{0,4}}(?:be\s)?{_NOUN}{_WRAP}$",
    re.I,
)
_AFTER_REJECTED = re.compile(
    rf"{_CLOSE}\s{{1,4}}(?:(?:isn't|wasn't|aren't|weren't|cannot be|can't be|doesn't|does not)\b"
    r"|(?:is|was|are|were|seems|looks|seemed|looked|can be|may be|might be|sounds)\s{1,4}"
    r"(?:(?:clearly|also|definitely|obviously|just|simply|initially|tempting but|both|all|therefore"
    r"|thus)\s{1,4}){0,2}"
    r"(?:not\b(?!\s+only)|incorrect|invalid|wrong|false|out\b|ruled out|eliminated|unlikely"
    r"|excluded|rejected|impossible|a distractor|tempting"
    r"|(?:my|the) (?:first|initial|original) (?:thought|guess|choice|answer|idea))"
    rf"|\((?:wrong|incorrect|false|no)\b)"
    rf"|{_CLOSE}\s{{0,4}}[:-]\s{{0,4}}(?:wrong|incorrect|false|no)\b",
    re.I,
)
_BETWEEN_JOINED = re.compile(
    rf"{_CLOSE}\s{{0,4}}(?:\(\s{{0,2}}(?:or|and|maybe|possibly|perhaps)\s{{1,4}}"
    r"|[,/|&+\u3001\u2228]\s{0,4}(?:(?:or|and)\s{1,4})?"
    r"|[.?!]{1,3}\s{0,4}(?:or|and)\s{1,4}|(?<=[)\]]\s)|\d[.)]\s{1,4}|is\s\w{1,12},?\s{1,4}(?:and|but)\s{1,4}so\s(?:is|does)\s{1,4}"
    r"|(?:and/or|or|and|versus|vs\.?|plus|as well as|along with|together with"
    r"|oder|und|ou|et|o|y|e|\u0438\u043b\u0438|\u0438)\s{1,4}"
    r"|(?:\u6216\u8005?|\u548c|\u4e0e|\u8207|\u53ca|\u3068|\u304b|\u307e\u305f\u306f|\ub610\ub294)\s{0,4})"
    rf"(?:(?:maybe|possibly|perhaps|also|even|either)\s{{1,4}}){{0,2}}{_NOUN}{_WRAP}",
    re.I,
)
_BETWEEN_LISTED = re.compile(rf"{_CLOSE}\s{{0,2}};\s{{0,4}}{_NOUN}{_WRAP}", re.I)
_CORRECTED = re.compile(
    r"\b(?:but|actually|however|no|wait|rather|instead|correction|hmm|sorry|mean|meant"
    r"|second thoughts?|first|initially|nope|chang\w+|switch\w*)\b",
    re.I,
)
_NAME_DENIED = re.compile(
    r"(?:\b(?:not|never|neither|nor|than|instead of|except|isn't|wasn't)|n't)"
    r"(?: (?!but\b)[\w']+){0,3}\W{0,3}$",
    re.I,
)
_NAME_REJECTED = re.compile(
    r"\W{0,3} (?:is|was|are|were)(?:n't| not)? (?:(?:the|a) )?(?:wrong|incorrect)\b"
    r"|\W{0,3} (?:is|was)(?:n't| not) (?:(?:the|my) )?(?:one|answer|right|correct|choice)\b",
    re.I,
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
        # nothing but letters, a line each, is a list of them
        lines = [_ALONE.match(other) for other in answer.text.split("\n", 8) if other.strip()]
        if all(lines) and len({hit and option_of(hit[1]) for hit in lines}) > 1:
            return Choice(SEVERAL, "letter:several", alone.span(1))
        return Choice(option, "letter:alone", alone.span(1))
    mentions = list(_mentions(line, options))
    for rule in ("stated", "opening", "preferred", "delimited"):
        if chosen := _choice(line, mentions, rule, f"letter:{rule}"):
            return chosen
    return None


def later_letter(answer: Answer, options: int) -> Choice | None:
    """The letter that is stated first, on whatever line."""
    mentions = [m for m in _mentions(answer.text, options) if m.rule == "stated"]
    group = [mention for mention in mentions if mention.group == mentions[0].group]
    return _choice(answer.text, group, "stated", "letter:stated_later")


def chosen_option(
    answer: Answer, options: Sequence[str], letters: int, *, anywhere: bool
) -> Choice | None:
    """The option of the first line: its letter, else a name, which a letter stated later overrules.

    A sentence with an option in it (``Iron conducts.``) may only begin to weigh it; an option that
    is the whole line, or that ``answer is`` precedes, is chosen.
    """
    if chosen := explicit_letter(answer, letters):
        return chosen
    if named := named_option(answer, options, anywhere=anywhere):
        before, after = answer.text[: named.span[0]], answer.first_line[named.span[1] :]
        settled = _STATED.search(before) or not (_words(before) or _words(after))
        return named if settled else later_letter(answer, letters) or named
    return None


def option_of(letter: str) -> int:
    """The index of the option that a letter, large or small, stands for."""
    return ord(letter.upper()) - ord("A")


def _mentions(text: str, options: int) -> Iterator[_Mention]:
    """Every letter that stands for an option and is not turned down, in order."""
    groups: list[list[tuple[re.Match[str], str, str]]] = []
    last = 0
    for hit in islice(_LETTER.finditer(text), MOST_LETTERS):
        start, end = hit.span()
        before, after = text[max(0, start - _WINDOW) : start], text[end : end + _WINDOW]
        goes_on = re.match(_GOES_ON, after, re.I)
        article = hit[1] in "Aa" and re.match(r"\s+[a-z]", after) and not goes_on
        if option_of(hit[1]) >= options or article:
            continue
        joined = groups and (
            _BETWEEN_JOINED.fullmatch(text, last, start)
            # "A; B", but not "not A; B" and not "B; A is wrong"
            or (
                _BETWEEN_LISTED.fullmatch(text, last, start)
                and _LONE_ENDS.match(text, end)
                and not _BEFORE_DENIED.search(groups[-1][0][1])
            )
        )
        if not joined:
            groups.append([])
        groups[-1].append((hit, before, after))
        last = end
    for number, group in enumerate(groups):
        # "A, C and D are wrong", "neither A nor B"
        if _BEFORE_DENIED.search(group[0][1]) or _AFTER_REJECTED.match(group[-1][2]):
            continue
        for hit, before, after in group:
            if not (_BEFORE_DENIED.search(before) or _AFTER_REJECTED.match(after)):
                rule = _put(text, hit, before, after)
                yield _Mention(option_of(hit[1]), hit.start(), rule, number)


def _put(text: str, hit: re.Match[str], before: str, after: str) -> str:
    """How a letter is put: the rule by which it counts, empty for one that may be a word."""
    large = hit[1].isupper()
    listed = _EACH.search(before) or (
        re.search(r":[^\w]*\n[^\w]*$", before) and _LISTED.match(text, hit.start())
    )
    if not listed and _BEFORE_STATED.search(before):
        return "stated"
    if large and _PREFERRED.match(after):
        return "preferred"
    if _BEFORE_OPENING.fullmatch(text, 0, hit.start()) and _AFTER_OPENING.match(after):
        return "opening"
    if large and after.startswith(")"):
        return "delimited"
    if large and _LONE.search(before) and _LONE_ENDS.match(after):
        return "opening"
    return "joined" if large or re.match(r"[)\]}]", after) else ""


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

    Unless they may stand ``anywhere`` in it, they open the line, after the option's letter or
    without it, or follow ``answer is``. A name that is turned down (``not the baker``) is none.

    Returns:
        ``None`` when no option or more than one is named.
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
        for first in places:
            start, end = words[first].start(), words[first + len(wanted) - 1].end()
            before = line[max(0, start - _WINDOW) : start]
            if not (_NAME_DENIED.search(before) or _NAME_REJECTED.match(line, end)):
                found[index] = first, first + len(wanted)
                break
    named = [
        index
        for index, (first, last) in found.items()
        # "the baker's son" names no "baker" beside itself
        if not any((f, n) != (first, last) and f <= first and last <= n for f, n in found.values())
    ]
    if len(named) != 1:
        return None
    first, last = found[named[0]]
    stated = _STATED.search(line)
    after = [i for i, word in enumerate(words) if stated and word.start() >= stated.end()]
    lettered = first == 1 and len(said[0]) == 1 and option_of(said[0]) == named[0]
    if not (anywhere or first == 0 or lettered or after[:1] == [first]):
        return None
    return Choice(named[0], "option:named", (words[first].start(), words[last - 1].end()))


def _words(text: str) -> list[re.Match[str]]:
    return [word for word in _WORD.finditer(text) if word.group().lower() not in _ARTICLES]
