"""Candidate files checked and exported, and task files linted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.candidates import candidate_hashes, check_candidates
from harness.errors import GateFailed
from harness.records import (
    ExportedCandidates,
    export_candidates,
    iter_records,
    read_run_files,
    write_candidates,
)
from harness.settings import DEFAULT_PROFILE, load_spec, spec_source
from harness.tasks import load_tasks
from harness.tasks.lint import RULES, LintReport, Severity, lint_paths

ANY_MODE = "any"
_SLICES = (
    *("model", "task_name", "domain", "phase", "batch_size", "dispatch_mode"),
    "original_direction",
)


@dataclass(frozen=True, slots=True)
class CandidateCounts:
    """What is in candidate files: their hashes, all rows, and rows by the value of a column."""

    candidates: int
    files: Mapping[str, str]
    slices: Mapping[str, Mapping[str, int]]

    def to_json(self) -> dict[str, Any]:
        """For a machine."""
        return {"candidates": self.candidates, "files": self.files, "slices": self.slices}

    def lines(self) -> Iterator[str]:
        """For a person."""
        for file, digest in self.files.items():
            yield f"{file}  sha256 {digest}"
        yield f"{self.candidates} candidates"
        yield from _slice_lines(self.slices)


def _slice_lines(slices: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for name, counts in slices.items():
        line = ", ".join(f"{value} {count}" for value, count in counts.items())
        yield f"  {name:18} {line or '-'}"


def check_candidate_files(
    files: Sequence[str],
    *,
    tasks: str | None,
    profile: str | None,
    config: Path | None,
    source: str,
) -> CandidateCounts:
    """Check candidate files against the tasks, and count them by slice.

    Args:
        tasks: folder of task files; else the spec's.
        profile, config: whose models are the known ones; with neither, any name will do.
        source: ``auto``, ``csv`` or ``jsonl``.

    Raises:
        UsageError: a row is wrong; the message names file, line and column.
    """
    spec = load_spec(spec_source(profile, config, DEFAULT_PROFILE)).spec
    any_model = profile is None and config is None
    candidates = check_candidates(
        files,
        population=load_tasks(tasks or spec.tasks),
        models=None if any_model else spec.models,
        source=source,
    )
    slices = {}
    for column in _SLICES:
        values = (getattr(candidate, column) for candidate in candidates)
        found = Counter(value for value in values if value is not None)
        slices[column] = {str(value): count for value, count in sorted(found.items())}
    return CandidateCounts(len(candidates), candidate_hashes(files), slices)


@dataclass(frozen=True, slots=True)
class Exported:
    """Rows of a run that were written as candidates, and where they and their summary are."""

    rows: ExportedCandidates
    select: str
    source: str
    out: Path
    summary: Path

    def lines(self) -> Iterator[str]:
        """What was written, by which rule, and how much of it in each slice."""
        count = len(self.rows.rows)
        yield f"{self.out}: {count} candidates by {self.select}, sha256 {self.rows.sha256}"
        yield f"{self.summary}: rule, counts by slice, source {self.source}"
        yield from _slice_lines(self.rows.summary(self.out.name)["slices"])


def export_run(run: Path, out: Path, *, select: str, mode: str, tasks: Path | None) -> Exported:
    """Write the rows of a run that changed between solo and batched as a candidate file.

    Args:
        select: ``label_flip`` or ``text_change``.
        mode: the kernel path to look at, or ``any``.
        tasks: folder of task files, for directions of records without evidence.

    Raises:
        UsageError: a flag is wrong, or the run cannot be read.
    """
    files = read_run_files(run)
    source = str(files.metadata.get("run_id") or files.records_path.name)
    rows = export_candidates(
        (record for _, record in iter_records(files.records_path)),
        select=select,
        source=source,
        mode=None if mode == ANY_MODE else mode,
        scorers={task.name: task.scorer for task in load_tasks(tasks).tasks} if tasks else None,
    )
    return Exported(rows, select, source, out, write_candidates(rows, out))


def lint(paths: Sequence[Path], *, max_model_len: int, max_tokens: int) -> LintReport:
    """Lint task files, and folders of them.

    Args:
        max_model_len: tokens of the model's context.
        max_tokens: tokens of it that are kept for the answer.
    """
    return lint_paths(paths, max_model_len=max_model_len, max_tokens=max_tokens)


def lint_lines(report: LintReport, show: int) -> Iterator[str]:
    """A lint report's lines: a heading for each file and rule, then its first places.

    Args:
        report: what was found.
        show: places to print for each rule; 0 for all.
    """
    for (file, rule_id), findings in report.grouped().items():
        rule = RULES[rule_id]
        yield f"{file}: {rule.severity} {rule_id}: {len(findings)} × {rule.meaning}"
        yield f"  remedy: {rule.remedy}"
        shown = findings[:show] if show else findings
        for finding in shown:
            sample = f"{finding.sample}: " if finding.sample else ""
            yield f"  {finding.file}:{finding.line}: {sample}{finding.message}"
        if left := len(findings) - len(shown):
            yield f"  and {left} more (--show 0)"
    files = "1 file" if len(report.files) == 1 else f"{len(report.files)} files"
    yield (
        f"{files}, {report.samples} samples: "
        f"{report.count(Severity.ERROR)} errors, {report.count(Severity.WARNING)} warnings"
    )


def insist_on_no_errors(report: LintReport) -> None:
    """Let an error that the linter found set the exit code.

    Raises:
        GateFailed: it found one.
    """
    if errors := report.count(Severity.ERROR):
        raise GateFailed(f"the task linter found {errors} errors", hint="remedies are above")
