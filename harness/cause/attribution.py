"""Which axis takes a change away: one axis at a time from a base, then several together.

A value takes the change away only if the change is there at the base, again at the end, and in none
of as many lifetimes at that value as the base's own flakiness asks for. Anything less is unknown: a
cell that was refused, shared no steps or was noisy is no clean one, and a change that comes too
seldom to be told from luck has no cause here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations

from msgspec import Struct
from scipy import special

from harness.analyse import wilson_interval

LUCK = 0.005
"""Chance of calling a value clean by luck, at most."""
_FIRST, _FLAKY, _STEADY_TIMES, _MOST = 3, 8, 3, 12
_ALIKE = 0.5
"""Share of changed prompts that two lifetimes of one steady cause have in common, at least."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that can differ: its values, the base's first."""

    name: str
    values: tuple[str, ...]

    @property
    def base(self) -> str:
        """The value from which is started."""
        return self.values[0]

    @property
    def others(self) -> tuple[str, ...]:
        """The values to try."""
        return self.values[1:]


Cell = tuple[tuple[str, str], ...]
"""The values that differ from the base, by axis; none of them is the base."""


class Seen(Struct, frozen=True):
    """What one lifetime of one cell showed.

    Attributes:
        changed: prompts whose text changes with the batch.
        prompts: prompts that were asked.
        not_seen: why nothing follows from it: the server refused, the mode is not proven, no steps
            were shared; empty where something does.
        noise: rows that change with time alone.
        cache: prompts whose text changes between the first asking and the second, both alone.
        mixed: rows whose batch mixed prefill and decode.
        seconds: of wall time.
    """

    changed: frozenset[str]
    prompts: int
    not_seen: str = ""
    noise: int = 0
    cache: int = 0
    mixed: int = 0
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether it showed that nothing changes."""
        return not (self.not_seen or self.changed or self.noise)


Measure = Callable[[Cell, int], Seen]
"""One lifetime of a cell; the number says which, from 1."""


class How(StrEnum):
    """What an attribution says."""

    ONE = "one axis"
    EACH = "each of several axes alone"
    TOGETHER = "several axes together"
    UNKNOWN = "unknown"
    NOTHING = "nothing changes at the base"


class CellTotal(Struct, frozen=True):
    """A cell over its lifetimes.

    Attributes:
        cell: what differs from the base.
        lifetimes: that showed something.
        hits: lifetimes in which a prompt changed.
        changed, prompts: prompts that changed in any of them, of all.
        bound: one-sided 95% upper bound of the share of prompts where none changed.
        not_seen: why some or all showed nothing.
    """

    cell: Cell
    lifetimes: int
    hits: int
    changed: int
    prompts: int
    bound: float | None
    cache: int
    noise: int
    mixed: int
    seconds: float
    not_seen: str = ""

    @property
    def name(self) -> str:
        """``base``, or what differs from it."""
        return name_of(self.cell)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of the share of prompts that change."""
        found = wilson_interval(self.changed, self.prompts)
        return found.low, found.high


