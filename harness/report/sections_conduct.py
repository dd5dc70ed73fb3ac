"""What makes a run count and how it was made: kernels, checks, device, versions, settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.findings import Status
from harness.numbers import NONE, seconds_text
from harness.report.document import Section, Table, mode_words, table

if TYPE_CHECKING:
    from harness.analyse import Validation

MAX_QUOTED = 12
_PLACES = ("device", "gpus", "host", "git_commit", "rescored_from")
_NOT_SHOWN = frozenset({"candidates", "tasks", "schema_version", "external"})

Json = Mapping[str, Any]
Quote = tuple[str, tuple[str, ...]]


def validation_section(validation: Validation | None) -> Section | None:
    """Every check that makes a run countable, and what it found."""
    if validation is None or not validation.findings:
        return None
    rows = (
        (f.check, "FAILED" if f.status is Status.FAILED else f.status.words, f.message)
        for f in validation.findings
    )
    checks = table("Checks", ("@Check", "Status", "What was found"), rows)
    return Section("validation", "Validation", (), (checks,))


def evidence_section(startups: Sequence[Json]) -> Section:
    """One row a server lifetime, and the log lines on which its verdict rests."""
    title = "Which kernels ran"
    rows: list[Sequence[object]] = []
    quotes: list[Quote] = []
    for startup in startups:
        model, mode = str(startup.get("model")), mode_words(str(startup.get("mode")))
        for number, attempt in enumerate(attempts_of(startup), 1):
            verdict, evidence = attempt.get("verdict"), attempt.get("evidence") or {}
            rows.append(
                (
                    model,
                    mode,
                    number,
                    seconds_text(attempt.get("ready_after_s")),
                    (str(verdict or "not judged"), _remark(attempt)),
                    attempt.get("log") or NONE,
                )
            )
            lines = [f"{q.get('line')}: {q.get('text')}" for q in evidence.get("lines") or ()]
            if lines:
                caption = f"{model}, {mode}, start {number}: {verdict}"
                quotes.append((caption, tuple(lines[:MAX_QUOTED])))
    if not rows:
        prose = "No server log came with these records, so nothing here proves which kernels ran."
        return Section("evidence", title, (prose,))
    prose = (
        "What each server's own log shows about the kernel path, read from the worker process. "
        "“active”: batch-invariant was asked for and ran; “clean”: standard, and nothing of the "
        "other was seen."
    )
    heads = ("@Model", "Mode", "#Start", "#Ready after", "Verdict", "@Log")
    lifetimes = table("Server lifetimes", heads, rows)
    return Section("evidence", title, (prose,), (lifetimes,), quotes=tuple(quotes))


def _remark(attempt: Json) -> str:
    """Why a start failed, or what its log does not show."""
    error, evidence = attempt.get("error"), attempt.get("evidence") or {}
    if error:
        return str(error.get("message", error) if isinstance(error, Mapping) else error)
    missing = evidence.get("missing")
    return f"not shown: {'; '.join(map(str, missing))}" if missing else ""


def attempts_of(startup: Json) -> Sequence[Json]:
    """The starts of a server, oldest first; a file of an older form is one start."""
    attempts = startup.get("attempts")
    return attempts if isinstance(attempts, list | tuple) else [startup]


def conditions_section(metadata: Json, startups: Sequence[Json], timings: Table | None) -> Section:
    """Settings, versions, device, images, candidates and times, as the run recorded them."""
    servers = _servers(startups)
    spec = metadata.get("resolved_spec") or metadata.get("spec") or {}
    settings = {key: value for key, value in spec.items() if key not in _NOT_SHOWN}
    if spec.get("backend") not in (None, "docker"):
        settings.pop("image", None)
    images = {key: metadata[key] for key in ("image", "images") if metadata.get(key)}
    for mode, server in servers.items():
        parts = (server, server.get("container") or {}, server.get("docker") or {})
        names = {k: v for part in parts for k, v in part.items() if "image" in k or "digest" in k}
        images |= {mode: names} if names else {}
    sessions = (
        tuple(session.get(key) for key in ("started_at", "ended_at", "exit", "error"))
        for session in metadata.get("sessions") or ()
    )
    tables = (
        _facts("Device and host", {k: metadata[k] for k in _PLACES if metadata.get(k)}),
        _facts("Versions", metadata.get("versions")),
        _facts("Images", images),
        _facts("Settings", settings),
        _facts("Candidates", metadata.get("candidates")),
        _facts("Dispatch", metadata.get("dispatch_notes")),
        table("Sessions", ("Started", "Ended", "Exit", "Error"), sessions),
        *([timings] if timings else ()),
    )
    shown = tuple(table for table in tables if table.rows)
    prose = () if shown else ("This file came without metadata: nothing is known but its rows.",)
    quotes = tuple(_commands(metadata, servers))
    return Section("conditions", "Run conditions", prose, shown, quotes=quotes)


def _servers(startups: Sequence[Json]) -> dict[str, Json]:
    """What the first start of each mode was given."""
    found: dict[str, Json] = {}
    for startup in startups:
        server = next((attempt.get("server") for attempt in attempts_of(startup)), None)
        if isinstance(server, Mapping):
            found.setdefault(mode_words(str(startup.get("mode"))), server)
    return found


def _commands(metadata: Json, servers: Mapping[str, Json]) -> Iterable[Quote]:
    given = metadata.get("command_line")
    if given:
        yield "Command", (" ".join(map(str, given)),)
    for mode, server in servers.items():
        lines = [f"{name}={value}" for name, value in (server.get("environment") or {}).items()]
        command = server.get("command")
        if isinstance(command, list | tuple):
            lines.append(" ".join(map(str, command)))
        if lines:
            yield f"Server, {mode}", tuple(lines)


def _facts(caption: str, value: object) -> Table:
    return table(caption, ("@Setting", "Value"), _flat(value, ""))


def _flat(value: object, prefix: str) -> Iterable[tuple[str, str]]:
    """Leaves of nested objects and lists, each under its dotted name; what is empty is left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        for number, item in enumerate(value, 1):
            yield from _flat(item, f"{prefix}[{number}]")
    elif isinstance(value, list | tuple):
        if value:
            yield prefix, ", ".join(map(str, value))
    elif value is not None and value != "":
        yield prefix, str(value)
