"""The list of label flips: keys, scores, hashes and where the answers part; no answer text."""

from __future__ import annotations

from harness.analyse.summary import Flip
from harness.analyse.tables import score_states
from harness.flips import flip_direction, flip_kind
from harness.records import FirstDifference, Pairing, Records
from harness.words import MODES, Mode


def list_flips(records: Records, pairing: Pairing) -> tuple[Flip, ...]:
    """Every label flip of a counted record, in file order within each mode.

    ``line`` finds the record, and with it the answers, in the records file.
    """
    flips: list[Flip] = []
    for mode in MODES:
        rows = pairing.rows(mode)
        rows = rows[records.columns.label_flip[rows]]
        rows.sort()
        solo = score_states(records, "solo", rows)
        batched = score_states(records, "batch", rows)
        flips += [
            _flip(records, row, mode, one[0], other[0])
            for row, one, other in zip(rows.tolist(), solo, batched, strict=True)
        ]
    return tuple(flips)


def _flip(
    records: Records, row: int, mode: Mode, solo: float | None, batched: float | None
) -> Flip:
    columns = records.columns
    model, task_name, sample_id, batch_size, dispatch_mode = records.keys[int(columns.key[row])]
    change = records.changes.get(row)
    parts = change is not None and (change.char is not None or change.token is not None)
    return Flip(
        model=model,
        task_name=task_name,
        sample_id=sample_id,
        batch_size=batch_size,
        dispatch_mode=dispatch_mode,
        mode=mode,
        record_id=change.record_id if change else None,
        line=int(columns.line[row]),
        phase=records.phases.word(int(columns.phase[row])),
        domain=records.domains.word(int(columns.domain[row])),
        original_direction=records.directions.word(int(columns.direction[row])),
        solo_label=records.labels.word(int(columns.solo_label[row])),
        batch_label=records.labels.word(int(columns.batch_label[row])),
        solo_response_hash=records.solo_hash[row],
        batch_response_hash=records.batch_hash[row],
        text_change=bool(columns.text_change[row]),
        first_difference=FirstDifference(change.char, change.token) if change and parts else None,
        truncated=bool(columns.truncated[row]),
        solo_score=solo,
        batch_score=batched,
        kind=flip_kind(solo, batched),
        direction=flip_direction(solo, batched),
    )
