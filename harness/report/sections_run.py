"""The report of a run: its result in a sentence, whether it counts, and every flip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import convert

from harness import __version__
from harness.analyse import Rate
from harness.numbers import NONE, p_text
from harness.report.answer_windows import beyond
from harness.report.changed_pairs import Shelf, collect_pairs
from harness.report.document import (
    Banner,
    Case,
    Change,
    Document,
    Group,
    Look,
    Measure,
    Piece,
    Suite,
    Tone,
    mode_words,
)
from harness.report.sections_adjudication import adjudication_section
from harness.report.sections_beside import (
    claims_section,
    conduct_table,
    kinds_section,
    noise_section,
    profiles_section,
    robustness_section,
    threats_section,
)
from harness.report.sections_conduct import (
    conditions_section,
    evidence_section,
    validation_section,
)
from harness.report.sections_results import (
    breakdown_section,
    paired_section,
    results_section,
    score_pair_section,
)
from harness.report.summary_numbers import paired_text, rate_entry, rate_text
from harness.words import MODES, Endpoint, Mode

if TYPE_CHECKING:
    from harness.people import Outcome

MAX_FAILURES = 500
"""Flips under the batch-invariant path that CI is told one by one."""

Json = Mapping[str, Any]


def run_document(
    summary: Json,
    records: Iterable[Json],
    startups: Sequence[Json] = (),
    metadata: Json | None = None,
    validation: Json | None = None,
    *,
    prompts: Mapping[str, str] | None = None,
    profiles: Json | None = None,
    adjudication: Outcome | None = None,
) -> Document:
    """Everything that the report of a run shows.

    Args:
        summary: summary.json (DESIGN 4.7).
        records: record objects in file order, walked once; nothing of them is kept but the
            records whose answers differ.
        startups: the ``startup_*.json`` objects.
        metadata: metadata.json, or ``None`` for a records file from elsewhere.
        validation: validation.json, or ``None`` where the run was not validated.
        prompts: prompt texts by SHA-256.
        adjudication: the outcome of `harness adjudicate import`.
        profiles: a comparison of the two scorer profiles (`harness.score.ProfileComparison`).
    """
    known = metadata or {}
    stated = validation or {}
    countable = bool(stated.get("passed", stated.get("ok", stated.get("valid"))))
    checks = _checks(validation)
    flips, text_changes, limit = collect_pairs(records, prompts or {})
    sections = (
        results_section(summary),
        paired_section(summary),
        claims_section(summary),
        threats_section(summary, known),
        evidence_section(startups),
        validation_section(checks),
        breakdown_section(summary),
        score_pair_section(summary),
        kinds_section(summary),
        profiles_section(profiles),
        adjudication_section(adjudication),
        noise_section(summary),
        robustness_section(summary),
        conditions_section(known, startups, conduct_table(summary)),
    )
    run_id = str(known.get("run_id") or summary.get("run_id") or "records")
    banner = _banner(validation, countable=countable)
    sentence = headline(summary, countable=countable)
    context = measured_on(summary, known, startups)
    measures = _measures(summary)
    facts = (("run_id", run_id), ("result", sentence), ("measured_on", context))
    return Document(
        look=Look.RUN,
        kicker="Batch-invariance ablation",
        title=f"{run_id}: batch-invariance report",
        heading="Batch-invariance ablation",
        names=(run_id,),
        banner=banner,
        headline=(sentence,),
        context=context,
        nature=nature(summary, known),
        measures=measures,
        sections=tuple(section for section in sections if section is not None),
        groups=tuple(_groups(flips, text_changes, limit)),
        suites=(
            Suite("validation", _validation_cases(checks, banner, countable=countable), facts),
            Suite("batch_invariant", tuple(_invariance_cases(measures, flips.changes)), facts),
        ),
        made_with=f"harness {__version__}",
    )


def _modes(summary: Json) -> list[str]:
    by_mode = summary.get("by_mode") or {}
    return [mode for mode in MODES if mode in by_mode]


def headline(summary: Json, *, countable: bool) -> str:
    """The sentence that people quote; it says so itself when the run does not count.

    It tells the label flips, or the text changes where no label flipped.
    """
    sentence = _sentence(summary)
    return sentence if countable else f"Not countable: {sentence[0].lower()}{sentence[1:]}"


def _sentence(summary: Json) -> str:
    modes = _modes(summary)
    if not modes:
        return "No record was counted."
    counts = {
        endpoint: sum(
            (summary["by_mode"][mode].get(endpoint) or {}).get("count") or 0 for mode in modes
        )
        for endpoint in Endpoint
    }
    told = Endpoint.LABEL_FLIPS
    if counts[Endpoint.TEXT_CHANGES] and not counts[told]:
        told = Endpoint.TEXT_CHANGES
    clauses = "; ".join(
        f"{mode_words(mode)} kernels: "
        f"{rate_text(summary['by_mode'][mode].get(told))} {told.words.lower()}"
        for mode in modes
    )
    sentence = f"{clauses[0].upper()}{clauses[1:]}"
    paired = (summary.get("paired") or {}).get(told) or {}
    if paired.get("p_two_sided") is None or len(modes) < 2:
        return f"{sentence}."
    clusters = summary.get("clusters") or {}
    if (clusters.get("largest") or 0) > 1:
        # rows of one prompt are not independent
        p = p_text((clusters.get(told) or {}).get("p_two_sided"))
        return f"{sentence}; exact sign-flip p = {p} over {clusters['n_clusters']} prompts."
    return f"{sentence}; exact McNemar p = {p_text(paired['p_two_sided'])}."


def _measures(summary: Json) -> tuple[Measure, ...]:
    found = []
    for endpoint in Endpoint:
        entries = [
            rate_entry(mode_words(mode), convert(rate, Rate), mode)
            for mode in _modes(summary)
            if (rate := summary["by_mode"][mode].get(endpoint) or {}).get("n")
        ]
        test = paired_text((summary.get("paired") or {}).get(endpoint))
        if entries:
            found.append(Measure(endpoint.words, tuple(entries), "" if test == NONE else test))
    return tuple(found)


def measured_on(summary: Json, metadata: Json, startups: Sequence[Json]) -> str:
    """Device, vLLM and torch in one line, as far as the run recorded them."""
    stack, versions = summary.get("stack") or {}, metadata.get("versions") or {}
    evidence = [
        attempt.get("evidence") or {}
        for startup in startups
        for attempt in startup.get("attempts") or ()
    ]

    def first(*values: Any) -> str | None:
        return next((str(value) for value in values if value), None)

    kind = {"cpu": "vLLM's CPU engine", "cuda": "GPU"}.get(str(_device(summary, metadata)))
    name = first(stack.get("device_name"), (metadata.get("device") or {}).get("name"))
    stated = (stack.get("vllm"), versions.get("vllm"))
    vllm = first(*stated, *(e.get("vllm_version") for e in evidence))
    torch = first(versions.get("torch"), *(e.get("torch_version") for e in evidence))
    parts = (
        ": ".join(part for part in (kind or "device not recorded", name) if part),
        f"vLLM {vllm}" if vllm else "vLLM version not recorded",
        f"PyTorch {torch}" if torch else "PyTorch version not recorded",
    )
    return " · ".join(parts)


def _device(summary: Json, metadata: Json) -> str | None:
    device = metadata.get("device") or {}
    return (summary.get("stack") or {}).get("device") or device.get("kind")


def nature(summary: Json, metadata: Json) -> str:
    """What numbers from this kind of device can say; empty for a GPU."""
    kind = _device(summary, metadata)
    if kind == "cpu":
        return cpu_nature("This run")
    return "The records do not say on which device they were made." if kind is None else ""


def cpu_nature(runs: str) -> str:
    """What the numbers of a run on vLLM's CPU engine can say."""
    return (
        f"{runs} used vLLM's CPU engine. Its numbers show the mechanism and test the "
        "pipeline; they say nothing about a GPU or about a real model."
    )


