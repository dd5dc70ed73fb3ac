"""The report of a run: its result in a sentence, whether it counts, and every flip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.findings import Status
from harness.numbers import p_text, rate_text
from harness.report.answer_windows import Piece, beyond
from harness.report.changed_pairs import Shelf, collect_pairs
from harness.report.document import (
    Banner,
    Case,
    Change,
    Document,
    Group,
    Look,
    Measure,
    Suite,
    Tone,
    rate_entry,
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
    paired_text,
    results_section,
    score_pair_section,
)
from harness.words import Endpoint, Mode

if TYPE_CHECKING:
    from harness.analyse import Summary, Validation
    from harness.people import Outcome
    from harness.records import Record

MAX_FAILURES = 500
"""Flips under the batch-invariant path that CI is told one by one."""

Json = Mapping[str, Any]


def run_document(
    summary: Summary,
    records: Iterable[Record],
    startups: Sequence[Json] = (),
    metadata: Json | None = None,
    validation: Validation | None = None,
    *,
    prompts: Mapping[str, str] | None = None,
    profiles: Json | None = None,
    adjudication: Outcome | None = None,
) -> Document:
    """Everything that the report of a run shows.

    Args:
        records: in file order, walked once; only those whose answers differ are kept.
        startups: the ``startup_*.json`` objects.
        metadata: metadata.json, or ``None`` for a records file from elsewhere.
        validation: ``None`` where the run was not validated.
        prompts: prompt texts by SHA-256.
        adjudication: what people said of the flips.
        profiles: a comparison of the two scorer profiles (`harness.score.ProfileComparison`).
    """
    known = metadata or {}
    flips, text_changes, limit = collect_pairs(records, prompts or {})
    sections = (
        results_section(summary),
        paired_section(summary),
        claims_section(summary),
        threats_section(summary, known),
        evidence_section(startups),
        validation_section(validation),
        breakdown_section(summary),
        score_pair_section(summary),
        kinds_section(summary),
        profiles_section(profiles),
        adjudication_section(adjudication),
        noise_section(summary),
        robustness_section(summary),
        conditions_section(known, startups, conduct_table(summary)),
    )
    rates = {
        endpoint: [(m, t.of(endpoint)) for m, t in summary.by_mode.items() if t.of(endpoint).n]
        for endpoint in Endpoint
    }
    measures = tuple(
        Measure(
            endpoint.words,
            tuple(rate_entry(mode.words, rate, mode) for mode, rate in found),
            paired_text(summary.paired.of(endpoint)),
        )
        for endpoint, found in rates.items()
        if found
    )
    run_id = str(known.get("run_id") or summary.run_id or "records")
    banner = _banner(validation)
    sentence = headline(summary, countable=banner.tone is not Tone.BAD)
    context = measured_on(summary, known, startups)
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
            Suite("validation", tuple(_validation_cases(validation, banner)), facts),
            Suite("batch_invariant", tuple(_invariance_cases(summary, flips.changes)), facts),
        ),
        made_with=f"harness {__version__}",
    )


def headline(summary: Summary, *, countable: bool) -> str:
    """The sentence that people quote; it says so itself when the run does not count.

    It tells the label flips, or the text changes where no label flipped; the test is by prompt
    where rows share one, since they are not independent.
    """
    tables = summary.by_mode
    flips, texts = (sum(t.of(e).count for t in tables.values()) for e in Endpoint)
    told = Endpoint.TEXT_CHANGES if texts and not flips else Endpoint.LABEL_FLIPS
    sentence = "; ".join(
        f"{mode.words} kernels: {rate_text(counts.of(told))} {told.words.lower()}"
        for mode, counts in tables.items()
    )
    if len(tables) > 1 and summary.clusters.largest > 1:
        p = p_text(summary.clusters.of(told).p_two_sided)
        sentence += f"; exact sign-flip p = {p} over {summary.clusters.n_clusters} prompts"
    elif len(tables) > 1:
        sentence += f"; exact McNemar p = {p_text(summary.paired.of(told).p_two_sided)}"
    sentence = f"{sentence or 'no record was counted'}."
    return f"{sentence[0].upper()}{sentence[1:]}" if countable else f"Not countable: {sentence}"


def measured_on(summary: Summary, metadata: Json, startups: Sequence[Json]) -> str:
    """Device, vLLM and torch in one line, as far as the run recorded them."""
    stack, versions = summary.stack, metadata.get("versions") or {}
    evidence = [
        attempt.get("evidence") or {}
        for startup in startups
        for attempt in startup.get("attempts") or ()
    ]
    kind = {"cpu": "vLLM's CPU engine", "cuda": "GPU"}.get(str(_device(summary, metadata)))
    name = stack.device_name or (metadata.get("device") or {}).get("name")
    told = (e.get("vllm_version") for e in evidence)
    vllm = next(filter(None, (stack.vllm, versions.get("vllm"), *told)), None)
    told = (e.get("torch_version") for e in evidence)
    torch = next(filter(None, (versions.get("torch"), *told)), None)
    parts = (
        ": ".join(part for part in (kind or "device not recorded", name) if part),
        f"vLLM {vllm}" if vllm else "vLLM version not recorded",
        f"PyTorch {torch}" if torch else "PyTorch version not recorded",
    )
    return " · ".join(parts)


def _device(summary: Summary, metadata: Json) -> str | None:
    return summary.stack.device or (metadata.get("device") or {}).get("kind")


def nature(summary: Summary, metadata: Json) -> str:
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


def _banner(validation: Validation | None) -> Banner:
    """Whether the run counts; every check that failed or could not be made is named."""
    if validation is None:
        return Banner(Tone.BAD, "Not countable: this run was not validated")

    def reasons(*statuses: Status) -> tuple[str, ...]:
        return tuple(
            f"{finding.check}: {finding.message}" if finding.message else finding.check
            for finding in validation.findings
            if finding.status in statuses
        )

    if not validation.ok:
        failed = reasons(Status.FAILED) or ("no reason was recorded",)
        return Banner(Tone.BAD, "Not countable: do not quote these numbers as a result", failed)
    open_points = reasons(Status.NOT_CHECKED, Status.WARNING)
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


def _validation_cases(validation: Validation | None, banner: Banner) -> Iterable[Case]:
    if validation is None or not validation.findings:
        failure = banner.title if banner.tone is Tone.BAD else None
        yield Case("run is countable", failure, failure or "")
        return
    for finding in validation.findings:
        if finding.status is Status.FAILED:
            why = finding.message or finding.status
            yield Case(finding.check, why, why)
        else:
            skipped = finding.message if finding.status is Status.NOT_CHECKED else None
            yield Case(finding.check, skipped=skipped)


def _invariance_cases(summary: Summary, flips: Sequence[Change]) -> Iterable[Case]:
    """Flips under the standard path are the phenomenon and no failure; under the other each is."""
    counted = summary.mode(Mode.BATCH_INVARIANT).label_flips
    if counted.n:
        failure = f"{counted.count}/{counted.n} labels flipped" if counted.count else None
        yield Case("no label flips", failure, failure or "")
    for flip in [flip for flip in flips if flip.mode == Mode.BATCH_INVARIANT][:MAX_FAILURES]:
        lines = [f"{flip.model}, {', '.join(flip.context[1:])}: {flip.where[0]}"]
        for answer in flip.answers[0]:
            text = "".join(piece.text for piece in answer.pieces or ())
            lines.append(f"--- {answer.name}: {answer.scored}\n{text}")
        yield Case(f"{flip.model} {flip.heading}", flip.change, "\n".join(lines))
