"""Figures as hand-written inline SVG, drawn from the report's data and nothing else.

Colours come from the page's style sheet by class, so that a figure follows light, dark and print.
"""

from harness.report.figures.batch_size import batch_size_chart
from harness.report.figures.forest import forest_axis, forest_mark
from harness.report.figures.matrix import score_matrix
from harness.report.figures.paired import paired_chart
from harness.report.figures.waffle import waffle

__all__ = [
    "batch_size_chart",
    "forest_axis",
    "forest_mark",
    "paired_chart",
    "score_matrix",
    "waffle",
]
