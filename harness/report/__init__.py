"""What a run says, for people: one `Report` value, and Markdown, HTML and CI formats drawn from it.

Pure but for `load_report` and `write_reports`, which read a run's files and write beside them.
"""

from harness.report.build import build_report
from harness.report.folder import FORMATS, RecordLines, load_report, prompts_of, write_reports
from harness.report.github import render_github
from harness.report.headline import measured_on, nature
from harness.report.html import render_html
from harness.report.junit import render_junit
from harness.report.markdown import render_markdown
from harness.report.model import Report

__all__ = [
    "FORMATS",
    "RecordLines",
    "Report",
    "build_report",
    "load_report",
    "measured_on",
    "nature",
    "prompts_of",
    "render_github",
    "render_html",
    "render_junit",
    "render_markdown",
    "write_reports",
]
