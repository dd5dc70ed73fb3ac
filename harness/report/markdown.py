"""A document as Markdown, whole for pasting and in brief for a CI step summary.

Each is a list of blocks with an empty line between them. Foreign text stands in code spans and
fenced blocks, so that a model's answer cannot become a link, an image, a mention or a heading.
"""

import re
from collections.abc import Iterable, Iterator

from harness.hostile import visible
from harness.report.answer_windows import AnswerView, marked_text
from harness.report.document import (
    Banner,
    Brief,
    Change,
    Document,
    Example,
    Group,
    Kind,
    Look,
    Measure,
    Table,
    Tone,
)

MAX_LISTED = 50
_MOST_OPEN = 4
_ACTIVE = re.compile(r"([\\`*{}<>#|!~$]|(?<!\w)_|_(?!\w)|\](?=[(\[:]))")
_TICKS = re.compile(r"`+")
_ALIGN = {Kind.NUMBER: "---:", Kind.ID: "---", Kind.TEXT: "---"}
_SIGN = {Tone.GOOD: "✅", Tone.NOTE: "⚠️", Tone.BAD: "⛔"}


def markdown(document: Document) -> str:
    """The whole document as GitHub-flavoured Markdown."""
    blocks = [*_head(document)]
    for example in document.examples:
        blocks += _example(example)
    if document.look is Look.RUN and document.measures:
        blocks.append("\n".join(map(_measure, document.measures)))
    for section in (section for section in document.sections if not section.page):
        inside = list(map(escape, section.prose))
        for table in section.tables:
            inside += _table(table)
        for caption, quoted in section.quotes:
            inside += [f"{escape(caption)}:", fence("\n".join(quoted))]
        if section.folded:
            blocks += _folded(section.title, inside)
        else:
            blocks += [f"## {escape(section.title)}", *inside]
    for group in document.groups:
        blocks.append(f"## {escape(group.title)}")
        if group.listed:
            blocks += _folded(group.listed, [_listed(group, group.most, where=True)])
            continue
        inside = [group.plain]
        for change in group.changes[: group.most]:
            inside += _change(change)
        if rest := group.total - min(len(group.changes), group.most):
            inside.append(f"{rest:,} {group.rest}")
        blocks += _folded(group.brief, inside) if document.look is Look.RUN else inside
    return "\n\n".join([*blocks, f"Made by {escape(document.made_with)}."]) + "\n"


def markdown_brief(document: Document) -> str:
    """Markdown for ``$GITHUB_STEP_SUMMARY``: no answers, and short (GitHub takes 1 MiB)."""
    blocks = [*_head(document)]
    for section in document.sections:
        tables = [block for table in section.tables for block in _table(table)]
        if section.brief is Brief.OPEN:
            blocks += tables
        elif section.brief is Brief.FOLDED and tables:
            blocks += _folded(section.title, tables)
    for group in document.groups:
        if group.brief:
            blocks += _folded(group.brief, [_listed(group, MAX_LISTED)])
    return "".join(f"{block}\n\n" for block in blocks)


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
    """Title, verdict, result, what it was measured on, and the first changes."""
    banner, names = document.banner, document.names
    clauses = [f"**{escape(clause)}**" for clause in document.headline]
    if not document.heading:
        yield f"# {' against '.join(map(code, names))}"
        yield from clauses
        if banner:
            yield escape(banner.title)
    else:
        yield f"# {document.heading}: {code(' against '.join(names))}"
        verdict = list(_verdict(banner)) if banner else []
        first = not document.shows or (banner and banner.tone is Tone.BAD)
        yield from verdict if first else ()
        two = len(names) > 1
        yield "\n".join(f"{clause}<br>" if two else clause for clause in clauses)
        if document.shows:
            yield "\n".join(f"- {escape(said)}" for said in document.shows)
        on = f"Measured on {document.context}" if document.shows else document.context
        yield f"- A: {code(names[0])}\n- B: {code(names[1])}" if two else escape(on)
        yield from () if first else verdict
    if document.nature:
        yield f"> {escape(document.nature)}"
    if document.checks:
        rows = (
            f"| {'✅ pass' if c.ok else '⛔ FAIL'} | {code(c.name)} | {escape(c.reason)} |"
            for c in document.checks
        )
        yield "\n".join(("| | Gate | Why |", "| --- | --- | --- |", *rows))


