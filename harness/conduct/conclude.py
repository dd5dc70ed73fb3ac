"""The end of a complete run: summary, validation and reports, written last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.analyse import Summary, Validation, summarise_run, validate_run
from harness.records import RunFolder
from harness.report import write_reports

SUMMARY = "summary.json"
VALIDATION = "validation.json"
CONCLUSION_FILES = (SUMMARY, VALIDATION, "report.md", "report.html")


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a complete run came to.

    Attributes:
        folder: the run folder.
        summary: as in ``summary.json``.
        validation: as in ``validation.json``.
        reports: the report files that were written.
    """

    folder: Path
    summary: Summary
    validation: Validation
    reports: tuple[Path, ...]

    @property
    def valid(self) -> bool:
        """Whether no check of the validation failed."""
        return self.validation.ok


def conclude(folder: RunFolder) -> Conclusion:
    """Summarise, validate and report a run of which every record is there."""
    summary, validation = summarise_run(folder.path), validate_run(folder.path)
    written = msgspec.to_builtins(summary), msgspec.to_builtins(validation)
    folder.write(SUMMARY, written[0])
    folder.write(VALIDATION, written[1])
    reports = tuple(write_reports(folder.path, summary=written[0], validation=written[1]))
    return Conclusion(folder.path, summary, validation, reports)


def withdraw_conclusion(folder: RunFolder) -> None:
    """Remove the conclusion of an earlier state: more records are about to come."""
    for name in CONCLUSION_FILES:
        (folder.path / name).unlink(missing_ok=True)
