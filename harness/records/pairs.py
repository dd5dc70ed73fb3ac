"""Which records count, and which two belong together.

A candidate has one counted record a mode. An error record that a resumed run later replaced by
an ``ok`` one is superseded and not counted; any other second record is a duplicate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.errors import UsageError
from harness.records.frame import BoolArray, IntArray, Records
from harness.records.record import RecordKey
from harness.words import MODES, Mode


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two records of the same candidate and mode."""

    key: RecordKey
    mode: Mode
    first_line: int
    line: int


@dataclass(frozen=True, slots=True)
class Pairing:
    """The counted record of each candidate in each mode.

    Attributes:
        slots: for each mode, the record index of every key in `Records.keys`, -1 for none.
        superseded: error records that a later ok record replaced.
        duplicates: further records, which count in no table.
    """

    slots: dict[Mode, IntArray]
    superseded: int
    duplicates: tuple[Duplicate, ...]

    def rows(self, mode: Mode) -> IntArray:
        """Indices of the counted records of a mode, in key order."""
        slot = self.slots[mode]
        return slot[slot >= 0]

    def modes(self) -> tuple[Mode, ...]:
        """The modes that have records."""
        return tuple(mode for mode in MODES if (self.slots[mode] >= 0).any())

    def complete(self, records: Records) -> BoolArray:
        """For each key, whether both modes have an ok record."""
        ok = records.column("ok")
        both = np.ones(len(records.candidates), dtype=bool)
        for mode in MODES:
            slot = self.slots[mode]
            both &= slot >= 0
            both[both] &= ok[slot[both]]
        return both


def pair_records(records: Records) -> Pairing:
    """Find the counted record of every candidate in every mode."""
    modes, key, ok, line = map(records.column, ("mode", "key", "ok", "line"))
    slots: dict[Mode, IntArray] = {}
    superseded = 0
    duplicates: list[Duplicate] = []
    for number, mode in enumerate(MODES):
        rows = np.flatnonzero(modes == number).astype(np.int32)
        keys = key[rows]
        slot = np.full(len(records.candidates), -1, dtype=np.int32)
        slot[keys[::-1]] = rows[::-1]  # the first record of a key stays
        again = rows[slot[keys] != rows]
        for row in again.tolist():
            first = int(slot[key[row]])
            if not ok[first]:
                slot[key[row]] = row
                superseded += 1
                continue
            lines = int(line[first]), int(line[row])
            duplicates.append(Duplicate(records.keys[key[row]], mode, *lines))
        slots[mode] = slot
    return Pairing(slots, superseded, tuple(duplicates))


def refuse_duplicates(records: Records, pairing: Pairing) -> None:
    """Refuse to count a candidate twice.

    Raises:
        UsageError: a candidate has two records in one mode.
    """
    if not pairing.duplicates:
        return
    twice = pairing.duplicates[0]
    name = f"{twice.key[0]} {twice.key[1]}/{twice.key[2]} batch {twice.key[3]} {twice.key[4]}"
    raise UsageError(
        f"{name} was already recorded in mode {twice.mode} on line {twice.first_line}; "
        f"{len(pairing.duplicates)} duplicate(s) in all",
        file=records.path,
        line=twice.line,
        hint="remove the records that do not belong to this run",
    )
