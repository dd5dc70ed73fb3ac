"""Unicode folding with a way back: rules read the folded text, evidence points into the raw one.

``fold`` depends on the text only through its NFKC form (Unicode UAX #15), so two texts that are
equal under NFKC fold to the same string.
"""

import re
import unicodedata
from functools import cache

from harness.files import packaged

_FOLDS: dict[int, str | None] = {
    **dict.fromkeys(map(ord, "‘’‚‛′ʼ＇ʹʻʽˈˊꞌ՚׳‹›"), "'"),
    **dict.fromkeys(map(ord, "“”„‟″«»＂「」『』"), '"'),
    **dict.fromkeys(map(ord, "‐‑‒–—―−"), "-"),
    # joiners, marks of direction, selectors of a variant
    **dict.fromkeys(map(ord, "\u00ad\u034f\u061c\u180e\u2060\u2061\u2062\u2063\u2064\ufeff"), None),
    **dict.fromkeys((*range(0x200B, 0x2010), *range(0x202A, 0x202F)), None),
    **dict.fromkeys((*range(0x2066, 0x206A), *range(0xFE00, 0xFE10)), None),
    **dict.fromkeys(map(ord, "\u2028\u2029\u0085\v\f"), "\n"),
    # letters on a dark ground
    **{0x1F150 + place: chr(ord("A") + place) for place in range(26)},
    **{0x1F170 + place: chr(ord("A") + place) for place in range(26)},
    **dict.fromkeys(map(ord, "\t\u1680\u2800\u115f\u1160"), " "),
}


def fold(raw: str) -> str:
    """What the strict rules read: NFKC, one newline, quote and dash, and no invisible joiners."""
    lines = raw.replace("\r\n", "\n").replace("\r", "\n")
    if not lines.isascii():
        lines = unicodedata.normalize("NFKC", lines)
        # the acute accent that stands alone, typed for an apostrophe, is a space with a mark
        lines = lines.replace(" \u0301", "'")
    return lines.translate(_FOLDS)


def raw_span(raw: str, start: int, end: int) -> tuple[int, int]:
    """The raw characters behind ``fold(raw)[start:end]``, where ``start < end``.

    Returns:
        Start and end in ``raw``: the smallest run of whole pieces that covers the folded span. The
        pieces are cut so that their folded forms, joined, are the folded whole.
    """
    if raw == fold(raw):
        return start, end
    first = piece = offset = 0
    for position in range(1, len(raw) + 1):
        if position < len(raw) and not _starts_piece(raw, piece, position):
            continue
        after = offset + len(fold(raw[piece:position]))
        if offset <= start < after:
            first = piece
        if after >= end:
            return first, position
        piece, offset = position, after
    return first, len(raw)


def _starts_piece(raw: str, start: int, position: int) -> bool:
    """Whether ``raw[position]`` does not combine with the piece that began at ``start``."""
    char = raw[position]
    if char.isascii():
        return not (char == "\n" and raw[position - 1] == "\r")
    if unicodedata.combining(unicodedata.normalize("NFKD", char)[0]):
        return False
    before = raw[start:position]
    joined = unicodedata.normalize("NFKC", before + char)
    apart = unicodedata.normalize("NFKC", before) + unicodedata.normalize("NFKC", char)
    return joined == apart


@cache
def wordings(name: str) -> str:
    """One list of ``choice_words.yaml`` as a pattern of alternatives, the longest first."""
    words = packaged("harness.score", "choice_words.yaml", dict[str, list[str]])[name]
    return "|".join(re.escape(fold(word)) for word in sorted(words, key=len, reverse=True))
