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
from harness.score.letter_forms import (
    AFTER_OPENING,
    AFTER_REJECTED,
    AFTER_SENTENCE,
    ALONE,
    ASIDE,
    ASKED,
    BEFORE_DENIED,
    BEFORE_OPENING,
    BEFORE_STATED,
    BETWEEN_JOINED,
    BETWEEN_LISTED,
    CORRECTED,
    CORRECTS,
    EACH,
    GIVES_REASON,
    GOES_ON,
    IN_TURN,
    JOINT,
    LETTER,
    LISTED,
    LONE,
    LONE_ENDS,
    MARK_FIRST,
    NAMED_THING,
    ONE_BY_ONE,
    ONLY_ONE,
    OPTION_TEXT,
    PREFERRED,
    REPEATED_OPTIONS,
    SAID_RIGHT,
    SO_NO,
    VERDICT,
    VERDICT_OF_LINE,
)

SEVERAL = -1
"""The option of a choice that is none: the answer names several."""

LINE = 2000
"""Characters of a first line in which its letter is looked for; a stated one counts anywhere."""
MOST_LETTERS = 800
"""Letters that are looked at, from the first on."""

WINDOW = 80
_DENIED = "denied"
_WEIGHED = frozenset({"letter:sentence", "letter:left"})
"""Letters of a line that talks about options: what is stated further down overrules them."""


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
    first = _first_letter(answer, options)
    if first is None or first.option == SEVERAL:
        return first
    rest = len(answer.first_line)
    one_by_one = {hit[1].upper() for hit in ONE_BY_ONE.finditer(answer.text)}
    weighed = first.rule in _WEIGHED or len(one_by_one) > 1 or SO_NO.search(answer.first_line)
    weighed = weighed or IN_TURN.match(answer.text) or re.search(r"\?\W*$", answer.first_line)
    if not weighed:  # said of itself, it stands unless it is taken back
        taken_back = CORRECTS.search(answer.text, rest)
        rest = taken_back.start() if taken_back else len(answer.text)
    later = [m for m in _mentions(answer.text, options) if m.rule == "stated" and m.start > rest]
    group = [mention for mention in later if mention.group == later[-1].group]
    return _choice(answer.text, group, "stated", "letter:stated_later") or first


def _first_letter(answer: Answer, options: int) -> Choice | None:
    line = answer.first_line[:LINE]
    marked = _marked_letter(answer.text[:LINE], options)
    if marked or REPEATED_OPTIONS.match(answer.text):
        return marked
    if (alone := ALONE.match(line)) and (option := option_of(alone[1])) < options:
        # nothing but letters, a line each, is a list of them
        others = (
            o for o in answer.text.split("\n", 8) if re.search(r"\w", o) and not JOINT.fullmatch(o)
        )
        lines = [ALONE.match(other) for other in others]
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
    before = [hit for hit in MARK_FIRST.finditer(text) if option_of(hit["letter"]) < options]
    opens = before and not re.search(r"\w", text[: before[0].start()])
    of_lines = list(VERDICT_OF_LINE.finditer(text))
    listed = before if opens else of_lines if len(of_lines) > 1 else VERDICT.finditer(text)
    verdicts = [hit for hit in listed if option_of(hit["letter"]) < options]
    right = {option_of(hit["letter"]) for hit in verdicts if hit["right"]}
    wrong = {option_of(hit["letter"]) for hit in verdicts if hit["wrong"]}
    said = {(hit["right"] or hit["wrong"]).lower() for hit in verdicts}
    # two lines, true and false, may be the options themselves
    if not right or not wrong - right or (said <= {"true", "false"} and len(right | wrong) < 3):
        return None
    hit = next(hit for hit in verdicts if hit["right"])
    if BEFORE_STATED.search(text, max(0, hit.start() - WINDOW), hit.start()) or right & wrong:
        return None
    option, rule = (
        (right.pop(), "letter:marked") if len(right) == 1 else (SEVERAL, "letter:several")
    )
    return Choice(option, rule, hit.span("letter"))