def _checks(validation: Json | None) -> tuple[tuple[str, str, str], ...]:
    """Validation's findings as ``(check, status, message)``."""
    rows = (validation or {}).get("findings") or ()
    return tuple(
        (str(row.get("check")), str(row.get("status")), str(row.get("message") or ""))
        for row in rows
    )


def _banner(validation: Json | None, *, countable: bool) -> Banner:
    """Whether the run counts; every check that failed or could not be made is named."""
    if validation is None:
        return Banner(Tone.BAD, "Not countable: this run was not validated")

    def reasons(*statuses: str) -> tuple[str, ...]:
        return tuple(
            f"{name}: {message}" if message else name
            for name, status, message in _checks(validation)
            if status in statuses
        )

    if not countable:
        failed = reasons("failed") or ("no reason was recorded",)
        return Banner(Tone.BAD, "Not countable: do not quote these numbers as a result", failed)
    open_points = reasons("not_checked", "warning")
    if open_points:
        return Banner(Tone.NOTE, "Countable with reservations: no check failed", open_points)
    return Banner(Tone.GOOD, "Countable: the run is complete and every check passed")


def _groups(flips: Shelf, text_changes: Shelf, limit: int) -> Iterable[Group]:
    if flips.changes:
        total = len(flips.changes) + flips.left_out
        left_out = (
            f"{flips.left_out:,} further flips are counted above and not shown here; they are in "
            "the records file."
        )
        yield Group(
            anchor="flips",
            title="Every flip",
            short="Every flip",
            prose=(
                Piece(f"{len(flips.changes):,} label flips, solo and batched side by side. "),
                Piece("Marked", differs=True),
                Piece(": where the two answers first differ. "),
                Piece("Underlined", evidence=True),
                Piece(
                    f": what the scorer matched. Up to {limit:,} characters of an answer are "
                    "shown, round the first difference; the hash is of the whole."
                ),
            ),
            changes=flips.changes,
            left_out=flips.left_out,
            plain="⟪…⟫ marks the first difference. Text is shown as it was answered, cut where it "
            "is long.",
            warning=left_out if flips.left_out else "",
            most=200,
            rest="further flips are in the records file and, up to a limit, in report.html.",
            brief=f"{total:,} label flips",
            elsewhere=", in report.html",
            opens=True,
            searched=True,
        )
    if text_changes.changes:
        words = "answers changed and kept their score"
        total = len(text_changes.changes) + text_changes.left_out
        yield Group(
            anchor="text-changes",
            title="Text changes without a flip",
            short="Text changes",
            prose=(
                Piece(f"{len(text_changes.changes):,} {words}."),
                Piece(beyond(text_changes.left_out)),
            ),
            changes=text_changes.changes,
            left_out=text_changes.left_out,
            most=200,
            listed=f"{total:,} {words}",
        )


