"""A document as one HTML file that loads nothing and shows any text safely.

Every expression of the template passes `visible` and then autoescape; only the figures, the style
sheet and the script are markup, and the content security policy names the last two by hash.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.hostile import visible
from harness.numbers import percent
from harness.report import figures
from harness.report.document import Document, Look, mode_words

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
        # markup is a kind of str, and of ours
        finalize=lambda value: visible(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
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


def _breakable(text: str) -> Markup:
    """An identifier that may break where a reader would break it."""
    return Markup(_JOINTS.sub(r"\1<wbr>", str(escape(visible(text)))))
