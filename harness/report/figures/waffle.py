"""Counts as squares that can be counted, or as one bar where there are too many."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.report.figures.svg import element, picture

__all__ = ["waffle"]

MOST_SQUARES = 600
WIDTH = 352
BAR_HEIGHT = 28
_SHAPES = ((75, 22, 5), (220, 16, 10), (MOST_SQUARES, 11, 20))
"""Up to so many squares: their side and how many make a column."""

Part = tuple[int, str]
"""How many, and the style of their squares; ``both`` is crossed out as well."""


def waffle(parts: Sequence[Part], title: str) -> Markup:
    """The parts in order, each with a look of its own; the title says the counts."""
    total = sum(count for count, _ in parts)
    return _squares(parts, title) if total <= MOST_SQUARES else _bar(parts, total, title)


def _squares(parts: Sequence[Part], title: str) -> Markup:
    """Columns of five, ten or twenty."""
    styles = [style for count, style in parts for _ in range(count)]
    total = len(styles)
    size, column = next((side, rows) for most, side, rows in _SHAPES if total <= most)
    drawn = Markup("").join(_square(i, style, size, column) for i, style in enumerate(styles))
    columns = max(1, -(-total // column))
    return picture(drawn, columns * size + 1, column * size + 1, title, class_="waffle")


def _square(index: int, style: str, size: int, column: int) -> Markup:
    x, y = index // column * size + 1, index % column * size + 1
    inner = size - max(2, size // 6)
    box = element("rect", x=x, y=y, width=inner, height=inner, class_=style, rx=1.5)
    if style != "both":
        return box
    cross = f"M{x + 3} {y + 3}l{inner - 6} {inner - 6}m0 {6 - inner}l{6 - inner} {inner - 6}"
    return box + element("path", d=cross, class_="cross")


def _bar(parts: Sequence[Part], total: int, title: str) -> Markup:
    drawn, x = Markup(""), 0.0
    for count, style in parts:
        width = count / total * WIDTH
        if width:
            drawn += element("rect", x=x, y=0, width=width, height=BAR_HEIGHT, class_=style)
        x += width
    return picture(drawn, WIDTH, BAR_HEIGHT, title, class_="waffle")
