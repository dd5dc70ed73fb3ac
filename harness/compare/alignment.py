"""The same candidate on both sides: which records are compared, and which have no partner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analyse import key_name
from harness.compare.run_side import Side
from harness.errors import UsageError
from harness.records import IntArray, RecordKey
from harness.words import Mode

SUBSET_HINT = "--allow-subset compares only what both have"


@dataclass(frozen=True, slots=True)
class Alignment:
    """One mode of A against one mode of B, candidate by candidate.

    Attributes:
        keys: candidates that both sides recorded, in A's order.
        rows_a, rows_b: their records, as indices into each side's columns.
        only_a, only_b: candidates without a partner.
    """

    mode_a: Mode
    mode_b: Mode
    keys: tuple[RecordKey, ...]
    rows_a: IntArray
    rows_b: IntArray
    only_a: int
    only_b: int


def choose_modes(
    a: Side, b: Side, mode_a: Mode | None, mode_b: Mode | None, *, allow_subset: bool
) -> list[tuple[Mode, Mode]]:
    """Which mode of A is set against which mode of B.

    Without a choice, every mode against itself; with one choice, that mode on both sides.

    Raises:
        UsageError: a side lacks a mode that is needed.
    """
    if mode_a is not None or mode_b is not None:
        first, second = mode_a or mode_b, mode_b or mode_a
        assert first is not None
        assert second is not None
        _require(a, first)
        _require(b, second)
        return [(first, second)]
    common = [mode for mode in a.modes if mode in b.modes]
    lacking = [(b, mode) for mode in a.modes if mode not in b.modes]
    lacking += [(a, mode) for mode in b.modes if mode not in a.modes]
    if not common:
        raise UsageError(
            f"the runs have no mode in common: {', '.join(a.modes)} and {', '.join(b.modes)}",
            hint="--mode-a M --mode-b M sets one mode against another",
        )
    if lacking and not allow_subset:
        side, mode = lacking[0]
        raise UsageError(
            f"no record in mode {mode}, which the other run has",
            file=side.records.path,
            hint=f"{SUBSET_HINT}; --mode-a M chooses one",
        )
    return [(mode, mode) for mode in common]


def _require(side: Side, mode: Mode) -> None:
    if mode not in side.modes:
        raise UsageError(
            f"no record in mode {mode}",
            file=side.records.path,
            hint=f"it has: {', '.join(side.modes) or 'none'}",
        )


def align(a: Side, b: Side, mode_a: Mode, mode_b: Mode, *, allow_subset: bool) -> Alignment:
    """Find the partner of every record.

    Raises:
        UsageError: the sides have other candidates and no subset is allowed, or none in common.
    """
    slot_a, slot_b = a.pairing.slots[mode_a], b.pairing.slots[mode_b]
    index_b = {key: index for index, key in enumerate(b.records.keys) if slot_b[index] >= 0}
    keys, rows_a, rows_b, lone_a = [], [], [], []
    for index, key in enumerate(a.records.keys):
        row = int(slot_a[index])
        if row < 0:
            continue
        partner = index_b.pop(key, None)
        if partner is None:
            lone_a.append(row)
            continue
        keys.append(key)
        rows_a.append(row)
        rows_b.append(int(slot_b[partner]))
    lone_b = [int(slot_b[index]) for index in index_b.values()]
    if not keys or ((lone_a or lone_b) and not allow_subset):
        raise _other_candidates(a, b, len(keys), lone_a, lone_b)
    return Alignment(
        mode_a,
        mode_b,
        tuple(keys),
        np.array(rows_a, dtype=np.int32),
        np.array(rows_b, dtype=np.int32),
        len(lone_a),
        len(lone_b),
    )


def _other_candidates(
    a: Side, b: Side, common: int, lone_a: Sequence[int], lone_b: Sequence[int]
) -> UsageError:
    side, other, row = (a, b, min(lone_a)) if lone_a else (b, a, min(lone_b))
    key = side.records.keys[int(side.records.columns.key[row])]
    hint = f"{SUBSET_HINT}, here {common}" if common else "these are runs of other candidates"
    return UsageError(
        f"other candidates: {len(lone_a)} are only in A and {len(lone_b)} only in B; the first, "
        f"{key_name(key)}, is not in {other.records.path}",
        file=side.records.path,
        line=side.line(row),
        hint=hint,
    )
