"""The list of label flips: keys, scores, hashes and where the answers part; no answer text."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.analyse.summary import Flip
from harness.flips import flip_direction, flip_kind
from harness.records import FirstDifference, Pairing, RecordKey, Records
from harness.words import MODES, Mode


def list_flips(records: Records, pairing: Pairing) -> tuple[Flip, ...]:
    """Every label flip of a counted record, in file order within each mode.

    ``line`` finds the record, and with it the answers, in the records file.
    """
    flips: list[Flip] = []
    for mode in MODES:
        rows = pairing.rows(mode)
        rows = np.sort(rows[records.column("label_flip")[rows]])
        found = records.frame.take(rows).astype(object)
        keys = records.candidates.take(found["key"].to_numpy(int)).itertuples(
            index=False, name=None
        )
        for key, row in zip(keys, found.itertuples(), strict=True):
            flips.append(_flip(records, key, row, mode))
    return tuple(flips)


def _flip(records: Records, key: RecordKey, row: Any, mode: Mode) -> Flip:
    change = records.changes[row.Index] if row.text_change else None
    parts = change is not None and (change.char is not None or change.token is not None)
    solo, batched = records.states[row.solo_state][0], records.states[row.batch_state][0]

    def word(value: Any) -> str | None:
        return value if isinstance(value, str) else None  # nan where there is none

    model, task_name, sample_id, batch_size, dispatch_mode = key
    return Flip(
        model=model,
        task_name=task_name,
        sample_id=sample_id,
        batch_size=batch_size,
        dispatch_mode=dispatch_mode,
        mode=mode,
        record_id=change.record_id if change else None,
        line=int(row.line),
        phase=word(row.phase),
        domain=word(row.domain),
        original_direction=word(row.original_direction),
        solo_label=word(row.solo_label),
        batch_label=word(row.batch_label),
        solo_response_hash=row.solo_hash,
        batch_response_hash=row.batch_hash,
        text_change=bool(row.text_change),
        first_difference=FirstDifference(change.char, change.token) if change and parts else None,
        truncated=bool(row.truncated),
        solo_score=solo,
        batch_score=batched,
        kind=flip_kind(solo, batched),
        direction=flip_direction(solo, batched),
    )
