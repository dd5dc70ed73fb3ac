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
MOST_SQUARES = 600
WIDTH = 352
BAR_HEIGHT = 28


def _square(index: int, class_: str, size: int, per_row: int) -> Markup:
    x, y = index % per_row * size, index // per_row * size
    inner = size - max(2, size // 6)
    if class_ != "both":
        return element("rect", x=x + 1, y=y + 1, width=inner, height=inner, class_=class_, rx=1.5)
    box = element("rect", x=x + 1, y=y + 1, width=inner, height=inner, class_=class_, rx=1.5)
    cross = f"M{x + 4} {y + 4}l{inner - 6} {inner - 6}m0 {6 - inner}l{6 - inner} {inner - 6}"
    return box + element("path", d=cross, class_="cross")


def _squares(bar: PairedBar, title: str) -> Markup:
    total = sum(getattr(bar, name) for name, _, _ in OUTCOMES)
    size = 22 if total <= 64 else 16 if total <= 200 else 11
    per_row = WIDTH // size
    classes = [class_ for name, class_, _ in OUTCOMES for _ in range(getattr(bar, name))]
    drawn = Markup("").join(_square(i, c, size, per_row) for i, c in enumerate(classes))
    rows = -(-total // per_row)
    return picture(drawn, WIDTH, max(1, rows) * size + 2, title, class_="waffle")


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
