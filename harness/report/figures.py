"""Figures as hand-written inline SVG, drawn from a document's values and nothing else.

Colours come from the page's style sheet by class, so that a figure follows light, dark and print.
"""

from math import log2

from markupsafe import Markup, escape

from harness.hostile import visible
from harness.report.document import Bar, Flow, ForestRow, Matrix, RatioRow, Spread

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


def _named(name: str, title: str, content: str, **attributes: object) -> Markup:
    return element(name, element("title", escape(visible(title))) + content, **attributes)


def _picture(content: str, width: float, height: float, title: str, look: str) -> Markup:
    """A whole drawing in its own units, with an accessible name."""
    size = {"view_box": f"0 0 {width:g} {height:g}", "width": width * 1.0, "height": height * 1.0}
    return _named("svg", title, content, role="img", **size, class_=look)


def _text(text: str, x: float, y: float, look: str, anchor: str = "middle") -> Markup:
    shown = escape(visible(text))
    return element("text", shown, x=x, y=y, class_=look, text_anchor=anchor)


def _box(x: float, y: float, width: float, height: float, **look: object) -> Markup:
    return element("rect", x=x, y=y, width=width, height=height, **look)


def _path(path: str, look: str, **more: object) -> Markup:
    return element("path", d=path, class_=look, **more)


def _kernels(mode: str) -> str:
    return "standard" if mode == "standard" else "invariant"


