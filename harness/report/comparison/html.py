"""A comparison as one HTML file: the same look, the same safety as a run's report, no script."""

from __future__ import annotations

from markupsafe import Markup

from harness.report.comparison.flow_figure import flow_chart
from harness.report.comparison.model import ComparisonReport
from harness.report.page import page_environment, page_policy, page_style

__all__ = ["render_comparison_html"]


def render_comparison_html(report: ComparisonReport) -> str:
    """The whole page; UTF-8 can hold it, whatever the answers were."""
    css = page_style("report.css", "comparison.css")
    environment = page_environment()
    environment.globals["flow_chart"] = flow_chart
    template = environment.get_template("comparison.html.j2")
    return template.render(report=report, css=Markup(css), csp=page_policy(css))
