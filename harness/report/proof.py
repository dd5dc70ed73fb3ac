"""What makes a run count: which kernels ran, from each server's own log, and every check made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.report.headline import MODE_NAMES
from harness.report.model import Cell, Column, Kind, Section, Table
from harness.report.numbers import NONE

__all__ = ["attempts_of", "evidence_section", "validation_section"]

Json = Mapping[str, Any]
MAX_QUOTED = 12
_STATUS_WORDS = {"failed": "FAILED", "not_checked": "not checked"}


def validation_section(checks: Sequence[tuple[str, str, str]]) -> Section | None:
    """Every check that makes a run countable, and what it found."""
    if not checks:
        return None
    columns = (Column("Check", Kind.ID), Column("Status"), Column("What was found"))
    rows = tuple(
        (Cell(name), Cell(_STATUS_WORDS.get(status, status)), Cell(message))
        for name, status, message in checks
    )
    return Section("validation", "Validation", (), (Table("Checks", columns, rows),))


def _quoted(evidence: Any) -> Iterable[str]:
    """The log lines that an activation evidence quotes, each with its number."""
    lines = evidence.get("lines") if isinstance(evidence, Mapping) else None
    for line in lines or ():
        yield f"{line.get('line')}: {line.get('text')}"


def _remark(attempt: Json) -> str:
    """Why a start failed, or what its log does not show."""
    error, evidence = attempt.get("error"), attempt.get("evidence")
    if error:
        return str(error.get("message", error) if isinstance(error, Mapping) else error)
    missing = evidence.get("missing") if isinstance(evidence, Mapping) else None
    return f"not shown: {'; '.join(map(str, missing))}" if missing else ""


def attempts_of(startup: Json) -> list[Json]:
    """The starts of a server, oldest first; a file of an older form is one start."""
    attempts = startup.get("attempts")
    return list(attempts) if isinstance(attempts, list | tuple) else [startup]


def evidence_section(startups: Sequence[Json]) -> Section:
    """One row a server lifetime, and the log lines on which its verdict rests."""
    columns = (
        Column("Model", Kind.ID),
        Column("Mode"),
        Column("Start", Kind.NUMBER),
        Column("Ready after", Kind.NUMBER),
        Column("Verdict"),
        Column("Log", Kind.ID),
    )
    rows, quotes = [], []
    for startup in startups:
        for number, attempt in enumerate(attempts_of(startup), 1):
            mode = str(startup.get("mode"))
            names = str(startup.get("model")), MODE_NAMES.get(mode, mode)
            ready = attempt.get("ready_after_s")
            rows.append(
                (
                    Cell(names[0]),
                    Cell(names[1]),
                    Cell(str(number)),
                    Cell(f"{ready:.1f} s" if isinstance(ready, int | float) else NONE),
                    Cell(str(attempt.get("verdict") or "not judged"), _remark(attempt)),
                    Cell(str(attempt.get("log") or NONE)),
                )
            )
            lines = tuple(_quoted(attempt.get("evidence")))[:MAX_QUOTED]
            if lines:
                verdict = attempt.get("verdict")
                quotes.append((f"{names[0]}, {names[1]}, start {number}: {verdict}", lines))
    if not rows:
        return Section(
            "evidence",
            "Which kernels ran",
            ("No server log came with these records, so nothing here proves which kernels ran.",),
        )
    prose = (
        "What each server's own log shows about the kernel path, read from the worker process. "
        "“active”: batch-invariant was asked for and ran; “clean”: standard, and nothing of the "
        "other was seen.",
    )
    table = Table("Server lifetimes", columns, tuple(rows))
    return Section("evidence", "Which kernels ran", prose, (table,), quotes=tuple(quotes))
