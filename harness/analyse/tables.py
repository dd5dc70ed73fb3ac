"""Counts and their statistics: rates, paired tables, breakdowns, score pairs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from msgspec import UNSET
from msgspec.structs import astuple, replace

from harness.analyse.statistics import (
    clopper_pearson_interval,
    holm,
    mcnemar,
    minimum_detectable_rate,
    newcombe_interval,
    supported_margin,
    tango_interval,
    upper_bound,
    wilson_interval,
)
from harness.analyse.summary import (
    Breakdowns,
    Difference,
    ModeTable,
    Paired,
    PairedTable,
    PairTest,
    Rate,
    ScorePair,
    Slice,
)
from harness.records import BoolArray, IntArray, Pairing, Records, ScoreState
from harness.words import MODES, Endpoint

_Value = TypeVar("_Value", str, int, "str | None")


def rate(count: int, n: int) -> Rate:
    """A count with its intervals."""
    bound = upper_bound(count, n)
    return Rate(
        count,
        n,
        rate=count / n if n else None,
        wilson95=wilson_interval(count, n).bounds,
        clopper_pearson95=clopper_pearson_interval(count, n).bounds,
        upper95=None if math.isnan(bound) else bound,
        margin=supported_margin(bound),
    )


def endpoint(records: Records, name: Endpoint) -> BoolArray:
    """The column of an endpoint."""
    columns = records.columns
    return columns.label_flip if name is Endpoint.LABEL_FLIPS else columns.text_change


def mode_table(records: Records, rows: IntArray) -> ModeTable:
    """Counts and rates over the records ``rows`` of one mode; rates are over the ok ones."""
    ok = int(records.columns.ok[rows].sum())
    flips, changes = (rate(int(endpoint(records, e)[rows].sum()), ok) for e in Endpoint)
    return ModeTable(len(rows), ok, len(rows) - ok, flips, changes)


def paired_counts(first: BoolArray, second: BoolArray) -> tuple[int, int, int, int]:
    """Rows with the event in both, the first only, the second only, neither."""
    both = int((first & second).sum())
    only_first, only_second = int(first.sum()) - both, int(second.sum()) - both
    return both, only_first, only_second, len(first) - both - only_first - only_second


def paired_statistics(both: int, first: int, second: int, neither: int) -> PairTest:
    """A two-by-two table and its tests; ``first`` and ``second`` are the discordant cells."""
    n = both + first + second + neither
    test = mcnemar(first, second)
    return PairTest(
        both,
        first,
        second,
        neither,
        p_two_sided=test.two_sided,
        p_one_sided=test.one_sided,
        p_mid=test.mid,
        smallest_p=test.smallest,
        underpowered=test.underpowered,
        note=(
            f"underpowered: smallest possible p is {test.smallest:.3g}"
            if test.underpowered
            else None
        ),
        difference=Difference(
            estimate=(first - second) / n if n else None,
            newcombe95=newcombe_interval(both, first, second, neither).bounds,
            tango95=tango_interval(both, first, second, neither).bounds,
        ),
        detectable_rate80=minimum_detectable_rate(n),
    )


def paired_table(records: Records, pairing: Pairing, keys: BoolArray) -> PairedTable:
    """Standard against batch-invariant over the complete pairs among ``keys``."""
    standard, invariant = (pairing.slots[mode][keys] for mode in MODES)

    def paired(column: BoolArray) -> Paired:
        cells = paired_counts(column[standard], column[invariant])
        return Paired(*astuple(paired_statistics(*cells)))

    return PairedTable(*(paired(endpoint(records, name)) for name in Endpoint))


def breakdowns(records: Records, pairing: Pairing) -> Breakdowns:
    """The mode and paired tables for every value of every attribute of a candidate.

    Each attribute carries Holm-adjusted p values over its own slices as ``p_holm``.
    """
    complete = pairing.complete(records)
    columns, keys = records.columns, records.keys
    standard, invariant = (pairing.slots[mode] for mode in MODES)
    row = np.where(standard >= 0, standard, invariant)

    def slices(values: Sequence[_Value]) -> tuple[Slice, ...]:
        return _adjusted(
            [_slice(records, pairing, complete, value, mask) for value, mask in _masks(values)]
        )

    def words(column: IntArray, word: Callable[[int], str | None]) -> tuple[Slice, ...]:
        return slices([word(code) for code in column[row].tolist()])

    return Breakdowns(
        model=slices([key[0] for key in keys]),
        domain=words(columns.domain, records.domains.word),
        task_name=slices([key[1] for key in keys]),
        dispatch_mode=slices([key[4] for key in keys]),
        phase=words(columns.phase, records.phases.word),
        original_direction=words(columns.direction, records.directions.word),
        batch_size=slices([key[3] for key in keys]),
    )


def _slice(
    records: Records,
    pairing: Pairing,
    complete: BoolArray,
    value: str | int | None,
    mask: BoolArray,
) -> Slice:
    slots = (pairing.slots[mode][mask] for mode in MODES)
    standard, invariant = (mode_table(records, slot[slot >= 0]) for slot in slots)
    paired = paired_table(records, pairing, mask & complete)
    return Slice(value, int(mask.sum()), standard, invariant, paired)


def _adjusted(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """The slices of one attribute with their Holm-adjusted p values."""
    tests = [
        [
            replace(entry.paired.of(name), p_holm=p)
            for entry, p in zip(
                slices, holm([s.paired.of(name).p_two_sided for s in slices]), strict=True
            )
        ]
        for name in Endpoint
    ]
    return tuple(
        replace(entry, paired=PairedTable(*both))
        for entry, *both in zip(slices, *tests, strict=True)
    )


def _masks(values: Sequence[_Value]) -> list[tuple[_Value, BoolArray]]:
    distinct = sorted(set(values), key=lambda v: (v is None, v))
    code = {value: index for index, value in enumerate(distinct)}
    codes = np.fromiter((code[value] for value in values), dtype=np.int32, count=len(values))
    return [(value, codes == index) for index, value in enumerate(distinct)]


def score_pairs(records: Records, rows: IntArray) -> tuple[ScorePair, ...]:
    """How often each solo score met each batched score, over the ok records of one mode.

    A state without a score is ``None`` and named by ``solo_label`` or ``batched_label``.
    """
    rows = rows[records.columns.ok[rows]]
    counts = Counter(
        zip(score_states(records, "solo", rows), score_states(records, "batch", rows), strict=True)
    )
    ordered = sorted(counts, key=lambda pair: (_rank(pair[0]), _rank(pair[1])))
    return tuple(
        ScorePair(
            solo[0],
            batched[0],
            counts[solo, batched],
            solo[1] if solo[0] is None else UNSET,
            batched[1] if batched[0] is None else UNSET,
        )
        for solo, batched in ordered
    )


def score_states(records: Records, side: str, rows: IntArray) -> list[ScoreState]:
    """Score, or label where there is no score, of the ``solo`` or ``batch`` answers."""
    columns, word = records.columns, records.labels.word
    scores = columns.solo_score if side == "solo" else columns.batch_score
    labels = columns.solo_label if side == "solo" else columns.batch_label
    return [
        (None, word(label)) if math.isnan(score) else (score, None)
        for score, label in zip(scores[rows].tolist(), labels[rows].tolist(), strict=True)
    ]


def _rank(state: ScoreState) -> tuple[bool, float, str]:
    score, label = state
    return score is None, score or 0.0, label or ""
