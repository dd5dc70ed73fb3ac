"""A vLLM log as lines with numbers and processes, and where serving begins.

Everything that proves a kernel path is printed while the engine starts. What follows the first
sign of serving may carry text from requests, so no proof is looked for there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["HEADER", "LogLine", "read_lines", "serving_starts"]

HEADER = r"(?:INFO|WARNING|ERROR|DEBUG) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]+\] "
"""How vLLM's own logger begins a line, after the process prefix."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = re.compile(r"^\(([A-Za-z][\w-]*) pid=(\d+)\) ?")
_READY = re.compile(
    rf"^(?:INFO:\s+Application startup complete\.|{HEADER}Starting vLLM (?:API )?server\b)"
)
_REQUEST = re.compile(
    r'^INFO:\s+\S+ - "[A-Z]+ \S+ HTTP/[\d.]+" \d{3}\b'
    rf"|^{HEADER}(?:Received request\b|Added request\b)"
)
_ENGINE_NAMES = ("EngineCore", "Worker", "VllmWorker")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line.

    Attributes:
        number: 1-based, as an editor counts.
        process: ``name pid`` of the prefix; ``None`` for a line without one.
        text: the line without prefix and colours.
    """

    number: int
    process: str | None
    text: str

    @property
    def may_be_engine(self) -> bool:
        """Whether an engine or worker process can have written it.

        A line from C++ has no prefix, and from 0.32 on neither has what a process writes to
        stderr; a line that is marked as the API server's is not the engine's.
        """
        return self.process is None or self.process.startswith(_ENGINE_NAMES)


def read_lines(log: str) -> tuple[LogLine, ...]:
    """Split a log into lines; what a progress bar overwrote in its line is dropped."""
    lines = []
    for number, raw in enumerate(log.split("\n"), start=1):
        text = _COLOUR.sub("", raw.rstrip("\r")).rpartition("\r")[2]
        match = _PREFIX.match(text)
        process = f"{match[1]} {match[2]}" if match else None
        lines.append(LogLine(number, process, text[match.end() :] if match else text))
    return tuple(lines)


def serving_starts(lines: tuple[LogLine, ...]) -> int | None:
    """Index of the first line that shows a server that serves; ``None`` if there is none."""
    for index, line in enumerate(lines):
        if _READY.match(line.text) or _REQUEST.match(line.text):
            return index
    return None
