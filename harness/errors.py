"""What can go wrong, as types; the exit code belongs to the type.

HarnessError
├── GateFailed          1  a validation or a gate said no
├── UsageError          2  the spec, a candidate, a task, a record file or a flag is wrong
├── EnvironmentError_   3  Docker, the GPU, a port or an image is not as required
│   └── ImageMismatch   3  the image is not the one that the lock names
├── RunError            4  the run could not be completed
│   ├── StartupFailed   4  the server did not become ready, with the cause and a remedy
│   ├── ServerDied      4  the server stopped in the middle, with its last log lines
│   ├── ModeNotProven   4  the log does not show the kernel path asked for
│   └── IncompleteRun   4  records are missing or failed
└── Interrupted       130  Ctrl-C or SIGTERM; the run can be resumed
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar

MAX_SHOWN = 20
"""Mistakes that one message tells."""
NOT_SET = "a variable that is not set?"
"""Why a flag may have been given an empty value."""
_LONGEST_VALUE = 60


class HarnessError(Exception):
    """An expected failure: one message for a person, what to do next, and an exit code.

    Args:
        message: what happened, on one line.
        hint: what to do next.
        file: the file at fault, shown as ``file:line`` in front of the message.
        line: 1-based line in ``file``.
        detail: further lines to show, such as the end of a server log.
    """

    exit_code: ClassVar[int] = 4

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        file: Path | str | None = None,
        line: int | None = None,
        detail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.file = str(file) if file is not None else None
        self.line = line
        self.detail = detail

    def __str__(self) -> str:
        where = ""
        if self.file:
            where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        hint = f" ({self.hint})" if self.hint else ""
        return "\n".join([f"{where}{self.message}{hint}", *(f"    {row}" for row in self.detail)])


class GateFailed(HarnessError):
    """A validation or a gate said no."""

    exit_code = 1


class UsageError(HarnessError):
    """The spec, a candidate, a task, a record file or a flag is wrong."""

    exit_code = 2


class EnvironmentError_(HarnessError):  # noqa: N801 - EnvironmentError is a builtin
    """Docker, the GPU, a port or an image is not as required."""

    exit_code = 3


class ImageMismatch(EnvironmentError_):
    """The image is not the one that the lock names."""


class RunError(HarnessError):
    """The run could not be completed."""

    exit_code = 4


class StartupFailed(RunError):
    """The server did not become ready."""


class ServerDied(RunError):
    """The server stopped in the middle of its work."""


class ModeNotProven(RunError):
    """The log does not show the kernel path that was asked for."""


class IncompleteRun(RunError):
    """Records are missing or failed, so nothing is claimed."""


class Interrupted(HarnessError):
    """Ctrl-C or SIGTERM; what was written stays and the run can be resumed."""

    exit_code = 130
    told = "error: stopped by a signal (the same command goes on, or starts again)"
    """What the terminal is told where nothing more is known."""


def raise_all(mistakes: Sequence[UsageError]) -> None:
    """Raise what a loader gathered, so that nobody repairs a file one error at a time.

    Raises:
        UsageError: the first mistake with its place; the others, at most `MAX_SHOWN` in all, are
            lines below it. Nothing is raised when there are none.
    """
    if not mistakes:
        return
    first, *rest = mistakes
    lines = [*first.detail, *(line.strip() for one in rest for line in str(one).splitlines())]
    left_out = len(lines) - (MAX_SHOWN - 1)
    if left_out > 0:
        lines[MAX_SHOWN - 1 :] = [f"and {left_out} more"]
    raise UsageError(
        first.message, hint=first.hint, file=first.file, line=first.line, detail=tuple(lines)
    )


def nearest(word: object, known: Iterable[str], label: str = "") -> str | None:
    """``did you mean 'x'?`` for the known word most like ``word``.

    When none is close: all of them after ``label``, or ``None`` without one.
    """
    matches = get_close_matches(str(word), words := list(known), n=1, cutoff=0.6)
    if matches:
        return f"did you mean '{_cut(matches[0])}'?"
    return f"{label}: {', '.join(map(_cut, words))}" if label else None


def shown(value: object) -> str:
    """A value as a message shows it: quoted, and cut when it is long."""
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
