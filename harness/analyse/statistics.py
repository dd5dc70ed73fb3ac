"""Exact statistics of counts: paired and clustered tests, intervals, what a design could show.

Probabilities are computed from integers where that is affordable, so that published values
(``2 * 0.5 ** 22``) come out to the last digit. No rows give ``Interval(nan, nan)``.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

ALPHA = 0.05
MARGINS = (0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50)
_EXACT_TRIALS, _EXACT_SUM = 2000, 8_000


class McNemar(NamedTuple):
    """An exact McNemar test of ``b`` first against ``c`` second discordant pairs.

    Attributes:
        two_sided: ``min(1, 2 * P(X <= min(b, c)))`` for X ~ Binomial(b + c, 1/2).
        one_sided: ``P(X >= b)``, in favour of the first condition; ``mid`` is two-sided.
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
    if trials <= _EXACT_TRIALS:
        return float(Fraction(sum(math.comb(trials, k) for k in range(at_most + 1)), 2**trials))
    from scipy import special

    return float(special.bdtr(at_most, trials, 0.5)) if at_most >= 0 else 0.0


def smallest_p(discordant: int) -> float:
    """The smallest two-sided exact p that ``discordant`` pairs can give; 1 for none."""
    return min(1.0, 2.0 * math.ldexp(1.0, -discordant))


def mcnemar(first: int, second: int) -> McNemar:
    """Exact McNemar test (McNemar 1947, binomial form); no discordant pair gives p = 1."""
    total, few = first + second, min(first, second)
    tail = binomial_tail(few, total)
    mid = min(1.0, 2 * tail - (tail - binomial_tail(few - 1, total)))
    return McNemar(min(1.0, 2 * tail), binomial_tail(second, total), mid, smallest_p(total))


def symmetry_p(up: int, down: int) -> float:
    """Exact two-sided p that changes up and down are equally likely; 1 without a change."""
    return mcnemar(up, down).two_sided


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p values of one family (Holm 1979), in the order given."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def minimum_detectable_rate(pairs: int, power: float = 0.8) -> float | None:
    """The one-directional flip rate that ``pairs`` rows find with the given power.

    The alternative has flips in the first condition only; the exact two-sided McNemar at 0.05
    then needs six. ``None`` where no number of flips suffices.
    """
    needed = next(k for k in range(1, 64) if smallest_p(k) < ALPHA)
    return _beta_quantile(needed, pairs - needed + 1, power) if pairs >= needed else None


class ClusterTest(NamedTuple):
    """A sign-flip test over clusters of rows that share a prompt.

    ``informative`` clusters have more events in one mode; ``statistic`` sums the standard mode's
    events less the invariant one's; the p is that of a sum as far from 0 with modes swapped.
    """

    clusters: int
    informative: int
    statistic: int
    p_two_sided: float
    method: str


