"""A comparison's reports, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.report.comparison.html import render_comparison_html
from harness.report.comparison.junit import render_comparison_junit
from harness.report.comparison.markdown import render_comparison_github, render_comparison_markdown
from harness.report.comparison.model import ComparisonReport

__all__ = ["COMPARISON_FORMATS", "write_comparison_reports"]

Render = Callable[[ComparisonReport], str]
COMPARISON_FORMATS: dict[str, tuple[str, Render | None]] = {
    "md": ("comparison.md", render_comparison_markdown),
    "html": ("comparison.html", render_comparison_html),
    "json": ("comparison.json", None),
    "junit": ("comparison.xml", render_comparison_junit),
    "github": ("comparison-github.md", render_comparison_github),
}
"""Name to file and renderer; JSON is the comparison itself and no view of it."""


def write_comparison_reports(
    report: ComparisonReport, value: object, formats: Sequence[str], folder: Path
) -> list[Path]:
    """Write reports into a folder, which is made.

    Args:
        report: what people are shown.
        value: the comparison as JSON values.
        formats: keys of `COMPARISON_FORMATS`.
        folder: where to.

    Returns:
        The files written, in the order of ``formats``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in formats:
        file, render = COMPARISON_FORMATS[name]
        text = (
            json.dumps(value, ensure_ascii=True, indent=2) + "\n"
            if render is None
            else render(report)
        )
        temporary = folder / f".{file}.tmp"
        temporary.write_text(text, encoding="utf-8")
        written.append(temporary.replace(folder / file))
    return written
