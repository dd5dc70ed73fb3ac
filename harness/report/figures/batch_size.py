"""Label flips and text changes by batch size, one pair of bars a mode."""

from __future__ import annotations

from markupsafe import Markup

from harness.report.figures.svg import element, label, picture
from harness.report.model import Bar

__all__ = ["batch_size_chart"]

PLOT_HEIGHT = 150
TOP = 22
LEFT = 40
BAR = 18
GAP = 5
GROUP_GAP = 22


def _bar(bar: Bar, x: float) -> Markup:
    if not bar.n:
        return Markup("")
    mode = "standard" if bar.mode == "standard" else "invariant"
    base = TOP + PLOT_HEIGHT
    text, flip = (PLOT_HEIGHT * count / bar.n for count in (bar.text_changes, bar.flips))
    tip = f"{bar.mode}, batch {bar.batch_size}: {bar.flips} flips, {bar.text_changes} texts"
    drawn = element("rect", x=x, y=base - text, width=BAR, height=text, class_=f"outline {mode}")
    drawn += element("rect", x=x, y=base - flip, width=BAR, height=flip, class_=f"solid {mode}")
    drawn += element("path", d=f"M{x:g} {base:g}h{BAR}", class_=f"foot {mode}")
    drawn += label(
        str(bar.flips),
        x + BAR / 2,
        base - max(text, flip) - 5,
        class_="count",
        text_anchor="middle",
    )
    return element("g", element("title", Markup.escape(tip)) + drawn)


def _grid(width: float) -> Markup:
    drawn = Markup("")
    for tick in (0, 50, 100):
        y = TOP + PLOT_HEIGHT * (1 - tick / 100)
        drawn += element("path", d=f"M{LEFT} {y:g}H{width:g}", class_="grid")
        drawn += label(f"{tick}%", LEFT - 6, y + 4, class_="tick", text_anchor="end")
    return drawn


def batch_size_chart(bars: tuple[Bar, ...]) -> Markup:
    """Filled: label flips. Outlined: text changes. The number over a bar counts its flips."""
    sizes = list(dict.fromkeys(bar.batch_size for bar in bars))
    modes = list(dict.fromkeys(bar.mode for bar in bars))
    step = len(modes) * (BAR + GAP) + GROUP_GAP
    width = LEFT + GROUP_GAP / 2 + len(sizes) * step
    drawn = _grid(width)
    for bar in bars:
        group = LEFT + GROUP_GAP / 2 + sizes.index(bar.batch_size) * step
        drawn += _bar(bar, group + modes.index(bar.mode) * (BAR + GAP))
    for index, size in enumerate(sizes):
        middle = LEFT + GROUP_GAP / 2 + index * step + (step - GROUP_GAP - GAP) / 2
        n = max(bar.n for bar in bars if bar.batch_size == size)
        y = TOP + PLOT_HEIGHT
        drawn += label(size, middle, y + 18, class_="tick", text_anchor="middle")
        drawn += label(f"n={n}", middle, y + 33, class_="small", text_anchor="middle")
    title = "Share of rows with a label flip (filled) or a text change (outline), by batch size"
    return picture(drawn, width, TOP + PLOT_HEIGHT + 42, title, class_="bars")
