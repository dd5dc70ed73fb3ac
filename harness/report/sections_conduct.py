"""What makes a run count and how it was made: kernels, checks, settings; and the two profiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import astuple

from harness.analyse import Summary, Validation
from harness.findings import Status
from harness.numbers import NONE, score_text, seconds_text
from harness.records import RunFiles
from harness.report.document import Section, mode_words, section, table
from harness.report.sections_summary import answers_table
from harness.score import Profiles, ProfileVerdict

MAX_QUOTED = 12
MAX_LISTED = 200
_PLACES = ("device", "gpus", "host", "git_commit", "rescored_from")
_NOT_SHOWN = frozenset({"candidates", "tasks", "schema_version", "external"})

Json = Mapping[str, Any]
Quote = tuple[str, tuple[str, ...]]


def validation_section(validation: Validation | None) -> Section | None:
    """Every check that makes a run countable, and what it found."""
    rows = (
        (f.check, "FAILED" if f.status is Status.FAILED else f.status.words, f.message)
        for f in (validation.findings if validation else ())
    )
    checks = table("Checks", ("@Check", "Status", "What was found"), rows)
    return section("validation", "Validation", (checks,))


def evidence_section(files: RunFiles) -> Section | None:
    """One row a server lifetime, and the log lines on which its verdict rests."""
    starts = [
        (startup.model, mode_words(startup.mode), number, start)
        for startup in files.startups
        for number, start in enumerate(startup.starts, 1)
    ]
    lifetimes = table(
        "Server lifetimes",
        ("@Model", "Mode", "#Start", "#Ready after", "Verdict", "@Log"),
        (
            (
                *(model, mode, number, seconds_text(start.ready_after_s)),
                (start.verdict or "not judged", start.failure or (gaps and f"not shown: {gaps}")),
                start.log or NONE,
            )
            for model, mode, number, start in starts
            for gaps in ("; ".join(start.evidence.missing),)
        ),
    )
    quotes = (
        (
            f"{model}, {mode}, start {number}: {start.verdict}",
            tuple(f"{line.line}: {line.text}" for line in start.evidence.lines[:MAX_QUOTED]),
        )
        for model, mode, number, start in starts
        if start.evidence.lines
    )
    return section(
        "evidence",
        "Which kernels ran",
        (lifetimes,),
        "What each server's own log shows about the kernel path, read from the worker process. "
        "“active”: batch-invariant was asked for and ran; “clean”: standard, and nothing of the "
        "other was seen.",
        "No server log came with these records, so nothing here proves which kernels ran.",
        quotes=quotes,
    )


def conditions_section(files: RunFiles, summary: Summary) -> Section | None:
    """Settings, versions, device, images, candidates and times, as the run recorded them."""
    metadata, spec = files.metadata, files.spec
    no_image = {"image"} if spec.get("backend") not in (None, "docker") else set()
    servers: dict[str, Json] = {}  # what the first start of each mode was given
    for startup in files.startups:
        if startup.starts and startup.starts[0].server:
            servers.setdefault(mode_words(startup.mode), startup.starts[0].server)
    images = {key: metadata[key] for key in ("image", "images") if metadata.get(key)}
    for mode, server in servers.items():
        parts = (server, server.get("container") or {}, server.get("docker") or {})
        names = {k: v for part in parts for k, v in part.items() if "image" in k or "digest" in k}
        images |= {mode: names} if names else {}
    facts = {
        "Device and host": {key: metadata.get(key) for key in _PLACES},
        "Versions": files.versions,
        "Images": images,
        "Settings": {k: v for k, v in spec.items() if k not in _NOT_SHOWN | no_image},
        "Candidates": metadata.get("candidates"),
        "Dispatch": metadata.get("dispatch_notes"),
    }
    sessions = (
        tuple(session.get(key) for key in ("started_at", "ended_at", "exit", "error"))
        for session in metadata.get("sessions") or ()
    )
    return section(
        "conditions",
        "Run conditions",
        (
            *(table(name, ("@Setting", "Value"), _flat(told)) for name, told in facts.items()),
            table("Sessions", ("Started", "Ended", "Exit", "Error"), sessions),
            answers_table(summary),
        ),
        otherwise="This file came without metadata: nothing is known but its rows.",
        quotes=_commands(metadata.get("command_line") or (), servers),
    )


def _commands(given: Iterable[object], servers: Mapping[str, Json]) -> Iterator[Quote]:
    if given:
        yield "Command", (" ".join(map(str, given)),)
    for mode, server in servers.items():
        lines = [f"{name}={value}" for name, value in (server.get("environment") or {}).items()]
        lines += [" ".join(map(str, server["command"]))] if server.get("command") else []
        if lines:
            yield f"Server, {mode}", tuple(lines)


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested objects and lists, each under its dotted name; what is empty is left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        for number, item in enumerate(value, 1):
            yield from _flat(item, f"{name}[{number}]")
    elif value not in (None, "", [], ()):
        yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def profiles_section(profiles: Profiles | None) -> Section | None:
    """Flips under both scorer profiles, and the rows on which they disagree."""
    if profiles is None:
        return None
    tallies = (
        (mode_words(mode), f"{t.scores_differ}/{t.answers}", *astuple(t.label_flips))
        for mode, t in sorted(profiles.by_mode.items(), reverse=True)  # standard first
    )
    listed = profiles.disagreements
    more = len(listed[MAX_LISTED:]) + profiles.disagreements_left_out

    def said(one: ProfileVerdict) -> tuple[str, str]:
        solo = score_text(one.solo_score, one.solo_label)
        batched = score_text(one.batch_score, one.batch_label)
        return f"{solo} → {batched}", f"{one.solo_rule}; {one.batch_rule}"

    rows = (
        (
            (f"{row.task_name}/{row.sample_id}", row.model),
            f"{mode_words(row.mode)}, batch {row.batch_size}",
            "paper" if row.paper.flip else "strict",
            *(said(row.paper), said(row.strict)),
        )
        for row in listed[:MAX_LISTED]
    )
    return section(
        "profiles",
        "Two scorer profiles",
        (
            table(
                "Flips under both profiles",
                "Kernels | #Scores differ | #Flips: paper | #Flips: strict | #Both | #Paper only | "
                "#Strict only | #Neither",
                tallies,
            ),
            table(
                "Where the profiles disagree",
                "@Row | Condition | Flip in | paper: solo → batched | strict: solo → batched",
                rows,
                f"{more:,} more are not listed here." if more else "",
            ),
        ),
        "The same answers, scored twice: “paper” is the study's own algorithm, “strict” reads the "
        "answer alone and has states for answers that it cannot parse.",
    )