class Attribution(Struct, frozen=True):
    """Which axis takes the change away.

    Attributes:
        removed_by: axis to the values that take it away; of `How.TOGETHER` all at once.
        reason: in words.
        cells: all that were measured, the base first.
    """

    how: How
    removed_by: dict[str, tuple[str, ...]]
    reason: str
    cells: tuple[CellTotal, ...]

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes named."""
        return tuple(self.removed_by)


def name_of(cell: Cell) -> str:
    """``base``, or ``attention FA2, graphs off``."""
    return ", ".join(f"{axis} {value}" for axis, value in cell) or "base"


@dataclass(slots=True)
class Explorer:
    """Measures cells as they are needed, each lifetime once, and says what follows.

    Args:
        axes: in the order in which they are tried.
        measure: one lifetime of a cell.
        most: lifetimes of one cell at most; a change that needs more is left unknown.
    """

    axes: Sequence[Axis]
    measure: Measure
    most: int = _MOST
    seen: dict[Cell, list[Seen]] = field(default_factory=dict)
    times: int = _STEADY_TIMES

    def attribute(self) -> Attribution:
        """What takes the change away, by the fewest lifetimes that can say so."""
        if early := self._base(_FIRST):
            return early
        how, clean = self._removers()
        if clean:
            # what came three times in a row may be one that comes seldom: look again, and if so
            # ask every value as often as that takes
            steady = self.times
            if late := self._base(2 * _FIRST):
                return late
            if self.times > steady:
                how, clean = self._removers()
        if not clean:
            return self._say(How.UNKNOWN, {}, self._why_unknown())
        if not any(one.changed for one in self.seen[()][-_FIRST:]):
            return self._say(How.UNKNOWN, {}, "the base no longer changes: it was not the axis")
        return self._say(how, clean, _told(how, clean))

    def rounds(self) -> Iterator[list[tuple[Cell, int]]]:
        """Lifetimes that `attribute` will ask for where what was seen goes on, to be asked ahead.

        The second round follows from the first, which is asked for in between.
        """
        values = [((axis.name, value),) for axis in self.axes for value in axis.others]
        first = [*(((), n) for n in range(1, _FIRST + 1)), *((cell, 1) for cell in values)]
        yield first
        for one in first:
            self.ask(*one)
        steady = all(one.changed for one in self.seen[()]) and not self._is_unsteady()
        base, times = (2 * _FIRST, _STEADY_TIMES) if steady else (_FLAKY, _STEADY_TIMES + 1)
        clean = [cell for cell in values if self.seen[cell][0].is_clean]
        more = ((cell, n) for cell in clean for n in range(2, times + 1))
        yield [*(((), n) for n in range(_FIRST + 1, base + 1)), *more]

    def _removers(self) -> tuple[How, dict[str, tuple[str, ...]]]:
        """Values that take it away alone, else several that do so together."""
        clean: dict[str, tuple[str, ...]] = {}
        for axis in self.axes:
            values = tuple(v for v in axis.others if self._is_clean(((axis.name, v),)))
            if values:
                clean[axis.name] = values
        if not clean:
            return How.TOGETHER, self._together()
        return How.ONE if len(clean) == 1 else How.EACH, clean

    def _base(self, times: int) -> Attribution | None:
        """Ask the base until it is known how steadily it changes."""
        for number in range(1, times + 1):
            self.ask((), number)
        found = self.seen[()]
        if not all(one.changed for one in found) or self._is_unsteady():
            for number in range(len(found) + 1, max(times, _FLAKY) + 1):
                self.ask((), number)
        told = [one for one in found if not one.not_seen]
        if not told:
            return self._say(How.UNKNOWN, {}, f"the base: {found[0].not_seen}")
        if any(one.noise for one in told):
            why = "the text alone changes with time at the base: noise, and not the batch"
            return self._say(How.UNKNOWN, {}, why)
        hits = sum(bool(one.changed) for one in told)
        if not hits:
            return self._say(How.NOTHING, {}, f"no prompt changed in {len(told)} lifetimes")
        if hits < len(told) or self._is_unsteady():
            low = special.betaincinv(hits, len(told) - hits + 1, 0.1)
            self.times = math.ceil(math.log(LUCK) / math.log1p(-min(low, 0.99)))
        if self.times > self.most:
            why = f"the base changes in {hits} of {len(told)} lifetimes"
            more = f"a value would need {self.times} clean ones, and {self.most} are allowed"
            return self._say(How.UNKNOWN, {}, f"{why}: {more}")
        return None

    def _is_unsteady(self) -> bool:
        """Whether lifetimes of the base disagree on which prompts change."""
        sets = [one.changed for one in self.seen[()] if not one.not_seen]
        return any(
            len(one & other) < _ALIKE * len(one | other) for one, other in combinations(sets, 2)
        )

    def _is_clean(self, cell: Cell) -> bool:
        """Whether no prompt changes in as many lifetimes as it takes, none of them empty."""
        for number in range(1, self.times + 1):
            if not self.ask(cell, number).is_clean:
                return False
        # a value under which prefills no longer join decodes has changed the schedule
        mixes = all(one.mixed for one in self.seen[()])
        return not mixes or any(one.mixed for one in self.seen[cell])

    def _together(self) -> dict[str, tuple[str, ...]]:
        """The fewest axes whose values take it away together, from all of them downwards."""
        most, refused = max((len(axis.others) for axis in self.axes), default=0), False
        for place in range(most):
            full = tuple(
                (axis.name, axis.others[min(place, len(axis.others) - 1)])
                for axis in self.axes
                if axis.others
            )
            if len(full) > 1 and self._is_clean(full):
                return {axis: (value,) for axis, value in self._fewest(full)}
            refused |= len(full) > 1 and bool(self.seen[full][0].not_seen)
        if not refused:  # all at once were seen, and the change is still there
            return {}
        pairs = combinations([(a.name, v) for a in self.axes for v in a.others], 2)
        for pair in pairs:
            if pair[0][0] != pair[1][0] and self._is_clean(pair):
                return {axis: (value,) for axis, value in pair}
        return {}

    def _fewest(self, cell: Cell) -> Cell:
        """Without any one of the result's members it is not clean."""
        for one in cell:
            smaller = tuple(other for other in cell if other != one)
            if len(smaller) > 1 and self._is_clean(smaller):
                return self._fewest(smaller)
        return cell

    def ask(self, cell: Cell, number: int) -> Seen:
        """A lifetime of a cell, measured once."""
        known = self.seen.setdefault(cell, [])
        while len(known) < number:
            known.append(self.measure(cell, len(known) + 1))
        return known[number - 1]

    def _why_unknown(self) -> str:
        refused = [name_of(cell) for cell, found in self.seen.items() if found[0].not_seen]
        noisy = [name_of(cell) for cell, found in self.seen.items() if any(s.noise for s in found)]
        why = "no value of any axis, alone or with others, takes the change away"
        why += f"; nothing is known of: {'; '.join(refused)}" if refused else ""
        return why + (f"; noise hides: {'; '.join(noisy)}" if noisy else "")

    def _say(self, how: How, removed_by: Mapping[str, tuple[str, ...]], reason: str) -> Attribution:
        return Attribution(how, dict(removed_by), reason, tuple(self.totals()))

    def totals(self) -> Iterator[CellTotal]:
        """Every cell over its lifetimes, in the order in which they were first asked."""
        for cell, found in self.seen.items():
            told = [one for one in found if not one.not_seen]
            changed = frozenset[str]().union(*(one.changed for one in told))
            prompts = max((one.prompts for one in told), default=0)
            none = prompts and not changed
            yield CellTotal(
                cell,
                lifetimes=len(told),
                hits=sum(bool(one.changed) for one in told),
                changed=len(changed),
                prompts=prompts,
                bound=-math.expm1(math.log(0.05) / prompts) if none else None,
                cache=max((one.cache for one in told), default=0),
                noise=sum(one.noise for one in told),
                mixed=sum(one.mixed for one in told),
                seconds=sum(one.seconds for one in found),
                not_seen="; ".join(dict.fromkeys(one.not_seen for one in found if one.not_seen)),
            )


def _told(how: How, clean: Mapping[str, tuple[str, ...]]) -> str:
    named = [f"{axis} ({' or '.join(values)})" for axis, values in clean.items()]
    if how is How.TOGETHER:
        return f"the change goes away only with {' and '.join(named)} together"
    if how is How.EACH:
        return f"the change needs all of them: it goes away with {', or with '.join(named)}"
    return f"the change goes away with {named[0]}, everything else alike"
