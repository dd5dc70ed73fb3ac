"""The paired outcomes: one square a candidate, or a bar where there are too many to tell apart."""

from __future__ import annotations

from markupsafe import Markup

from harness.report.figures.svg import element, picture
from harness.report.model import PairedBar

__all__ = ["paired_chart"]

OUTCOMES = (
    ("both", "both", "changed under both"),
    ("standard_only", "standard", "standard only"),
    ("invariant_only", "invariant", "batch-invariant only"),
    ("neither", "neither", "changed under neither"),
)
_SHAPES = ((75, 22, 5), (220, 16, 10), (600, 11, 20))
"""Up to so many squares: their side and how many make a column."""
MOST_SQUARES = 600
WIDTH = 352
BAR_HEIGHT = 28


def _square(index: int, class_: str, size: int, column: int) -> Markup:
    x, y = index // column * size + 1, index % column * size + 1
    inner = size - max(2, size // 6)
    box = element("rect", x=x, y=y, width=inner, height=inner, class_=class_, rx=1.5)
    if class_ != "both":
        return box
    cross = f"M{x + 3} {y + 3}l{inner - 6} {inner - 6}m0 {6 - inner}l{6 - inner} {inner - 6}"
    return box + element("path", d=cross, class_="cross")


def _squares(bar: PairedBar, title: str) -> Markup:
    """Columns of five or ten, so that they can be counted."""
    total = sum(getattr(bar, name) for name, _, _ in OUTCOMES)
    size, column = next(shape for most, *shape in _SHAPES if total <= most)
    classes = [class_ for name, class_, _ in OUTCOMES for _ in range(getattr(bar, name))]
    drawn = Markup("").join(_square(i, c, size, column) for i, c in enumerate(classes))
    columns = max(1, -(-total // column))
    return picture(drawn, columns * size + 1, column * size + 1, title, class_="waffle")


def _bar(bar: PairedBar, title: str) -> Markup:
    total = sum(getattr(bar, name) for name, _, _ in OUTCOMES)
    drawn, x = Markup(""), 0.0
    for name, class_, _ in OUTCOMES:
        width = getattr(bar, name) / total * WIDTH
        if width:
            drawn += element("rect", x=x, y=0, width=width, height=BAR_HEIGHT, class_=class_)
        x += width
    return picture(drawn, WIDTH, BAR_HEIGHT, title, class_="waffle")


def paired_chart(bar: PairedBar) -> Markup:
    """The four outcomes of one measure, in a fixed order and each with a look of its own."""
    counts = ", ".join(f"{getattr(bar, name)} {words}" for name, _, words in OUTCOMES)
    total = sum(getattr(bar, name) for name, _, _ in OUTCOMES)
    title = f"{bar.label}: {counts}"
    return _squares(bar, title) if total <= MOST_SQUARES else _bar(bar, title)
