"""One side of a comparison: a run's records and everything that lies beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import IncompleteRun, UsageError
from harness.records import (
    Pairing,
    Records,
    RunFiles,
    pair_records,
    read_run_files,
    refuse_duplicates,
    scan_records,
)
from harness.words import Mode


@dataclass(frozen=True, slots=True)
class Side:
    """A run as one side of a comparison.

    Attributes:
        files: the run folder or the file from elsewhere.
        records: every record, without texts.
        pairing: the counted record of each candidate in each mode.
    """

    files: RunFiles
    records: Records
    pairing: Pairing

    @property
    def name(self) -> str:
        """The run's id, or its file's name where no id is recorded."""
        if self.files.run_id is not None:
            return self.files.run_id
        runs = self.records.runs.values
        return runs[0] if len(runs) == 1 else self.files.records_path.name

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that have records."""
        return self.pairing.modes()

    def line(self, row: int) -> int:
        """The line of a record in its file, from 1."""
        return int(self.records.columns.line[row])

    def place(self, row: int) -> str:
        """``file:line`` of a record."""
        return f"{self.records.path}:{self.line(row)}"


def read_side(path: Path | str) -> Side:
    """Read a run folder or a records file once, comparing hashes with texts on the way.

    Raises:
        UsageError: there is no run, a line is no record, or a candidate is recorded twice.
        IncompleteRun: the last line was cut while it was written.
    """
    files = read_run_files(path)
    records = scan_records(files.records_path)
    if records.problems:
        first = records.problems[0]
        error, hint = (
            (IncompleteRun, "resume the run to complete it")
            if first.truncated
            else (UsageError, "`harness validate` lists every such line")
        )
        raise error(first.message, file=records.path, line=first.line, hint=hint)
    if not len(records):
        raise UsageError("the records file is empty", file=records.path)
    pairing = pair_records(records)
    refuse_duplicates(records, pairing)
    return Side(files, records, pairing)
