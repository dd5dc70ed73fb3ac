"""Two runs, or two modes of one, set against each other: comparison, gate, reports."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from msgspec import convert, to_builtins

from harness import compare, report
from harness.analyse import expectations_of, validate
from harness.errors import GateFailed, HarnessError, IncompleteRun, UsageError, nearest
from harness.jobs import Done
from harness.jobs.report_files import told_if_refused, write_formats
from harness.jobs.run_numbers import named, report_formats
from harness.records import METADATA, RECORDS, read_run_files
from harness.words import Mode

_SAMPLES = "lm-evaluation-harness samples"
_OF_COMPLETENESS = frozenset(
    (
        *("last_line_whole", "no_record_errors", "every_candidate_in_both_modes", "modes_present"),
        *("rows_per_mode", "no_startup_errors", "every_selected_candidate", "run_finished"),
        "answers_finished",
    )
)
_COMPLETED = "see `harness validate`; a run is completed by `harness run` with its id"


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold: conditions by name, and the largest flip rate of B."""

    conditions: tuple[str, ...]
    max_flip_rate: float | None

    @classmethod
    def parse(cls, text: str | None, max_flip_rate: float | None, *, samples: bool) -> Self:
        """The conditions of a comma-separated list, ``None`` where no list was given.

        Raises:
            UsageError: the list is empty, or one of them is not known; the nearest one is named.
        """
        asked = () if text is None else tuple(named(text, "--fail-on"))
        known: Mapping[str, Any] = compare.SAMPLE_CONDITIONS if samples else compare.RUN_CONDITIONS
        for name in (name for name in asked if name not in known):
            if name == compare.MAX_FLIP_RATE:
                hint: str | None = "it takes a number: --max-flip-rate 0.02"
            elif name in {*compare.RUN_CONDITIONS, *compare.SAMPLE_CONDITIONS}:
                theirs, ours = ("runs", "samples") if samples else (_SAMPLES, "runs")
                hint = f"that one is for {theirs}; for {ours}: {', '.join(known)}"
            else:
                hint = nearest(name, known, "known")
            raise UsageError(f"--fail-on: no condition '{name}'", hint=hint)
        return cls(asked, max_flip_rate)

    def __bool__(self) -> bool:
        return bool(self.conditions) or self.max_flip_rate is not None


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison, its gate, and why a run does not count (checks that it failed).

    ``contradictions`` are the defects that are more than that a run is not complete.
    """

    comparison: compare.Comparison | compare.SampleComparison
    verdicts: tuple[compare.GateFinding, ...]
    defects: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The content of ``comparison.json``."""
        gate = convert(self.verdicts, tuple[compare.GateVerdict, ...], from_attributes=True)
        content: dict[str, Any] = to_builtins(self.comparison)
        return content | {"defects": self.defects, "gate": to_builtins(gate)}

    def document(self) -> report.Document:
        """The comparison for a report."""
        return report.comparison_document(self.comparison, self.verdicts, self.defects)

    @property
    def failure(self) -> GateFailed | None:
        """The conditions of the gate that failed, else how a run contradicts itself."""
        failed = [verdict for verdict in self.verdicts if not verdict.ok]
        if failed:
            message = f"the gate fails: {len(failed)} of {len(self.verdicts)} conditions"
            reasons = (f"{verdict.condition}: {verdict.reason}" for verdict in failed)
            return GateFailed(message, detail=tuple(reasons))
        message = "a run contradicts itself, so the comparison says nothing"
        told = self.contradictions
        return GateFailed(message, hint="see `harness validate`", detail=told) if told else None


Folder = Path | None
Modes = tuple[Mode | None, Mode | None]
"""The mode of A and of B to look at; ``None`` for every one against itself."""
Asked = tuple[str | None, float | None]
"""What a gate insists on: conditions separated by commas, and the largest share of flips."""


def compare_any(
    a: Path,
    b: Path,
    modes: Modes,
    asked: Asked,
    allow_subset: bool,
    formats: str | None,
    out: Folder,
) -> Done:
    """Compare two runs or two lm-evaluation-harness samples files, whichever they are.

    Raises:
        UsageError: a condition is not known, or A and B cannot be read or compared.
        IncompleteRun, GateFailed: as `compare_run_folders`.
    """
    chosen = chosen_formats(formats, out)
    names = _names(a, b, modes) if chosen else []
    folder = _folder(names, out) if chosen else None
    with told_if_refused(report.Look.COMPARISON, names, chosen, folder):
        compared = _compared(a, b, modes, asked, allow_subset=allow_subset)
    lines = [*report.comparison_lines(compared.comparison)]
    lines += (f"does not count: {defect}" for defect in compared.defects)
    lines += (*([""] if compared.verdicts else ()), *report.gate_lines(compared.verdicts))
    written = write_comparison(compared, chosen, out) if chosen else ()
    wrote = (f"wrote {path}" for path in written)  # once the result is told
    return Done(lines, compared.as_json(), wrote, compared.failure)


