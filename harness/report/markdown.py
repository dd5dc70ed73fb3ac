"""A document as Markdown, whole for pasting and in brief for a CI step summary.

Foreign text stands in code spans and fenced blocks, so that a model's answer cannot become a
link, an image, a mention or a heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from harness.hostile import visible
from harness.report.answer_windows import AnswerView
from harness.report.document import (
    Brief,
    Change,
    Document,
    Group,
    Kind,
    Table,
    Tone,
)

MAX_LISTED = 50
_ACTIVE = re.compile(r"([\\`*{}<>#|!~$]|(?<!\w)_|_(?!\w)|\](?=[(\[:]))")
_TICKS = re.compile(r"`+")
_ALIGN = {Kind.NUMBER: "---:", Kind.ID: "---", Kind.TEXT: "---"}
_SIGN = {Tone.GOOD: "✅", Tone.NOTE: "⚠️", Tone.BAD: "⛔"}


def markdown(document: Document) -> str:
    """The whole document as GitHub-flavoured Markdown."""
    lines = [*_head(document)]
    for section in document.sections:
        if section.page:
            continue
        lines += [f"## {escape(section.title)}", ""]
        for paragraph in section.prose:
            lines += [escape(paragraph), ""]
        for table in section.tables:
            lines += _table(table)
        for caption, quoted in section.quotes:
            lines += [f"{escape(caption)}:", "", fence("\n".join(quoted)), ""]
    for group in document.groups:
        lines += _group(group)
    return "\n".join([*lines, f"Made by {escape(document.made_with)}."]) + "\n"


def markdown_brief(document: Document) -> str:
    """Markdown for ``$GITHUB_STEP_SUMMARY``: no answers, and short (GitHub takes 1 MiB)."""
    lines = [*_head(document)]
    for section in document.sections:
        tables = [line for table in section.tables for line in _table(table)]
        if section.brief is Brief.OPEN:
            lines += tables
        elif section.brief is Brief.FOLDED and tables:
            lines += _folded(section.title, tables)
    for group in document.groups:
        if group.brief:
            listed = _listed(group, MAX_LISTED)
            lines += _folded(group.brief, [*listed, ""])
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Plain text on one line: markup is escaped, mentions and bare addresses are broken."""
    plain = _ACTIVE.sub(r"\\\1", " ".join(visible(text).split()))
    return plain.replace("@", "&#64;").replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def code(text: str) -> str:
    """A code span that holds any text on one line, also inside a table."""
    shown = " ".join(visible(text).split()).replace("|", "\\|")
    ticks = "`" * (max((len(run) for run in _TICKS.findall(shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def fence(text: str, language: str = "text") -> str:
    """A fenced block that holds any text: its fence is longer than any run of ticks inside."""
    shown = visible(text)
    ticks = "`" * max(3, max((len(run) for run in _TICKS.findall(shown)), default=0) + 1)
    return f"{ticks}{language}\n{shown}\n{ticks}"


def _head(document: Document) -> Iterator[str]:
    """Title, verdict, result and what it was measured on."""
    banner, names = document.banner, document.names
    clauses = [f"**{escape(clause)}**" for clause in document.headline]
    if not document.heading:
        yield f"# {' against '.join(map(code, names))}"
        yield ""
        for clause in clauses:
            yield clause
            yield ""
        if banner:
            yield escape(banner.title)
            yield ""
    else:
        yield f"# {document.heading}: {code(' against '.join(names))}"
        yield ""
        if banner:
            yield f"{_SIGN[banner.tone]} **{escape(banner.title)}**"
            yield from (f"- {escape(reason)}" for reason in banner.reasons)
            yield ""
        if len(names) > 1:
            yield from (f"{clause}<br>" for clause in clauses)
            yield ""
            yield from (f"- {side}: {code(name)}" for side, name in zip("AB", names, strict=True))
        else:
            yield from clauses
            yield ""
            yield escape(document.context)
        yield ""
    if document.nature:
        yield f"> {escape(document.nature)}"
        yield ""
    if document.checks:
        yield "| | Gate | Why |"
        yield "| --- | --- | --- |"
        for check in document.checks:
            sign = "✅ pass" if check.ok else "⛔ FAIL"
            yield f"| {sign} | {code(check.name)} | {escape(check.reason)} |"
        yield ""


def _table(table: Table) -> list[str]:
    """A pipe table with its caption above and its note below."""
    heads = " | ".join(escape(column.title) for column in table.columns)
    rule = " | ".join(_ALIGN[column.kind] for column in table.columns)
    lines = [f"**{escape(table.caption)}**", "", f"| {heads} |", f"| {rule} |"]
    kinds = [column.kind for column in table.columns]
    for row in table.rows:
        cells = []
        for kind, cell in zip(kinds, row, strict=True):
            text = code(cell.text) if kind is Kind.ID else escape(cell.text)
            cells.append(f"{text}<br>{escape(cell.remark)}" if cell.remark else text)
        lines.append(f"| {' | '.join(cells)} |")
    if table.note:
        lines += ["", f"_{escape(table.note)}_"]
    return [*lines, ""]


def _folded(title: str, lines: Iterable[str]) -> list[str]:
    return [f"<details><summary>{escape(title)}</summary>", "", *lines, "</details>", ""]


def _group(group: Group) -> Iterator[str]:
    yield f"## {escape(group.title)}"
    yield ""
    if group.listed:
        yield from _folded(group.listed, [*_listed(group, group.most, where=True), ""])
        return
    yield group.plain
    yield ""
    for change in group.changes[: group.most]:
        yield from _change(change)
    rest = group.total - min(len(group.changes), group.most)
    if rest:
        yield f"{rest:,} {group.rest}"
        yield ""


def _listed(group: Group, most: int, *, where: bool = False) -> Iterator[str]:
    for change in group.changes[:most]:
        names = ", ".join(
            [*([code(change.model)] if change.model else ()), *map(escape, change.context[:2])]
        )
        difference = f"; {escape(change.where[0])}" if where else ""
        yield f"- {code(change.heading)}, {names}: {escape(change.change)}{difference}"
    rest = group.total - min(len(group.changes), most)
    if rest:
        yield f"- and {rest:,} more" + ("" if where else group.elsewhere)


def _change(change: Change) -> Iterator[str]:
    yield f"### {code(change.heading)} {escape(change.change)}"
    yield ""
    notes = (*change.where, *change.notes, *change.other_modes)
    if change.model:
        context = ", ".join((code(change.model), *map(escape, change.context)))
        yield f"{context}. " + "; ".join(map(escape, notes))
    else:
        yield "; ".join(map(escape, (*change.context, *notes)))
    yield ""
    for row in change.answers:
        for answer in row:
            yield f"{escape(answer.name.capitalize())}: **{escape(answer.scored or 'answer')}**"
            yield ""
            yield fence(_said(answer))
            yield ""
            if change.model:
                facts = " · ".join(escape(fact) for fact in (answer.evidence, answer.facts) if fact)
                digest = f"sha256 {code(answer.sha256)}" if answer.sha256 else ""
                yield " · ".join(part for part in (facts, digest) if part)
                yield ""


def _said(answer: AnswerView) -> str:
    if answer.pieces is None:
        return "(no text in this file)"
    before = f"… {answer.before:,} characters before …\n" if answer.before else ""
    after = f"\n… {answer.after:,} more characters …" if answer.after else ""
    shown = "".join(f"⟪{p.text}⟫" if p.differs else p.text for p in answer.pieces)
    end = "⟪end of answer⟫" if answer.ends_at_difference else ""
    return f"{before}{shown}{end}{after}"
