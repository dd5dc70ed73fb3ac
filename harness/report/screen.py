"""A run's first screen, 80 columns wide: the verdict in a box, changes, rates, claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from harness.analyse import Counted, Summary
from harness.flips import unscored_text
from harness.hostile import visible
from harness.numbers import percent, rate_text
from harness.report.answer_windows import AnswerView, marked_text
from harness.report.document import Example
from harness.report.in_words import finding_rows, sentences, shows
from harness.words import MODES, Effect, Endpoint

COLUMNS = 80
_ANSWER_LINES = 3
_STUDY = "B against S0, as the study counts, which cannot tell a batch from a cache"
_NOT_COUNTABLE = "NOT COUNTABLE: do not quote these numbers as a result."
_NOT_VALIDATED = "Not validated: `harness validate` says whether these numbers count."


def fitted(line: str, columns: int = COLUMNS, indent: str = "    ") -> list[str]:
    """A line in as many as it takes, each of at most so many columns; what follows is indented."""
    if len(line) <= columns:
        return [line]
    return wrap(
        line,
        columns,
        subsequent_indent=indent,
        replace_whitespace=False,
        break_on_hyphens=False,
    )


def boxed(paragraphs: Iterable[str]) -> list[str]:
    """The paragraphs in a frame of 80 columns."""
    inner = COLUMNS - 4
    lines = [
        line for text in paragraphs for line in wrap(visible(text), inner, break_on_hyphens=False)
    ]
    edge = "─" * (COLUMNS - 2)
    return [f"┌{edge}┐", *(f"│ {line:<{inner}} │" for line in lines), f"└{edge}┘"]


def verdict_box(summary: Summary, *, countable: bool | None = True) -> list[str]:
    """The verdict in words, in a box; it says so first where the run does not count.

    Args:
        countable: what validation says, ``None`` where nobody asked it.
    """
    said = sentences(summary) or ["No record was counted."]
    first = () if countable else (_NOT_COUNTABLE if countable is False else _NOT_VALIDATED,)
    return boxed((*first, " ".join(said), *shows(summary)))


def screen_lines(
    summary: Summary, examples: Sequence[Example] = (), *, countable: bool | None = True
) -> list[str]:
    """What a person sees of a run first; the rest is `detail_lines`."""
    return [*verdict_box(summary, countable=countable), *below(summary, examples)]


def below(summary: Summary, examples: Sequence[Example]) -> list[str]:
    """What stands under the verdict: the first changes, rates, claims, what is open."""
    return [
        *example_lines(examples),
        "",
        *rate_lines(summary),
        "",
        *finding_lines(summary),
        "",
        *unscored_lines(summary),
        *fitted(_count_line(summary)),
    ]


def unscored_lines(summary: Summary) -> Iterator[str]:
    """How many answers of each mode have no score, and why."""
    for mode in summary.score_pairs:
        solo, batched = map(unscored_text, summary.unscored(mode))
        yield from fitted(f"answers without a score, {mode}: solo {solo}; batched {batched}")


def _count_line(summary: Summary) -> str:
    threats = ", ".join(dict.fromkeys(threat.threat for threat in summary.threats))
    left_out = summary.pairs.left_out
    return (
        f"{summary.n_ok} of {summary.n_records} records ok, {summary.startup_error_count} start-up "
        f"errors, {left_out} candidates left out; open: {threats or 'nothing named'}"
    )


def example_lines(examples: Sequence[Example]) -> Iterator[str]:
    """The first changes: which prompt, and both answers round where they part."""
    for number, one in enumerate(examples, start=1):
        yield ""
        yield from fitted(f"{number}  {visible(one.heading)} · {visible(one.where)}", indent="   ")
        yield from fitted(f"   {visible(one.said)}", indent="   ")
        for answer in one.answers:
            yield from _answer_lines(answer)


def answer_lines(answer: AnswerView) -> list[str]:
    """A whole answer, or as much as is kept of it, with ⟪…⟫ round what differs."""
    if answer.pieces is None:
        return ["(no text in this file)"]
    before = [f"… {answer.before:,} characters before …"] if answer.before else []
    after = [f"… {answer.after:,} more characters …"] if answer.after else []
    return [*before, *visible(marked_text(answer)).split("\n"), *after]


def _answer_lines(answer: AnswerView) -> list[str]:
    name = f"   {answer.name:<13}"
    before, after = ("… " if answer.before else "", " …" if answer.after else "")
    said = f"{before}{visible(marked_text(answer))}{after}"
    lines = wrap(said, COLUMNS - len(name), break_on_hyphens=False) or ["(empty)"]
    if len(lines) > _ANSWER_LINES:
        lines = [*lines[: _ANSWER_LINES - 1], f"{lines[_ANSWER_LINES - 1][:-1]}…"]
    return [f"{name if not n else ' ' * len(name)}{line}" for n, line in enumerate(lines)]


def rate_lines(summary: Summary) -> Iterator[str]:
    """Labels and texts by prompt and by row, then what asking again changed, then the study's."""
    modes = list(summary.by_mode)
    yield f"{'':<24}" + "".join(f"{mode.words:<28}" for mode in modes).rstrip()
    shown = (summary.leading, *(e for e in (Effect.CACHE, Effect.NOISE) if summary.leading))
    for effect in (*shown, *((None,) if summary.leading else ())):
        yield f"{effect.words}, {_askings(effect)}" if effect else _STUDY
        for endpoint in Endpoint:
            found = [summary.counted(mode, effect, endpoint) for mode in modes]
            for unit in ("prompts", "rows") if effect in (Effect.BATCH, None) else ("prompts",):
                cells = "".join(f"{_cell(one, unit):<28}" for one in found)
                name = endpoint.words.lower() if unit == "prompts" else ""
                yield f"  {name:<13} {unit:<7} {cells}".rstrip()


def _askings(effect: Effect) -> str:
    return " against ".join(reversed(effect.askings))


def _cell(found: Counted, unit: str) -> str:
    rate = found.prompts if unit == "prompts" else found.rows
    if not rate.n:
        return "not measured"
    none = not rate.count and rate.upper95 is not None
    return f"0/{rate.n}  (up to {percent(rate.upper95)})" if none else rate_text(rate)


def finding_lines(summary: Summary) -> Iterator[str]:
    """A line a claim, with its status for labels and for texts."""
    rows = list(finding_rows(summary))
    if rows and len(summary.by_mode) == len(MODES):
        yield f"{'claims, by prompt':<44} {'labels':<17} texts"
        for name, labels, texts in rows:
            yield f"  {name:<42} {labels:<17} {texts}"
