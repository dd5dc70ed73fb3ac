"""The report of a run: its result in a sentence, whether it counts, and every flip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__
from harness.analyse import Summary, Validation
from harness.findings import Status
from harness.numbers import p_text, rate_text
from harness.records import Record, RunFiles
from harness.report import sections_summary as told
from harness.report.changed_pairs import changed_pairs
from harness.report.document import (
    Banner,
    Case,
    Change,
    Document,
    Look,
    Measure,
    Suite,
    Tone,
    rate_entry,
)
from harness.report.sections_adjudication import adjudication_section
from harness.report.sections_conduct import (
    conditions_section,
    evidence_section,
    profiles_section,
    validation_section,
)
from harness.words import Endpoint, Mode

if TYPE_CHECKING:
    from harness.people import Outcome
    from harness.score import Profiles

MAX_FAILURES = 500
"""Flips under the batch-invariant path that CI is told one by one."""


def run_document(
    summary: Summary,
    records: Iterable[Record],
    files: RunFiles | None = None,
    validation: Validation | None = None,
    *,
    prompts: Mapping[str, str] | None = None,
    profiles: Profiles | None = None,
    adjudication: Outcome | None = None,
) -> Document:
    """Everything that the report of a run shows.

    Args:
        records: in file order, walked once; only those whose answers differ are kept.
        files: the run's metadata and start-ups; ``None`` for records from elsewhere.
        validation: ``None`` where the run was not validated.
        prompts: prompt texts by SHA-256.
        adjudication: what people said of the flips.
        profiles: a comparison of the two scorer profiles.
    """
    files = files or RunFiles(Path(), Path())
    groups = changed_pairs(records, prompts or {})
    sections = (
        told.results(summary),
        told.paired(summary),
        told.claims(summary),
        told.threats(summary),
        evidence_section(files),
        validation_section(validation),
        told.breakdowns(summary),
        told.score_pairs(summary),
        told.kinds(summary),
        profiles_section(profiles),
        adjudication_section(adjudication),
        told.noise(summary),
        told.robustness(summary),
        conditions_section(files, summary),
    )
    run_id = files.run_id or summary.run_id or "records"
    banner, checks = _judged(validation)
    sentence = headline(summary, countable=banner.tone is not Tone.BAD)
    context = measured_on(summary, files)
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
        nature=nature(summary, files),
        measures=tuple(
            Measure(endpoint.words, entries, told.paired_text(summary.paired.of(endpoint)))
            for endpoint in Endpoint
            if (
                entries := tuple(
                    rate_entry(mode.words, rate, mode)
                    for mode, counts in summary.by_mode.items()
                    if (rate := counts.of(endpoint)).n
                )
            )
        ),
        sections=tuple(filter(None, sections)),
        groups=tuple(group for group in groups if group.changes),
        suites=(
            Suite("validation", checks, facts),
            Suite("batch_invariant", tuple(_invariance_cases(summary, groups[0].changes)), facts),
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
    shown = Endpoint.TEXT_CHANGES if texts and not flips else Endpoint.LABEL_FLIPS
    sentence = "; ".join(
        f"{mode.words} kernels: {rate_text(counts.of(shown))} {shown.words.lower()}"
        for mode, counts in tables.items()
    )
    if len(tables) > 1 and summary.clusters.largest > 1:
        p = p_text(summary.clusters.of(shown).p_two_sided)
        sentence += f"; exact sign-flip p = {p} over {summary.clusters.n_clusters} prompts"
    elif len(tables) > 1:
        sentence += f"; exact McNemar p = {p_text(summary.paired.of(shown).p_two_sided)}"
    sentence = f"{sentence or 'no record was counted'}."
    return f"{sentence[0].upper()}{sentence[1:]}" if countable else f"Not countable: {sentence}"


def measured_on(summary: Summary, files: RunFiles) -> str:
    """Device, vLLM and torch in one line, as far as the run recorded them."""
    stack, logged = summary.stack, [s.evidence for up in files.startups for s in up.starts]
    kind = {"cpu": "vLLM's CPU engine", "cuda": "GPU"}.get(str(_device(summary, files)))
    device = (kind or "device not recorded", stack.device_name or files.device_name)
    known = {
        "vLLM": (stack.vllm, files.versions.get("vllm"), *(e.vllm_version for e in logged)),
        "PyTorch": (files.versions.get("torch"), *(e.torch_version for e in logged)),
    }
    versions = (
        f"{name} {next(filter(None, of), 'version not recorded')}" for name, of in known.items()
    )
    return " · ".join((": ".join(filter(None, device)), *versions))


def _device(summary: Summary, files: RunFiles) -> str | None:
    return summary.stack.device or files.device_kind


def nature(summary: Summary, files: RunFiles) -> str:
    """What numbers from this kind of device can say; empty for a GPU."""
    kind = _device(summary, files)
    if kind == "cpu":
        return cpu_nature("This run")
    return "The records do not say on which device they were made." if kind is None else ""


def cpu_nature(runs: str) -> str:
    """What the numbers of a run on vLLM's CPU engine can say."""
    return (
        f"{runs} used vLLM's CPU engine. Its numbers show the mechanism and test the "
        "pipeline; they say nothing about a GPU or about a real model."
    )


def _case(name: str, why: str | None, skipped: str | None = None) -> Case:
    return Case(name, why, why or "", skipped)


def _judged(validation: Validation | None) -> tuple[Banner, tuple[Case, ...]]:
    """Whether the run counts, with every check that failed or could not be made; and for CI."""
    findings = validation.findings if validation else ()
    failed, open_points = (
        tuple(
            f"{f.check}: {f.message}" if f.message else f.check for f in findings if f.status in s
        )
        for s in ((Status.FAILED,), (Status.NOT_CHECKED, Status.WARNING))
    )
    if validation is None:
        banner = Banner(Tone.BAD, "Not countable: this run was not validated")
    elif not validation.ok:
        title = "Not countable: do not quote these numbers as a result"
        banner = Banner(Tone.BAD, title, failed or ("no reason was recorded",))
    elif open_points:
        title = "Countable with reservations: no check failed"
        banner = Banner(Tone.NOTE, title, open_points)
    else:
        banner = Banner(Tone.GOOD, "Countable: the run is complete and every check passed")
    cases = tuple(
        _case(
            f.check,
            (f.message or f.status) if f.status is Status.FAILED else None,
            f.message if f.status is Status.NOT_CHECKED else None,
        )
        for f in findings
    )
    bad = banner.title if banner.tone is Tone.BAD else None
    return banner, cases or (_case("run is countable", bad),)


def _invariance_cases(summary: Summary, flips: Iterable[Change]) -> Iterator[Case]:
    """Flips under the standard path are the phenomenon and no failure; under the other each is."""
    counted = summary.mode(Mode.BATCH_INVARIANT).label_flips
    if counted.n:
        failure = f"{counted.count}/{counted.n} labels flipped" if counted.count else None
        yield _case("no label flips", failure)
    for flip in [flip for flip in flips if flip.mode == Mode.BATCH_INVARIANT][:MAX_FAILURES]:
        lines = [f"{flip.model}, {', '.join(flip.context[1:])}: {flip.where[0]}"]
        for answer in flip.answers[0]:
            text = "".join(piece.text for piece in answer.pieces or ())
            lines.append(f"--- {answer.name}: {answer.scored}\n{text}")
        yield Case(f"{flip.model} {flip.heading}", flip.change, "\n".join(lines))
