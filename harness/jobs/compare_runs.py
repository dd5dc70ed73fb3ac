"""Two runs, or two modes of one, set against each other: comparison, gate, reports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import convert, to_builtins

from harness.analyse import expectations_of, validate
from harness.compare import (
    MAX_FLIP_RATE,
    RUN_CONDITIONS,
    SAMPLE_CONDITIONS,
    Comparison,
    GateFinding,
    GateVerdict,
    SampleComparison,
    compare_runs,
    compare_samples,
    is_samples_file,
    judge,
    read_samples,
    read_side,
)
from harness.errors import GateFailed, IncompleteRun, UsageError, nearest
from harness.jobs.run_numbers import add_step_summary, named, report_formats
from harness.report import (
    FILES,
    Document,
    Look,
    comparison_document,
    comparison_lines,
    gate_lines,
    rendered,
    write_document,
)
from harness.words import Mode

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
_JUDGED_HERE = frozenset({"modes_proven"})  # it is a condition of the gate's own


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
        names = tuple(named(text))
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
    verdicts: tuple[GateFinding, ...]
    defects: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The content of ``comparison.json``."""
        gate = convert(self.verdicts, tuple[GateVerdict, ...], from_attributes=True)
        content: dict[str, Any] = to_builtins(self.comparison)
        return content | {"defects": self.defects, "gate": to_builtins(gate)}

    def document(self) -> Document:
        """The comparison for a report."""
        return comparison_document(self.comparison, self.verdicts, self.defects)

    def lines(self) -> Iterator[str]:
        """The comparison, why a run does not count, and the gate."""
        yield from comparison_lines(self.comparison)
        for defect in self.defects:
            yield f"does not count: {defect}"
        if self.verdicts:
            yield ""
        yield from gate_lines(self.verdicts)

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


def compare(
    a: Path,
    b: Path,
    modes: tuple[Mode | None, Mode | None],
    *,
    fail_on: str,
    max_flip_rate: float | None,
    allow_subset: bool,
) -> Compared:
    """Compare two runs or two lm-evaluation-harness samples files, whichever they are.

    Args:
        modes: the mode of A and of B to look at; `None` for every one against itself.
        fail_on: conditions of the gate, separated by commas.
        max_flip_rate: largest share of label flips of B that passes.
        allow_subset: compare what both have.

    Raises:
        UsageError: a condition is not known, or A and B cannot be read or compared.
        IncompleteRun, GateFailed: as `compare_run_folders`.
    """
    samples = _are_samples(a, b)
    gate = Gate.parse(fail_on, max_flip_rate, samples=samples)
    if not samples:
        return compare_run_folders(a, b, modes, gate, allow_subset=allow_subset)
    comparison = compare_samples(read_samples(a), read_samples(b), allow_subset=allow_subset)
    return Compared(comparison, judge(comparison, gate.conditions, gate.max_flip_rate))


def _are_samples(a: Path, b: Path) -> bool:
    """Whether both are lm-evaluation-harness samples; one of them alone is refused."""
    for path in (a, b):
        if not path.exists():
            hint = "give a run folder, a records file or a samples file"
            raise UsageError("no such run", file=path, hint=hint)
    kinds = is_samples_file(a), is_samples_file(b)
    if kinds[0] != kinds[1]:
        samples, other = (a, b) if kinds[0] else (b, a)
        raise UsageError(
            f"{samples} holds lm-evaluation-harness samples and this does not",
            file=other,
            hint="compare two runs, or two samples files",
        )
    return all(kinds)


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
    defects: list[str] = []
    for name, side in sides.items():
        found = validate(side.records, side.files, expectations_of(side.files)).failures
        failures = [finding for finding in found if finding.check not in _JUDGED_HERE]
        reasons = tuple(f"{finding.check}: {finding.message}" for finding in failures)
        if gate and failures:
            incomplete = not _OF_COMPLETENESS.isdisjoint(finding.check for finding in failures)
            raise (IncompleteRun if incomplete else GateFailed)(
                f"{name} does not count, so nothing is gated on it",
                file=side.records.path,
                hint="see `harness validate`; a run is completed by `harness run` with its id",
                detail=reasons,
            )
        defects += (f"{name}: {reason}" for reason in reasons)
    verdicts = judge(comparison, gate.conditions, gate.max_flip_rate)
    return Compared(comparison, verdicts, tuple(defects))


def write_comparison(compared: Compared, formats: Sequence[str], out: Path | None) -> list[Path]:
    """Write the reports asked for.

    Args:
        formats: of `harness.report.FILES`; ``github`` goes to ``$GITHUB_STEP_SUMMARY`` where
            that is set.
        out: the folder; else ``comparison-<A>-vs-<B>`` where the command was given.

    Returns:
        The files written.
    """
    document = compared.document()
    names = [re.sub(r"[^\w.-]+", "-", Path(name).name) for name in document.names]
    folder = out or Path(f"comparison-{names[0]}-vs-{names[1]}")
    content = compared.as_json()
    files = [name for name in formats if name != "github"]
    written = write_document(document, files, folder, content)
    if "github" in formats:
        step = add_step_summary(rendered(document, "github"))
        written += [step] if step else write_document(document, ["github"], folder)
    return written


def chosen_formats(text: str, out: Path | None) -> list[str]:
    """The report formats of a comma-separated list; with a folder and no list, the usual three.

    Raises:
        UsageError: one of them is not known.
    """
    if not named(text):
        return ["md", "html", "json"] if out is not None else []
    return report_formats(text, FILES[Look.COMPARISON])
