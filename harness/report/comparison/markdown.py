"""A comparison as Markdown, whole and in brief for a CI step summary."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.comparison.model import ChangeGroup, ChangeView, ComparisonReport
from harness.report.markdown import code, escape, fence, table_lines
from harness.report.model import AnswerView, Section, Tone

__all__ = ["render_comparison_github", "render_comparison_markdown"]

MAX_FULL = 100
MAX_LISTED = 50
_SIGN = {Tone.GOOD: "✅", Tone.NOTE: "⚠️", Tone.BAD: "⛔"}
_BRIEF = ("answers", "effects")


def render_comparison_markdown(report: ComparisonReport) -> str:
    """The comparison as GitHub-flavoured Markdown, with the answers of what changed."""
    lines = [*_head(report)]
    for section in report.sections:
        lines += _section(section)
    for group in report.groups:
        lines += _group(group)
    lines.append(f"Made by {escape(report.made_with)}.")
    return "\n".join(lines) + "\n"


def render_comparison_github(report: ComparisonReport) -> str:
    """Markdown for ``$GITHUB_STEP_SUMMARY``: no answers, and short (GitHub takes 1 MiB)."""
    lines = [*_head(report)]
    for section in report.sections:
        tables = [line for table in section.tables for line in table_lines(table)]
        if section.anchor in _BRIEF:
            lines += tables
        elif section.anchor in ("stack", "open") and tables:
            lines += _folded(section.title, tables)
    for group in report.groups:
        listed = [_line(view) for view in group.views[:MAX_LISTED]]
        rest = group.total - len(listed)
        more = [f"- and {rest:,} more"] if rest > 0 else []
        lines += _folded(f"{group.title}: {group.total:,}", [*listed, *more, ""])
    return "\n".join(lines) + "\n"


def _head(report: ComparisonReport) -> Iterator[str]:
    yield f"# Comparison: {code(report.title)}"
    yield ""
    yield f"{_SIGN[report.banner.tone]} **{escape(report.banner.title)}**"
    yield from (f"- {escape(reason)}" for reason in report.banner.reasons)
    yield ""
    yield from (f"**{escape(clause)}**<br>" for clause in report.clauses)
    yield ""
    yield f"- A: {code(report.names[0])}"
    yield f"- B: {code(report.names[1])}"
    yield ""
    if report.nature:
        yield f"> {escape(report.nature)}"
        yield ""
    if report.verdicts:
        yield "| | Gate | Why |"
        yield "| --- | --- | --- |"
        for verdict in report.verdicts:
            sign = "✅ pass" if verdict.ok else "⛔ FAIL"
            yield f"| {sign} | {code(verdict.condition)} | {escape(verdict.reason)} |"
        yield ""


def _section(section: Section) -> Iterator[str]:
    yield f"## {escape(section.title)}"
    yield ""
    for paragraph in section.prose:
        yield escape(paragraph)
        yield ""
    for table in section.tables:
        yield from table_lines(table)


def _group(group: ChangeGroup) -> Iterator[str]:
    yield f"## {escape(group.title)}: {group.total:,}"
    yield ""
    yield f"{escape(group.prose)} ⟪…⟫ marks where the answers of A and B first differ."
    yield ""
    for view in group.views[:MAX_FULL]:
        yield f"### {code(view.heading)} {escape(view.change)}"
        yield ""
        yield "; ".join(map(escape, (view.context, *view.notes)))
        yield ""
        for pair in view.answers:
            for answer in pair:
                yield f"{escape(answer.name)}: **{escape(answer.scored or 'answer')}**"
                yield ""
                yield fence(_text(answer))
                yield ""
    rest = group.total - min(len(group.views), MAX_FULL)
    if rest > 0:
        yield f"{rest:,} more are in comparison.json and, up to a limit, in comparison.html."
        yield ""


def _text(answer: AnswerView) -> str:
    if answer.pieces is None:
        return "(no text in this file)"
    before = f"… {answer.before:,} characters before …\n" if answer.before else ""
    after = f"\n… {answer.after:,} more characters …" if answer.after else ""
    said = "".join(f"⟪{p.text}⟫" if p.differs else p.text for p in answer.pieces)
    end = "⟪end of answer⟫" if answer.ends_at_difference else ""
    return f"{before}{said}{end}{after}"


def _line(view: ChangeView) -> str:
    return f"- {code(view.heading)}, {escape(view.context)}: {escape(view.change)}"


def _folded(title: str, lines: list[str]) -> list[str]:
    return [f"<details><summary>{escape(title)}</summary>", "", *lines, "</details>", ""]
