"""Exact tests on counts: paired, directional and clustered, and what a design could show.

Probabilities are computed from integers where that is affordable, so that published values
(``2 * 0.5 ** 22``) come out to the last digit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import special

__all__ = [
    "ClusterTest",
    "McNemar",
    "binomial_tail",
    "holm",
    "mcnemar",
    "minimum_detectable_rate",
    "sign_flip_test",
    "smallest_p",
    "symmetry_p",
]

ALPHA = 0.05
_EXACT_TRIALS = 2000
_EXACT_SUM = 8_000


@dataclass(frozen=True, slots=True)
class McNemar:
    """An exact McNemar test of ``first`` against ``second`` discordant pairs.

    Attributes:
        two_sided: ``min(1, 2 * P(X <= min(b, c)))`` for X ~ Binomial(b + c, 1/2).
        one_sided: ``P(X >= b)``, the tail in favour of the first condition.
        mid: the two-sided mid-p value.
        smallest: the smallest two-sided p that b + c discordant pairs can give.
    """

    two_sided: float
    one_sided: float
    mid: float
    smallest: float

    @property
    def underpowered(self) -> bool:
        """Whether no outcome with so many discordant pairs reaches 0.05."""
        return self.smallest >= ALPHA


def binomial_tail(at_most: int, trials: int) -> float:
    """``P(X <= at_most)`` for X ~ Binomial(trials, 1/2)."""
    if at_most < 0:
        return 0.0
    if at_most >= trials:
        return 1.0
    if trials <= _EXACT_TRIALS:
        ways = sum(math.comb(trials, k) for k in range(at_most + 1))
        return float(Fraction(ways, 2**trials))
    return float(special.bdtr(at_most, trials, 0.5))


def smallest_p(discordant: int) -> float:
    """The smallest two-sided exact p that ``discordant`` pairs can give; 1 for none."""
    return min(1.0, 2.0 * math.ldexp(1.0, -discordant))


def mcnemar(first: int, second: int) -> McNemar:
    """Exact McNemar test (McNemar 1947, binomial form); no discordant pair gives p = 1."""
    total = first + second
    if total == 0:
        return McNemar(1.0, 1.0, 1.0, 1.0)
    few = min(first, second)
    tail = binomial_tail(few, total)
    point = tail - binomial_tail(few - 1, total)
    return McNemar(
        two_sided=min(1.0, 2 * tail),
        one_sided=binomial_tail(second, total),
        mid=min(1.0, 2 * tail - point),
        smallest=smallest_p(total),
    )


def symmetry_p(up: int, down: int) -> float:
    """Exact two-sided p that changes up and down are equally likely; 1 without a change."""
    return mcnemar(up, down).two_sided


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p values of one family (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def minimum_detectable_rate(pairs: int, power: float = 0.8) -> float | None:
    """The one-directional flip rate that ``pairs`` rows find with the given power.

    The alternative has flips in the first condition only (c = 0); the test is the exact
    two-sided McNemar at 0.05, which then needs six. ``None`` where no number of flips suffices.
    """
    needed = next(k for k in range(1, 64) if smallest_p(k) < ALPHA)
    if pairs < needed:
        return None
    return float(special.betaincinv(needed, pairs - needed + 1, power))


@dataclass(frozen=True, slots=True)
class ClusterTest:
    """A sign-flip test over clusters of rows that share a prompt.

    Attributes:
        clusters: clusters with rows in both modes.
        informative: clusters whose two modes differ in their number of events.
        statistic: sum over clusters of (standard events - invariant events).
        p_two_sided: probability of a sum at least as far from 0 when the two modes of every
            cluster may be swapped.
        method: ``exact`` or ``normal`` (over 8,000 events).
    """

    clusters: int
    informative: int
    statistic: int
    p_two_sided: float
    method: str


def sign_flip_test(differences: Iterable[int]) -> ClusterTest:
    """Test of cluster differences by sign flips (Fisher 1935), exact by convolution."""
    values = list(differences)
    sizes = Counter(abs(value) for value in values if value)
    statistic = sum(values)
    span = sum(size * count for size, count in sizes.items())
    informative = sum(sizes.values())
    if span > _EXACT_SUM:
        p, method = _normal_sign_flip(statistic, sizes), "normal"
    else:
        p, method = _exact_sign_flip(statistic, sizes, span), "exact"
    return ClusterTest(len(values), informative, statistic, p, method)


def _exact_sign_flip(statistic: int, sizes: Counter[int], span: int) -> float:
    if statistic == 0:
        return 1.0
    if set(sizes) == {1}:
        return mcnemar((span + statistic) // 2, (span - statistic) // 2).two_sided
    weights = np.ones(1)
    for size, count in sorted(sizes.items()):
        positive = np.exp(
            special.gammaln(count + 1)
            - special.gammaln(np.arange(count + 1) + 1)
            - special.gammaln(count - np.arange(count + 1) + 1)
            - count * math.log(2)
        )
        spread = np.zeros(2 * size * count + 1)
        spread[:: 2 * size] = positive
        weights = np.convolve(weights, spread)
    sums = np.arange(-span, span + 1)
    return float(min(1.0, weights[np.abs(sums) >= abs(statistic)].sum()))


def _normal_sign_flip(statistic: int, sizes: Counter[int]) -> float:
    deviation = math.sqrt(sum(size * size * count for size, count in sizes.items()))
    return math.erfc(abs(statistic) / deviation / math.sqrt(2))
