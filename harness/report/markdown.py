"""A report as Markdown for pasting: the same tables, the flips in full, nothing that can act.

Foreign text stands in code spans and fenced blocks, so that a model's answer cannot become a
link, an image, a mention or a heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from harness.hostile import visible
from harness.report.headline import MODE_NAMES
from harness.report.model import AnswerView, Kind, PairView, Report, Section, Table, Tone

__all__ = ["code", "escape", "fence", "render_markdown", "table_lines"]

MAX_FLIPS = 200
_ACTIVE = re.compile(r"([\\`*{}<>#|!~$]|(?<!\w)_|_(?!\w)|\](?=[(\[:]))")
_TICKS = re.compile(r"`+")
_ALIGN = {Kind.NUMBER: "---:", Kind.ID: "---", Kind.TEXT: "---"}
_SIGN = {Tone.GOOD: "✅", Tone.NOTE: "⚠️", Tone.BAD: "⛔"}


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


def table_lines(table: Table) -> list[str]:
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


def _section(section: Section) -> Iterator[str]:
    yield f"## {escape(section.title)}"
    yield ""
    for paragraph in section.prose:
        yield escape(paragraph)
        yield ""
    for table in section.tables:
        yield from table_lines(table)
    for caption, lines in section.quotes:
        yield f"{escape(caption)}:"
        yield ""
        yield fence("\n".join(lines))
        yield ""


def _text(answer: AnswerView) -> str:
    if answer.pieces is None:
        return "(no text in this file)"
    before = f"… {answer.before:,} characters before …\n" if answer.before else ""
    after = f"\n… {answer.after:,} more characters …" if answer.after else ""
    shown = "".join(f"⟪{p.text}⟫" if p.differs else p.text for p in answer.pieces)
    end = "⟪end of answer⟫" if answer.ends_at_difference else ""
    return f"{before}{shown}{end}{after}"


def _answer(answer: AnswerView) -> Iterator[str]:
    yield f"{answer.name.capitalize()}: **{escape(answer.scored)}**"
    yield ""
    yield fence(_text(answer))
    yield ""
    facts = " · ".join(escape(fact) for fact in (answer.evidence, answer.facts) if fact)
    digest = f"sha256 {code(answer.sha256)}" if answer.sha256 else ""
    yield " · ".join(part for part in (facts, digest) if part)
    yield ""


def _pair(pair: PairView) -> Iterator[str]:
    names = f"{code(pair.sample)} {escape(pair.change)}"
    mode = MODE_NAMES.get(pair.mode, pair.mode)
    where = f"{code(pair.model)}, {escape(mode)}, batch {escape(pair.batch_size)}"
    yield f"### {names}"
    yield ""
    notes = (pair.where, *pair.tags, *pair.notes, *pair.other_modes)
    yield f"{where}, {escape(pair.dispatch_mode)}. " + "; ".join(escape(note) for note in notes)
    yield ""
    yield from _answer(pair.solo)
    yield from _answer(pair.batched)


def _flips(report: Report) -> Iterator[str]:
    if not report.flips:
        return
    yield "## Every flip"
    yield ""
    yield "⟪…⟫ marks the first difference. Text is shown as it was answered, cut where it is long."
    yield ""
    for pair in report.flips[:MAX_FLIPS]:
        yield from _pair(pair)
    rest = max(0, len(report.flips) - MAX_FLIPS) + report.flips_left_out
    if rest:
        yield f"{rest:,} further flips are in the records file and, up to a limit, in report.html."
        yield ""


def _text_changes(pairs: Sequence[PairView], left_out: int) -> Iterator[str]:
    if not pairs:
        return
    yield "## Text changes without a flip"
    yield ""
    said = f"{len(pairs) + left_out:,} answers changed and kept their score"
    yield f"<details><summary>{said}</summary>"
    yield ""
    for pair in pairs[:MAX_FLIPS]:
        mode = MODE_NAMES.get(pair.mode, pair.mode)
        yield (
            f"- {code(pair.sample)}, {code(pair.model)}, {escape(mode)}, batch "
            f"{escape(pair.batch_size)}: {escape(pair.change)}; {escape(pair.where)}"
        )
    if len(pairs) + left_out > MAX_FLIPS:
        yield f"- and {len(pairs) + left_out - MAX_FLIPS:,} more"
    yield ""
    yield "</details>"
    yield ""


def head_lines(report: Report) -> list[str]:
    """Title, verdict, result and what it was measured on."""
    banner = report.banner
    lines = [
        f"# Batch-invariance ablation: {code(report.run_id)}",
        "",
        f"{_SIGN[banner.tone]} **{escape(banner.title)}**",
        *(f"- {escape(reason)}" for reason in banner.reasons),
        "",
        f"**{escape(report.headline.sentence)}**",
        "",
        escape(report.headline.measured_on),
        "",
    ]
    return [*lines, f"> {escape(report.nature)}", ""] if report.nature else lines


def _lines(report: Report) -> Iterable[str]:
    yield from head_lines(report)
    for section in report.sections:
        yield from _section(section)
    yield from _flips(report)
    yield from _text_changes(report.text_changes, report.text_changes_left_out)
    yield f"Made by {escape(report.made_with)}."


def render_markdown(report: Report) -> str:
    """The report as GitHub-flavoured Markdown."""
    return "\n".join(_lines(report)) + "\n"
