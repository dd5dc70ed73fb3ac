"""A run's first screen, 80 columns wide: the verdict in a box, changes, rates, claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shutil import get_terminal_size
from textwrap import wrap

from harness.analyse import Counted, RunState, Summary, held_back
from harness.flips import unscored_text
from harness.hostile import visible
from harness.numbers import count_of, percent, rate_text
from harness.report.answer_windows import AnswerView, marked_text, narrowed
from harness.report.document import Example
from harness.report.in_words import NOUNS, finding_rows, sentences, shows
from harness.report.standing import state_title
from harness.words import MODES, Effect, Endpoint

COLUMNS = 80
_ANSWER_LINES = 3
_BOX_LINES = 5
_CELL = 28
_HELD_LINES = 3
_WIDEST = 120
_STUDY = "the study's count, batch against first alone: cannot tell a batch from a cache"
_COMPARED = {
    Effect.BATCH: "in the batch against alone, asked before",
    Effect.CACHE: "the second time alone against the first",
    Effect.NOISE: "alone once more, with nothing changed",
}
_STATES = {
    RunState.DOES_NOT_COUNT: "NOT COUNTABLE: do not quote these numbers as a result.",
    RunState.UNPROVEN: "NOT COUNTABLE, unproven: do not quote these numbers as a result.",
    RunState.NOT_VALIDATED: "Not validated: `harness validate` says whether these numbers count.",
}


def columns() -> int:
    """The terminal's width, from 80 up to what is read well; 80 in a pipe."""
    return min(_WIDEST, max(COLUMNS, get_terminal_size((COLUMNS, 24)).columns))


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


def _wrapped(text: str) -> list[str]:
    return wrap(visible(text), columns() - 4, break_on_hyphens=False)


def verdict_box(
    summary: Summary, *, state: RunState = RunState.COUNTS
) -> tuple[list[str], list[str]]:
    """The verdict in words: at most five lines of it in a frame, and what goes out of that.

    It says first where the run does not count.

    Args:
        state: as `state_of` says.
    """
    why = _STATES.get(state) or state_title(summary, state)
    first = (f"{why.rstrip('.')}.",) if why else ()
    said = sentences(summary) or ["No record was counted."]
    while len(_wrapped(" ".join(said))) > _BOX_LINES - len(first) and len(said) > 1:
        said = said[:-1]
    rest = [*(sentences(summary)[len(said) :]), *shows(summary)]
    lines = [line for text in (*first, " ".join(said)) for line in _wrapped(text)]
    while rest and len(lines) + len(more := _wrapped(rest[0])) <= _BOX_LINES:
        lines += more
        rest = rest[1:]
    inner, edge = columns() - 4, "─" * (columns() - 2)
    box = [f"┌{edge}┐", *(f"│ {line:<{inner}} │" for line in lines), f"└{edge}┘"]
    return box, [part for text in rest for part in fitted(visible(text), columns(), "  ")]


def screen_lines(
    summary: Summary,
    examples: Sequence[Example] = (),
    *,
    state: RunState = RunState.COUNTS,
    measured: str = "",
) -> list[str]:
    """What a person sees of a run first; the rest is `detail_lines`.

    Args:
        measured: device and versions, as `measured_on` gives them.
    """
    box, rest = verdict_box(summary, state=state)
    on = fitted(f"Measured on {visible(measured)}", columns(), "  ") if measured else []
    return [*box, *rest, *on, *below(summary, examples)]


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
    here = summary.by_mode if _is_whole(summary) else summary.score_pairs
    for mode in (mode for mode in summary.score_pairs if mode in here):
        solo, batched = map(unscored_text, summary.unscored(mode))
        yield from fitted(
            f"answers without a score, {mode.words}: alone {solo}; in the batch {batched}"
        )


def _is_whole(summary: Summary) -> bool:
    """Whether every record that was planned is there, so that a mode that is not was not asked."""
    return summary.stack.planned_records == summary.n_records


def _count_line(summary: Summary) -> str:
    threats = ", ".join(dict.fromkeys(threat.words for threat in summary.threats))
    lacks = not (_is_whole(summary) and len(summary.by_mode) < len(MODES))
    left_out = f", {count_of(summary.pairs.left_out, 'candidate')} left out" if lacks else ""
    starts = count_of(summary.startup_error_count, "start-up error")
    ok = f"{summary.n_ok} of {count_of(summary.n_records, 'record')} ok"
    return f"{ok}, {starts}{left_out}; open: {threats or 'nothing named'}"


