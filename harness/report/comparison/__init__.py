"""What changed from one run to another, for people and for CI: one value and its formats.

Pure but for `build_comparison_report`, which reads the answers that changed, and
`write_comparison_reports`.
"""

from harness.report.comparison.build import build_comparison_report
from harness.report.comparison.folder import COMPARISON_FORMATS, write_comparison_reports
from harness.report.comparison.html import render_comparison_html
from harness.report.comparison.junit import render_comparison_junit
from harness.report.comparison.markdown import render_comparison_github, render_comparison_markdown
from harness.report.comparison.model import ComparisonReport

__all__ = [
    "COMPARISON_FORMATS",
    "ComparisonReport",
    "build_comparison_report",
    "render_comparison_github",
    "render_comparison_html",
    "render_comparison_junit",
    "render_comparison_markdown",
    "write_comparison_reports",
]
