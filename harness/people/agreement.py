"""How far raters agree: per cent, Cohen's kappa, weighted kappa, Krippendorff's alpha.

``None`` where a measure does not exist: no two ratings to compare, or one label throughout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Literal

Label = Hashable
Level = Literal["nominal", "ordinal", "interval"]
Weights = Literal["linear", "quadratic"] | None


def percent_agreement(one: Sequence[Label], other: Sequence[Label]) -> float | None:
    """Share of units with equal labels; ``None`` for no units."""
    if not one:
        return None
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def cohen_kappa(
    one: Sequence[Label],
    other: Sequence[Label],
    *,
    weights: Weights = None,
    order: Sequence[Label] = (),
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
    first, second = Counter(one), Counter(other)
    expected = sum(
        count * times * distance(a, b) for a, count in first.items() for b, times in second.items()
    ) / (n * n)
    return None if expected == 0 else 1 - observed / expected


def krippendorff_alpha(
    units: Sequence[Sequence[Label]],
    *,
    level: Level = "nominal",
    order: Sequence[Label] = (),
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
    n = totals.total()
    place = {label: rank for rank, label in enumerate(order)}

    def distance(a: Label, b: Label) -> float:
        if level == "nominal" or a == b:
            return float(a != b)
        if level == "interval":
            return ((values or {})[a] - (values or {})[b]) ** 2
        low, high = sorted((place[a], place[b]))
        between = sum(totals[label] for label in order[low : high + 1])
        return (between - (totals[a] + totals[b]) / 2) ** 2

    observed = sum(
        count * times * distance(a, b) / (len(unit) - 1)
        for unit in rated
        for seen in [Counter(unit)]
        for a, count in seen.items()
        for b, times in seen.items()
    )
    expected = sum(
        count * times * distance(a, b) for a, count in totals.items() for b, times in totals.items()
    )
    return None if expected == 0 else 1 - (n - 1) * observed / expected
