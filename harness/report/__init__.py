"""What a run says, for people: one `Report` value, and Markdown and HTML drawn from it.

Pure: text in, text out; only `write_reports` reads and writes, and only inside a run folder.
"""

from harness.report.build import build_report
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.model import Report

__all__ = ["Report", "build_report", "render_html", "render_markdown"]
