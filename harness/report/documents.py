"""The documents: what each kind of report shows, from values, in the order of its sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analyse import Summary, Validation, state_of
from harness.compare import Comparison, GateFinding, SampleComparison
from harness.errors import HarnessError
from harness.records import Record, RunFiles
from harness.report import in_words, standing
from harness.report import sections_askings as asked
from harness.report import sections_comparison as compared
from harness.report import sections_conduct as conduct
from harness.report import sections_images as images
from harness.report import sections_summary as told
from harness.report.changed_answers import change_groups, changed_pairs, examples, sample_groups
from harness.report.divergences import Divergences
from harness.report.document import (
    Banner,
    Case,
    Check,
    Document,
    Look,
    Section,
    Suite,
    Tone,
)
from harness.report.text import headline_clauses
from harness.report.wording import wording

if TYPE_CHECKING:
    from harness.images import ImageDifference, Inventory
    from harness.people import Outcome
    from harness.score import Profiles

ANSWERS_PAGE = "comparison.html"
"""The comparison of the answers, beside the page of the images that names it."""


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
    divergences = Divergences()
    groups = changed_pairs(divergences.watch(records), prompts or {})
    first = (in_words.claims(summary), told.threats(summary))
    rest = (
        asked.askings(summary),
        divergences.section(),
        told.results(summary),
        told.paired(summary),
        told.claims(summary),
        conduct.evidence_section(files),
        conduct.validation_section(validation),
        told.uncontrolled(summary),
        told.breakdowns(summary),
        told.score_pairs(summary),
        told.kinds(summary),
        conduct.profiles_section(profiles, summary.labels_by_profile),
        conduct.adjudication_section(adjudication),
        told.noise(summary),
        told.robustness(summary),
        conduct.conditions_section(files, summary),
    )
    run_id = files.run_id or summary.run_id or "records"
    state = state_of(files, validation)
    banner = standing.run_banner(summary, state, validation)
    checks = standing.validation_cases(validation.findings if validation else (), banner)
    flips = standing.invariance_cases(summary, groups[0].changes)
    sentence = in_words.headline(summary, state)
    context = standing.measured_on(summary, files)
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
        nature=standing.nature(summary, files),
        shows=in_words.shows(summary),
        examples=examples(groups),
        measures=told.measures(summary),
        sections=(
            *filter(None, first),
            *(replace(section, folded=True) for section in rest if section),
        ),
        groups=tuple(group for group in groups if group.changes),
        suites=(
            Suite("validation", tuple(checks), facts),
            Suite("batch_invariant", tuple(flips), facts),
        ),
    )


def comparison_document(
    comparison: Comparison | SampleComparison,
    verdicts: Sequence[GateFinding] = (),
    defects: Sequence[str] = (),
) -> Document:
    """Everything that a report of a comparison shows; answers are read from the two files.

    Args:
        comparison: what `compare_runs` or `compare_samples` gave.
        verdicts: of the gate.
        defects: checks of validation that a run failed, in words.
    """
    nature, unproven, asked = "", tuple[str, ...](), "prompts"
    if isinstance(comparison, SampleComparison):
        names, kicker = (comparison.a.path, comparison.b.path), "Samples against samples"
        measures, effects = compared.of_samples(comparison)
        sections, groups, asked = [effects], sample_groups(comparison), "documents"
    else:
        names, kicker = (comparison.a.name, comparison.b.name), "Run against run"
        modes, unproven = comparison.modes, comparison.unproven
        if modes[0].mode_a != modes[0].mode_b:
            names = f"{names[0]}, {modes[0].mode_a}", f"{names[1]}, {modes[0].mode_b}"
        measures, groups = compared.run_cards(modes), change_groups(comparison)
        sections = [
            compared.changed_answers(modes),
            compared.batch_effects(modes),
            compared.stack_changes(comparison.stack),
            compared.slices(modes),
        ]
        if "cpu" in (comparison.a.device, comparison.b.device):
            nature = standing.cpu_nature("At least one run")
    reservations = (
        *(("not proven", text) for text in unproven),
        *(("not checked", text) for text in comparison.not_checked),
        *(("left out", text) for text in comparison.left_out),
    )
    words = wording("comparison/open")
    sections.append(words.section(words.table("reservations", reservations)))
    clauses = headline_clauses(comparison)
    facts = (("a", names[0]), ("b", names[1]), ("result", "; ".join(clauses)))
    return Document(
        look=Look.COMPARISON,
        kicker=kicker,
        title=f"{names[0]} against {names[1]}: comparison",
        heading="Comparison",
        names=names,
        banner=standing.gate_banner(verdicts, defects, [text for _, text in reservations], asked),
        headline=clauses,
        nature=nature,
        measures=tuple(measures),
        checks=tuple(Check(v.condition, v.ok, v.reason) for v in verdicts),
        sections=tuple(filter(None, sections)),
        groups=groups,
        suites=tuple(standing.gate_suites(verdicts, defects, facts)),
        program="harness compare",
    )


def refusal_document(look: Look, names: Sequence[str], error: HarnessError) -> Document:
    """What stands where a report was asked for and is refused: why, and nothing else."""
    of, reasons = " against ".join(names), tuple(str(error).splitlines())
    return Document(
        look=look,
        kicker="No result",
        title=f"{of}: refused",
        heading="Refused",
        names=tuple(names),
        banner=Banner(Tone.BAD, "Refused: there is no result", reasons),
        headline=(error.message,),
        sections=(),
        suites=(Suite("result", (Case("there is a result", error.message, str(error)),)),),
        program=f"harness {look}",
    )


def image_difference_document(
    difference: ImageDifference, answers: Document | None = None, clauses: Sequence[str] = ()
) -> Document:
    """The report of a difference.

    Args:
        answers: the comparison of runs on both images; its report is `ANSWERS_PAGE`.
        clauses: what the images answered, a clause a mode.
    """
    names, kicker = (difference.a.image, difference.b.image), "Image against image"
    measures = images.difference_cards(difference)
    sections = [
        images.image_stack(difference),
        images.changed_arguments(difference),
        images.changed_mode(difference),
        images.changed_kernels(difference),
        images.changed_parts(
            "packages", python=difference.python_packages, system=difference.os_packages
        ),
        images.changed_parts(
            "container",
            start=difference.configuration,
            environment=difference.environment,
            labels=difference.labels,
            plugins=difference.plugins,
        ),
        wording("images/gaps").section(more=difference.not_compared),
    ]
    if answers is not None:
        kicker = f"{kicker}, with the answers of both"
        measures += [replace(measure, wide=True) for measure in answers.measures]
        words = wording("images/answers")
        link = Section(words.anchor, words.title, (words.otherwise,), page=ANSWERS_PAGE)
        joined = (
            replace(one, anchor=f"answers-{one.anchor}", figure=None, listed=False)
            for one in answers.sections
        )
        sections = [link, *joined, *sections]
    return Document(
        look=Look.IMAGES,
        kicker=kicker,
        title=f"{names[0]} against {names[1]}: image difference",
        heading="",
        names=names,
        banner=answers.banner if answers else None,
        headline=(difference.headline, *clauses),
        nature=answers.nature if answers else "",
        measures=tuple(measures),
        sections=tuple(filter(None, sections)),
        promise="every name in it that came from an image is escaped",
    )


def inventory_document(inventory: Inventory) -> Document:
    """Everything that was read from an image."""
    return Document(
        look=Look.IMAGES,
        kicker="Inventory of an image",
        title=f"{inventory.image}: inventory",
        heading="Inventory",
        names=(inventory.image,),
        headline=(images.versions_of(inventory),),
        context=inventory.config.platform,
        sections=tuple(filter(None, images.inventory_sections(inventory))),
    )
