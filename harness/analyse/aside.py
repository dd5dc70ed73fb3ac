"""Records that were set aside to be asked again, and tell otherwise than those in their place.

Asking until an answer pleases is no experiment: a change that was seen stays seen.
"""

from __future__ import annotations

import msgspec
import numpy as np

from harness.numbers import count_of
from harness.records import AsideRow, Pairing, Records, RunFiles
from harness.words import PROVEN, Effect, Mode, Status


def changed_before(records: Records, pairing: Pairing, files: RunFiles) -> str:
    """Why changes that were set aside forbid a claim; empty where there are none.

    Counted are changes with the batch in batch-invariant mode, by a server whose mode was proven,
    of candidates whose record no longer shows one.
    """
    rows = pairing.slots[Mode.BATCH_INVARIANT]
    still = np.where(rows >= 0, records.column(f"{Effect.BATCH}_text")[rows] == 1, False)
    same = {key for key, changes in zip(records.keys, still.tolist(), strict=True) if not changes}
    starts = {(s.model, s.mode): s.starts for s in files.startups}
    count = 0
    for line in files.lines_set_aside():
        try:
            row = msgspec.json.decode(line, type=AsideRow)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue  # what is left of a line that was damaged
        given = starts.get((row.model, str(row.mode)), ())
        start = given[row.start - 1] if row.start and row.start <= len(given) else None
        proven = start is not None and start.verdict == PROVEN[Mode.BATCH_INVARIANT]
        good = row.status is Status.OK and row.mode is Mode.BATCH_INVARIANT and proven
        count += good and row.key in same and row.changed
    if not count:
        return ""
    return (
        f"{count_of(count, 'record')} that were set aside and asked again changed with the batch "
        "in batch-invariant mode, and those in their place do not (superseded_records.jsonl)"
    )
