"""How far raters agree: per cent, Cohen's kappa, weighted kappa, Krippendorff's alpha.

``None`` where a measure does not exist: no two ratings to compare, or one label throughout.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal

Label = Hashable
Labels = Sequence[Label]
Level = Literal["nominal", "ordinal", "interval"]
Weights = Literal["linear", "quadratic"] | None
_Distance = Callable[[Label, Label], float]


def percent_agreement(one: Labels, other: Labels) -> float | None:
    """Share of units with equal labels; ``None`` for no units."""
    if not one:
        return None
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def cohen_kappa(
    one: Labels, other: Labels, *, weights: Weights = None, order: Labels = ()
) -> float | None:
    """Cohen's kappa of two raters (Cohen 1960), weighted by rank distance (Cohen 1968).

    ``weights`` of ``None`` count any disagreement alike, others by the distance of the labels'
    places in ``order``, which has all labels, lowest first.
    """
    if not one:
        return None
    place = {label: rank for rank, label in enumerate(order)}

    def distance(a: Label, b: Label) -> float:
        if weights is None:
            return float(a != b)
        apart = abs(place[a] - place[b])
        return float(apart if weights == "linear" else apart**2)

    n = len(one)
    observed = sum(distance(a, b) for a, b in zip(one, other, strict=True)) / n
    expected = _crossed(Counter(one), Counter(other), distance) / (n * n)
    return None if expected == 0 else 1 - observed / expected


def krippendorff_alpha(
    units: Sequence[Labels],
    *,
    level: Level = "nominal",
    order: Labels = (),
    values: Mapping[Label, float] | None = None,
) -> float | None:
    """Krippendorff's alpha (Krippendorff 2011), for any number of raters and missing ratings.

    Args:
        units: the ratings that each unit has; units with fewer than two are left out.
        level: ``nominal``, ``ordinal`` (by ``order``, all labels, lowest first) or ``interval``
            (by ``values``, a number for each label).
    """
    rated = [unit for unit in units if len(unit) > 1]
    totals = Counter(label for unit in rated for label in unit)
    place = {label: rank for rank, label in enumerate(order)}

    def distance(a: Label, b: Label) -> float:
        if level == "nominal" or a == b:
            return float(a != b)
        if level == "interval":
            return ((values or {})[a] - (values or {})[b]) ** 2
        low, high = sorted((place[a], place[b]))
        between = sum(totals[label] for label in order[low : high + 1])
        return (between - (totals[a] + totals[b]) / 2) ** 2

    counted = map(Counter, rated)
    observed = sum(_crossed(seen, seen, distance) / (seen.total() - 1) for seen in counted)
    expected = _crossed(totals, totals, distance)
    return None if expected == 0 else 1 - (totals.total() - 1) * observed / expected


def _crossed(one: Counter[Label], other: Counter[Label], distance: _Distance) -> float:
    """The distance over all pairs of a label of ``one`` with a label of ``other``."""
    return sum(n * m * distance(a, b) for a, n in one.items() for b, m in other.items())
