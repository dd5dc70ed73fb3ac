"""The list of label flips: keys, scores, hashes and where the answers part; no answer text."""

from __future__ import annotations

from harness.analyse.agreement import flip_direction, flip_kind
from harness.analyse.tables import Json, score_states
from harness.records import MODES, Pairing, Records

__all__ = ["list_flips"]


def list_flips(records: Records, pairing: Pairing) -> list[Json]:
    """Every label flip of a counted record, in file order within each mode.

    ``line`` finds the record, and with it the answers, in the records file.
    """
    flips: list[Json] = []
    for mode in MODES:
        rows = pairing.rows(mode)
        rows = rows[records.columns.label_flip[rows]]
        rows.sort()
        solo = score_states(records, "solo", rows)
        batched = score_states(records, "batch", rows)
        for row, one, other in zip(rows.tolist(), solo, batched, strict=True):
            flips.append({**_identity(records, row, str(mode)), **_scores(one[0], other[0])})
    return flips


def _identity(records: Records, row: int, mode: str) -> Json:
    columns = records.columns
    model, task_name, sample_id, batch_size, dispatch_mode = records.keys[int(columns.key[row])]
    change = records.changes.get(row)
    return {
        "model": model,
        "task_name": task_name,
        "sample_id": sample_id,
        "batch_size": batch_size,
        "dispatch_mode": dispatch_mode,
        "mode": mode,
        "record_id": change.record_id if change else None,
        "line": int(columns.line[row]),
        "phase": records.phases.word(int(columns.phase[row])),
        "domain": records.domains.word(int(columns.domain[row])),
        "original_direction": records.directions.word(int(columns.direction[row])),
        "solo_label": records.labels.word(int(columns.solo_label[row])),
        "batch_label": records.labels.word(int(columns.batch_label[row])),
        "solo_response_hash": records.solo_hash[row],
        "batch_response_hash": records.batch_hash[row],
        "text_change": bool(columns.text_change[row]),
        "first_difference": (
            {"char": change.char, "token": change.token}
            if change and (change.char is not None or change.token is not None)
            else None
        ),
        "truncated": bool(columns.truncated[row]),
    }


def _scores(solo: float | None, batched: float | None) -> Json:
    return {
        "solo_score": solo,
        "batch_score": batched,
        "kind": flip_kind(solo, batched),
        "direction": flip_direction(solo, batched),
    }