def flow_chart(flow: Flow) -> Markup:
    """One square a candidate, or one bar where there are too many; the title says the counts.

    The parts stand in order, each with a look of its own; ``both`` is crossed out as well.
    """
    counts = ", ".join(f"{part.count} {part.words}" for part in flow.parts)
    title, total = f"{flow.label}: {counts}", sum(part.count for part in flow.parts)
    drawn, at = Markup(""), 0.0
    if total > MOST_SQUARES:
        for part in flow.parts:
            if part.count:
                share = part.count / total * WAFFLE_WIDTH
                drawn += _box(at, 0, share, 28, class_=part.style)
                at += share
        return _picture(drawn, WAFFLE_WIDTH, 28, title, "waffle")
    size, column = next((side, rows) for most, side, rows in _SHAPES if total <= most)
    inner = size - max(2, size // 6)
    cross = f"l{inner - 6} {inner - 6}m0 {6 - inner}l{6 - inner} {inner - 6}"
    styles = (part.style for part in flow.parts for _ in range(part.count))
    for index, style in enumerate(styles):
        x, y = (place * size + 1 for place in divmod(index, column))
        drawn += _box(x, y, inner, inner, class_=style, rx=1.5)
        if style == "both":
            drawn += _path(f"M{x + 3} {y + 3}{cross}", "cross")
    columns = max(1, -(-total // column))
    return _picture(drawn, columns * size + 1, column * size + 1, title, "waffle")


def forest_mark(row: ForestRow) -> Markup:
    """The interval as a line and the rate as a disc (standard) or a square (any other mode)."""
    lines = [(f"M{x} 0V{MARK_HEIGHT}", "grid") for x in TICKS]
    if row.rate is not None and row.low is not None and row.high is not None:
        middle, look = MARK_HEIGHT // 2, f"ci {_kernels(row.mode)}"
        lines += [
            (f"M{row.low * 100:.2f} {middle}H{row.high * 100:.2f}", look),
            *((f"M{end * 100:.2f} {middle - 3}v6", look) for end in (row.low, row.high)),
            (f"M{row.rate * 100:.2f} {middle}h.01", f"point {_kernels(row.mode)}"),
        ]
    drawn = "".join(_path(*line, vector_effect="non-scaling-stroke") for line in lines)
    size = {"view_box": f"0 0 100 {MARK_HEIGHT}", "aspect": "none"}
    return element("svg", drawn, **size, class_="mark", aria_hidden="true")


def forest_axis() -> Markup:
    """The scale under the marks, in per cent; spaced by the style sheet."""
    ticks = "".join(element("span", f"{tick}%") for tick in TICKS)
    return element("div", ticks, class_="axis", aria_hidden="true")


def score_matrix(matrix: Matrix) -> Markup:
    """The counts as shades and numbers; agreement and flips have different hues."""
    drawn, size = Markup(""), len(matrix.scores) * CELL
    most = max((count for row in matrix.counts for count in row), default=0) or 1
    for row, counts in enumerate(matrix.counts):
        for column, count in enumerate(counts):
            x, y = MATRIX_LEFT + column * CELL, MATRIX_TOP + row * CELL
            box = (x + 1, y + 1, CELL - 2, CELL - 2)
            hue, shade = "same" if row == column else "flip", 0.15 + 0.85 * count / most
            strength = "zero" if not count else "strong" if shade > 0.55 else "weak"
            drawn += _box(*box, rx=3, class_="ground")
            drawn += _box(*box, rx=3, class_=f"heat {hue}", fill_opacity=shade if count else 0)
            drawn += _text(str(count), x + CELL / 2, y + CELL / 2 + 5, f"count {strength}")
    for index, score in enumerate(matrix.scores):
        at = (index + 0.5) * CELL
        drawn += _text(score, MATRIX_LEFT + at, MATRIX_TOP - 8, "tick")
        drawn += _text(score, MATRIX_LEFT - 8, MATRIX_TOP + at + 4, "tick", "end")
    drawn += _text("batched score →", MATRIX_LEFT + size / 2, 14, "axis-name")
    drawn += _text("solo ↓", MATRIX_LEFT - 8, 14, "axis-name", "end")
    title = f"Score pairs, {matrix.mode}: rows are solo scores, columns are batched scores"
    return _picture(drawn, MATRIX_LEFT + size + 4, MATRIX_TOP + size + 4, title, "matrix")


def batch_size_chart(bars: tuple[Bar, ...]) -> Markup:
    """Filled: label flips. Outlined: text changes. The number over a bar counts its flips."""
    sizes = list(dict.fromkeys(bar.batch_size for bar in bars))
    modes = list(dict.fromkeys(bar.mode for bar in bars))
    step, base = len(modes) * (BAR + GAP) + GROUP_GAP, PLOT_TOP + PLOT_HEIGHT
    begin = PLOT_LEFT + GROUP_GAP / 2
    width, drawn = begin + len(sizes) * step, Markup("")
    for tick in (0, 50, 100):
        y = PLOT_TOP + PLOT_HEIGHT * (1 - tick / 100)
        drawn += _path(f"M{PLOT_LEFT} {y:g}H{width:g}", "grid")
        drawn += _text(f"{tick}%", PLOT_LEFT - 6, y + 4, "tick", "end")
    for bar in (bar for bar in bars if bar.n):
        x = begin + sizes.index(bar.batch_size) * step + modes.index(bar.mode) * (BAR + GAP)
        text, flip = (PLOT_HEIGHT * count / bar.n for count in (bar.text_changes, bar.flips))
        tip = f"{bar.mode}, batch {bar.batch_size}: {bar.flips} flips, {bar.text_changes} texts"
        kernels, inside = _kernels(bar.mode), Markup("")
        inside += _box(x, base - text, BAR, text, class_=f"outline {kernels}")
        inside += _box(x, base - flip, BAR, flip, class_=f"solid {kernels}")
        inside += _path(f"M{x:g} {base}h{BAR}", f"foot {kernels}")
        inside += _text(str(bar.flips), x + BAR / 2, base - max(text, flip) - 5, "count")
        drawn += _named("g", tip, inside)
    for index, size in enumerate(sizes):
        middle = begin + index * step + (step - GROUP_GAP - GAP) / 2
        n = max(bar.n for bar in bars if bar.batch_size == size)
        drawn += _text(size, middle, base + 18, "tick")
        drawn += _text(f"n={n}", middle, base + 33, "small")
    title = "Share of rows with a label flip (filled) or a text change (outline), by batch size"
    return _picture(drawn, width, base + 42, title, "bars")


def spread_chart(spread: Spread) -> Markup:
    """A bar a stretch of tokens; filled: of those whose label is another one too."""
    base, step = PLOT_TOP + PLOT_HEIGHT, BAR + GAP
    width, most = PLOT_LEFT + step * len(spread.counts) + GAP, max(*spread.counts, 1)
    kernels, drawn = _kernels(spread.mode), _path(f"M{PLOT_LEFT} {base}H{width}", "grid")
    for index, (count, labels) in enumerate(zip(spread.counts, spread.labels, strict=True)):
        x, first = PLOT_LEFT + GAP + index * step, index * spread.width
        if count:
            high, filled = (PLOT_HEIGHT * n / most for n in (count, labels))
            last = first + spread.width - 1
            where = f"token {first}" if last == first else f"tokens {first} to {last}"
            inside = _box(x, base - high, BAR, high, class_=f"outline {kernels}")
            inside += _box(x, base - filled, BAR, filled, class_=f"solid {kernels}")
            inside += _text(str(count), x + BAR / 2, base - high - 5, "count")
            drawn += _named("g", f"{where}: {count} part, {labels} with another label", inside)
        if index % 4 == 0:
            drawn += _text(str(first), x + BAR / 2, base + 18, "tick")
    drawn += _text("first divergent token →", (PLOT_LEFT + width) / 2, base + 36, "axis-name")
    title = f"Where answers in a batch leave those alone, {spread.mode}: outlined all, filled those"
    return _picture(drawn, width, base + 42, f"{title} with another label", "bars")


def ratio_chart(rows: tuple[RatioRow, ...]) -> Markup:
    """A line a ratio on a scale of doublings, with the interval; the upright line is 1."""
    left, step, width = 150, 24, 360
    ends = [abs(log2(v)) for row in rows for v in (row.ratio, row.low, row.high) if v]
    most = max(1.0, *ends)
    middle, height = left + width / 2, PLOT_TOP + step * len(rows)

    def at(value: float) -> float:
        return middle + log2(value) / most * width / 2

    drawn = _path(f"M{middle:g} {PLOT_TOP - 6}V{height}", "grid")
    for doubling in range(-int(most), int(most) + 1):
        text = f"{2**doubling:g}×"
        drawn += _text(text, at(2.0**doubling), height + 16, "tick")
    for index, row in enumerate(rows):
        y = PLOT_TOP + step * (index + 0.5)
        inside = _text(row.label, left - 10, y + 4, "tick", "end")
        if row.low is not None and row.high is not None:
            inside += _path(f"M{at(row.low):.1f} {y:g}H{at(row.high):.1f}", "ci invariant")
        inside += _path(f"M{at(row.ratio):.1f} {y:g}h.01", "point invariant")
        drawn += _named("g", f"{row.label}: {row.ratio:.2f} times", inside)
    return _picture(drawn, left + width + 20, height + 26, "Ratio to the base", "bars")
