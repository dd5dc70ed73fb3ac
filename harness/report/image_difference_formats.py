"""An image difference as Markdown and as one HTML file that loads nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from harness.report.image_difference import AnswersPart, ImageReport, image_report
from harness.report.markdown import code, escape, table_lines
from harness.report.model import Section
from harness.report.page import page_environment, page_policy, page_style

__all__ = [
    "IMAGE_FORMATS",
    "render_image_difference",
    "render_image_html",
    "render_image_markdown",
    "write_image_difference",
]

_FOLDED_FROM = 40
"""Rows; longer tables are closed at first."""

IMAGE_FORMATS = {
    "md": "image-difference.md",
    "html": "image-difference.html",
    "json": "image-difference.json",
}
"""File name of each format."""


def render_image_difference(
    difference: Mapping[str, Any], name: str, answers: AnswersPart | None = None
) -> str:
    """A difference in one of `IMAGE_FORMATS`."""
    if name == "json":
        return json.dumps(difference, indent=2) + "\n"
    report = image_report(difference, answers)
    return render_image_html(report) if name == "html" else render_image_markdown(report)


def write_image_difference(
    difference: Mapping[str, Any],
    formats: Sequence[str],
    folder: Path,
    answers: AnswersPart | None = None,
) -> list[Path]:
    """Write a difference into a folder, which is made; each file whole or not at all.

    Returns:
        The files written, in the order of ``formats``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in formats:
        path = folder / IMAGE_FORMATS[name]
        temporary = folder / f".{path.name}.tmp"
        temporary.write_text(render_image_difference(difference, name, answers), encoding="utf-8")
        written.append(temporary.replace(path))
    return written


def render_image_html(report: ImageReport) -> str:
    """The whole page; UTF-8 can hold it, whatever an image named its packages."""
    style = page_style("report.css", "image_difference.css")
    template = page_environment().get_template("image_difference.html.j2")
    return template.render(
        report=report, css=Markup(style), csp=page_policy(style), folded_from=_FOLDED_FROM
    )


def render_image_markdown(report: ImageReport) -> str:
    """The difference as GitHub-flavoured Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: ImageReport) -> Iterator[str]:
    yield f"# {code(report.names[0])} against {code(report.names[1])}"
    yield ""
    for clause in report.clauses:
        yield f"**{escape(clause)}**"
        yield ""
    if report.answers:
        yield from _answers(report.answers)
    for section in report.sections:
        yield from _section(section)
    yield f"Made by {escape(report.made_with)}."


def _answers(answers: AnswersPart) -> Iterator[str]:
    yield f"{escape(answers.banner.title)}"
    yield ""
    if answers.nature:
        yield f"> {escape(answers.nature)}"
        yield ""
    for section in answers.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield f"## {escape(section.title)}"
    yield ""
    for paragraph in section.prose:
        yield escape(paragraph)
        yield ""
    for table in section.tables:
        yield from table_lines(table)
