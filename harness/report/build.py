"""A run's files, already read, become one `Report`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness import __version__
from harness.report.checks import conduct_table, kinds_section, noise_section, robustness_section
from harness.report.claims import claims_section, profiles_section, threats_section
from harness.report.conditions import conditions_section
from harness.report.figure_data import figure_data
from harness.report.headline import banner, checks, headline, nature
from harness.report.judged import adjudication_section
from harness.report.model import Report, Section
from harness.report.pairs import collect_pairs
from harness.report.proof import evidence_section, validation_section
from harness.report.results import (
    breakdown_sections,
    paired_section,
    results_section,
    score_pair_section,
)

__all__ = ["build_report"]

Json = Mapping[str, Any]


def build_report(
    summary: Json,
    records: Iterable[Json],
    startups: Sequence[Json] = (),
    metadata: Json | None = None,
    validation: Json | None = None,
    *,
    prompts: Mapping[str, str] | None = None,
    profiles: Json | None = None,
    adjudication: Json | None = None,
) -> Report:
    """Everything that a report shows.

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
    countable = bool(validation) and _passed(validation)
    pairs = collect_pairs(records, prompts or {})
    sections: list[Section | None] = [
        results_section(summary),
        paired_section(summary),
        claims_section(summary),
        threats_section(summary, known),
        evidence_section(startups),
        validation_section(checks(validation)),
        *breakdown_sections(summary),
        score_pair_section(summary),
        kinds_section(summary),
        profiles_section(profiles),
        adjudication_section(adjudication),
        noise_section(summary),
        robustness_section(summary),
        conditions_section(known, startups, conduct_table(summary)),
    ]
    return Report(
        run_id=str(known.get("run_id") or summary.get("run_id") or "records"),
        headline=headline(summary, known, startups, countable=countable),
        banner=banner(validation, countable=countable),
        countable=countable,
        nature=nature(summary, known),
        sections=tuple(section for section in sections if section is not None),
        figures=figure_data(summary),
        flips=tuple(pairs.flips),
        text_changes=tuple(pairs.text_changes),
        flips_left_out=pairs.flips_left_out,
        text_changes_left_out=pairs.text_changes_left_out,
        answer_limit=pairs.limit,
        checks=checks(validation),
        made_with=f"harness {__version__}",
    )


def _passed(validation: Json | None) -> bool:
    stated = validation or {}
    return bool(stated.get("passed", stated.get("ok", stated.get("valid"))))
