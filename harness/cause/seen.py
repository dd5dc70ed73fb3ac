"""What lifetimes of a cell showed, and whether they could have shown the change as the base did."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_high

from msgspec import Struct

from harness.analyse import wilson_interval

Cell = tuple[tuple[str, str], ...]
"""The values that differ from the base, by axis; none of them is the base."""
_MISSED = 0.1
"""Chance that all changes of a lifetime fall among the rows that another one lacks, at most."""
_LEAST = 0.5
"""Share of the base's rows, and of its mixed ones, below which nothing is compared."""


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
        rows: rows of whose batch the engine's steps are known.
        began, ended: when its server started and ended, in seconds since 1970; 0 where not told.
    """

    changed: frozenset[str]
    prompts: int
    not_seen: str = ""
    noise: int = 0
    cache: int = 0
    mixed: int = 0
    seconds: float = 0.0
    rows: int = 0
    began: float = 0.0
    ended: float = 0.0

    @property
    def shows(self) -> bool:
        """Whether anything follows from it."""
        return not self.not_seen and self.prompts > 0

    @property
    def is_clean(self) -> bool:
        """Whether it showed that nothing changes."""
        return not (self.not_seen or self.changed or self.noise)


class CellTotal(Struct, frozen=True):
    """A cell over its lifetimes.

    Attributes:
        cell: what differs from the base.
        lifetimes: that showed something.
        hits: lifetimes in which a prompt changed.
        changed, prompts: prompts that changed in any of them, of all.
        bound: one-sided 95% upper bound of the share of prompts where none changed.
        not_seen: why some or all showed nothing.
        not_comparable: what it lacked to show the change as the base did, again and again.
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
    rows: int = 0
    not_comparable: str = ""

    @property
    def name(self) -> str:
        """``base``, or what differs from it."""
        return name_of(self.cell)

    @property
    def less(self) -> str:
        """That it is not comparable, in words; empty where it is."""
        return f"not comparable: {self.not_comparable}" if self.not_comparable else ""

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of the share of prompts that change."""
        found = wilson_interval(self.changed, self.prompts)
        return found.low, found.high


def name_of(cell: Cell) -> str:
    """``base``, or ``attention FA2, graphs off``."""
    return ", ".join(f"{axis} {value}" for axis, value in cell) or "base"


def shortfall(one: Seen, base: Sequence[Seen]) -> str:
    """What a lifetime lacked to show the change as the base did; empty where it could have.

    It is held to the middle one of the base's lifetimes in which a prompt changed: no fewer
    prompts, and of the witnessed and the mixed rows so many that the base's changes, of the
    lifetime with the fewest, would all fall among the missing ones in one of ten at most; half of
    them at least.
    """
    hits = [seen for seen in base if seen.shows and seen.changed]
    if not hits:
        return ""
    fewest = min(len(seen.changed) for seen in hits)
    share = max(_LEAST, 1 - _MISSED ** (1 / fewest))
    for what, name, least in (
        ("prompts asked", "prompts", 1.0),
        ("rows witnessed", "rows", share),
        ("rows that mixed prefill and decode", "mixed", share),
    ):
        has, usual = getattr(one, name), median_high(getattr(seen, name) for seen in hits)
        if has < least * usual:
            return f"{what}: {has} in a lifetime, {usual} at the base"
    return ""
