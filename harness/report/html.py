"""A report as one HTML file that loads nothing, runs one known script and shows any answer safely.

Every expression of the template passes `visible` and then autoescape; only the figures, the style
sheet and the script are markup, and the content security policy names the last two by hash.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.report import figures
from harness.report.headline import MODE_NAMES
from harness.report.hostile import visible
from harness.report.model import ForestRow, Report
from harness.report.numbers import percent

__all__ = ["render_html"]

_JOINTS = re.compile(r"([_/.:-])(?=\w)")


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


def _breakable(text: str) -> Markup:
    """An identifier that may break where a reader would break it."""
    return Markup(_JOINTS.sub(r"\1<wbr>", str(escape(visible(text)))))


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _asset(name: str) -> str:
    return files("harness.report").joinpath("templates", name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _policy(css: str, script: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_source(css)}",
            f"script-src {_source(script)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["groupby_in_order"] = _groups
    environment.filters["breakable"] = _breakable
    environment.globals.update(
        {name: getattr(figures, name) for name in figures.__all__},
        percent=percent,
        mode_name=lambda mode: MODE_NAMES.get(mode, mode),
    )
    return environment


def render_html(report: Report) -> str:
    """The whole page; UTF-8 can hold it, whatever the answers were."""
    css, script = _asset("report.css"), _asset("report.js")
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        css=Markup(css),
        js=Markup(script),
        csp=_policy(css, script),
    )
