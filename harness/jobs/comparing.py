"""What ``harness compare`` does behind its flags: gate, comparison, reports."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analyse import Finding, expectations_of, validate
from harness.compare import (
    MAX_FLIP_RATE,
    RUN_CONDITIONS,
    SAMPLE_CONDITIONS,
    Comparison,
    GateVerdict,
    SampleComparison,
    Side,
    compare_runs,
    compare_samples,
    judge,
    read_samples,
    read_side,
)
from harness.errors import GateFailed, IncompleteRun, UsageError
from harness.report.comparison import (
    COMPARISON_FORMATS,
    ComparisonReport,
    build_comparison_report,
    render_comparison_github,
    write_comparison_reports,
)
from harness.settings import nearest
from harness.words import Mode

__all__ = [
    "Compared",
    "Gate",
    "chosen_formats",
    "compare_run_folders",
    "compare_samples_files",
    "write_comparison",
]

_OF_COMPLETENESS = frozenset(
    {
        "last_line_whole",
        "no_record_errors",
        "every_candidate_in_both_modes",
        "modes_present",
        "rows_per_mode",
        "no_startup_errors",
        "every_selected_candidate",
        "run_finished",
        "answers_finished",
    }
)
_JUDGED_HERE = frozenset({"modes_proven"})


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold: conditions by name, and the largest flip rate of B."""

    conditions: tuple[str, ...]
    max_flip_rate: float | None

    @classmethod
    def parse(cls, text: str, max_flip_rate: float | None, *, samples: bool) -> Gate:
        """The conditions of a comma-separated list.

        Raises:
            UsageError: one of them is not known; the nearest one is named.
        """
        known: Mapping[str, Any] = SAMPLE_CONDITIONS if samples else RUN_CONDITIONS
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        for name in names:
            if name not in known:
                raise _unknown(name, known, samples=samples)
        return cls(names, max_flip_rate)

    def __bool__(self) -> bool:
        return bool(self.conditions) or self.max_flip_rate is not None


def _unknown(name: str, known: Mapping[str, Any], *, samples: bool) -> UsageError:
    if name == MAX_FLIP_RATE:
        hint = "it takes a number: --max-flip-rate 0.02"
    elif samples and name in RUN_CONDITIONS:
        hint = f"that one is for runs; for samples: {', '.join(known)}"
    elif not samples and name in SAMPLE_CONDITIONS:
        hint = f"that one is for lm-evaluation-harness samples; for runs: {', '.join(known)}"
    else:
        hint = nearest(name, known) or f"known: {', '.join(known)}"
    return UsageError(f"--fail-on: no condition '{name}'", hint=hint)


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison, its gate, and why a run does not count (checks that it failed)."""

    comparison: Comparison | SampleComparison
    verdicts: tuple[GateVerdict, ...]
    defects: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The content of ``comparison.json``."""
        verdicts = [verdict.as_json() for verdict in self.verdicts]
        return self.comparison.as_json() | {"defects": list(self.defects), "gate": verdicts}

    def insist(self) -> None:
        """Let a gate that failed set the exit code.

        Raises:
            GateFailed: a condition failed.
        """
        failed = [verdict for verdict in self.verdicts if not verdict.ok]
        if failed:
            raise GateFailed(
                f"the gate fails: {len(failed)} of {len(self.verdicts)} conditions",
                detail=tuple(f"{v.condition}: {v.reason}" for v in failed),
            )


def compare_samples_files(a: Path, b: Path, gate: Gate, *, allow_subset: bool) -> Compared:
    """Compare two lm-evaluation-harness samples files.

    Raises:
        UsageError: they cannot be read or are not comparable.
    """
    comparison = compare_samples(read_samples(a), read_samples(b), allow_subset=allow_subset)
    return Compared(comparison, judge(comparison, gate.conditions, gate.max_flip_rate))


def compare_run_folders(
    a: Path, b: Path, modes: tuple[Mode | None, Mode | None], gate: Gate, *, allow_subset: bool
) -> Compared:
    """Compare two runs; each is validated, and a gate insists that both count.

    Raises:
        UsageError: they cannot be read or are not comparable.
        IncompleteRun: a gate was asked for and a run is not complete.
        GateFailed: a gate was asked for and a run does not pass its own validation.
    """
    one = read_side(a)
    other = one if b.resolve() == a.resolve() else read_side(b)
    comparison = compare_runs(
        one, other, mode_a=modes[0], mode_b=modes[1], allow_subset=allow_subset
    )
    sides = {"A": one} if other is one else {"A": one, "B": other}
    failures = {name: _failures(side) for name, side in sides.items()}
    if gate:
        for name, side in sides.items():
            _require_countable(name, side, failures[name])
    defects = tuple(
        f"{name}: {finding.check}: {finding.message}"
        for name, found in failures.items()
        for finding in found
    )
    return Compared(comparison, judge(comparison, gate.conditions, gate.max_flip_rate), defects)


def _failures(side: Side) -> list[Finding]:
    """The checks that a run failed; whether its modes are proven is the gate's own question."""
    validation = validate(side.records, side.files, expectations_of(side.files))
    return [finding for finding in validation.failures if finding.check not in _JUDGED_HERE]


def _require_countable(name: str, side: Side, failures: Sequence[Finding]) -> None:
    if not failures:
        return
    error = (
        IncompleteRun
        if any(finding.check in _OF_COMPLETENESS for finding in failures)
        else GateFailed
    )
    raise error(
        f"{name} does not count, so nothing is gated on it",
        file=side.records.path,
        hint="see `harness validate`; a run is completed by `harness run` with its id",
        detail=tuple(f"{finding.check}: {finding.message}" for finding in failures),
    )


def write_comparison(compared: Compared, formats: Sequence[str], out: Path | None) -> list[Path]:
    """Write the reports asked for.

    Args:
        formats: keys of `COMPARISON_FORMATS`; ``github`` goes to ``$GITHUB_STEP_SUMMARY`` where
            that is set.
        out: the folder; else ``comparison-<A>-vs-<B>`` where the command was given.

    Returns:
        The files written.
    """
    report = build_comparison_report(compared.comparison, compared.verdicts, compared.defects)
    folder = out or Path(_folder_name(report))
    files = [
        name for name in formats if name != "github" or "GITHUB_STEP_SUMMARY" not in os.environ
    ]
    written = write_comparison_reports(report, compared.as_json(), files, folder) if files else []
    if len(files) < len(formats):
        target = Path(os.environ["GITHUB_STEP_SUMMARY"])
        with target.open("a", encoding="utf-8") as stream:
            stream.write(render_comparison_github(report))
        written.append(target)
    return written


def _folder_name(report: ComparisonReport) -> str:
    names = [re.sub(r"[^\w.-]+", "-", Path(name).name) for name in report.names]
    return f"comparison-{names[0]}-vs-{names[1]}"


def chosen_formats(text: str, out: Path | None) -> list[str]:
    """The report formats of a comma-separated list; with a folder and no list, the usual three.

    Raises:
        UsageError: one of them is not known.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names and out is not None:
        return ["md", "html", "json"]
    for name in names:
        if name not in COMPARISON_FORMATS:
            known = ", ".join(COMPARISON_FORMATS)
            raise UsageError(f"no report format '{name}'", hint=f"known: {known}")
    return list(dict.fromkeys(names))
