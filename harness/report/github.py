"""The step summary of a CI job: the verdict, the numbers and the flips in brief.

GitHub takes at most 1 MiB a step, so answers stay in report.html and report.md.
"""

from __future__ import annotations

from harness.report.headline import MODE_NAMES
from harness.report.markdown import code, escape, head_lines, table_lines
from harness.report.model import Report

__all__ = ["render_github"]

MAX_FLIPS = 50
SECTIONS = ("results", "paired", "breakdowns", "claims")


def render_github(report: Report) -> str:
    """Markdown for ``$GITHUB_STEP_SUMMARY``."""
    lines = head_lines(report)
    for section in report.sections:
        if section.anchor not in SECTIONS:
            continue
        tables = [line for table in section.tables for line in table_lines(table)]
        if section.anchor in ("breakdowns", "claims"):
            title = escape(section.title)
            tables = [f"<details><summary>{title}</summary>", "", *tables, "</details>", ""]
        lines += tables
    if report.flips:
        total = len(report.flips) + report.flips_left_out
        lines += [f"<details><summary>{total:,} label flips</summary>", ""]
        lines += [
            f"- {code(pair.sample)}, {code(pair.model)}, "
            f"{escape(MODE_NAMES.get(pair.mode, pair.mode))}, batch {escape(pair.batch_size)}: "
            f"{escape(pair.change)}"
            for pair in report.flips[:MAX_FLIPS]
        ]
        if total > MAX_FLIPS:
            lines.append(f"- and {total - MAX_FLIPS:,} more, in report.html")
        lines += ["", "</details>", ""]
    return "\n".join(lines) + "\n"
