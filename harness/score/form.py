"""The form that an answer is dressed in, taken off with a way back to where each character stood.

Tags and entities of HTML, LaTeX boxes, escaped quotes and an object of JSON around the answer say
nothing, and no letter of theirs is one of an answer.
"""

import html
import re
from collections.abc import Sequence

THINKING = (
    r"(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis|rationale"
    r"|(?:inner_)?monologue|chain_of_thought|cot|deliberation|planning)"
)
"""Names of tags between which an answer is thought about."""
BOX = r"(?:answer|final|final_answer|output|response|solution)"
"""Names of tags between which an answer stands."""

_ATTRIBUTES = r"(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*\s*/?"
_TOKENS = rf"(?:seed:)?{THINKING}|{BOX}|s|bos|eos|sop|eop|unused\d+|\w+_of_\w+"
_LINES = (
    r"(?:p|div|li|[uo]l|h[1-6]|br|t[rdh]|table|section|article|blockquote|body|html|pre|center)"
)
_DRESS = re.compile(
    r"(?P<struck><(?P<by>del|strike)>[^<\n]{0,200}</(?P=by)>)|<!--[^<>]{0,500}-->"
    rf"|(?P<item><li{_ATTRIBUTES}>)|(?P<line></?{_LINES}{_ATTRIBUTES}>)"
    rf"|</?(?!(?:{_TOKENS})\b)[a-z][a-z][\w-]*{_ATTRIBUTES}>"
    # <B> may be the answer B: one letter is a tag where it is closed, or stands before a word
    rf"|</[abiuq]>|<(?P<one>[abiuq]){_ATTRIBUTES}>(?=[\s\S]{{0,2000}}?</(?P=one)>)"
    r"|<(?-i:[biuq])>(?=\w)"
    r"|(?P<entity>&(?:\#\d{1,6}|\#x[\da-f]{1,5}|[a-z]{2,8});)|\\(?=['\"])",
    re.I,
)
_BOXED = re.compile(r"\\(?:boxed|fbox|text(?:bf|it|rm)?|math(?:rm|bf|bb|it)?)\{([^{}]{0,2000})\}")
_OBJECT = re.compile(
    r"\s*(?:```\w*\s*)?\{[^{}]{0,2000}?[\"'](?:final_?)?(?:answer|response|reply|message|content"
    r"|output|text|result|choice|label)[\"']\s*:\s*([\"'])(?P<said>[\s\S]*?)\1\s*(?:,\s*[\"']|\}"
    r"|\Z)",
    re.I,
)
_WORDY = re.compile(r"[^\W_]")


def undressed(folded: str) -> tuple[str, Sequence[int]]:
    """The text without its dress, and where in ``folded`` each of its characters stood."""
    places: Sequence[int] = range(len(folded))
    said = folded
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
    """Where the answer stands in an object of JSON that is the whole ``text``."""
    hit = _OBJECT.match(text)
    return hit.span("said") if hit and _WORDY.search(hit["said"]) else None


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
