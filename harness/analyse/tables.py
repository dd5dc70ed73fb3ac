"""Counts and their statistics as JSON: rates, paired tables, breakdowns, score pairs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.analyse.exact import holm, mcnemar, minimum_detectable_rate
from harness.analyse.intervals import (
    clopper_pearson_interval,
    newcombe_interval,
    supported_margin,
    tango_interval,
    upper_bound,
    wilson_interval,
)
from harness.records import MODES, BoolArray, IntArray, Pairing, Records, ScoreState

__all__ = [
    "ENDPOINTS",
    "breakdowns",
    "mode_table",
    "paired_counts",
    "paired_table",
    "rate",
    "score_pairs",
    "score_states",
]

Json = dict[str, Any]
ENDPOINTS = ("label_flips", "text_changes")
_STANDARD, _INVARIANT = MODES


def rate(count: int, n: int) -> Json:
    """A count with its intervals; everything but the counts is ``None`` for no rows.

    ``upper95`` is the one-sided exact bound and ``margin`` the smallest customary margin that
    it stays under: what "no flip in n rows" supports.
    """
    bound = upper_bound(count, n)
    return {
        "count": count,
        "n": n,
        "rate": count / n if n else None,
        "wilson95": wilson_interval(count, n).as_json(),
        "clopper_pearson95": clopper_pearson_interval(count, n).as_json(),
        "upper95": None if math.isnan(bound) else bound,
        "margin": supported_margin(bound),
    }


def endpoint(records: Records, name: str) -> BoolArray:
    """The column of an endpoint."""
    columns = records.columns
    return columns.label_flip if name == "label_flips" else columns.text_change


def mode_table(records: Records, rows: IntArray) -> Json:
    """Counts and rates over the records ``rows`` of one mode; rates are over the ok ones."""
    ok = int(records.columns.ok[rows].sum())
    table: Json = {"records": len(rows), "ok": ok, "errors": len(rows) - ok}
    for name in ENDPOINTS:
        table[name] = rate(int(endpoint(records, name)[rows].sum()), ok)
    return table


def paired_counts(first: BoolArray, second: BoolArray) -> tuple[int, int, int, int]:
    """Rows with the event in both, the first only, the second only, neither."""
    both = int((first & second).sum())
    only_first, only_second = int(first.sum()) - both, int(second.sum()) - both
    return both, only_first, only_second, len(first) - both - only_first - only_second


def paired_statistics(both: int, first: int, second: int, neither: int) -> Json:
    """The tests of a paired two-by-two table; ``first`` and ``second`` are the discordant cells."""
    n = both + first + second + neither
    test = mcnemar(first, second)
    return {
        "p_two_sided": test.two_sided,
        "p_one_sided": test.one_sided,
        "p_mid": test.mid,
        "smallest_p": test.smallest,
        "underpowered": test.underpowered,
        "note": (
            f"underpowered: smallest possible p is {test.smallest:.3g}"
            if test.underpowered
            else None
        ),
        "difference": {
            "estimate": (first - second) / n if n else None,
            "newcombe95": newcombe_interval(both, first, second, neither).as_json(),
            "tango95": tango_interval(both, first, second, neither).as_json(),
        },
        "detectable_rate80": minimum_detectable_rate(n),
    }


def paired_table(records: Records, pairing: Pairing, keys: BoolArray) -> Json:
    """Standard against batch-invariant over the complete pairs among ``keys``."""
    table: Json = {}
    standard = pairing.slots[_STANDARD][keys]
    invariant = pairing.slots[_INVARIANT][keys]
    for name in ENDPOINTS:
        column = endpoint(records, name)
        cells = paired_counts(column[standard], column[invariant])
        named = dict(
            zip(("both", "standard_only", "invariant_only", "neither"), cells, strict=True)
        )
        table[name] = {**named, **paired_statistics(*cells)}
    return table


def breakdowns(records: Records, pairing: Pairing) -> Json:
    """The mode and paired tables for every value of every attribute of a candidate.

    Each family carries Holm-adjusted p values over its own slices as ``p_holm``.
    """
    complete = pairing.complete(records)
    families: Json = {}
    for family, values in _families(records, pairing).items():
        slices = [_slice(records, pairing, complete, value, mask) for value, mask in _masks(values)]
        for name in ENDPOINTS:
            adjusted = holm([entry["paired"][name]["p_two_sided"] for entry in slices])
            for entry, p in zip(slices, adjusted, strict=True):
                entry["paired"][name]["p_holm"] = p
        families[family] = slices
    return families


def _slice(
    records: Records, pairing: Pairing, complete: BoolArray, value: Any, mask: BoolArray
) -> Json:
    entry: Json = {"value": value, "n": int(mask.sum())}
    for mode in MODES:
        slot = pairing.slots[mode][mask]
        entry[str(mode)] = mode_table(records, slot[slot >= 0])
    entry["paired"] = paired_table(records, pairing, mask & complete)
    return entry


def _families(records: Records, pairing: Pairing) -> dict[str, list[Any]]:
    """For each attribute, its value for every key."""
    columns = records.columns
    standard, invariant = (pairing.slots[mode] for mode in MODES)
    row = np.where(standard >= 0, standard, invariant)

    def words(column: IntArray, word: Callable[[int], str | None]) -> list[Any]:
        return [word(code) for code in column[row].tolist()]

    keys = records.keys
    return {
        "model": [key[0] for key in keys],
        "domain": words(columns.domain, records.domains.word),
        "task_name": [key[1] for key in keys],
        "dispatch_mode": [key[4] for key in keys],
        "phase": words(columns.phase, records.phases.word),
        "original_direction": words(columns.direction, records.directions.word),
        "batch_size": [key[3] for key in keys],
    }


def _masks(values: Sequence[Any]) -> list[tuple[Any, BoolArray]]:
    distinct = sorted(set(values), key=lambda v: (v is None, v))
    code = {value: index for index, value in enumerate(distinct)}
    codes = np.fromiter((code[value] for value in values), dtype=np.int32, count=len(values))
    return [(value, codes == index) for index, value in enumerate(distinct)]


def score_pairs(records: Records, rows: IntArray) -> list[Json]:
    """How often each solo score met each batched score, over the ok records of one mode.

    A state without a score is ``null`` and named by ``solo_label`` or ``batched_label``.
    """
    rows = rows[records.columns.ok[rows]]
    counts = Counter(
        zip(score_states(records, "solo", rows), score_states(records, "batch", rows), strict=True)
    )
    ordered = sorted(counts, key=lambda pair: (_rank(pair[0]), _rank(pair[1])))
    return [_score_pair(solo, batched, counts[solo, batched]) for solo, batched in ordered]


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


def _score_pair(solo: ScoreState, batched: ScoreState, rows: int) -> Json:
    pair: Json = {"solo": solo[0], "batched": batched[0], "rows": rows}
    if solo[0] is None:
        pair["solo_label"] = solo[1]
    if batched[0] is None:
        pair["batched_label"] = batched[1]
    return pair