def _names(a: Path, b: Path, modes: Modes) -> list[str]:
    """How a comparison would call its sides, as far as is known before they are read."""
    names, sides = [*map(_name, (a, b))], (modes[0], modes[1] or modes[0])
    if sides[0] == sides[1]:
        return names
    return [f"{name}, {mode}" for name, mode in zip(names, sides, strict=True)]


def _name(side: Path) -> str:
    with suppress(HarnessError):  # which the comparison tells
        if (run_id := read_run_files(side).run_id) is not None:
            return run_id
    return side.resolve().name


def _folder(names: Sequence[str], out: Folder) -> Path:
    plain = [re.sub(r"[^\w.-]+", "-", Path(name).name) for name in names]
    return out or Path(f"comparison-{plain[0]}-vs-{plain[1]}")


def _compared(a: Path, b: Path, modes: Modes, asked: Asked, *, allow_subset: bool) -> Compared:
    if missing := [path for path in (a, b) if not path.exists()]:
        hint = "give a run folder, a records file or a samples file"
        raise UsageError("no such run", file=missing[0], hint=hint)
    samples = compare.is_samples_file(a)
    if samples != compare.is_samples_file(b):
        one, other = (a, b) if samples else (b, a)
        message = f"{one} holds {_SAMPLES} and this does not"
        raise UsageError(message, file=other, hint="compare two runs, or two samples files")
    gate = Gate.parse(*asked, samples=samples)
    if not samples:
        return compare_run_folders(a, b, modes, gate, allow_subset=allow_subset)
    sides = map(compare.read_samples, (a, b))
    found = compare.compare_samples(*sides, allow_subset=allow_subset)
    return Compared(found, compare.judge(found, gate.conditions, gate.max_flip_rate))


def compare_run_folders(
    a: Path, b: Path, modes: Modes, gate: Gate, *, allow_subset: bool
) -> Compared:
    """Compare two runs; each is validated first, and a gate insists that both count.

    Raises:
        UsageError: they cannot be read or are not comparable.
        IncompleteRun: a gate was asked for and a run is not complete.
        GateFailed: a gate was asked for and a run does not pass its own validation.
    """
    mode_a, mode_b = modes
    paths = {"A": a} if b.resolve() == a.resolve() else {"A": a, "B": b}
    for name, path in paths.items() if gate else ():
        _insist_on_records(name, path)
    sides = {name: compare.read_side(path) for name, path in paths.items()}
    one, other = sides["A"], sides.get("B", sides["A"])
    defects, contradictions = list[str](), list[str]()
    for name, side in sides.items():
        found = validate(side.records, side.files, expectations_of(side.files)).failures
        # whether the modes are proven is a condition of the gate's own
        failures = [finding for finding in found if finding.check != "modes_proven"]
        reasons = tuple(f"{finding.check}: {finding.message}" for finding in failures)
        if gate and failures:
            incomplete = not _OF_COMPLETENESS.isdisjoint(finding.check for finding in failures)
            kind = IncompleteRun if incomplete else GateFailed
            message = f"{name} does not count, so nothing is gated on it"
            raise kind(message, file=side.records.path, hint=_COMPLETED, detail=reasons)
        defects += (f"{name}: {reason}" for reason in reasons)
        told = zip(failures, reasons, strict=True)
        contradictions += (
            f"{name}: {why}" for one, why in told if one.check not in _OF_COMPLETENESS
        )
    comparison = compare.compare_runs(
        one, other, mode_a=mode_a, mode_b=mode_b, allow_subset=allow_subset
    )
    verdicts = compare.judge(comparison, gate.conditions, gate.max_flip_rate)
    return Compared(comparison, verdicts, tuple(defects), tuple(contradictions))


def _insist_on_records(name: str, path: Path) -> None:
    """A run that was begun and has no record yet is half a run; what is no run is told later."""
    file = path / RECORDS
    if (path / METADATA).is_file() and not (file.is_file() and file.stat().st_size):
        message = f"{name} has no record yet, so nothing is gated on it"
        raise IncompleteRun(message, file=file, hint=_COMPLETED)


def write_comparison(compared: Compared, formats: Sequence[str], out: Folder) -> Iterator[Path]:
    """Write the reports asked for, and say where each is.

    Without a folder they go to ``comparison-<A>-vs-<B>`` where the command was given.
    """
    document = compared.document()
    folder = _folder(document.names, out)
    yield from write_formats(document, formats, folder, compared.as_json())


def chosen_formats(text: str | None, out: Folder) -> list[str]:
    """The report formats of a comma-separated list; with a folder and no list, the usual three.

    Raises:
        UsageError: the list is empty, or one of them is not known.
    """
    if text is None:
        return ["md", "html", "json"] if out is not None else []
    return report_formats(text, report.FILES[report.Look.COMPARISON])
