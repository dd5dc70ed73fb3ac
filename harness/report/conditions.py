"""Under what conditions the run was made: device, versions, images, settings, commands, times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.report.headline import MODE_NAMES
from harness.report.model import Cell, Column, Kind, Section, Table
from harness.report.numbers import NONE
from harness.report.proof import attempts_of

__all__ = ["conditions_section"]

Json = Mapping[str, Any]
_PLACES = ("device", "gpus", "host", "git_commit", "rescored_from")
_NOT_SHOWN = frozenset({"candidates", "tasks", "schema_version", "external"})


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
            yield MODE_NAMES.get(mode, mode), server


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
