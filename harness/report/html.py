"""A document as one HTML file that loads nothing and shows any text safely.

Every expression of the template passes `visible` and then autoescape; only the figures, the style
sheet and the script are markup, and the content security policy names the last two by hash.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.hostile import visible
from harness.numbers import percent
from harness.report import figures
from harness.report.document import Document, ForestRow, Look, mode_words

_JOINTS = re.compile(r"([_/.:-])(?=\w)")


def html(document: Document) -> str:
    """The whole page; UTF-8 can hold it, whatever the answers were.

    Only a run's page has a script: it filters the flips and opens what a link points to.
    """
    style = _file("document.css")
    script = _file("document.js") if document.look is Look.RUN else None
    rules = ["default-src 'none'", f"style-src {_source(style)}"]
    rules += [f"script-src {_source(script)}"] if script is not None else []
    return (
        _environment()
        .get_template("document.html.j2")
        .render(
            document=document,
            css=Markup(style),
            js=None if script is None else Markup(script),
            csp="; ".join((*rules, "base-uri 'none'", "form-action 'none'")),
        )
    )


def _file(name: str) -> str:
    return files("harness.report").joinpath("templates", name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"breakable": _breakable, "forest_groups": _forest_groups}
    environment.globals |= {
        "percent": percent,
        "mode_words": mode_words,
        "flow_chart": figures.flow_chart,
        "forest_axis": figures.forest_axis,
        "forest_mark": figures.forest_mark,
        "score_matrix": figures.score_matrix,
        "batch_size_chart": figures.batch_size_chart,
    }
    return environment


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(text: str) -> Markup:
    """An identifier that may break where a reader would break it."""
    return Markup(_JOINTS.sub(r"\1<wbr>", str(escape(visible(text)))))


def _forest_groups(
    rows: tuple[ForestRow, ...],
) -> Iterator[tuple[str, list[tuple[ForestRow, bool]]]]:
    """Rows under their group's name; each says whether it is the first with its label."""
    for name, members in groupby(rows, key=lambda row: row.group):
        lines: list[tuple[ForestRow, bool]] = []
        for row in members:
            lines.append((row, not lines or lines[-1][0].label != row.label))
        yield name, lines
