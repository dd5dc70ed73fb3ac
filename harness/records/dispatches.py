"""What records tell of each dispatch: rows that share a batch share its answers."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.records.rows import CompanionRow, Row
from harness.words import Mode


class Contradiction(NamedTuple):
    """Two records of one batch that tell two answers of one of its prompts."""

    line: int
    other: int
    prompt: str
    model: str
    mode: Mode


class Apart(Exception):
    """What parts of a file tell is not enough to say what the whole file tells."""


def _numbers() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Dispatches:
    """What is told of each dispatch, by the first record that tells it.

    Of each batch the hashes of its answers are kept, 0 for an unknown one: eight bytes a prompt,
    since a file may hold some hundred thousand batches.

    Attributes:
        contradicted: records of one batch that do not tell the same answers.
    """

    contradicted: list[Contradiction] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)
    _lines: array[int] = field(default_factory=_numbers)
    _ends: array[int] = field(default_factory=_numbers)
    _answers: array[int] = field(default_factory=_numbers)

    def add(
        self,
        row: Row,
        line: int,
        group: Sequence[str | int],
        companions: Sequence[CompanionRow],
    ) -> None:
        """One record more that holds its batch in full."""
        answers: list[str | None] = [one.response_hash for one in companions]
        answers.insert(row.target_index or 0, row.batch_response_hash)
        told = array("q", [hash(answer) if answer else 0 for answer in answers])
        sent = hash((row.model, row.mode, row.dispatch_mode, bytes(row.group)))
        place = self._places.setdefault(sent, len(self._lines))
        if place == len(self._lines):
            self._append(line, told)
            return
        for number in self._fill(place, told):
            one = Contradiction(line, self._lines[place], str(group[number]), row.model, row.mode)
            self.contradicted.append(one)

    def join(self, later: Dispatches) -> None:
        """Add what later lines tell.

        Raises:
            Apart: the first answers differ, so that those after them would have to be told again.
        """
        first = dict[int, int]()
        for sent, place in later._places.items():
            known = self._places.setdefault(sent, len(self._lines))
            if known == len(self._lines):
                self._append(later._lines[place], later._told(place))
                continue
            if self._fill(known, later._told(place)):
                raise Apart
            first[later._lines[place]] = self._lines[known]
        self.contradicted += [
            one._replace(other=first.get(one.other, one.other)) for one in later.contradicted
        ]

    def _append(self, line: int, told: array[int]) -> None:
        self._lines.append(line)
        self._answers.extend(told)
        self._ends.append(len(self._answers))

    def _told(self, place: int) -> array[int]:
        return self._answers[self._ends[place - 1] if place else 0 : self._ends[place]]

    def _fill(self, place: int, told: array[int]) -> list[int]:
        """Keep answers that were not known; which of the others are told otherwise."""
        known, others = self._told(place), list[int]()
        if known == told:
            return others
        start = self._ends[place] - len(known)
        for number, (one, other) in enumerate(zip(known, told, strict=True)):
            if not one:
                self._answers[start + number] = other
            elif other and one != other:
                others.append(number)
        return others
