"""Figures as hand-written inline SVG, drawn from a document's values and nothing else.

Colours come from the page's style sheet by class, so that a figure follows light, dark and print.
"""

from __future__ import annotations

from markupsafe import Markup, escape

from harness.hostile import visible
from harness.report.document import Bar, Flow, ForestRow, Matrix

MOST_SQUARES = 600
_SHAPES = ((75, 22, 5), (220, 16, 10), (MOST_SQUARES, 11, 20))
"""Up to so many squares: their side and how many make a column of five, ten or twenty."""
WAFFLE_WIDTH = 352
MARK_HEIGHT = 18
TICKS = (0, 25, 50, 75, 100)
CELL = 52
MATRIX_LEFT, MATRIX_TOP = 88, 40
PLOT_HEIGHT, PLOT_TOP, PLOT_LEFT = 150, 22, 40
BAR, GAP, GROUP_GAP = 18, 5, 22
_SPELLED = {"class_": "class", "view_box": "viewBox", "aspect": "preserveAspectRatio"}


def element(name: str, content: str = "", /, **attributes: object) -> Markup:
    """One element; ``content`` must be escaped already, attribute names use ``_`` for ``-``."""
    shown = ""
    for key, value in attributes.items():
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        shown += f' {_SPELLED.get(key) or key.replace("_", "-")}="{escape(text)}"'
    return Markup(f"<{name}{shown}>{content}</{name}>")


def label(text: str, x: float, y: float, **attributes: object) -> Markup:
    """A text element; the text is escaped."""
    return element("text", escape(visible(text)), x=x, y=y, **attributes)


def picture(content: str, width: float, height: float, title: str, **attributes: object) -> Markup:
    """A whole drawing in its own units, with an accessible name."""
    named = element("title", escape(visible(title))) + content
    box = f"0 0 {width:g} {height:g}"
    size: dict[str, object] = {"view_box": box, "width": float(width), "height": float(height)}
    return element("svg", named, role="img", **size, **attributes)


