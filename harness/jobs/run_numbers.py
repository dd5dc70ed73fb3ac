"""The numbers of a run that is there already: summarised, validated, reported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec import to_builtins

from harness.analyse import (
    Summary,
    Validation,
    read_summary,
    read_validation,
    summarise_run,
    validate_run,
)
from harness.errors import GateFailed, UsageError
from harness.files import append_text, write_json
from harness.records import read_run_files
from harness.report import FILES, Look, load_report, rendered, summary_lines, write_reports
from harness.words import Mode

_MARKS = {"ok": "ok", "failed": "FAILED", "warning": "warning", "not_checked": "not checked"}


def named(text: str) -> list[str]:
    """The names of a comma-separated list, each once, in the order given."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def report_formats(text: str, known: Iterable[str]) -> list[str]:
    """The formats of a comma-separated list.

    Raises:
        UsageError: none, or one that is not known.
    """
    names = named(text)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        hint = f"known: {', '.join(known)}"
        raise UsageError(f"no report format '{', '.join(unknown)}'", hint=hint)
    return names


def add_step_summary(text: str) -> Path | None:
    """Add Markdown to the summary of the CI step that this runs in; where that is, if anywhere."""
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if not target:
        return None
    append_text(Path(target), text)
    return Path(target)


@dataclass(frozen=True, slots=True)
class Summarised:
    """A run's numbers, and the file that they were written to."""

    summary: Summary
    file: Path

    def lines(self) -> Iterator[str]:
        """The numbers for a person."""
        return iter(summary_lines(self.summary))


def summarise(run: Path, output: Path | None) -> Summarised:
    """Recompute a run's numbers and write them to ``output``, else beside the records."""
    summary = summarise_run(run)
    target = output or read_run_files(run).folder / "summary.json"
    write_json(target, to_builtins(summary))
    return Summarised(summary, target)


def validate(run: Path, modes: str | None, rows_per_mode: int | None) -> tuple[Validation, Path]:
    """Validate a run and write what was found beside its records.

    Args:
        modes: the modes that must be there, separated by commas; else as the run's spec says.
        rows_per_mode: the records that each must have; else as the run's spec says.

    Raises:
        UsageError: a mode is not known, or the run cannot be read.
    """
    try:
        required = None if modes is None else [Mode(name) for name in named(modes)]
    except ValueError as error:
        hint = f"known modes: {', '.join(Mode)}"
        raise UsageError(f"--require-modes: {error}", hint=hint) from None
    found = validate_run(run, require_modes=required, expected_rows_per_mode=rows_per_mode)
    target = read_run_files(run).folder / "validation.json"
    write_json(target, to_builtins(found))
    return found, target


def validation_lines(found: Validation) -> Iterator[str]:
    """Counts, then a line a check."""
    yield (
        f"n_records = {found.n_records}, n_ok = {found.n_ok}, "
        f"startup_error_count = {found.startup_error_count}"
    )
    for mode, count in found.by_mode.items():
        yield f"{mode}: {count.records} records, {count.errors} errors"
    for finding in found.findings:
        yield f"{_MARKS[finding.status]:<12} {finding.check}: {finding.message}"


def insist(found: Validation, file: Path) -> None:
    """Let a validation that failed set the exit code.

    Raises:
        GateFailed: a check failed.
    """
    if not found.ok:
        raise GateFailed(
            f"{len(found.failures)} check(s) failed: this run does not count",
            file=file,
            detail=found.reasons,
        )


def report(run: Path, formats: str, out: Path | None) -> Iterator[str | Path]:
    """Write a run's reports; where each is, or the step summary itself outside of CI.

    Args:
        formats: of `harness.report.FILES`, separated by commas.
        out: the folder; else beside the run.

    Raises:
        UsageError: an unknown format, or a run that cannot be read.
    """
    chosen = report_formats(formats, FILES[Look.RUN])
    summary, validation = _numbers(run)
    files = [name for name in chosen if name != "github"]
    if files:
        yield from write_reports(run, files, folder=out, summary=summary, validation=validation)
    if "github" in chosen:
        text = rendered(load_report(run, summary, validation), "github")
        yield add_step_summary(text) or text


def _numbers(run: Path) -> tuple[Summary, Validation]:
    """Summary and validation: from their files, or anew where those are missing or stale.

    Beside a records file that is no run folder's own they may be of another file, so they are
    computed.
    """
    files = read_run_files(run)
    sources = [files.records_path, files.folder / "metadata.json"]
    sources += [files.folder / startup.file for startup in files.startups]
    changed = max(path.stat().st_mtime_ns for path in sources if path.exists())

    def is_fresh(path: Path) -> bool:
        return files.is_run_folder and path.is_file() and path.stat().st_mtime_ns >= changed

    summary, validation = files.folder / "summary.json", files.folder / "validation.json"
    return (
        read_summary(summary) if is_fresh(summary) else summarise_run(run),
        read_validation(validation) if is_fresh(validation) else validate_run(run),
    )
