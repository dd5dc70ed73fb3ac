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
_PLAIN = ("line", "ok", "label_flip", "text_change")


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
        settings = records.words("settings", rows)
        told = {text: _settings(text) for text in set(settings)}  # a run has one or two
        recorded = {
            **{
                name: records.candidates[name].take(found["key"].to_numpy()).to_list()
                for name in KEY
            },
            "sampling": [told[text][0] for text in settings],
            "score_profile": [told[text][1] for text in settings],
            "prompt": records.words("prompt", rows),
            "batch": [group or None for group in found["group"]],
            "solo_state": records.score_states("solo", rows),
            "batched_state": records.score_states("batch", rows),
            "solo_hash": found["solo_hash"].to_numpy(),
            "batched_hash": found["batch_hash"].to_numpy(),
        }
        plain = {name: found[name].to_numpy() for name in _PLAIN}
        # dtype=object keeps what is not recorded as None
        return DataFrame(recorded, dtype=object).assign(row=rows, **plain)


def _settings(text: str | None) -> tuple[str | None, ...]:
    """Sampling and score profile of the settings of a record, each as JSON or ``None``."""
    names = ("sampling", "score_profile")
    told = json.loads(text) if text else dict.fromkeys(names)
    values = (told[name] for name in names)
    return tuple(None if v is None else json.dumps(v, ensure_ascii=False) for v in values)


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