def _verdict(banner: Banner) -> Iterator[str]:
    """Whether it counts; reasons against it in full, many reservations folded."""
    title = f"{_SIGN[banner.tone]} **{escape(banner.title)}**"
    reasons = [f"- {escape(reason)}" for reason in banner.reasons]
    if banner.tone is Tone.BAD or len(reasons) < _MOST_OPEN:
        yield "\n".join((title, *reasons))
    else:
        yield title
        yield from _folded(f"{len(reasons)} reservations", ["\n".join(reasons)])


def _example(example: Example) -> Iterator[str]:
    yield f"### {escape(example.said)}: {code(example.heading)}"
    if example.asked:
        yield fence(example.asked)
    for answer in example.answers:
        yield f"{escape(answer.name.capitalize())}: **{escape(answer.scored or 'answer')}**"
        yield fence(_said(answer))
    yield f"Change {example.number}: {escape(example.where)}"


def _measure(measure: Measure) -> str:
    told = (f"{e.name} {e.count} {e.detail}".strip() for e in measure.entries)
    return f"- **{escape(measure.label)}**: {escape('; '.join(told))}"


def _said(answer: AnswerView) -> str:
    """The window of an answer with its marks, and how much is left out on either side."""
    if answer.pieces is None:
        return "(no text in this file)"
    said = f"… {answer.before:,} characters before …\n" if answer.before else ""
    said += marked_text(answer)
    return said + (f"\n… {answer.after:,} more characters …" if answer.after else "")


def _table(table: Table) -> Iterator[str]:
    """A pipe table with its caption above and its note below."""
    yield f"**{escape(table.caption)}**"
    kinds = [column.kind for column in table.columns]
    rows = [[escape(column.title) for column in table.columns], [_ALIGN[kind] for kind in kinds]]
    for row in table.rows:
        shown = []
        for kind, cell in zip(kinds, row, strict=True):
            text = code(cell.text) if kind is Kind.ID else escape(cell.text)
            shown.append(f"{text}<br>{escape(cell.remark)}" if cell.remark else text)
        rows.append(shown)
    yield "\n".join(f"| {' | '.join(row)} |" for row in rows)
    if table.note:
        yield f"_{escape(table.note)}_"


def _folded(title: str, blocks: Iterable[str]) -> list[str]:
    return [f"<details><summary>{escape(title)}</summary>", *blocks, "</details>"]


def _listed(group: Group, most: int, *, where: bool = False) -> str:
    lines = []
    for change in group.changes[:most]:
        model = [code(change.model)] if change.model else []
        names = ", ".join([*model, *map(escape, change.context[:2])])
        difference = f"; {escape(change.where[0])}" if where else ""
        what = f"{_number(change)}{code(change.heading)}"
        lines.append(f"- {what}, {names}: {escape(change.change)}{difference}")
    if rest := group.total - min(len(group.changes), most):
        lines.append(f"- and {rest:,} more" + ("" if where else group.elsewhere))
    return "\n".join(lines)


def _number(change: Change) -> str:
    return f"{change.number}: " if change.number else ""


def _change(change: Change) -> Iterator[str]:
    yield f"### {_number(change)}{code(change.heading)} {escape(change.change)}"
    context = [*map(escape, change.context)]
    notes = [*map(escape, (*change.where, *change.notes, *change.other_modes))]
    if change.model:
        yield f"{', '.join((code(change.model), *context))}. {'; '.join(notes)}"
    else:
        yield "; ".join((*context, *notes))
    for answer in (answer for row in change.answers for answer in row):
        yield f"{escape(answer.name.capitalize())}: **{escape(answer.scored or 'answer')}**"
        yield fence(_said(answer))
        if change.model:
            facts = [escape(fact) for fact in (answer.evidence, answer.facts) if fact]
            facts += [f"sha256 {code(answer.sha256)}"] if answer.sha256 else []
            yield " · ".join(facts)
