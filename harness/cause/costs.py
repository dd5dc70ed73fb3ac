"""What the mode costs: times and throughput by block, and their ratio with a 95% interval.

A block is a server lifetime of each arm, one after the other, the order turned from block to block,
so that a machine that warms up or slows down favours neither. The ratio is of paired blocks: the
mean of the log-ratios with Student's interval, so that it is the same whichever arm is on top.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import geometric_mean, mean, stdev

from msgspec import Struct
from scipy import special

FEWEST_BLOCKS = 5


class Reading(Struct, frozen=True):
    """One number of one arm in one block.

    Attributes:
        arm: a mode, or another axis's value.
        measure: such as ``start-up`` or ``throughput at 32``.
        unit: ``s`` or ``tokens/s``.
    """

    block: int
    arm: str
    measure: str
    unit: str
    value: float


class Cost(Struct, frozen=True):
    """One measure of two arms.

    Attributes:
        base, other: geometric means over the blocks.
        ratio: other over base.
        low, high: 95% interval of the ratio; ``None`` with fewer than two blocks.
        blocks: paired ones.
    """

    measure: str
    unit: str
    arm: str
    base: float
    other: float
    ratio: float
    low: float | None
    high: float | None
    blocks: int


def costs(readings: Sequence[Reading], base: str) -> tuple[Cost, ...]:
    """Each measure of each other arm against the base, in the order in which they were read."""
    return tuple(_costs(readings, base))


def _costs(readings: Sequence[Reading], base: str) -> Iterator[Cost]:
    arms = [arm for arm in dict.fromkeys(one.arm for one in readings) if arm != base]
    for measure, unit in dict.fromkeys((one.measure, one.unit) for one in readings):
        of = {(one.arm, one.block): one.value for one in readings if one.measure == measure}
        for arm in arms:
            blocks = [
                n
                for (name, n), value in of.items()
                if name == arm and value > 0 < of.get((base, n), 0)
            ]
            if not blocks:
                continue
            before, after = [of[base, n] for n in blocks], [of[arm, n] for n in blocks]
            logs = [math.log(b / a) for a, b in zip(before, after, strict=True)]
            low, high = _interval(logs)
            means = geometric_mean(before), geometric_mean(after)
            ratio = math.exp(mean(logs))
            yield Cost(measure, unit, arm, *means, ratio, low, high, len(blocks))


def _interval(logs: Sequence[float]) -> tuple[float | None, float | None]:
    """Student's 95% interval of a mean of log-ratios, as ratios (Student 1908)."""
    if len(logs) < 2:
        return None, None
    half = special.stdtrit(len(logs) - 1, 0.975) * stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean(logs) - half), math.exp(mean(logs) + half)
