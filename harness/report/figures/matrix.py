"""A score-pair matrix as a heat map: rows are solo scores, columns are batched ones."""

from __future__ import annotations

from markupsafe import Markup

from harness.report.figures.svg import element, label, picture
from harness.report.model import Matrix

__all__ = ["score_matrix"]

CELL = 52
LEFT = 88
TOP = 40


def _cell(matrix: Matrix, row: int, column: int, most: int) -> Markup:
    count = matrix.counts[row][column]
    x, y = LEFT + column * CELL, TOP + row * CELL
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
        label(score, LEFT + (i + 0.5) * CELL, TOP - 8, class_="tick", text_anchor="middle")
        + label(score, LEFT - 8, TOP + (i + 0.5) * CELL + 4, class_="tick", text_anchor="end")
        for i, score in enumerate(matrix.scores)
    )
    names = label(
        "batched score →", LEFT + size * CELL / 2, 14, class_="axis-name", text_anchor="middle"
    ) + label("solo ↓", LEFT - 8, 14, class_="axis-name", text_anchor="end")
    title = f"Score pairs, {matrix.mode}: rows are solo scores, columns are batched scores"
    width, height = LEFT + size * CELL + 4, TOP + size * CELL + 4
    return picture(cells + heads + names, width, height, title, class_="matrix")
