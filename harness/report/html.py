"""A document as one HTML file that loads nothing and shows any text safely.

Every expression of the template passes `visible` and then autoescape; only the figures, the style
sheet and the script are markup, and the content security policy names the last two by hash.
"""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.hostile import visible
from harness.numbers import percent
from harness.report.answer_windows import AnswerView
from harness.report.document import Document, Look, mode_words
from harness.report.figures import (
    batch_size_chart,
    flow_chart,
    forest_axis,
    forest_mark,
    ratio_chart,
    score_matrix,
    spread_chart,
)

_JOINTS = re.compile(r"([_/.:-])(?=\w)")
_CODE = re.compile(r"`([^`\n]+)`")
_TALL, _OF_A_LINE = 900, 40
"""Characters that may need a bar on a phone; what the end of a line takes of them."""


def scrolls(answer: AnswerView) -> bool:
    """Whether a shown answer may be taller than its box, which the keyboard must then reach."""
    shown = (piece.text for piece in answer.pieces or ())
    return sum(len(text) + _OF_A_LINE * text.count("\n") for text in shown) > _TALL


_PAGES = Environment(
    loader=PackageLoader("harness.report"),
    autoescape=True,
    # markup is a kind of str, and of ours
    finalize=lambda value: visible(value) if type(value) is str else value,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_DRAWINGS = (
    flow_chart,
    forest_axis,
    forest_mark,
    score_matrix,
    batch_size_chart,
    spread_chart,
    ratio_chart,
)
_PAGES.globals |= {tool.__name__: tool for tool in (percent, mode_words, scrolls, *_DRAWINGS)}
# an identifier that may break where a reader would break it
_PAGES.filters["breakable"] = lambda text: Markup(
    _JOINTS.sub(r"\1<wbr>", str(escape(visible(text))))
)

# what stands between two backticks, in a sentence of ours or in a stranger's
_PAGES.filters["coded"] = lambda text: Markup(
    _CODE.sub(r"<code>\1</code>", str(escape(visible(text))))
)


def html(document: Document) -> str:
    """The whole page; UTF-8 can hold it, whatever the answers were.

    Only a run's page has a script: it filters the flips and opens what a link points to.
    """
    folder = files("harness.report").joinpath("templates")
    rules = ["default-src 'none'"]
    texts = {"style": "document.css"}
    if document.look is Look.RUN:
        texts["script"] = "document.js"
    for kind, name in texts.items():
        text = texts[kind] = folder.joinpath(name).read_text(encoding="utf-8")
        rules.append(f"{kind}-src 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'")
    return _PAGES.get_template("document.html.j2").render(
        document=document,
        css=Markup(texts["style"]),
        js=Markup(texts["script"]) if "script" in texts else None,
        csp="; ".join((*rules, "base-uri 'none'", "form-action 'none'")),
    )
