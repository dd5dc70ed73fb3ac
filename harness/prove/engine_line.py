"""The line in which the engine names its version and its whole configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.prove.log_lines import HEADER, LogLine

__all__ = ["EngineLine", "find_engine_lines", "split_config"]

_ENGINE = re.compile(
    rf"^{HEADER}Initializing an? V\d+ LLM engine \(v([^)\s]+)\) with config: (.*)$"
)
_OPEN, _CLOSE = "([{<", ")]}>"


@dataclass(frozen=True, slots=True)
class EngineLine:
    """One engine's start: its place in the log, its version and its configuration as text."""

    index: int
    line: LogLine
    version: str
    config: Mapping[str, str]

    @property
    def workers(self) -> int:
        """Processes that run the model for this engine: tensor times pipeline parallel size."""
        sizes = (self.config.get(f"{kind}_parallel_size", "1") for kind in ("tensor", "pipeline"))
        product = 1
        for size in sizes:
            product *= int(size) if size.isdigit() else 1
        return product


def find_engine_lines(lines: tuple[LogLine, ...], end: int) -> tuple[EngineLine, ...]:
    """Every engine that was initialised before line index ``end``."""
    found = []
    for index, line in enumerate(lines[:end]):
        match = _ENGINE.match(line.text)
        if match:
            found.append(EngineLine(index, line, match[1], split_config(match[2])))
    return tuple(found)


def split_config(text: str) -> dict[str, str]:
    """``a=1, b=C(x=1, y=2), c={'k': 1}`` as its top-level keys and the text of their values."""
    return {
        key.strip(): value.strip()
        for key, found, value in (part.partition("=") for part in _top_level_parts(text))
        if found
    }


def _top_level_parts(text: str) -> list[str]:
    parts, depth, start, quote = [], 0, 0, ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]
