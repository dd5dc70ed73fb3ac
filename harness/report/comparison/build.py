"""A comparison and its gate become one `ComparisonReport`."""

from __future__ import annotations

from collections.abc import Sequence

from harness import __version__
from harness.compare import Comparison, GateVerdict, SampleComparison, headline_clauses
from harness.report.comparison.model import ComparisonReport
from harness.report.comparison.sample_sections import sample_flows, sample_measures, sample_sections
from harness.report.comparison.sections import flows, measures, run_sections
from harness.report.comparison.views import change_groups, sample_groups
from harness.report.model import Banner, Tone

__all__ = ["build_comparison_report"]

CPU = (
    "At least one run used vLLM's CPU engine. Its numbers show the mechanism and test the "
    "pipeline; they say nothing about a GPU or about a real model."
)


def build_comparison_report(
    comparison: Comparison | SampleComparison,
    verdicts: Sequence[GateVerdict] = (),
    defects: Sequence[str] = (),
) -> ComparisonReport:
    """Everything that a report of a comparison shows; answers are read from the two files.

    Args:
        comparison: what `compare_runs` or `compare_samples` gave.
        verdicts: of the gate.
        defects: checks of validation that a run failed, in words.
    """
    unproven: tuple[str, ...] = ()
    nature = ""
    if isinstance(comparison, SampleComparison):
        names = (comparison.a, comparison.b)
        numbers, drawings = sample_measures(comparison), sample_flows(comparison)
        sections, (groups, limit) = sample_sections(comparison), sample_groups(comparison)
    else:
        names = _names(comparison)
        numbers, drawings = measures(comparison), flows(comparison)
        sections, (groups, limit) = run_sections(comparison), change_groups(comparison)
        nature = CPU if "cpu" in (comparison.a.device, comparison.b.device) else ""
        unproven = (*comparison.a.unproven, *comparison.b.unproven)
    return ComparisonReport(
        names=names,
        title=f"{names[0]} against {names[1]}",
        clauses=headline_clauses(comparison),
        banner=_banner(comparison, verdicts, defects, tuple(dict.fromkeys(unproven))),
        nature=nature,
        measures=numbers,
        flows=drawings,
        sections=sections,
        groups=groups,
        verdicts=tuple(verdicts),
        answer_limit=limit,
        samples=isinstance(comparison, SampleComparison),
        made_with=f"harness {__version__}",
    )


def _names(comparison: Comparison) -> tuple[str, str]:
    """The runs' ids, with the modes where one mode is set against another."""
    names = comparison.a.name, comparison.b.name
    first = comparison.modes[0]
    if first.mode_a == first.mode_b:
        return names
    return f"{names[0]}, {first.mode_a}", f"{names[1]}, {first.mode_b}"


def _banner(
    comparison: Comparison | SampleComparison,
    verdicts: Sequence[GateVerdict],
    defects: Sequence[str],
    unproven: Sequence[str],
) -> Banner:
    if defects:
        title = "A run does not count: do not quote these numbers as a result"
        return Banner(Tone.BAD, title, tuple(defects))
    failed = [verdict.condition for verdict in verdicts if not verdict.ok]
    if failed:
        return Banner(Tone.BAD, f"The gate fails: {', '.join(failed)}")
    reservations = (*unproven, *comparison.not_checked, *comparison.left_out)
    passed = "The gate passes" if verdicts else "Comparable"
    if reservations:
        return Banner(Tone.NOTE, f"{passed}, with reservations", reservations)
    asked = "the same documents" if isinstance(comparison, SampleComparison) else "the same prompts"
    return Banner(Tone.GOOD, f"{passed}: {asked}, asked in the same way, on both sides")
