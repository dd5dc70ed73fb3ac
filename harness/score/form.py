"""The form that an answer is dressed in, taken off with a way back to where each character stood.

Tags and entities of HTML, LaTeX boxes, escaped quotes and an object of JSON around the answer say
nothing, and no letter of theirs is one of an answer.
"""

import html
import json
import re
from collections.abc import Sequence

from harness.score.folding import fold
from harness.score.patterns import lazily

THINKING = (
    r"(?:(?:[a-z]{2,12}[:_ -])?(?:ant)?(?:think(?:ing|er)?|thoughts?|reason|reasoning"
    r"|reflect(?:ion)?|scratch[_ -]?pad|analysis|rationale|monologue|cot"
    r"|chain[_ -]?of[_ -]?thoughts?|plan(?:ning)?|deliberat(?:e|ion)|brainstorm(?:ing)?"
    r"|contemplat(?:e|ion|or)|introspection|internal|hidden)"
    r"(?:[_ -](?!answer|output|response|result|final|end|start)[a-z]{2,12})?)"
)
"""Names of tags between which an answer is thought about."""
BOX = r"(?:answer|final|final_answer|output|response|solution)"
"""Names of tags between which an answer stands."""

_ATTRIBUTES = r"(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*\s*/?"
_TOKENS = rf"{THINKING}|{BOX}|s|bos|eos|sop|eop|unused\d+|\w+_of_\w+"
_LINES = (
    r"(?:p|div|li|[uo]l|h[1-6]|br|t[rdh]|table|section|article|blockquote|body|html|pre|center)"
)
_DRESS = lazily(
    r"(?P<struck><(?P<by>del|strike)>[^<\n]{0,200}</(?P=by)>)|<!--[^<>]{0,500}-->"
    rf"|(?P<item><li{_ATTRIBUTES}>)|(?P<line></?{_LINES}{_ATTRIBUTES}>)"
    rf"|</?(?!(?:{_TOKENS})\b)[a-z][a-z][\w-]*{_ATTRIBUTES}>"
    # <B> may be the answer B: one letter is a tag where it is closed, or stands before a word
    rf"|</[abiuq]>|<(?P<one>[abiuq]){_ATTRIBUTES}>(?=[\s\S]{{0,2000}}?</(?P=one)>)"
    r"|<(?-i:[biuq])>(?=\w)"
    r"|(?P<entity>&(?:\#\d{1,6}|\#x[\da-f]{1,5}|[a-z]{2,8});)|\\(?=['\"])",
    re.I,
)
_BOXED = lazily(r"\\(?:boxed|fbox|text(?:bf|it|rm)?|math(?:rm|bf|bb|it)?)\{([^{}]{0,2000})\}")
_OBJECT = lazily(r"\s*(?:[^\n{\[]{0,80}:\s*)?(?:```\w*\s*)?(?:\{|\[\s*[{\"'])")
_MEMBER = lazily(
    # a list of letters is no single one
    r"(?:[\"'](?P<key>\w+)[\"']\s*:|(?<=\[))(?!\s*\[?\s*[\"']\(?[a-zA-Z][).]?[\"']"
    r"\s*,\s*[\"'][^\"':]*[\"']\s*[,\]])"
    r"\s*\[?\s*(?:null|None|([\"'])(?P<said>[\s\S]*?)\2)"
    r"(?=\s*(?:,\s*[\"'{]|[\]}]|\Z))"
)
_ANSWERING = lazily(
    r"refusal(?:_\w+)?|(?:final_?)?(?:answer|response|reply|message|content|output|text|result|choice|label"
    r"|completion|assistant|final|solution|error|detail)",
    re.I,
)
"""Of an object of JSON, the members that hold an answer."""
_LONGEST = 8000
"""Characters of an object of JSON that are read."""
_NOTHING = lazily(r"\W*(?:(?:none|null|n/?a|false|no)\W*)?", re.I)
_ESCAPED = lazily(
    r"\\n|(?P<code>\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|\\u[\da-fA-F]{4})"
    r"|(?P<quote>\\\")"
)
QUOTE_WITHIN = "\u201c"
"""What stands for an escaped quote while its object is read; a folded text has none of its own."""
_WORDY = lazily(r"[^\W_]")
_FENCE = lazily(r"^ *(?:`{3,}|~{3,}|(?:'{3}|\"{3})(?= *(?:$|<)))", re.M)
_THOUGHT = lazily(rf"^``` *{THINKING} *\n(?:(?!```)[^\n]*\n)*``` *$", re.M | re.I)


def undressed(folded: str) -> tuple[str, Sequence[int]]:
    """The text without its dress, and where in ``folded`` each of its characters stood."""
    places: Sequence[int] = range(len(folded))
    said = _FENCE.sub(lambda hit: "```".rjust(len(hit.group())), folded)
    said = _THOUGHT.sub(lambda hit: " " * len(hit.group()), said)
    if "\\" in said and _OBJECT.search(said):
        escaped = [(hit.start(), hit.end(), _unescaped(hit)) for hit in _ESCAPED.finditer(said)]
        said, places = _cut(said, places, escaped)
    if "<" in said or "&" in said or "\\" in said:
        found = [(hit.start(), hit.end(), _meaning(hit)) for hit in _DRESS.finditer(said)]
        said, places = _cut(said, places, found)
        for _ in range(2):  # a box around a text
            ends = [(hit.span(), hit.span(1)) for hit in _BOXED.finditer(said)]
            cuts = [
                cut
                for (start, end), (first, last) in ends
                for cut in ((start, first, ""), (last, end, ""))
            ]
            said, places = _cut(said, places, cuts)
    return said, places


def value_of_object(text: str) -> tuple[int, int] | None:
    """Where the answer stands in an object of JSON that is the whole ``text``.

    What a member ``refusal`` says comes first; an object of nothing but nulls says nothing.
    """
    if not _OBJECT.match(text):
        return None
    members = [
        hit
        for hit in _MEMBER.finditer(text, 0, _LONGEST)
        if _ANSWERING.fullmatch(hit["key"] or "text")
    ]
    told = [hit for hit in members if hit["said"] and _WORDY.search(hit["said"])]
    refusal = [hit for hit in told if (hit["key"] or "").lower().startswith("refusal")]
    refused = [hit for hit in refusal if not _NOTHING.fullmatch(hit["said"])]
    if said := refused or [hit for hit in told if hit not in refusal]:
        return said[0].span("said")
    return (0, 0) if members and all(hit["said"] is None for hit in members) else None


def _unescaped(hit: re.Match[str]) -> str:
    if hit["quote"]:
        return QUOTE_WITHIN
    return fold(json.loads(f'"{hit[0]}"')) if hit["code"] else "\n"


def _meaning(hit: re.Match[str]) -> str:
    """What stands in a piece's place."""
    if hit["entity"]:
        return html.unescape(hit.group()).replace("\u00a0", " ").replace("\u2019", "'")
    return "\n- " if hit["item"] else "\n" if hit["line"] else ""


def _cut(
    said: str, places: Sequence[int], cuts: Sequence[tuple[int, int, str]]
) -> tuple[str, Sequence[int]]:
    if not cuts:
        return said, places
    kept: list[str] = []
    where: list[int] = []
    last = 0
    for start, end, instead in cuts:
        kept += said[last:start], instead
        where += [*places[last:start], *[places[start]] * len(instead)]
        last = end
    return "".join([*kept, said[last:]]), [*where, *places[last:]]
