"""Unicode folding with a way back: rules read the folded text, evidence points into the raw one.

``fold`` depends on the text only through its NFKC form (Unicode UAX #15), so two texts that are
equal under NFKC fold to the same string.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_FOLDS: dict[int, str | None] = {
    **dict.fromkeys(map(ord, "‘’‚‛′ʼ＇"), "'"),
    **dict.fromkeys(map(ord, "“”„‟″«»＂"), '"'),
    **dict.fromkeys(map(ord, "‐‑‒–—―−"), "-"),
    **dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufe0e\ufe0f\ufeff"), None),
    **dict.fromkeys(map(ord, "\u2028\u2029\u0085\v\f"), "\n"),
    ord("\t"): " ",
}


def fold(raw: str) -> str:
    """NFKC, one kind of newline, quote and dash, and no invisible joiners.

    Args:
        raw: an answer as the server sent it.

    Returns:
        The text that the strict rules read.
    """
    lines = raw.replace("\r\n", "\n").replace("\r", "\n")
    if not lines.isascii():
        lines = unicodedata.normalize("NFKC", lines)
        # the acute accent that stands alone, typed for an apostrophe, is a space with a mark
        lines = lines.replace(" \u0301", "'")
    return lines.translate(_FOLDS)


def _starts_segment(raw: str, start: int, position: int) -> bool:
    """Whether ``raw[position]`` does not combine with the segment that began at ``start``."""
    char = raw[position]
    if char.isascii():
        return not (char == "\n" and raw[position - 1] == "\r")
    if unicodedata.combining(unicodedata.normalize("NFKD", char)[0]):
        return False
    before = raw[start:position]
    joined = unicodedata.normalize("NFKC", before + char)
    apart = unicodedata.normalize("NFKC", before) + unicodedata.normalize("NFKC", char)
    return joined == apart


def _origins(raw: str) -> Iterator[tuple[int, int]]:
    """For every folded character in order, the raw piece that it came from.

    The pieces are cut so that their folded forms, joined, are the folded whole.
    """
    start = 0
    for position in range(1, len(raw) + 1):
        if position == len(raw) or _starts_segment(raw, start, position):
            yield from [(start, position)] * len(fold(raw[start:position]))
            start = position


def raw_span(raw: str, start: int, end: int) -> tuple[int, int]:
    """The raw characters behind ``fold(raw)[start:end]``.

    Args:
        raw: the unfolded text.
        start: first folded offset.
        end: folded offset after the last one; ``start < end``.

    Returns:
        Start and end in ``raw``: the smallest run of whole pieces that covers the folded span.
    """
    if raw == fold(raw):
        return start, end
    first = last = 0
    for offset, (piece_start, piece_end) in enumerate(_origins(raw)):
        if offset == start:
            first = piece_start
        last = piece_end
        if offset == end - 1:
            break
    return first, last
