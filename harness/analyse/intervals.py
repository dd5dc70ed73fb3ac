"""Intervals for one proportion and for the difference of two paired proportions.

All functions are pure, take counts and return fractions. An interval that does not exist
(no rows) is ``Interval(nan, nan)``, whose `Interval.bounds` are ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import optimize, special

__all__ = [
    "Interval",
    "clopper_pearson_interval",
    "newcombe_interval",
    "next_margin",
    "supported_margin",
    "tango_interval",
    "trials_for_margin",
    "upper_bound",
    "wilson_interval",
]

MARGINS = (0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50)


@dataclass(frozen=True, slots=True)
class Interval:
    """Lower and upper bound, as fractions."""

    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Both, or ``None`` where the interval does not exist."""
        if math.isnan(self.low) or math.isnan(self.high):
            return None
        return self.low, self.high


NO_INTERVAL = Interval(math.nan, math.nan)


def _quantile(confidence: float) -> float:
    return float(special.ndtri(0.5 + confidence / 2))


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Score interval for a proportion (Wilson 1927), without continuity correction.

    Args:
        successes: events counted, ``0 <= successes <= trials``.
        trials: rows counted; 0 gives ``Interval(nan, nan)``.
        confidence: two-sided coverage.
    """
    if trials == 0:
        return NO_INTERVAL
    z2 = _quantile(confidence) ** 2
    share = successes / trials
    scale = 1 + z2 / trials
    centre = (share + z2 / (2 * trials)) / scale
    half = math.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) / scale
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(low, high)


def clopper_pearson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Exact interval for a proportion (Clopper and Pearson 1934); no rows give ``nan``."""
    if trials == 0:
        return NO_INTERVAL
    tail = (1 - confidence) / 2
    misses = trials - successes
    low = 0.0 if successes == 0 else float(special.betaincinv(successes, misses + 1, tail))
    high = 1.0 if misses == 0 else float(special.betaincinv(successes + 1, misses, 1 - tail))
    return Interval(low, high)


def upper_bound(successes: int, trials: int, confidence: float = 0.95) -> float:
    """One-sided exact upper bound for a proportion (Clopper and Pearson 1934).

    For no event in ``trials`` rows it is ``1 - (1 - confidence) ** (1 / trials)``, which the
    rule of three approximates as ``3 / trials``. No rows give ``nan``.
    """
    if trials == 0:
        return math.nan
    if successes == trials:
        return 1.0
    if successes == 0:
        return -math.expm1(math.log1p(-confidence) / trials)
    return float(special.betaincinv(successes + 1, trials - successes, confidence))


def supported_margin(bound: float) -> float | None:
    """The smallest customary margin (0.1% to 50%) that an upper bound stays under, if any."""
    return next((margin for margin in MARGINS if bound < margin), None)


def next_margin(bound: float) -> float | None:
    """The largest customary margin that an upper bound does not stay under, if any."""
    return next((margin for margin in reversed(MARGINS) if bound >= margin), None)


def trials_for_margin(margin: float, confidence: float = 0.95) -> int:
    """How many rows without an event bring the one-sided upper bound under ``margin``."""
    rows = math.ceil(math.log1p(-confidence) / math.log1p(-margin))
    return rows if upper_bound(0, rows, confidence) < margin else rows + 1


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    """Phi with the continuity correction of Newcombe's method 10."""
    total = both + first + second + neither
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if margins == 0:
        return 0.0
    cross = both * neither - first * second
    corrected = max(cross - total / 2, 0.0) if cross > 0 else float(cross)
    return corrected / math.sqrt(margins)


def newcombe_interval(
    both: int, first: int, second: int, neither: int, confidence: float = 0.95
) -> Interval:
    """Interval for ``p_first - p_second`` of paired rows (Newcombe 1998, method 10).

    Args:
        both: rows with the event under both conditions.
        first: rows with the event under the first condition only.
        second: rows with the event under the second condition only.
        neither: rows without the event.
        confidence: two-sided coverage.
    """
    total = both + first + second + neither
    if total == 0:
        return NO_INTERVAL
    p1, p2 = (both + first) / total, (both + second) / total
    one = wilson_interval(both + first, total, confidence)
    two = wilson_interval(both + second, total, confidence)
    phi = _correlation(both, first, second, neither)
    estimate = (first - second) / total

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    low = estimate - reach(p1 - one.low, two.high - p2)
    high = estimate + reach(one.high - p1, p2 - two.low)
    return Interval(max(low, -1.0), min(high, 1.0))


def _tango_score(first: int, second: int, total: int) -> Callable[[float], float]:
    """Tango's score statistic as a function of the hypothesised difference."""

    def score(delta: float) -> float:
        slope = (2 * total - first + second) * delta - first - second
        offset = -second * delta * (1 - delta)
        root = math.sqrt(max(slope * slope - 8 * total * offset, 0.0))
        second_share = (root - slope) / (4 * total)
        variance = total * (2 * second_share + delta * (1 - delta))
        distance = first - second - total * delta
        if variance <= 0:
            return math.copysign(math.inf, distance) if distance else 0.0
        return distance / math.sqrt(variance)

    return score


def tango_interval(
    both: int, first: int, second: int, neither: int, confidence: float = 0.95
) -> Interval:
    """Score interval for ``p_first - p_second`` of paired rows (Tango 1998).

    Arguments as for `newcombe_interval`. It does not collapse to a point without discordant
    rows, as the Wald interval does.
    """
    total = both + first + second + neither
    if total == 0:
        return NO_INTERVAL
    z = _quantile(confidence)
    score = _tango_score(first, second, total)
    estimate = (first - second) / total
    edge = 1 - 1e-12
    low, high = -1.0, 1.0
    if estimate > -edge and score(-edge) > z:
        low = float(optimize.brentq(lambda d: score(d) - z, -edge, estimate, xtol=1e-14))
    if estimate < edge and score(edge) < -z:
        high = float(optimize.brentq(lambda d: score(d) + z, estimate, edge, xtol=1e-14))
    return Interval(low, high)
