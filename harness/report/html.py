"""A report as one HTML file that loads nothing, runs one known script and shows any answer safely.

Every expression of the template passes `visible` and then autoescape; only the figures, the style
sheet and the script are markup, and the content security policy names the last two by hash.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from jinja2 import Environment
from markupsafe import Markup

from harness.report import figures
from harness.report.headline import MODE_NAMES
from harness.report.model import ForestRow, Report
from harness.report.numbers import percent
from harness.report.page import page_environment, page_policy, page_style

__all__ = ["render_html"]


@dataclass(frozen=True, slots=True)
class _Line:
    row: ForestRow
    first: bool


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    rows: tuple[_Line, ...]


def _groups(rows: Iterable[ForestRow], _by: str) -> list[_Group]:
    groups = []
    for name, members in groupby(rows, key=lambda row: row.group):
        lines, last = [], None
        for row in members:
            lines.append(_Line(row, first=row.label != last))
            last = row.label
        groups.append(_Group(name, tuple(lines)))
    return groups


def _environment() -> Environment:
    environment = page_environment()
    environment.filters["groupby_in_order"] = _groups
    environment.globals.update(
        {name: getattr(figures, name) for name in figures.__all__},
        percent=percent,
        mode_name=lambda mode: MODE_NAMES.get(mode, mode),
    )
    return environment


def render_html(report: Report) -> str:
    """The whole page; UTF-8 can hold it, whatever the answers were."""
    css, script = page_style("report.css"), page_style("report.js")
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        css=Markup(css),
        js=Markup(script),
        csp=page_policy(css, script),
    )
