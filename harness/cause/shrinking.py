"""Delta debugging over a batch: the fewest companions with which an answer still changes.

Zeller and Hildebrandt 2002 (ddmin), with trials that may say nothing and with flaky changes: one
trial that shows the change is enough; that it is gone takes as many as its rate asks for.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")
MISSED = 0.05
"""Chance of taking a change for gone that is still there, at each step."""
MOST_TRIALS = 8


class Trial(StrEnum):
    """What one asking of a batch showed."""

    CHANGED = "changed"
    SAME = "same"
    VACUOUS = "vacuous"


Ask = Callable[[Sequence[T]], Awaitable[Trial]]


@dataclass(slots=True)
class Tally:
    """Trials so far: how many showed the change, how many did not, and how many were none."""

    changed: int = 0
    same: int = 0
    vacuous: int = 0

    def add(self, trial: Trial) -> None:
        """Count one."""
        setattr(self, trial, getattr(self, trial) + 1)

    @property
    def rate(self) -> float:
        """The share of trials that showed the change."""
        return self.changed / max(1, self.changed + self.same)


@dataclass(slots=True)
class Shrinker:
    """Finds the fewest companions; ``trials`` tells how often it asked.

    Args:
        ask: asks for the target with these companions, in their order.
        most: trials in all; when they are spent, the smallest batch so far is the result.
    """

    ask: Ask[int]
    most: int = 400
    trials: int = 0
    tally: Tally = field(default_factory=Tally)
    _known: dict[tuple[int, ...], bool] = field(default_factory=dict)
    repeats: int = 1

    async def establish(self, companions: Sequence[int], times: int = 3) -> Tally:
        """Ask for the whole batch several times, so that a flaky change is known to be one."""
        for _ in range(times):
            self.tally.add(await self._try(companions))
        rate = self.tally.rate
        if 0 < rate < 1:
            wanted = math.ceil(math.log(MISSED) / math.log(1 - rate))
            self.repeats = min(MOST_TRIALS, wanted)
        return self.tally

    async def smallest(self, companions: Sequence[int]) -> tuple[int, ...]:
        """1-minimal: without any one of the result's members the change was not seen again."""
        left, parts = tuple(companions), 2
        while len(left) > 1 and self.trials < self.most:
            found = await self._reduced(left, parts)
            if found is not None:
                left, parts = found, max(2, min(parts - 1, len(found)))
            elif parts >= len(left):
                break
            else:
                parts = min(len(left), 2 * parts)
        return left

    async def _reduced(self, left: tuple[int, ...], parts: int) -> tuple[int, ...] | None:
        """A part, or what is left without one, that still changes the answer."""
        size = math.ceil(len(left) / parts)
        pieces = [left[at : at + size] for at in range(0, len(left), size)]
        tried: list[tuple[int, ...]] = [*pieces]
        if parts > 2:
            tried += [tuple(one for one in left if one not in piece) for piece in pieces]
        for candidate in tried:
            if candidate and await self.changes(candidate):
                return candidate
        return None

    async def changes(self, companions: Sequence[int]) -> bool:
        """Whether these companions change the answer; asked at most as often as the rate asks."""
        key = tuple(companions)
        for _ in range(self.repeats if key not in self._known else 0):
            if self.trials >= self.most:
                return False
            if await self._try(key) is Trial.CHANGED:
                self._known[key] = True
                break
        return self._known.setdefault(key, False)

    async def _try(self, companions: Sequence[int]) -> Trial:
        """One trial; one in which nothing met is made again, twice."""
        trial = Trial.VACUOUS
        for _ in range(3):
            self.trials += 1
            trial = await self.ask(companions)
            if trial is not Trial.VACUOUS:
                break
        return trial