def flow_chart(flow: Flow) -> Markup:
    """One square a candidate, or one bar where there are too many; the title says the counts.

    The parts stand in order, each with a look of its own; ``both`` is crossed out as well.
    """
    counts = ", ".join(f"{part.count} {part.words}" for part in flow.parts)
    title, total = f"{flow.label}: {counts}", sum(part.count for part in flow.parts)
    drawn, at = Markup(""), 0.0
    if total > MOST_SQUARES:
        for part in flow.parts:
            width = part.count / total * WAFFLE_WIDTH
            if width:
                drawn += element("rect", x=at, y=0, width=width, height=28, class_=part.style)
            at += width
        return picture(drawn, WAFFLE_WIDTH, 28, title, class_="waffle")
    size, column = next((side, rows) for most, side, rows in _SHAPES if total <= most)
    inner = size - max(2, size // 6)
    cross = f"l{inner - 6} {inner - 6}m0 {6 - inner}l{6 - inner} {inner - 6}"
    styles = (part.style for part in flow.parts for _ in range(part.count))
    for index, style in enumerate(styles):
        x, y = index // column * size + 1, index % column * size + 1
        drawn += element("rect", x=x, y=y, width=inner, height=inner, class_=style, rx=1.5)
        if style == "both":
            drawn += element("path", d=f"M{x + 3} {y + 3}{cross}", class_="cross")
    columns = max(1, -(-total // column))
    return picture(drawn, columns * size + 1, column * size + 1, title, class_="waffle")


def _line(path: str, class_: str) -> Markup:
    return element("path", d=path, class_=class_, vector_effect="non-scaling-stroke")


def _frame(content: str) -> Markup:
    grid = Markup("").join(_line(f"M{x} 0V{MARK_HEIGHT}", "grid") for x in TICKS)
    box = f"0 0 100 {MARK_HEIGHT}"
    return element(
        "svg", grid + content, view_box=box, aspect="none", class_="mark", aria_hidden="true"
    )


def forest_mark(row: ForestRow) -> Markup:
    """The interval as a line and the rate as a disc (standard) or a square (any other mode)."""
    if row.rate is None or row.low is None or row.high is None:
        return _frame("")
    middle = MARK_HEIGHT / 2
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


def _cell(matrix: Matrix, row: int, column: int, most: int) -> Markup:
    count = matrix.counts[row][column]
    x, y = MATRIX_LEFT + column * CELL, MATRIX_TOP + row * CELL
    same = "same" if row == column else "flip"
    shade = 0.0 if not count else 0.15 + 0.85 * count / most
    box: dict[str, object] = {
        "x": x + 1,
        "y": y + 1,
        "width": CELL - 2,
        "height": CELL - 2,
        "rx": 3,
    }
    ground = element("rect", **box, class_="ground")
    heat = element("rect", **box, class_=f"heat {same}", fill_opacity=shade)
    strong = "strong" if shade > 0.55 else "weak" if count else "zero"
    text = label(
        str(count), x + CELL / 2, y + CELL / 2 + 5, class_=f"count {strong}", text_anchor="middle"
    )
    return ground + heat + text


def score_matrix(matrix: Matrix) -> Markup:
    """The counts as shades and numbers; agreement and flips have different hues."""
    size = len(matrix.scores)
    most = max((count for row in matrix.counts for count in row), default=0) or 1
    cells = Markup("").join(
        _cell(matrix, row, column, most) for row in range(size) for column in range(size)
    )
    heads = Markup("").join(
        label(
            score,
            MATRIX_LEFT + (i + 0.5) * CELL,
            MATRIX_TOP - 8,
            class_="tick",
            text_anchor="middle",
        )
        + label(
            score,
            MATRIX_LEFT - 8,
            MATRIX_TOP + (i + 0.5) * CELL + 4,
            class_="tick",
            text_anchor="end",
        )
        for i, score in enumerate(matrix.scores)
    )
    names = label(
        "batched score →",
        MATRIX_LEFT + size * CELL / 2,
        14,
        class_="axis-name",
        text_anchor="middle",
    ) + label("solo ↓", MATRIX_LEFT - 8, 14, class_="axis-name", text_anchor="end")
    title = f"Score pairs, {matrix.mode}: rows are solo scores, columns are batched scores"
    width, height = MATRIX_LEFT + size * CELL + 4, MATRIX_TOP + size * CELL + 4
    return picture(cells + heads + names, width, height, title, class_="matrix")


def _bar(bar: Bar, x: float) -> Markup:
    if not bar.n:
        return Markup("")
    mode = "standard" if bar.mode == "standard" else "invariant"
    base = PLOT_TOP + PLOT_HEIGHT
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


def batch_size_chart(bars: tuple[Bar, ...]) -> Markup:
    """Filled: label flips. Outlined: text changes. The number over a bar counts its flips."""
    sizes = list(dict.fromkeys(bar.batch_size for bar in bars))
    modes = list(dict.fromkeys(bar.mode for bar in bars))
    step = len(modes) * (BAR + GAP) + GROUP_GAP
    width = PLOT_LEFT + GROUP_GAP / 2 + len(sizes) * step
    drawn = Markup("")
    for tick in (0, 50, 100):
        y = PLOT_TOP + PLOT_HEIGHT * (1 - tick / 100)
        drawn += element("path", d=f"M{PLOT_LEFT} {y:g}H{width:g}", class_="grid")
        drawn += label(f"{tick}%", PLOT_LEFT - 6, y + 4, class_="tick", text_anchor="end")
    for bar in bars:
        group = PLOT_LEFT + GROUP_GAP / 2 + sizes.index(bar.batch_size) * step
        drawn += _bar(bar, group + modes.index(bar.mode) * (BAR + GAP))
    for index, size in enumerate(sizes):
        middle = PLOT_LEFT + GROUP_GAP / 2 + index * step + (step - GROUP_GAP - GAP) / 2
        n = max(bar.n for bar in bars if bar.batch_size == size)
        y = float(PLOT_TOP + PLOT_HEIGHT)
        drawn += label(size, middle, y + 18, class_="tick", text_anchor="middle")
        drawn += label(f"n={n}", middle, y + 33, class_="small", text_anchor="middle")
    title = "Share of rows with a label flip (filled) or a text change (outline), by batch size"
    return picture(drawn, width, PLOT_TOP + PLOT_HEIGHT + 42, title, class_="bars")