def example_lines(examples: Sequence[Example]) -> Iterator[str]:
    """The first changes, by their numbers in the run: the prompt, and both answers as they part."""
    for one in examples:
        yield ""
        where = f"{one.number}  {visible(one.heading)} · {visible(one.where)}"
        for line in (where, f"   {visible(one.said)}"):
            yield from fitted(line, columns(), "   ")
        yield from _excerpts(one.answers)


def answer_lines(answer: AnswerView) -> list[str]:
    """A whole answer, or as much as is kept of it, with ⟪…⟫ round what differs."""
    if answer.pieces is None:
        return ["(no text in this file)"]
    before = [f"… {answer.before:,} characters before …"] if answer.before else []
    after = [f"… {answer.after:,} more characters …"] if answer.after else []
    return [*before, *visible(marked_text(answer)).split("\n"), *after]


def _excerpts(answers: Sequence[AnswerView]) -> Iterator[str]:
    """Both answers in as many lines as there is room for, cut so that each shows its difference."""
    for limit in range(_ANSWER_LINES * columns(), 0, -8):
        sides = [_answer_lines(answer) for answer in narrowed(answers, limit)]
        if max(map(len, sides)) <= _ANSWER_LINES:
            break
    for side in sides:
        yield from side


def _answer_lines(answer: AnswerView) -> list[str]:
    name = f"   {answer.name:<13}"
    before, after = ("… " if answer.before else "", " …" if answer.after else "")
    said = f"{before}{visible(marked_text(answer))}{after}"
    lines = wrap(said, columns() - len(name), break_on_hyphens=False) or ["(empty)"]
    return [f"{name if not n else ' ' * len(name)}{line}" for n, line in enumerate(lines)]


def rate_lines(summary: Summary) -> Iterator[str]:
    """Labels and texts by prompt and by row, then what asking again changed, then the study's."""
    modes = list(summary.by_mode)
    yield f"{'':<23}" + " ".join(f"{mode.words:<{_CELL}}" for mode in modes).rstrip()
    shown = (summary.leading, *(e for e in (Effect.CACHE, Effect.NOISE) if summary.leading))
    for effect in (*shown, *((None,) if summary.leading else ())):
        yield f"{effect.words}: {_COMPARED[effect]}" if effect else _STUDY
        for endpoint in Endpoint:
            found = [summary.counted(mode, effect, endpoint) for mode in modes]
            for unit in ("prompts", "rows") if effect in (Effect.BATCH, None) else ("prompts",):
                cells = " ".join(f"{_cell(one, unit):<{_CELL}}" for one in found)
                name = endpoint.words.lower() if unit == "prompts" else ""
                yield f"  {name:<12} {unit:<7} {cells}".rstrip()


def _cell(found: Counted, unit: str) -> str:
    rate = found.prompts if unit == "prompts" else found.rows
    if not rate.n:
        return "not measured"
    none = not rate.count and rate.upper95 is not None
    said = f"0/{rate.n}  (up to {percent(rate.upper95)})" if none else rate_text(rate)
    return said if len(said) <= _CELL else said.replace(" = ", " ").replace(", ", ",")


def finding_lines(summary: Summary) -> Iterator[str]:
    """A line a claim, with its status for labels and for texts."""
    rows = list(finding_rows(summary))
    if rows and len(summary.by_mode) == len(MODES):
        yield f"{'claims, by prompt':<44} {'labels':<17} texts"
        for name, labels, texts in rows:
            yield f"  {name:<42} {labels:<17} {texts}"
        yield from _held_lines(summary)


def _held_lines(summary: Summary) -> Iterator[str]:
    """Why what the numbers speak for is not established; as many reasons as there is room for."""
    left = _HELD_LINES
    for why, of in held_back(summary).items():
        what = "" if len(of) > 1 else f"{NOUNS[of[0]]}s "
        lines = fitted(f"  {what}not established: {visible(why)}", columns())
        if left == _HELD_LINES or len(lines) <= left:
            yield from lines
            left -= len(lines)
