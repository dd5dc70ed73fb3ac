"""One side of a comparison: a run's records and everything that lies beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analyse import score_states
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
        runs = self.records.runs.values
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
        columns = records.columns
        words = [json.loads(word) for word in records.settings.values]
        settings = {
            name: [
                None if w[name] is None else json.dumps(w[name], ensure_ascii=False) for w in words
            ]
            for name in ("sampling", "score_profile")
        }
        codes = columns.settings[rows].tolist()
        keys = [records.keys[key] for key in columns.key[rows].tolist()]
        recorded = {
            **dict(zip(KEY, zip(*keys, strict=True), strict=True)),
            **{n: [None if c < 0 else texts[c] for c in codes] for n, texts in settings.items()},
            "prompt": list(map(records.prompts.word, columns.prompt[rows].tolist())),
            "batch": [group or None for group in columns.group[rows].tolist()],
            "solo_state": score_states(records, "solo", rows),
            "batched_state": score_states(records, "batch", rows),
            "solo_hash": [records.solo_hash[row] for row in rows.tolist()],
            "batched_hash": [records.batch_hash[row] for row in rows.tolist()],
        }
        return DataFrame(recorded, dtype=object).assign(  # as they are: no NaN for None
            row=rows,
            line=columns.line[rows],
            ok=columns.ok[rows],
            label_flip=columns.label_flip[rows],
            text_change=columns.text_change[rows],
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
