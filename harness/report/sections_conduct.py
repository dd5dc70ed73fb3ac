"""What makes a run count and how it was made: kernels, checks, device, versions, settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.numbers import NONE
from harness.report.document import Cell, Column, Kind, Section, Table, mode_words

Json = Mapping[str, Any]
MAX_QUOTED = 12
_STATUS_WORDS = {"failed": "FAILED", "not_checked": "not checked"}
_PLACES = ("device", "gpus", "host", "git_commit", "rescored_from")
_NOT_SHOWN = frozenset({"candidates", "tasks", "schema_version", "external"})


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
            names = str(startup.get("model")), mode_words(mode)
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


def _flat(value: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple):
        if value and all(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, 1):
                yield from _flat(item, f"{prefix}[{number}]")
        elif value:
            yield prefix, ", ".join(map(str, value))
    elif value is not None and value != "":
        yield prefix, str(value)


def _facts(caption: str, value: Any) -> Table | None:
    rows = tuple((Cell(key), Cell(text)) for key, text in _flat(value))
    if not rows:
        return None
    return Table(caption, (Column("Setting", Kind.ID), Column("Value")), rows)


def _sessions(metadata: Json) -> Table | None:
    sessions = metadata.get("sessions") or ()
    keys = ("started_at", "ended_at", "exit", "error")
    rows = tuple(
        tuple(Cell(NONE if s.get(key) is None else str(s[key])) for key in keys)
        for s in sessions
        if isinstance(s, Mapping)
    )
    heads = ("Started", "Ended", "Exit", "Error")
    return Table("Sessions", tuple(Column(head) for head in heads), rows) if rows else None


def _settings(metadata: Json) -> dict[str, Any]:
    spec = metadata.get("resolved_spec") or metadata.get("spec") or {}
    shown = {key: value for key, value in spec.items() if key not in _NOT_SHOWN}
    if spec.get("backend") not in (None, "docker"):
        shown.pop("image", None)
    return shown


def _servers(startups: Sequence[Json]) -> Iterable[tuple[str, Json]]:
    """The first start of each mode, and its name."""
    seen: set[str] = set()
    for startup in startups:
        mode = str(startup.get("mode"))
        server = next((a.get("server") for a in attempts_of(startup)), None)
        if mode not in seen and isinstance(server, Mapping):
            seen.add(mode)
            yield mode_words(mode), server


def _commands(metadata: Json, startups: Sequence[Json]) -> Iterable[tuple[str, tuple[str, ...]]]:
    given = metadata.get("command_line")
    if given:
        yield "Command", (" ".join(map(str, given)),)
    for mode, server in _servers(startups):
        lines = [f"{name}={value}" for name, value in (server.get("environment") or {}).items()]
        command = server.get("command")
        if isinstance(command, list | tuple):
            lines.append(" ".join(map(str, command)))
        if lines:
            yield f"Server, {mode}", tuple(lines)


def _images(metadata: Json, startups: Sequence[Json]) -> dict[str, Any]:
    """What is known of the container images, from the run and from each mode's server."""
    found = {key: metadata[key] for key in ("image", "images") if metadata.get(key)}
    for mode, server in _servers(startups):
        parts = (server, server.get("container") or {}, server.get("docker") or {})
        names = {k: v for part in parts for k, v in part.items() if "image" in k or "digest" in k}
        found |= {mode: names} if names else {}
    return found


def conditions_section(metadata: Json, startups: Sequence[Json], timings: Table | None) -> Section:
    """Settings, versions, device, images, candidates and times, as the run recorded them."""
    parts: Sequence[Table | None] = (
        _facts("Device and host", {k: metadata[k] for k in _PLACES if metadata.get(k)}),
        _facts("Versions", metadata.get("versions")),
        _facts("Images", _images(metadata, startups)),
        _facts("Settings", _settings(metadata)),
        _facts("Candidates", metadata.get("candidates")),
        _facts("Dispatch", metadata.get("dispatch_notes")),
        _sessions(metadata),
        timings,
    )
    tables = tuple(table for table in parts if table is not None)
    prose = () if tables else ("This file came without metadata: nothing is known but its rows.",)
    quotes = tuple(_commands(metadata, startups))
    return Section("conditions", "Run conditions", prose, tables, quotes=quotes)
