"""One side of a comparison: a run's records and everything that lies beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from pandas import DataFrame

KEY = ["model", "task_name", "sample_id", "batch_size", "dispatch_mode"]
"""The columns that make a candidate."""


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
        runs = self.records.runs
        return runs[0] if len(runs) == 1 else self.files.records_path.name

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that have records."""
        return self.pairing.modes()

    def counted(self, mode: Mode) -> DataFrame:
        """The counted records of a mode, one a row, in the order of the run's candidates.

        Columns: `KEY`; ``row`` and ``line`` of the record; ``ok``, ``label_flip``,
        ``text_change``; ``prompt``, ``batch``, ``sampling``, ``score_profile`` as far as they are
        recorded; and of each condition ``solo_state``, ``solo_hash``, ``batched_state`` ...
        """
        from pandas import DataFrame

        records, rows = self.records, self.pairing.rows(mode)
        found = records.frame.take(rows)
        settings = [json.loads(text) if text else {} for text in records.words("settings", rows)]
        keys = [records.keys[key] for key in found["key"]]
        recorded = {
            **dict(zip(KEY, zip(*keys, strict=True), strict=True)),
            **{
                name: [
                    json.dumps(s[name], ensure_ascii=False) if s and s[name] is not None else None
                    for s in settings
                ]
                for name in ("sampling", "score_profile")
            },
            "prompt": records.words("prompt", rows),
            "batch": [group or None for group in found["group"].tolist()],
            "solo_state": records.score_states("solo", rows),
            "batched_state": records.score_states("batch", rows),
            "solo_hash": found["solo_hash"].to_numpy(),
            "batched_hash": found["batch_hash"].to_numpy(),
        }
        return DataFrame(recorded, dtype=object).assign(  # as they are: no NaN for None
            row=rows,
            **{
                name: found[name].to_numpy() for name in ("line", "ok", "label_flip", "text_change")
            },
        )


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
