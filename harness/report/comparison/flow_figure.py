"""What became of the candidates: one square each, or a bar where there are too many."""

from __future__ import annotations

from markupsafe import Markup

from harness.report.comparison.model import Flow, FlowPart
from harness.report.figures.svg import element, picture

__all__ = ["flow_chart"]

MOST_SQUARES = 600
WIDTH = 352
BAR_HEIGHT = 28
_SHAPES = ((75, 22, 5), (220, 16, 10), (MOST_SQUARES, 11, 20))
"""Up to so many squares: their side and how many make a column."""


def flow_chart(flow: Flow) -> Markup:
    """The parts in order, each with a look of its own; the title says the counts."""
    counts = ", ".join(f"{part.count} {part.words}" for part in flow.parts)
    title = f"{flow.label}: {counts}"
    total = sum(part.count for part in flow.parts)
    if total > MOST_SQUARES:
        return _bar(flow.parts, total, title)
    size, column = next((side, rows) for most, side, rows in _SHAPES if total <= most)
    styles = [part.style for part in flow.parts for _ in range(part.count)]
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


def _bar(parts: tuple[FlowPart, ...], total: int, title: str) -> Markup:
    drawn, x = Markup(""), 0.0
    for part in parts:
        width = part.count / total * WIDTH
        if width:
            drawn += element("rect", x=x, y=0, width=width, height=BAR_HEIGHT, class_=part.style)
        x += width
    return picture(drawn, WIDTH, BAR_HEIGHT, title, class_="waffle")
