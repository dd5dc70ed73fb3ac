"""A comparison as one HTML file: the same look, the same safety as a run's report.

Every expression of the template passes `visible` and then autoescape; only the drawings and the
style sheets are markup. The page has no script and loads nothing.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.report.comparison.flow_figure import flow_chart
from harness.report.comparison.model import ComparisonReport
from harness.report.hostile import visible

__all__ = ["render_comparison_html"]

_SHEETS = ("report.css", "comparison.css")


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _style() -> str:
    folder = files("harness.report").joinpath("templates")
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in _SHEETS)


def _policy(css: str) -> str:
    digest = b64encode(sha256(css.encode()).digest()).decode()
    rules = ("default-src 'none'", f"style-src 'sha256-{digest}'", "base-uri 'none'")
    return "; ".join((*rules, "form-action 'none'"))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["flow_chart"] = flow_chart
    return environment


def render_comparison_html(report: ComparisonReport) -> str:
    """The whole page; UTF-8 can hold it, whatever the answers were."""
    css = _style()
    template = _environment().get_template("comparison.html.j2")
    return template.render(report=report, css=Markup(css), csp=_policy(css))
