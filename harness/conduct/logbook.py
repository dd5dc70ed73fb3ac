"""structlog, set up once: events for a person on stderr, and all of them in ``harness.jsonl``."""

import logging
import sys
from pathlib import Path
from typing import IO, Any

import structlog

from harness.hostile import visible
from harness.secrets import redact_values

_OF_ALL = frozenset(("event", "level", "timestamp", "run_id", "model", "mode", "exception"))


def _line(event: structlog.types.EventDict) -> str:
    """An event as a line of progress: of which server, what happened, and what is told of it."""
    server = " / ".join(str(event[name]) for name in ("model", "mode") if name in event)
    told = (f"{n.replace('_', ' ')} {v}" for n, v in event.items() if n not in _OF_ALL)
    words = ", ".join((str(event["event"]).replace("_", " "), *told))
    return "\n".join(
        visible(part)
        for part in (f"{server}: {words}" if server else words, event.get("exception"))
        if part
    )


class _TwoSinks:
    """Writes each event as JSON to the file, and from ``level`` up as a line to stderr."""

    def __init__(self, file: IO[str] | None, level: int) -> None:
        self._file = file
        self._level = level
        self._json = structlog.processors.JSONRenderer(default=str)

    def __call__(self, logger: Any, name: str, event: structlog.types.EventDict) -> str:
        shown = redact_values(event)
        if self._file is not None and not self._file.closed:
            self._file.write(str(self._json(logger, name, dict(shown))) + "\n")
            self._file.flush()
        if getattr(logging, name.upper(), logging.INFO) >= self._level:
            sys.stderr.write(_line(shown) + "\n")
        raise structlog.DropEvent


def open_logbook(file: Path | None = None, *, level: int = logging.WARNING) -> None:
    """Send events, without secrets, to ``file`` (all) and to stderr (``level`` and worse)."""
    stream = file.open("a", encoding="utf-8") if file is not None else None
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _TwoSinks(stream, level),
        ],
        cache_logger_on_first_use=False,
    )