def sign_flip_test(differences: Iterable[int]) -> ClusterTest:
    """Test of cluster differences by sign flips (Fisher 1935).

    Divided by their common factor, differences of one size are coin tosses and the sums of others
    lie 2 apart: exact by convolution up to 8,000 events, beyond normal with continuity correction.
    """
    values = list(differences)
    factor, total, method = math.gcd(*values) or 1, sum(values), "exact"
    sizes = Counter(abs(value) // factor for value in values if value)
    far, span = abs(total) // factor, sum(size * count for size, count in sizes.items())
    if far == 0:
        p = 1.0
    elif set(sizes) == {1}:
        p = mcnemar((span + far) // 2, (span - far) // 2).two_sided
    elif span > _EXACT_SUM:
        deviation = math.sqrt(sum(size * size * count for size, count in sizes.items()))
        p, method = math.erfc((far - 1) / deviation / math.sqrt(2)), "normal"
    else:
        from scipy import special

        weights = np.ones(1)
        for size, count in sorted(sizes.items()):
            k = np.arange(count + 1)
            ways = special.gammaln(count + 1) - special.gammaln(k + 1)
            ways -= special.gammaln(count - k + 1)
            spread = np.zeros(2 * size * count + 1)
            spread[:: 2 * size] = np.exp(ways - count * math.log(2))
            weights = np.convolve(weights, spread)
        p = float(min(1.0, weights[np.abs(np.arange(-span, span + 1)) >= far].sum()))
    return ClusterTest(len(values), sizes.total(), total, p, method)


class Interval(NamedTuple):
    """Lower and upper bound, as fractions."""

    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Both, or ``None`` where the interval does not exist."""
        return None if math.isnan(self.low) or math.isnan(self.high) else (self.low, self.high)


NO_INTERVAL = Interval(math.nan, math.nan)


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Score interval for a proportion (Wilson 1927), without continuity correction."""
    if trials == 0:
        return NO_INTERVAL
    z2 = _normal_quantile(0.5 + confidence / 2) ** 2
    share, scale = successes / trials, 1 + z2 / trials
    centre = (share + z2 / (2 * trials)) / scale
    half = math.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) / scale
    low = centre - half if successes else 0.0
    return Interval(low, 1.0 if successes == trials else centre + half)


def clopper_pearson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Exact interval for a proportion (Clopper and Pearson 1934); no rows give ``nan``."""
    if trials == 0:
        return NO_INTERVAL
    tail, misses = (1 - confidence) / 2, trials - successes
    low = _beta_quantile(successes, misses + 1, tail) if successes else 0.0
    high = _beta_quantile(successes + 1, misses, 1 - tail) if misses else 1.0
    return Interval(low, high)


def upper_bound(successes: int, trials: int, confidence: float = 0.95) -> float:
    """One-sided exact upper bound for a proportion (Clopper and Pearson 1934).

    ``1 - (1 - confidence) ** (1 / trials)`` for no event (about ``3 / trials``); no rows: ``nan``.
    """
    if successes == trials:
        return 1.0 if trials else math.nan
    if not successes:
        return -math.expm1(math.log1p(-confidence) / trials)
    return _beta_quantile(successes + 1, trials - successes, confidence)


def _beta_quantile(a: int, b: int, share: float) -> float:
    from scipy import special  # half a second of a start, which few verbs need

    return float(special.betaincinv(a, b, share))


def _normal_quantile(share: float) -> float:
    from scipy import special

    return float(special.ndtri(share))


def supported_margin(bound: float) -> float | None:
    """The smallest customary margin (0.1% to 50%) that an upper bound stays under, if any."""
    return next((margin for margin in MARGINS if bound < margin), None)


def trials_for_margin(margin: float, confidence: float = 0.95) -> int:
    """How many rows without an event bring the one-sided upper bound under ``margin``."""
    rows = math.ceil(math.log1p(-confidence) / math.log1p(-margin))
    return rows + (upper_bound(0, rows, confidence) >= margin)


def newcombe_interval(both: int, first: int, second: int, neither: int) -> Interval:
    """95% interval for ``p_first - p_second`` of paired rows (Newcombe 1998, method 10).

    The arguments count rows with the event in both conditions, only one or the other, neither.
    """
    total = both + first + second + neither
    if total == 0:
        return NO_INTERVAL
    one, two = (wilson_interval(both + only, total) for only in (first, second))
    # phi with the continuity correction of method 10
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    cross = both * neither - first * second
    corrected = max(cross - total / 2, 0.0) if cross > 0 else float(cross)
    phi = corrected / math.sqrt(margins) if margins else 0.0

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    p1, p2, estimate = (both + first) / total, (both + second) / total, (first - second) / total
    low = estimate - reach(p1 - one.low, two.high - p2)
    high = estimate + reach(one.high - p1, p2 - two.low)
    return Interval(max(low, -1.0), min(high, 1.0))


def tango_interval(both: int, first: int, second: int, neither: int) -> Interval:
    """95% score interval for ``p_first - p_second`` of paired rows (Tango 1998).

    Arguments as for `newcombe_interval`; without discordant rows it is no point, as Wald's is.
    """
    total = both + first + second + neither
    if total == 0:
        return NO_INTERVAL

    def score(delta: float) -> float:
        slope = (2 * total - first + second) * delta - first - second
        offset = -second * delta * (1 - delta)
        root = math.sqrt(max(slope * slope - 8 * total * offset, 0.0))
        variance = total * ((root - slope) / (2 * total) + delta * (1 - delta))
        distance = first - second - total * delta
        if variance > 0:
            return distance / math.sqrt(variance)
        return math.copysign(math.inf, distance) if distance else 0.0

    z, estimate, edge = _normal_quantile(0.975), (first - second) / total, 1 - 1e-12
    low, high = -1.0, 1.0
    if estimate > -edge and score(-edge) > z:
        low = _root(lambda d: score(d) - z, -edge, estimate)
    if estimate < edge and score(edge) < -z:
        high = _root(lambda d: score(d) + z, estimate, edge)
    return Interval(low, high)


def _root(of: Callable[[float], float], start: float, end: float) -> float:
    """Where a function that has another sign at ``start`` than at ``end`` is 0, within 1e-14.

    Brent (1973) step by step as ``scipy.optimize.brentq`` has it, whose import takes longer than
    a small run's summary.
    """
    before, now, across = start, end, start
    f_before, f_now = of(before), of(now)
    while f_now:
        if (f_before < 0) != (f_now < 0):
            across, f_across = before, f_before
            last = step = now - before
        if abs(f_across) < abs(f_now):
            before, now, across = now, across, now
            f_before, f_now, f_across = f_now, f_across, f_now
        near, half, jump = (1e-14 + 4 * math.ulp(1.0) * abs(now)) / 2, (across - now) / 2, math.inf
        if abs(half) < near:
            break
        if abs(f_now) < abs(f_before):
            if before == across:
                jump = -f_now * (now - before) / (f_now - f_before)
            else:
                one, two = (f_before - f_now) / (before - now), (f_across - f_now) / (across - now)
                jump = -f_now * (f_across * two - f_before * one)
                jump /= two * one * (f_across - f_before)
        good = abs(last) > near and 2 * abs(jump) < min(abs(last), 3 * abs(half) - near)
        last, step = (step, jump) if good else (half, half)
        before, f_before = now, f_now
        now += step if abs(step) > near else math.copysign(near, half)
        f_now = of(now)
    return now
