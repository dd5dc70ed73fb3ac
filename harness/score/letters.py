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
from harness.score.folding import wordings

SEVERAL = -1
"""The option of a choice that is none: the answer names several."""

LINE = 2000
"""Characters of a first line in which its letter is looked for; a stated one counts anywhere."""
MOST_LETTERS = 800
"""Letters that are looked at, from the first on."""

_LATEX = r"\\(?:boxed|fbox|text(?:bf|rm)?|math(?:rm|bf|bb)?)\{"
_WRAP = rf"(?:[\s(\[{{*_$`\"'<|-]|\\[(\[]|{_LATEX}){{0,12}}"
_CLOSE = r"(?:[)\]}*_$`\"'>|]|\\[)\]]){0,8}"
_NOUN = (
    rf"(?:(?:(?:option|choice|letter|answer)s?|{wordings('answer')})\s{{1,4}}"
    rf"|(?:{wordings('answer_joined')})\s{{0,4}})?"
)
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
_ARTICLE = rf"(?:(?:{wordings('articles')})\s{{1,4}})?"
_ELSEWHERE = (
    rf"(?:\b(?:{wordings('answer')})(?:\s[^\W\d_]+){{0,2}}?"
    rf"(?:\s(?:{wordings('is')})\b[\s*_]{{0,4}}:?|[\s*_]{{0,4}}[:=-])"
    rf"|(?:{wordings('answer_joined')})\s{{0,2}}(?:{wordings('is_joined')})[\s*_]{{0,4}}:?"
    rf"|(?<!\u4e0d)(?<!\u4e0d\u5e94\u8be5)(?:{wordings('picks_joined')}))"
    rf"(?:\s{{1,4}}(?:{wordings('articles')})(?=\s))?"
)
"""``The answer is`` in other languages."""
STATED = re.compile(
    rf"(?:{_ELSEWHERE}|\banswer(?:(?:\s(?:to|for)\s[^.,:;\n]{{1,40}}?)?(?:,[^.,:;\n]{{1,30}},)?"
    rf"(?:\s{{1,4}}(?:here\s)?{_BE}\b|'s\b)[\s*_]{{0,4}}:?"
    r"|[\s*_\"']{0,4}(?:[:=\u2192\u21d2\u27a1]|-{1,2}>?)))"
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
REPEATED_OPTIONS = re.compile(r"\W*A[).:](?:[^\n]*\n\W*B[).:]|[^\n.]*\sB[).:][^\n.]*\sC[).:])")

_IN_WORD = r"[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
"""What makes a letter beside it a part of a word: not a script that sets no spaces."""
_LETTER = re.compile(rf"(?<!{_IN_WORD})(?<!\w')([A-Za-z])(?!{_IN_WORD})(?!'[A-Za-z])")
_ALONE = re.compile(
    rf"(?:[^\w\n\u274c\u2716\u2717\u2718\u00ac~!]|_){{0,8}}(?:\d{{1,2}}[.)]\s{{0,4}})?{_WRAP}"
    rf"(?:the\s)?{_NOUN}{_WRAP}([a-z])(?:\W{{1,4}}\1\b){{0,40}}\s?(?:{wordings('after')})?"
    rf"{_CLOSE}[^\w\n]{{0,4}}\s*$",
    re.I | re.M,
)
_JOINT = re.compile(r"\W*(?:or|and|and/or|versus|vs|oder|ou|o)\W*", re.I)
"""A line between two letters."""
_TURN_ROUND = (
    r"(?:correction|(?:scratch|strike) that|oops|actually|no wait|wait|I mean|I meant|or rather"
    r"|make that|on second thoughts?"
    r"|chang(?:e|ed|ing)(?: it| that| my answer)? to|switch(?:ed|ing)? to)"
)
_ALL_BUT = (
    r"\b(?:none|nothing|all|everything|every \w+|each \w+)(?: (?:of|the|them|these"
    r"|others?|options|choices)){0,3} (?:but|except(?: for)?|other than|apart from|besides)\s{1,4}"
)
"""Of one letter the reverse is said of what is said of all others."""
_ONLY_ONE = re.compile(rf"{_ALL_BUT}{_NOUN}{_WRAP}$", re.I)
_BEFORE_STATED = re.compile(
    rf"(?:{STATED.pattern}"
    rf"|\b(?:correct|best|right|only|final|my) (?:option|choice|one|letter|pick|guess){_CLOSE}"
    rf"\s{{1,4}}{_BE}\b:?\s{{1,4}}"
    rf"|\b(?:{wordings('picks')})\s{{1,4}}{_ARTICLE}"
    r"|\b(?:finally|ultimately|in the end|settl(?:e|ing) on|stick(?:ing)? with|leaves?"
    r"|leaving)[,:]?"
    r"\s{1,4}(?:only\s|just\s)?|(?:^|[.!?,;\n]\s{0,4})(?:must be|going with|picking|choosing)\s"
    rf"|{_ALL_BUT}"
    r"|\b(?:correct|right|solution|conclusion|result|choice|option|letter|selection|pick|guess"
    r"|vote|ans\.?)"
    r"(?: (?:option|choice))?[*_]{0,3}\s{0,4}:\s{0,4}|\bans\.\s"
    r"|\b(?:I|we)(?:'d|'ll|'m| would| will| am)? (?:choose|pick|select|say|answer|vote(?: for)?"
    rf"|(?:go|going) (?:with|for)|think|believe|guess)(?: that)?(?: it(?:'s| {_BE}))?\s{{1,4}}"
    r"|\blet(?:'s| us) (?:go with|say|pick)\s|(?:^|[.!?\n]\s{0,4})(?:choose|select|pick)\s"
    rf"|\b(?:it|that|this)(?:'s| {_BE})\s{{1,4}}|\bsondern\s|\bsino\s|\u800c\u662f\s{{0,2}}"
    rf"|\b{_TURN_ROUND}\b[,.:;!\s-]{{1,4}}"
    r"|(?:^|[.!?,;\n-]\s{0,4})no(?:pe)?[,:;.!] {1,4}(?:sorry[,.]?\s)?"
    rf"|\bnot\s{{1,4}}{_NOUN}{_WRAP}[a-z]{_CLOSE},?\s{{1,4}}but\s{{1,4}}(?:rather\s)?)"
    rf"{_HEDGE}{_NOUN}{_WRAP}$",
    re.I,
)
_PREFERRED = re.compile(
    rf"{_CLOSE}\s{{1,4}}(?:is|was|must be|has to be|seems|looks|appears)(?: to be)?\s{{0,4}}"
    r"(?:$|[.!,;\n]|(?:\s(?:clearly|also|definitely|obviously|indeed|therefore|thus|both|all)){0,2}"
    r"\s{0,4}(?:the\s)?(?:one\b|answer\b"
    r"|(?:(?:most|more|partially|exactly|actually|clearly|by far|even|much|far) ){0,2}"
    r"(?:correct|right|true|best|better|accurate|appropriate|likely|plausible)\b))"
    rf"|{_CLOSE}\s{{1,4}}(?:is|was|would be) (?:too|as well|my (?:choice|pick|answer|vote|guess))\b"
    rf"|{_CLOSE}\s{{1,4}}(?:isn't|is not|wasn't|was not) (?:incorrect|wrong|false|invalid|untrue)\b"
    rf"|{_CLOSE}\s{{1,4}}(?:remains|fits|works|holds|applies|wins|does too|is left"
    rf"|makes (?:the most )?sense"
    r"|makes the best sense|best (?:fits|matches|answers|describes)|matches best|stands out|it is"
    r"|\((?:right|correct)"
    r"|(?:alone|only) is (?:correct|right|true))\b"
    rf"|{_CLOSE}\s{{1,4}}does\s{{0,4}}[.!]|{_CLOSE}\s{{0,4}}[:-]\s{{0,4}}(?:correct|right|true"
    rf"|yes)\b",
    re.I,
)
"""After a letter of which it is said that it is the right one."""
_LONE = re.compile(
    r"(?:^|[.!?:;)\n]\s{0,4}|\s-\s|(?<!thing)(?<!none)(?<!all)(?:,|(?<=\w))\s(?=but|so|however|yet|hence|thus"
    r"|therefore))(?:(?:so|thus|hence|therefore"
    r"|sure|ok|okay|eh|hm|of course|certainly|yes|yeah|probably|definitely|clearly|obviously|likely"
    r"|most likely|maybe|perhaps|then|well|right|again|but|however|yet|only|just|hmm|um|ah|oh"
    r"|alright)"
    rf"[,:!.]?\s{{1,4}}){{0,3}}"
    rf"(?:(?:a |{_ARTICLE})(?:[^\W\d_]{{2,15}}\s)?(?:{wordings('answer')})\s{{1,4}}{_ARTICLE}"
    rf"|{_NOUN}){_WRAP}$",
    re.I,
)
_LONE_ENDS = re.compile(
    rf"{_CLOSE}(?: (?:only|alone|and nothing else|all the way|for sure|obviously|definitely"
    rf"|of course)"
    rf"|\s?(?:{wordings('after')}))?\s{{0,4}}(?:[.!;\u0964\u3002]|$)",
    re.I | re.M,
)
"""What stands around a letter that is a sentence of its own."""
_BEFORE_OPENING = re.compile(rf"{_WRAP}{_NOUN}{_WRAP}", re.I)
_AFTER_SENTENCE = re.compile(rf"{_CLOSE}\s{{1,4}}(?:is|was|seems|looks|sounds|beats)\b(?! an? )")
"""After a letter about which a sentence begins: it is weighed when another one comes along."""
_AFTER_OPENING = re.compile(
    r"[)\]}*_$`\"'>|]+|[.:,;][*_]{0,3}(?=\s|$)|\s[-:=]\s|\s\("
    r"|\s(?:isn't|because|since|as|rather than|instead of|over|not)\b",
    re.I,
)
_GIVES_REASON = re.compile(rf"{_CLOSE}\s{{1,4}}(?:because|since)\b", re.I)
_OPTION_TEXT = re.compile(r"[)\]}*_$`\"'>]{0,6}[).:][*_]{0,3}\s{1,4}(?!Incorrect|Wrong)[A-Z]")
"""After a letter the words of its option, which say nothing about it (``B) Cannot be known``)."""
_VERDICT = re.compile(
    rf"(?<![\w'])([A-Z]){_CLOSE}\s{{0,2}}[).:=-]?\s{{0,3}}(?:is\s|was\s)?(?:(?P<right>(?:correct"
    rf"|right"
    r"|true|yes)\b|[\u2713\u2714\u2705\u2611])|(?P<wrong>(?:incorrect|wrong|false|no"
    r"|not (?:correct|right|true))\b|[\u2717\u2718\u274c\u2716\u00d7]))(?!,? (?:true|false|yes"
    r"|no)\b)",
    re.I,
)
"""A letter and whether it is right, in a list of such."""
_BEFORE_DENIED = re.compile(
    r"(?:\b(?:not|never|neither|nor|than|instead of|except|exclude|eliminate|reject|discard|strike"
    r"|forget|ignore|dismiss|unlike|compared (?:with|to)|beats|better than|(?:incorrect|wrong):"
    r"|(?:can't|cannot|won't|wouldn't) (?:say|claim)(?: that)?(?: it(?:'s| is))?"
    r"|although|though|while|whereas|even if|rul(?:e|ing) out|cross out|over"
    r"|doubt(?: that)? it(?:'s| is)|(?:don't|do not|wouldn't|would not) (?:think|believe|say"
    r"|choose|pick|select)(?: that)?(?: it(?:'s| is)| the answer is)?)|n't"
    r"|[\u274c\u2716\u2717\u2718\u00ac])"
    rf"\s{{0,4}}(?:be\s)?{_NOUN}{_WRAP}$",
    re.I,
)
_AFTER_REJECTED = re.compile(
    rf"{_CLOSE}\s{{1,4}}(?!(?:isn't|is not|wasn't|was not) (?:incorrect|wrong|false|invalid"
    rf"|untrue))(?:(?:isn't|wasn't|aren't|weren't|cannot be|can't be|doesn't|does not)\b"
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
    rf"{_CLOSE}\s{{0,4}}(?:[(\[]\s{{0,2}}(?:or|and|maybe|possibly|perhaps)\s{{1,4}}"
    r"|[,/|&+\u3001\u2228]\s{0,4}(?:(?:or|and)\s{1,4})?"
    r"|[.?!]{1,3}\s{0,4}(?:or|and)\s{1,4}|(?<=[)\]]\s)|\d[.)]\s{1,4}|is\s\w{1,12},?\s{1,4}(?:and"
    r"|but)\s{1,4}so\s(?:is|does)\s{1,4}"
    r"|(?:and/or|or|and|versus|vs\.?|plus|as well as|along with|together with"
    r"|oder|und|ou|et|o|y|e|\u0438\u043b\u0438|\u0438)\s{1,4}"
    r"|(?:\u6216\u8005?|\u548c|\u4e0e|\u8207|\u53ca|\u3068|\u304b|\u307e\u305f\u306f"
    r"|\ub610\ub294)\s{0,4})"
    rf"(?:(?:maybe|possibly|perhaps|also|even|either)\s{{1,4}}){{0,2}}{_NOUN}{_WRAP}",
    re.I,
)
_ASIDE = re.compile(
    rf"\b(?:unlike|compared (?:with|to)|instead of|rather than|besides) {_NOUN}{_WRAP}$", re.I
)
"""Before a letter that the one after the comma is set against."""
_BETWEEN_LISTED = re.compile(
    rf"{_CLOSE}\s{{0,2}};\s{{0,4}}{_NOUN}{_WRAP}|{_CLOSE}\s{{0,2}}=?{_WRAP}(?<=[^\w'\"-])", re.I
)
_CORRECTED = re.compile(
    r"\b(?:but|actually|however|no|wait|rather|instead|correction|hmm|sorry|mean|meant"
    r"|second thoughts?|first|initially|nope|chang\w+|switch\w*)\b",
    re.I,
)
WINDOW = 80
_DENIED = "denied"


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
    line = answer.first_line[:LINE]
    marked = _marked_letter(answer.text[:LINE], options)
    if marked or REPEATED_OPTIONS.match(answer.text):
        return marked
    if (alone := _ALONE.match(line)) and (option := option_of(alone[1])) < options:
        # nothing but letters, a line each, is a list of them
        others = (o for o in answer.text.split("\n", 8) if o.strip() and not _JOINT.fullmatch(o))
        lines = [_ALONE.match(other) for other in others]
        if all(lines) and len({hit and option_of(hit[1]) for hit in lines}) > 1:
            return Choice(SEVERAL, "letter:several", alone.span(1))
        return Choice(option, "letter:alone", alone.span(1))
    every = list(_mentions(line, options))
    mentions = [mention for mention in every if mention.rule != _DENIED]
    for rule in ("stated", "opening", "preferred", "delimited"):
        if chosen := _choice(line, mentions, rule, f"letter:{rule}"):
            return chosen
    first = next((m for m in mentions if m.rule == "sentence"), None)
    if first:
        several = {m.option for m in mentions if m.rule} != {first.option}
        rule = "letter:several" if several else "letter:sentence"
        return Choice(SEVERAL if several else first.option, rule, (first.start, first.start + 1))
    left = set(range(options)) - {mention.option for mention in every if mention.rule == _DENIED}
    if len(left) == 1 and options > 3:
        return Choice(left.pop(), "letter:left", (every[0].start, every[-1].start + 1))
    return None


def _marked_letter(text: str, options: int) -> Choice | None:
    """The one letter of a list of letters, each with its verdict, that is right."""
    verdicts = [hit for hit in _VERDICT.finditer(text) if option_of(hit[1]) < options]
    right = {option_of(hit[1]) for hit in verdicts if hit["right"]}
    wrong = {option_of(hit[1]) for hit in verdicts if hit["wrong"]}
    said = {(hit["right"] or hit["wrong"]).lower() for hit in verdicts}
    # two lines, true and false, may be the options themselves
    if not right or not wrong - right or (said <= {"true", "false"} and len(right | wrong) < 3):
        return None
    hit = next(hit for hit in verdicts if hit["right"])
    if _BEFORE_STATED.search(text, max(0, hit.start() - WINDOW), hit.start()) or right & wrong:
        return None
    option, rule = (
        (right.pop(), "letter:marked") if len(right) == 1 else (SEVERAL, "letter:several")
    )
    return Choice(option, rule, hit.span(1))


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
    groups: list[list[tuple[re.Match[str], str, str]]] = []
    last = 0
    for hit in islice(_LETTER.finditer(text), MOST_LETTERS):
        start, end = hit.span()
        before, after = text[max(0, start - WINDOW) : start], text[end : end + WINDOW]
        goes_on = re.match(_GOES_ON, after, re.I)
        article = hit[1] in "Aa" and not goes_on and re.match(r"\s+[a-z]", after)
        article = article or (hit[1] == "a" and re.match(r"\s+[A-Z]\b", after))
        if option_of(hit[1]) >= options or article:
            continue
        joined = groups and (
            (
                _BETWEEN_JOINED.fullmatch(text, last, start)
                and not _ASIDE.search(groups[-1][0][1])
                # "between B and C, C"
                and all(hit[1].upper() != other[1].upper() for other, *_ in groups[-1])
            )
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
        denied = _turned_down(group[0][1], group[-1][2])
        for hit, before, after in group:
            down = denied or _turned_down(before, after)
            rule = _DENIED if down else _put(text, hit, before, after)
            yield _Mention(option_of(hit[1]), hit.start(), rule, number)


def _turned_down(before: str, after: str) -> bool:
    """Whether what stands around a letter, or a row of them, says that it is not chosen."""
    if _ONLY_ONE.search(before):
        return False
    if _BEFORE_DENIED.search(before):
        return True
    stated = _OPTION_TEXT.match(after) or (after[:1] in ":)" and _BEFORE_STATED.search(before))
    return _AFTER_REJECTED.match(after) is not None and not stated


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
    sentence = _AFTER_SENTENCE.match(after)
    opens = _BEFORE_OPENING.fullmatch(text, 0, hit.start())
    if opens and not sentence and _AFTER_OPENING.match(after):
        return "opening"
    if large and after.startswith(")") and not sentence:
        return "delimited"
    lone = large and not listed and _LONE.search(before)
    if lone and (_LONE_ENDS.match(after) or _GIVES_REASON.match(after)):
        return "opening"
    if opens and sentence:
        return "sentence"
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
