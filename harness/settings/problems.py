"""Mistakes in a person's files, collected so that one look shows all of them.

A loader gathers `Problem` values while it reads and raises them together at the end, one line
each, so that nobody repairs a file one error at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from harness.errors import UsageError

__all__ = ["MAX_SHOWN", "Problem", "nearest", "raise_problems", "shown"]

MAX_SHOWN = 20
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: what is wrong, where (``line`` counts from 1) and what would be right."""

    message: str
    hint: str | None = None
    file: str | None = None
    line: int | None = None

    def error(self, detail: tuple[str, ...] = ()) -> UsageError:
        """The error that shows this problem, with further lines under it."""
        return UsageError(
            self.message, hint=self.hint, file=self.file, line=self.line, detail=detail
        )

    def __str__(self) -> str:
        return str(self.error())


def raise_problems(problems: Sequence[Problem]) -> None:
    """Raise the problems as one `UsageError`, one line each; nothing happens when there are none.

    Raises:
        UsageError: the first problem with its place; the others, at most `MAX_SHOWN` in all,
            are lines below it.
    """
    if not problems:
        return
    first, *rest = problems
    lines = [str(problem) for problem in rest[: MAX_SHOWN - 1]]
    left_out = len(rest) - len(lines)
    if left_out:
        lines.append(f"and {left_out} more")
    raise first.error(tuple(lines))


def nearest(word: object, known: Iterable[str]) -> str | None:
    """``did you mean 'x'?`` for the known word most like ``word``; ``None`` when none is close."""
    matches = get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f"did you mean '{matches[0]}'?" if matches else None


def shown(value: object) -> str:
    """A value as a message shows it: quoted, and cut when it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
