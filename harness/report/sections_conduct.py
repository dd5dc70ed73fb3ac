"""What makes a run count and how it was made: kernels, checks, settings; and the two profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import astuple

from harness.analyse import Summary, Validation
from harness.findings import Status
from harness.numbers import NONE, score_text, seconds_text
from harness.records import RunFiles
from harness.report.document import Quote, Section, mode_words
from harness.report.sections_summary import answers_table
from harness.report.wording import wording

if TYPE_CHECKING:
    from harness.score import Profiles, ProfileVerdict

MAX_QUOTED = 12
MAX_LISTED = 200
_PLACES = ("device", "gpus", "host", "git_commit", "rescored_from")
_NOT_SHOWN = frozenset({"candidates", "tasks", "schema_version", "external"})

Json = Mapping[str, Any]


def validation_section(validation: Validation | None) -> Section | None:
    """Every check that makes a run countable, and what it found."""
    told = wording("run/validation")
    rows = (
        (f.check, "FAILED" if f.status is Status.FAILED else f.status.words, f.message)
        for f in (validation.findings if validation else ())
    )
    return told.section(told.table("checks", rows))


def evidence_section(files: RunFiles) -> Section | None:
    """One row a server lifetime, and the log lines on which its verdict rests."""
    told = wording("run/evidence")
    rows: list[tuple[object, ...]] = []
    quotes: list[Quote] = []
    for startup in files.startups:
        model, mode = startup.model, mode_words(startup.mode)
        for number, start in enumerate(startup.starts, 1):
            gaps, lines = "; ".join(start.evidence.missing), start.evidence.lines[:MAX_QUOTED]
            why = start.failure or (gaps and f"not shown: {gaps}")
            verdict, ready = (start.verdict or "not judged", why), seconds_text(start.ready_after_s)
            rows.append((model, mode, number, ready, verdict, start.log or NONE))
            if lines:
                caption = f"{model}, {mode}, start {number}: {start.verdict}"
                quotes.append((caption, tuple(f"{line.line}: {line.text}" for line in lines)))
    return told.section(told.table("starts", rows), quotes=quotes)


def conditions_section(files: RunFiles, summary: Summary) -> Section | None:
    """Settings, versions, device, images, candidates and times, as the run recorded them."""
    told, metadata, spec = wording("run/conditions"), files.metadata, files.spec
    no_image = {"image"} if spec.get("backend") not in (None, "docker") else set()
    images, quotes = _given(files)
    facts = {
        "Device and host": {key: metadata.get(key) for key in _PLACES},
        "Versions": files.versions,
        "Images": images,
        "Settings": {k: v for k, v in spec.items() if k not in _NOT_SHOWN | no_image},
        "Candidates": metadata.get("candidates"),
        "Dispatch": metadata.get("dispatch_notes"),
    }
    sessions = (
        [session.get(key) for key in ("started_at", "ended_at", "exit", "error")]
        for session in metadata.get("sessions") or ()
    )
    return told.section(
        *(told.table("facts", _flat(value), part=part) for part, value in facts.items()),
        told.table("sessions", sessions),
        answers_table(summary),
        quotes=quotes,
    )


def _given(files: RunFiles) -> tuple[Json, list[Quote]]:
    """The images and the commands, of the first start of each mode."""
    images = {key: files.metadata[key] for key in ("image", "images") if files.metadata.get(key)}
    quotes: list[Quote] = []
    if command := files.metadata.get("command_line"):
        quotes.append(("Command", (" ".join(map(str, command)),)))
    seen = set[str]()
    for startup in files.startups:
        mode, server = mode_words(startup.mode), startup.starts[0].server if startup.starts else {}
        if not server or mode in seen:
            continue
        seen.add(mode)
        parts = (server, server.get("container") or {}, server.get("docker") or {})
        names = {k: v for part in parts for k, v in part.items() if "image" in k or "digest" in k}
        images |= {mode: names} if names else {}
        lines = [f"{name}={value}" for name, value in (server.get("environment") or {}).items()]
        lines += [" ".join(map(str, server["command"]))] if server.get("command") else []
        quotes += [(f"Server, {mode}", tuple(lines))] if lines else []
    return images, quotes


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
    told, listed = wording("run/profiles"), profiles.disagreements
    more = len(listed[MAX_LISTED:]) + profiles.disagreements_left_out
    flips = (
        (mode_words(mode), f"{t.scores_differ}/{t.answers}", *astuple(t.label_flips))
        for mode, t in sorted(profiles.by_mode.items(), reverse=True)  # standard first
    )

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
    note = f"{more:,} more are not listed here." if more else ""
    return told.section(told.table("flips", flips), told.table("rows", rows, more=note))
