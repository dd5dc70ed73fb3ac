"""A forest plot, one mark a table row: the point, the interval, and a shape for each mode.

The drawing stretches with its cell while strokes keep their width, so it reads at any width.
"""

from __future__ import annotations

from markupsafe import Markup

from harness.report.figures.svg import element
from harness.report.model import ForestRow

__all__ = ["forest_axis", "forest_mark"]

HEIGHT = 18
TICKS = (0, 25, 50, 75, 100)


def _line(path: str, class_: str) -> Markup:
    return element("path", d=path, class_=class_, vector_effect="non-scaling-stroke")


def _frame(content: str) -> Markup:
    grid = Markup("").join(_line(f"M{x} 0V{HEIGHT}", "grid") for x in TICKS)
    box = f"0 0 100 {HEIGHT}"
    return element(
        "svg", grid + content, view_box=box, aspect="none", class_="mark", aria_hidden="true"
    )


def forest_mark(row: ForestRow) -> Markup:
    """The interval as a line and the rate as a disc (standard) or a square (any other mode)."""
    if row.rate is None or row.low is None or row.high is None:
        return _frame("")
    middle = HEIGHT / 2
    mode = "standard" if row.mode == "standard" else "invariant"
    interval = _line(f"M{row.low * 100:.2f} {middle:g}H{row.high * 100:.2f}", f"ci {mode}")
    ends = "".join(
        _line(f"M{at * 100:.2f} {middle - 3:g}v6", f"ci {mode}") for at in (row.low, row.high)
    )
    point = _line(f"M{row.rate * 100:.2f} {middle:g}h.01", f"point {mode}")
    return _frame(interval + Markup(ends) + point)


def forest_axis() -> Markup:
    """The scale under the marks, in per cent; spaced by the style sheet."""
    ticks = "".join(element("span", f"{tick}%") for tick in TICKS)
    return element("div", ticks, class_="axis", aria_hidden="true")