def _validation_cases(
    checks: Sequence[tuple[str, str, str]], banner: Banner, *, countable: bool
) -> tuple[Case, ...]:
    if not checks:
        failure = None if countable else banner.title
        return (Case("run is countable", failure, failure or ""),)
    return tuple(
        Case(name, message or status, message or status)
        if status == "failed"
        else Case(name, skipped=message if status == "not_checked" else None)
        for name, status, message in checks
    )


def _invariance_cases(measures: Sequence[Measure], flips: Sequence[Change]) -> Iterable[Case]:
    """Flips under the standard path are the phenomenon and no failure; under the other each is."""
    counts = [
        entry.count
        for measure in measures
        if measure.label == Endpoint.LABEL_FLIPS.words
        for entry in measure.entries
        if entry.mode == Mode.BATCH_INVARIANT
    ]
    for count in counts:
        failure = None if count.startswith("0/") else f"{count} labels flipped"
        yield Case("no label flips", failure, failure or "")
    for flip in [flip for flip in flips if flip.mode == Mode.BATCH_INVARIANT][:MAX_FAILURES]:
        lines = [f"{flip.model}, {', '.join(flip.context[1:])}: {flip.where[0]}"]
        for answer in flip.answers[0]:
            text = "".join(piece.text for piece in answer.pieces or ())
            lines.append(f"--- {answer.name}: {answer.scored}\n{text}")
        yield Case(f"{flip.model} {flip.heading}", flip.change, "\n".join(lines))
