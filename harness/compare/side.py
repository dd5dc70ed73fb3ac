"""One side of a comparison: a run's records and everything that lies beside them."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, IncompleteRun, UsageError
from harness.records import (
    LineProblem,
    Pairing,
    Records,
    RunFiles,
    pair_records,
    read_run_files,
    refuse_duplicates,
    scan_records,
)
from harness.words import Mode

__all__ = ["Side", "read_rows", "read_side"]

_BOM = b"\xef\xbb\xbf"


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
        stated = self.files.metadata.get("run_id")
        if isinstance(stated, str):
            return stated
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
        raise _refusal(records.path, records.problems[0])
    if not len(records):
        raise UsageError("the records file is empty", file=records.path)
    pairing = pair_records(records)
    refuse_duplicates(records, pairing)
    return Side(files, records, pairing)


def _refusal(path: str, problem: LineProblem) -> HarnessError:
    if problem.truncated:
        hint = "resume the run to complete it"
        return IncompleteRun(problem.message, file=path, line=problem.line, hint=hint)
    hint = "`harness validate` lists every such line"
    return UsageError(problem.message, file=path, line=problem.line, hint=hint)


def read_rows(path: Path | str, lines: Container[int]) -> dict[int, dict[str, Any]]:
    """The JSON objects on these lines (from 1) of a JSONL file; only they are decoded.

    Raises:
        UsageError: the file cannot be read, or a wanted line is no JSON object.
    """
    rows: dict[int, dict[str, Any]] = {}
    try:
        with Path(path).open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if number in lines:
                    rows[number] = _object(line, path, number)
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror or error}", file=path) from error
    return rows


def _object(line: bytes, path: Path | str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line.removeprefix(_BOM).decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise UsageError(f"not JSON: {error}", file=path, line=number) from error
    if not isinstance(value, dict):
        raise UsageError("not a JSON object", file=path, line=number)
    return value
