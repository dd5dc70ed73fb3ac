"""What a run says, for people: one `Report` value, and Markdown, HTML and CI formats drawn from it.

Pure but for `load_report` and `write_reports`, which read a run's files and write beside them.
"""

from harness.report.build import build_report
from harness.report.folder import FORMATS, RecordLines, load_report, prompts_of, write_reports
from harness.report.github import render_github
from harness.report.headline import measured_on, nature
from harness.report.html import render_html
from harness.report.image_difference import AnswersPart
from harness.report.image_difference_formats import render_image_difference, write_image_difference
from harness.report.inventory_page import inventory_lines, inventory_markdown
from harness.report.junit import render_junit
from harness.report.markdown import code, render_markdown
from harness.report.model import Report
from harness.report.numbers import percent, rate_text

__all__ = [
    "FORMATS",
    "AnswersPart",
    "RecordLines",
    "Report",
    "build_report",
    "code",
    "inventory_lines",
    "inventory_markdown",
    "load_report",
    "measured_on",
    "nature",
    "percent",
    "prompts_of",
    "rate_text",
    "render_github",
    "render_html",
    "render_image_difference",
    "render_junit",
    "render_markdown",
    "write_image_difference",
    "write_reports",
]
