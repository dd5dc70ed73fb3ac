"""Comparisons beside the primary one: kinds of flips, repeats, modes, clusters, conduct."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.analyse.exact import sign_flip_test, symmetry_p
from harness.analyse.tables import (
    ENDPOINTS,
    Json,
    endpoint,
    paired_counts,
    paired_statistics,
    rate,
    score_states,
)
from harness.records import MODES, BoolArray, FloatArray, IntArray, Pairing, Records

__all__ = [
    "clusters",
    "cross_mode",
    "flip_direction",
    "flip_kind",
    "flip_kinds",
    "latency",
    "noise_floor",
    "retries",
]


def flip_kind(solo: float | None, batched: float | None) -> str:
    """``hard`` when the scores lie on both sides of 0.5, ``soft`` otherwise, ``state`` when
    one side has no score.
    """
    if solo is None or batched is None:
        return "state"
    return "hard" if (solo - 0.5) * (batched - 0.5) < 0 else "soft"


def flip_direction(solo: float | None, batched: float | None) -> str | None:
    """``up`` or ``down`` from solo to batched; ``None`` where a side has no score."""
    if solo is None or batched is None or solo == batched:
        return None
    return "up" if batched > solo else "down"


def flip_kinds(records: Records, rows: IntArray) -> Json:
    """Flips of one mode by direction (with an exact symmetry test) and by kind.

    ``states`` lists the flips into, out of and between states without a score.
    """
    flipped = rows[records.columns.label_flip[rows]]
    pairs = list(
        zip(
            score_states(records, "solo", flipped),
            score_states(records, "batch", flipped),
            strict=True,
        )
    )
    directions = [flip_direction(solo[0], batched[0]) for solo, batched in pairs]
    kinds = [flip_kind(solo[0], batched[0]) for solo, batched in pairs]
    up, down = directions.count("up"), directions.count("down")
    return {
        "up": up,
        "down": down,
        "p_symmetry": symmetry_p(up, down),
        "hard": kinds.count("hard"),
        "soft": kinds.count("soft"),
        "state": kinds.count("state"),
        "unparsed_transitions": _transitions(pairs),
    }


def _transitions(pairs: list[tuple[Any, Any]]) -> list[Json]:
    counts: dict[tuple[str, str], int] = {}
    for solo, batched in pairs:
        if solo[0] is not None and batched[0] is not None:
            continue
        name = _state_name(solo), _state_name(batched)
        counts[name] = counts.get(name, 0) + 1
    return [
        {"solo": solo, "batched": batched, "rows": rows}
        for (solo, batched), rows in sorted(counts.items())
    ]


def _state_name(state: tuple[float | None, str | None]) -> str:
    return str(state[0]) if state[0] is not None else (state[1] or "no score")


def noise_floor(records: Records, rows: IntArray) -> Json:
    """How often asking again, with nothing changed, changed the answer.

    For each condition, the rows of one mode that have repeats: in how many any repeat had
    another label or text. ``batch_beyond_repeat`` sets the batch's change of a row against its
    solo repeat's; ``None`` where nothing was repeated.
    """
    columns = records.columns
    rows = rows[columns.ok[rows]]
    floor: Json = {
        "solo": _repeats(
            rows, columns.solo_repeats, columns.solo_repeat_flips, columns.solo_repeat_changes
        ),
        "batched": _repeats(
            rows, columns.batch_repeats, columns.batch_repeat_flips, columns.batch_repeat_changes
        ),
        "batch_beyond_repeat": None,
    }
    repeated = rows[columns.solo_repeats[rows] > 0]
    if len(repeated):
        floor["batch_beyond_repeat"] = {
            "label_flips": _beyond(columns.label_flip, columns.solo_repeat_flips, repeated),
            "text_changes": _beyond(columns.text_change, columns.solo_repeat_changes, repeated),
        }
    return floor


def _repeats(rows: IntArray, repeats: IntArray, flips: IntArray, changes: IntArray) -> Json | None:
    rows = rows[repeats[rows] > 0]
    if not len(rows):
        return None
    return {
        "repeats": int(repeats[rows].sum()),
        "label_flips": rate(int((flips[rows] > 0).sum()), len(rows)),
        "text_changes": rate(int((changes[rows] > 0).sum()), len(rows)),
    }


def _beyond(batch: BoolArray, repeat: IntArray, rows: IntArray) -> Json:
    cells = paired_counts(batch[rows], repeat[rows] > 0)
    named = dict(zip(("both", "batch_only", "repeat_only", "neither"), cells, strict=True))
    return {**named, "p_two_sided": paired_statistics(*cells)["p_two_sided"]}


def cross_mode(records: Records, pairing: Pairing) -> Json:
    """Whether the two modes give the same solo (and the same batched) answers.

    Freedom from batch effects is not agreement with the other mode: this is the second thing.
    """
    complete = pairing.complete(records)
    standard, invariant = (pairing.slots[mode][complete] for mode in MODES)
    result: Json = {}
    for name, side, hashes in (
        ("solo", "solo", records.solo_hash),
        ("batched", "batch", records.batch_hash),
    ):
        n = len(standard)
        pairs = zip(standard.tolist(), invariant.tolist(), strict=True)
        texts = sum(hashes[one] != hashes[other] for one, other in pairs)
        scores = zip(
            score_states(records, side, standard),
            score_states(records, side, invariant),
            strict=True,
        )
        result[name] = {
            "label_differs": rate(sum(one != other for one, other in scores), n),
            "text_differs": rate(texts, n),
        }
    return result


def clusters(records: Records, pairing: Pairing) -> Json:
    """Rows that share (model, task, sample) share a prompt: the same test a cluster.

    ``n_clusters`` counts clusters with a complete pair; the sign-flip test swaps the two modes
    of a whole cluster.
    """
    complete = np.flatnonzero(pairing.complete(records))
    codes: dict[tuple[str, str, str], int] = {}
    cluster = np.fromiter(
        (codes.setdefault(records.keys[k][:3], len(codes)) for k in complete.tolist()),
        dtype=np.int64,
        count=len(complete),
    )
    standard, invariant = (pairing.slots[mode][complete] for mode in MODES)
    result: Json = {
        "n_rows": len(complete),
        "n_clusters": len(codes),
        "largest": int(np.bincount(cluster).max()) if len(codes) else 0,
    }
    for name in ENDPOINTS:
        column = endpoint(records, name)
        difference = column[standard].astype(np.int64) - column[invariant].astype(np.int64)
        sums = np.zeros(len(codes), dtype=np.int64)
        np.add.at(sums, cluster, difference)
        test = sign_flip_test(sums.tolist())
        result[name] = {
            "informative": test.informative,
            "statistic": test.statistic,
            "p_two_sided": test.p_two_sided,
            "method": test.method,
        }
    return result


def retries(records: Records, rows: IntArray) -> Json:
    """Records of one mode that needed more than one attempt, and answers cut at the limit."""
    columns = records.columns
    return {
        "solo": int((columns.solo_attempts[rows] > 1).sum()),
        "batched": int((columns.batch_attempts[rows] > 1).sum()),
        "truncated": int(columns.truncated[rows].sum()),
    }


def latency(records: Records, rows: IntArray) -> Json:
    """Median seconds of an answer of one mode, alone and in its batch; ``None`` if unknown."""
    columns = records.columns
    return {
        "solo_median_s": _median(columns.solo_latency[rows]),
        "batched_median_s": _median(columns.batch_latency[rows]),
    }


def _median(seconds: FloatArray) -> float | None:
    known = seconds[~np.isnan(seconds)]
    value = float(np.median(known)) if len(known) else math.nan
    return None if math.isnan(value) else value