def later_letter(answer: Answer, options: int) -> Choice | None:
    """The letter that is stated first, on whatever line; else the one that is the last line."""
    mentions = [m for m in _mentions(answer.text, options) if m.rule == "stated"]
    group = [mention for mention in mentions if mention.group == mentions[0].group]
    if stated := _choice(answer.text, group, "stated", "letter:stated_later"):
        return stated
    lines = [line.start() for line in re.finditer(r"^(?=.*\w)", answer.text, re.M)]
    alone = {hit.span(1) for start in lines if (hit := ALONE.match(answer.text, start))}
    span = alone.pop() if len(alone) == 1 else (-1, -1)
    if span[0] < max(lines, default=0):
        return None
    option = option_of(answer.text[slice(*span)])
    return Choice(option, "letter:last_line", span) if option < options else None


def option_of(letter: str) -> int:
    """The index of the option that a letter, large or small, stands for."""
    return ord(letter.upper()) - ord("A")


def _mentions(text: str, options: int) -> Iterator[_Mention]:
    """Every letter that stands for an option and is not turned down, in order."""
    groups: list[list[tuple[re.Match[str], str, str]]] = []
    last = 0
    for hit in islice(LETTER.finditer(text), MOST_LETTERS):
        start, end = hit.span()
        before, after = text[max(0, start - WINDOW) : start], text[end : end + WINDOW]
        goes_on = re.match(GOES_ON, after, re.I)
        article = hit[1] in "Aa" and not goes_on and re.match(r"\s+[a-z]", after)
        article = article or (hit[1] == "a" and re.match(r"\s+[A-Z]\b", after))
        if option_of(hit[1]) >= options or article:
            continue
        if NAMED_THING.search(before) and not SAID_RIGHT.match(after):
            continue
        joined = groups and (
            (
                BETWEEN_JOINED.fullmatch(text, last, start)
                and not ASIDE.search(groups[-1][0][1])
                # "between B and C, C"
                and all(hit[1].upper() != other[1].upper() for other, *_ in groups[-1])
            )
            # "A; B", but not "not A; B" and not "B; A is wrong"
            or (
                BETWEEN_LISTED.fullmatch(text, last, start)
                and LONE_ENDS.match(text, end)
                and not BEFORE_DENIED.search(groups[-1][0][1])
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
    if ONLY_ONE.search(before):
        return False
    if BEFORE_DENIED.search(before):
        return True
    stated = OPTION_TEXT.match(after) or (after[:1] in ":)" and BEFORE_STATED.search(before))
    return AFTER_REJECTED.match(after) is not None and not stated


def _put(text: str, hit: re.Match[str], before: str, after: str) -> str:
    """How a letter is put: the rule by which it counts, empty for one that may be a word."""
    large = hit[1].isupper()
    listed = EACH.search(before) or (
        re.search(r":[^\w]*\n[^\w]*$", before) and LISTED.match(text, hit.start())
    )
    if not listed and BEFORE_STATED.search(before):
        return "stated"
    if large and PREFERRED.match(after):
        return "preferred"
    sentence = AFTER_SENTENCE.match(after)
    opens = BEFORE_OPENING.fullmatch(text, 0, hit.start())
    if opens and not sentence and AFTER_OPENING.match(after) and not ASKED.match(after):
        return "opening"
    if large and after.startswith(")") and not sentence:
        return "delimited"
    lone = large and not listed and LONE.search(before)
    if lone and (LONE_ENDS.match(after) or GIVES_REASON.match(after)):
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
        len(beside) == 1 and len(groups) > 1 and CORRECTED.search(text, put[-2].start, last.start)
    ):
        return Choice(SEVERAL, "letter:several", (first.start, first.start + 1))
    return Choice(chosen.option, name, (chosen.start, chosen.start + 1))
