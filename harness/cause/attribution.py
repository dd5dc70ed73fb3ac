"""Which axis takes a change away: one axis at a time from a base, then several together.

A value takes the change away only if the change is there at the base, before, between and after
the lifetimes at that value, and in none of these, of which there are as many as the base's own
flakiness asks for. Anything less is unknown: a cell that was refused, shared no steps, was noisy
or was asked less than the base is no clean one, and a change that comes too seldom to be told from
luck has no cause here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations, count

from msgspec import Struct
from scipy import special

from harness.cause.seen import Cell, CellTotal, Seen, name_of, shortfall

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


_Moment = tuple[float, int]
_Span = tuple[_Moment, _Moment]
Measure = Callable[[Cell, int], Seen]
"""One lifetime of a cell; the number says which, from 1."""


class How(StrEnum):
    """What an attribution says."""

    ONE = "one axis"
    EACH = "each of several axes alone"
    TOGETHER = "several axes together"
    UNKNOWN = "unknown"
    NOTHING = "nothing changes at the base"


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


class _Open(Exception):
    """Nothing can be named: how that is said, and why."""


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
    _when: dict[Cell, list[_Span]] = field(default_factory=dict)
    _clock: Iterator[int] = field(default_factory=count)
    _between: int = 0
    """Rounds of values after which the base was asked again."""

    def attribute(self) -> Attribution:
        """What takes the change away, by the fewest lifetimes that can say so."""
        try:
            how, clean = self._attributed()
        except _Open as found:
            how, reason = found.args
            return self._say(how, {}, reason)
        return self._say(how, clean, _told(how, clean))

    def _attributed(self) -> tuple[How, dict[str, tuple[str, ...]]]:
        self._base(_FIRST)
        before, known = len(self._shown), None
        # what the base shows later may ask for more lifetimes, or for more rows: look again then
        while (now := (self._removers(), self._of_values())) != known:
            (_, clean), _ = known = now
            if not clean:
                raise _Open(How.UNKNOWN, self._why_unknown())
            self._base(before + self.times)
            self._insist_it_still_changes()
        return now[0]

    def rounds(self) -> Iterator[list[tuple[Cell, int]]]:
        """Lifetimes that `attribute` will ask for where what was seen goes on, to be asked ahead.

        Each round follows from the one before, which is asked for in between. The base's last
        lifetimes are not among them: they begin when all others have ended.
        """
        values, base = self._values(), _FIRST
        yield [*(((), n) for n in range(1, base + 1)), *((cell, 1) for cell in values)]
        for number in range(1, base + 1):
            self.ask((), number)
        if not all(one.changed for one in self.seen[()]):
            yield [((), n) for n in range(base + 1, _FLAKY + 1)]
            base = _FLAKY
        try:
            self._base(_FIRST)
        except _Open:
            return
        left = [cell for cell in values if self.ask(cell, 1).is_clean]
        more = [[((), base + n), *((cell, n + 1) for cell in left)] for n in range(1, self.times)]
        if left:
            yield [one for asked in more for one in asked]

    def _of_values(self) -> int:
        """How many lifetimes of values were asked."""
        return sum(len(found) for cell, found in self.seen.items() if cell)

    def _values(self) -> list[Cell]:
        return [((axis.name, value),) for axis in self.axes for value in axis.others]

    def _removers(self) -> tuple[How, dict[str, tuple[str, ...]]]:
        """Values that take it away alone, else several that do so together.

        Each value is asked once, then the base, and so on with the values that are left: what goes
        away by itself is gone at the base too.
        """
        left, number = self._values(), 0
        while left and number < self.times:
            number += 1
            left = [cell for cell in left if self._is_clean(cell, number)]
            if left:
                self._base_after(number)
        clean: dict[str, tuple[str, ...]] = {}
        for ((axis, value),) in left:
            clean[axis] = (*clean.get(axis, ()), value)
        if not clean:
            return How.TOGETHER, self._together()
        return How.ONE if len(clean) == 1 else How.EACH, clean

    @property
    def _shown(self) -> list[Seen]:
        """The base's lifetimes from which something follows."""
        return [one for one in self.seen.get((), ()) if one.shows]

    def _base_after(self, number: int) -> None:
        """Ask the base once more after so many lifetimes of values, where it was not yet."""
        if number > self._between:
            self._between = number
            self._base(len(self._shown) + 1)

    def _base(self, least: int) -> None:
        """Ask the base until so many lifetimes show something, and more where it is flaky.

        Raises:
            _Open: nothing can be named.
        """
        while len(self._shown) < least:
            self.ask((), len(self.seen.get((), ())) + 1)
            lost = [one.not_seen or "no prompt was asked" for one in self.seen[()] if not one.shows]
            if len(lost) == _FIRST:
                of = f"in {_FIRST} of {len(self.seen[()])} lifetimes"
                raise _Open(How.UNKNOWN, f"the base showed nothing {of}: {lost[0]}")
        told = self._shown
        if any(one.noise for one in told):
            why = "the text alone changes with time at the base: noise, and not the batch"
            raise _Open(How.UNKNOWN, why)
        if not all(one.changed for one in told) and len(told) < _FLAKY:
            self._base(_FLAKY)
        else:
            self._rate([bool(one.changed) for one in told])

    def _rate(self, changes: Sequence[bool]) -> None:
        """How many clean lifetimes a value needs, by how often the base's change.

        Raises:
            _Open: more than are allowed, or it never does.
        """
        hits, lifetimes = sum(changes), len(changes)
        if not hits:
            raise _Open(How.NOTHING, f"no prompt changed in {lifetimes} lifetimes")
        self.times = _STEADY_TIMES
        if hits < lifetimes or self._is_unsteady():
            # one that has always changed is asked eight times too, by the end
            hoped = hits + max(_FLAKY - lifetimes, 0)
            low = special.betaincinv(hoped, lifetimes - hits + 1, 0.1)
            self.times = math.ceil(math.log(LUCK) / math.log1p(-min(low, 0.99)))
        if self.times > self.most:
            since = lifetimes - max(n for n, one in enumerate(changes, 1) if one)
            gone = f", and in none of the last {since}" if since >= _FIRST else ""
            why = f"the base changes in {hits} of {lifetimes} lifetimes{gone}"
            more = f"a value would need {self.times} clean ones, and {self.most} are allowed"
            raise _Open(How.UNKNOWN, f"{why}: {more}")

    def _insist_it_still_changes(self) -> None:
        """Ask the base anew, after all values, until it changes again.

        Raises:
            _Open: it does not, in as many lifetimes as a clean value has.
        """
        if self._is_unsteady():
            self._base(_FLAKY)
        for _ in range(self.times):
            if any(one.changed for one in self._after()):
                return
            self._base(len(self._shown) + 1)
        if not any(one.changed for one in self._after()):
            after = f"in none of {len(self._after())} lifetimes after the last value's"
            why = f"the base no longer changes, {after}: it was not the axis"
            raise _Open(How.UNKNOWN, why)

    def _after(self) -> list[Seen]:
        """The base's lifetimes that began after all values' had ended."""
        ends = (end for cell, spans in self._when.items() if cell for _, end in spans)
        last, base = max(ends, default=(0.0, 0)), zip(self.seen[()], self._when[()], strict=True)
        return [one for one, (began, _) in base if one.shows and began > last]

    def _is_unsteady(self) -> bool:
        """Whether the base's lifetimes disagree on which prompts change, or a value's on whether
        any does."""
        values = (found for cell, found in self.seen.items() if cell)
        if any(len({bool(one.changed) for one in found if one.shows}) > 1 for found in values):
            return True
        sets = [one.changed for one in self._shown]
        return any(
            len(one & other) < _ALIKE * len(one | other) for one, other in combinations(sets, 2)
        )

    def _is_clean(self, cell: Cell, times: int) -> bool:
        """Whether no prompt changes in so many lifetimes that could have shown it as the base did.

        One that could not is asked again; the third such is the end.
        """
        number = told = 0
        while told < times and number - told < _FIRST:
            number += 1
            one = self.ask(cell, number)
            if not one.is_clean:
                return False
            told += not shortfall(one, self._shown)
        return told >= times

    def _stays_clean(self, cell: Cell) -> bool:
        """Whether it is clean in as many lifetimes as it takes, the base asked in between."""
        number = 0
        while number < self.times:
            number += 1
            if not self._is_clean(cell, number):
                return False
            if number < self.times:
                self._base_after(number)
        return True

    def _together(self) -> dict[str, tuple[str, ...]]:
        """The fewest axes whose values take it away together, from all of them downwards."""
        most, refused = max((len(axis.others) for axis in self.axes), default=0), False
        for place in range(most):
            full = tuple(
                (axis.name, axis.others[min(place, len(axis.others) - 1)])
                for axis in self.axes
                if axis.others
            )
            if len(full) > 1 and self._stays_clean(full):
                return self._needed(self._fewest(full))
            refused |= len(full) > 1 and bool(self.seen[full][0].not_seen)
        if not refused:  # all at once were seen, and the change is still there
            return {}
        pairs = combinations([(a.name, v) for a in self.axes for v in a.others], 2)
        for pair in pairs:
            if pair[0][0] != pair[1][0] and self._stays_clean(pair):
                return self._needed(pair)
        return {}

    def _needed(self, cell: Cell) -> dict[str, tuple[str, ...]]:
        """The values of a clean cell, if the change was seen without any one of them: a cell that
        was refused, or could not have shown it, does not tell that one more is needed."""
        rest = (tuple(other for other in cell if other != one) for one in cell)
        if all(any(one.changed for one in self.seen.get(smaller, ())) for smaller in rest):
            return {axis: (value,) for axis, value in cell}
        return {}

    def _fewest(self, cell: Cell) -> Cell:
        """Without any one of the result's members it is not clean."""
        for one in cell:
            smaller = tuple(other for other in cell if other != one)
            if len(smaller) > 1 and self._stays_clean(smaller):
                return self._fewest(smaller)
        return cell

    def ask(self, cell: Cell, number: int) -> Seen:
        """A lifetime of a cell, measured once."""
        known, when = self.seen.setdefault(cell, []), self._when.setdefault(cell, [])
        while len(known) < number:
            one, place = self.measure(cell, len(known) + 1), next(self._clock)
            known.append(one)
            # in the order in which they were asked, where no times are told
            when.append(((one.began, place), (one.ended, place)))
        return known[number - 1]

    def _why_unknown(self) -> str:
        cells = list(self.totals())
        refused = [name_of(cell) for cell, found in self.seen.items() if found[0].not_seen]
        noisy = [one.name for one in cells if one.noise]
        less = [f"{one.name} ({one.not_comparable})" for one in cells if one.not_comparable]
        why = "no value of any axis, alone or with others, takes the change away"
        why += f"; nothing is known of: {'; '.join(refused)}" if refused else ""
        why += f"; not comparable with the base: {'; '.join(less)}" if less else ""
        return why + (f"; noise hides: {'; '.join(noisy)}" if noisy else "")

    def _say(self, how: How, removed_by: Mapping[str, tuple[str, ...]], reason: str) -> Attribution:
        return Attribution(how, dict(removed_by), reason, tuple(self.totals()))

    def totals(self) -> Iterator[CellTotal]:
        """Every cell over its lifetimes, in the order in which they were first asked."""
        for cell, found in self.seen.items():
            told = [one for one in found if one.shows]
            asked = [one for one in found if not one.not_seen]
            lacks = [why for one in asked if (why := shortfall(one, self._shown))]
            changed = frozenset[str]().union(*(one.changed for one in told))
            prompts = max((one.prompts for one in told), default=0)
            none = prompts and not changed
            is_less = cell and not changed and lacks and len(lacks) >= min(len(asked), _FIRST)
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
                rows=sum(one.rows for one in told),
                not_comparable=lacks[0] if is_less else "",
            )


def _told(how: How, clean: Mapping[str, tuple[str, ...]]) -> str:
    named = [f"{axis} ({' or '.join(values)})" for axis, values in clean.items()]
    if how is How.TOGETHER:
        return f"the change goes away only with {' and '.join(named)} together"
    if how is How.EACH:
        return f"the change needs all of them: it goes away with {', or with '.join(named)}"
    return f"the change goes away with {named[0]}, everything else alike"
