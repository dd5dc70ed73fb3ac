"""What records say of their batches, looked at together: who was in them, and how it was sent."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from harness.records.rows import AnswerRow, CompanionRow, Row
from harness.words import Asking, DispatchMode, Mode

_Group = tuple[str | int, ...] | None


class Contradiction(NamedTuple):
    """Two records of one batch that tell two answers of one of its prompts."""

    line: int
    other: int
    prompt: str
    model: str
    mode: Mode


@dataclass(slots=True)
class BatchFinds:
    """What good records of schema 2 say of the batches they were asked in.

    Attributes:
        known: records that hold their batch and its companions.
        misplaced: line and reason of each whose batch is not the one that it names.
        contradicted: records of one batch that do not tell the same answers.
        gated: records of gated batches; ungated: line and requests admitted in the first step of
            those that the engine's log shows to have been admitted in several.
        asked: lines by the askings that they hold.
        warmed: line, companions that were asked alone before, and companions of each record that
            tells it.
    """

    known: int = 0
    misplaced: list[tuple[int, str]] = field(default_factory=list)
    contradicted: list[Contradiction] = field(default_factory=list)
    gated: int = 0
    ungated: list[tuple[int, int]] = field(default_factory=list)
    asked: dict[tuple[Asking, ...], list[int]] = field(default_factory=dict)
    warmed: list[tuple[int, int, int]] = field(default_factory=list)
    _told: dict[int, tuple[int, array[int]]] = field(default_factory=dict)

    def add(
        self,
        row: Row,
        line: int,
        asked: Sequence[tuple[Asking, AnswerRow]],
        companions: Sequence[CompanionRow],
    ) -> None:
        """One good record more, what it was asked and the other prompts of its batch."""
        if row.is_of_schema_1:
            return
        self.asked.setdefault(tuple([asking for asking, _ in asked]), []).append(line)
        self._see_gate(row, line)
        group = msgspec.json.decode(row.group, type=_Group)
        if group is None or not companions:
            return
        self.known += 1
        if reason := _misplaced(row, list(map(str, group)), companions):
            self.misplaced.append((line, reason))
            return
        self._compare(row, line, group, companions)
        if row.warmed is not None:
            self.warmed.append((line, row.warmed, len(companions)))

    def _see_gate(self, row: Row, line: int) -> None:
        seen = row.witness.B if row.witness else None
        if row.dispatch_mode != DispatchMode.GATED or seen is None:
            return
        if (first := seen.admitted_first_step) is not None:
            self.gated += 1
            if first != row.batch_size:
                self.ungated.append((line, first))

    def _compare(
        self,
        row: Row,
        line: int,
        group: Sequence[str | int],
        companions: Sequence[CompanionRow],
    ) -> None:
        """Rows that share a batch share its one dispatch: one answer a place.

        Of each batch the hashes of what its first record tells are kept, 0 for an unknown answer:
        eight bytes a prompt, since a file may hold some hundred thousand batches.
        """
        answers = [one.response_hash for one in companions]
        answers.insert(row.target_index or 0, row.batch_response_hash)
        told = array("q", [hash(answer) if answer else 0 for answer in answers])
        sent = hash((row.model, row.mode, row.dispatch_mode, bytes(row.group)))
        first, known = self._told.setdefault(sent, (line, told))
        if known == told:
            return
        for place, (one, other) in enumerate(zip(known, told, strict=True)):
            if not one:
                known[place] = other
            elif other and one != other:
                key = str(group[place])
                self.contradicted.append(Contradiction(line, first, key, row.model, row.mode))


def _misplaced(row: Row, group: list[str], companions: Sequence[CompanionRow]) -> str | None:
    """Why a record's batch is not the one that it names, if so."""
    if len(group) != row.batch_size:
        return f"its batch has {len(group)} prompts, not {row.batch_size}"
    place, own = row.target_index, f"{row.task_name}/{row.sample_id}"
    if place is None or not 0 <= place < len(group) or group[place] != own:
        return f"place {place} of its batch is not {own}"
    others = group[:place] + group[place + 1 :]
    if [one.key for one in companions] != others:
        return "its companions are not the other prompts of its batch"
    return None
