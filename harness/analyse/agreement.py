"""Comparisons beside the primary one: kinds of flips, repeats, modes, clusters, conduct."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from harness.analyse.statistics import mcnemar, sign_flip_test, symmetry_p
from harness.analyse.summary import (
    BeyondRepeat,
    BeyondRepeats,
    Clusters,
    CrossMode,
    Differing,
    FlipKinds,
    Latency,
    NoiseFloor,
    Repeats,
    Retries,
    SignFlip,
    Transition,
)
from harness.analyse.tables import endpoint, paired_counts, rate, score_states
from harness.flips import flip_direction, flip_kind
from harness.records import BoolArray, FloatArray, IntArray, Pairing, Records
from harness.words import MODES, Endpoint


def flip_kinds(records: Records, rows: IntArray) -> FlipKinds:
    """Flips of one mode by direction and by kind."""
    flipped = rows[records.columns.label_flip[rows]]
    pairs = list(
        zip(
            score_states(records, "solo", flipped),
            score_states(records, "batch", flipped),
            strict=True,
        )
    )
    directions = Counter(flip_direction(solo[0], batched[0]) for solo, batched in pairs)
    kinds = Counter(flip_kind(solo[0], batched[0]) for solo, batched in pairs)
    transitions = Counter(
        (_state_name(solo), _state_name(batched))
        for solo, batched in pairs
        if solo[0] is None or batched[0] is None
    )
    return FlipKinds(
        up=directions["up"],
        down=directions["down"],
        p_symmetry=symmetry_p(directions["up"], directions["down"]),
        hard=kinds["hard"],
        soft=kinds["soft"],
        state=kinds["state"],
        unparsed_transitions=tuple(
            Transition(*states, count) for states, count in sorted(transitions.items())
        ),
    )


def _state_name(state: tuple[float | None, str | None]) -> str:
    return str(state[0]) if state[0] is not None else (state[1] or "no score")


def noise_floor(records: Records, rows: IntArray) -> NoiseFloor:
    """How often asking again, with nothing changed, changed the answer.

    For each condition, the rows of one mode that have repeats: in how many any repeat had
    another label or text. ``batch_beyond_repeat`` sets the batch's change of a row against its
    solo repeat's; ``None`` where nothing was repeated.
    """
    columns = records.columns
    rows = rows[columns.ok[rows]]
    repeated = rows[columns.solo_repeats[rows] > 0]
    return NoiseFloor(
        solo=_repeats(
            rows, columns.solo_repeats, columns.solo_repeat_flips, columns.solo_repeat_changes
        ),
        batched=_repeats(
            rows, columns.batch_repeats, columns.batch_repeat_flips, columns.batch_repeat_changes
        ),
        batch_beyond_repeat=BeyondRepeats(
            _beyond(columns.label_flip, columns.solo_repeat_flips, repeated),
            _beyond(columns.text_change, columns.solo_repeat_changes, repeated),
        )
        if len(repeated)
        else None,
    )


def _repeats(
    rows: IntArray, repeats: IntArray, flips: IntArray, changes: IntArray
) -> Repeats | None:
    rows = rows[repeats[rows] > 0]
    if not len(rows):
        return None
    return Repeats(
        int(repeats[rows].sum()),
        rate(int((flips[rows] > 0).sum()), len(rows)),
        rate(int((changes[rows] > 0).sum()), len(rows)),
    )


def _beyond(batch: BoolArray, repeat: IntArray, rows: IntArray) -> BeyondRepeat:
    both, batch_only, repeat_only, neither = paired_counts(batch[rows], repeat[rows] > 0)
    p = mcnemar(batch_only, repeat_only).two_sided
    return BeyondRepeat(both, batch_only, repeat_only, neither, p)


def cross_mode(records: Records, pairing: Pairing) -> CrossMode:
    """Whether the two modes give the same solo (and the same batched) answers.

    Freedom from batch effects is not agreement with the other mode: this is the second thing.
    """
    complete = pairing.complete(records)
    standard, invariant = (pairing.slots[mode][complete] for mode in MODES)

    def differing(side: str, hashes: Sequence[str | None]) -> Differing:
        pairs = zip(standard.tolist(), invariant.tolist(), strict=True)
        texts = sum(hashes[one] != hashes[other] for one, other in pairs)
        scores = zip(
            score_states(records, side, standard),
            score_states(records, side, invariant),
            strict=True,
        )
        labels = sum(one != other for one, other in scores)
        return Differing(rate(labels, len(standard)), rate(texts, len(standard)))

    return CrossMode(differing("solo", records.solo_hash), differing("batch", records.batch_hash))


def clusters(records: Records, pairing: Pairing) -> Clusters:
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

    def tested(column: BoolArray) -> SignFlip:
        difference = column[standard].astype(np.int64) - column[invariant].astype(np.int64)
        sums = np.zeros(len(codes), dtype=np.int64)
        np.add.at(sums, cluster, difference)
        test = sign_flip_test(sums.tolist())
        return SignFlip(test.informative, test.statistic, test.p_two_sided, test.method)

    largest = int(np.bincount(cluster).max()) if len(codes) else 0
    tests = (tested(endpoint(records, name)) for name in Endpoint)
    return Clusters(len(complete), len(codes), largest, *tests)


def retries(records: Records, rows: IntArray) -> Retries:
    """Records of one mode that needed more than one attempt, and answers cut at the limit."""
    columns = records.columns
    return Retries(
        solo=int((columns.solo_attempts[rows] > 1).sum()),
        batched=int((columns.batch_attempts[rows] > 1).sum()),
        truncated=int(columns.truncated[rows].sum()),
    )


def latency(records: Records, rows: IntArray) -> Latency:
    """Median seconds of an answer of one mode, alone and in its batch; ``None`` if unknown."""
    columns = records.columns
    return Latency(_median(columns.solo_latency[rows]), _median(columns.batch_latency[rows]))


def _median(seconds: FloatArray) -> float | None:
    known = seconds[~np.isnan(seconds)]
    value = float(np.median(known)) if len(known) else math.nan
    return None if math.isnan(value) else value
