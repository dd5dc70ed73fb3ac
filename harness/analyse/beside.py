"""Beside the primary comparison: kinds of flips, repeats, modes, clusters, conduct, every flip."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analyse.asking_tables import EffectTable
from harness.analyse.effects import beyond_repeat, by_unit
from harness.analyse.rates import Rate
from harness.analyse.statistics import sign_flip_test, symmetry_p
from harness.analyse.summary import (
    BeyondRepeats,
    Clusters,
    CrossMode,
    Differing,
    Flip,
    FlipKinds,
    Latency,
    NoiseFloor,
    Repeats,
    Retries,
    SignFlip,
    Transition,
)
from harness.analyse.tables import rate
from harness.flips import flip_direction, flip_kind
from harness.records import BoolArray, FirstDifference, IntArray, Pairing, RecordKey, Records
from harness.words import MODES, Effect, Endpoint, Mode

if TYPE_CHECKING:
    import pandas as pd

_REPEATS = ("repeat_flips", "repeat_changes")
"""The columns that count repeats with another label, and with another text."""
_REPEATED = [
    *("key", "s1_after_batch", "label_flip", "text_change", "solo_repeats", "batch_repeats"),
    *(f"{side}_{kind}" for side in ("solo", "batch") for kind in _REPEATS),
    *(f"{Effect.BATCH}_{what}" for what in ("flip", "text")),
]
"""What the noise floor is read from."""


def flip_kinds(records: Records, rows: IntArray) -> FlipKinds:
    """Flips of one mode by direction and by kind; a prompt goes where most of its flips go."""
    flipped = rows[records.column("label_flip")[rows]]
    sides = (records.score_states(side, flipped) for side in ("solo", "batch"))
    pairs = list(zip(*sides, strict=True))
    ways = [flip_direction(solo[0], batched[0]) for solo, batched in pairs]
    directions, net = Counter(ways), Counter[int]()
    for prompt, way in zip(
        records.prompts[records.column("key")[flipped]].tolist(), ways, strict=True
    ):
        net[prompt] += (way == "up") - (way == "down")
    up, down = (sum(sign * n > 0 for n in net.values()) for sign in (1, -1))
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
        prompts_up=up,
        prompts_down=down,
        p_symmetry_prompts=symmetry_p(up, down),
    )


def _state_name(state: tuple[float | None, str | None]) -> str:
    return str(state[0]) if state[0] is not None else (state[1] or "no score")


def noise_floor(records: Records, rows: IntArray) -> NoiseFloor:
    """How often asking again, with nothing changed, changed the answer.

    For each condition, the rows of one mode that have repeats: in how many any repeat had
    another label or text. ``batch_beyond_repeat`` sets the batch's change of a row against its
    solo repeat's; ``None`` where nothing was repeated. Each is told by prompt too.
    """
    counted = records.frame[_REPEATED].take(rows[records.column("ok")[rows]])
    repeated = counted[counted["solo_repeats"] > 0]
    prompt = records.prompts[repeated["key"]]
    shown = [
        (_batch_effect(repeated, endpoint).to_numpy(), (repeated[f"solo_{kind}"] > 0).to_numpy())
        for endpoint, kind in zip(Endpoint, _REPEATS, strict=True)
    ]
    by_prompt = EffectTable(*(beyond_repeat(*by_unit(prompt, *both)) for both in shown))
    flips, changes = (beyond_repeat(*both) for both in shown)
    beyond = BeyondRepeats(flips, changes, by_prompt)
    return NoiseFloor(
        solo=_repeats(counted, "solo", records.prompts),
        batched=_repeats(counted, "batch", records.prompts),
        batch_beyond_repeat=beyond if len(repeated) else None,
    )


def _batch_effect(repeated: pd.DataFrame, endpoint: Endpoint) -> pd.Series[bool]:
    """B against S1 where S1 came before it; as the study has it, against S0, where it did not."""
    what = "flip" if endpoint is Endpoint.LABEL_FLIPS else "text"
    effect = repeated[f"{Effect.BATCH}_{what}"]
    known = (effect >= 0) & ~repeated["s1_after_batch"]
    return repeated[endpoint.column].mask(known, effect == 1)


def _repeats(counted: pd.DataFrame, side: str, prompts: IntArray) -> Repeats | None:
    repeated = counted[counted[f"{side}_repeats"] > 0]
    if not len(repeated):
        return None
    changed = [(repeated[f"{side}_{kind}"] > 0).to_numpy() for kind in _REPEATS]
    by_prompt = _rates_by_prompt(prompts[repeated["key"]], changed)
    flips, changes = map(_share, changed)
    return Repeats(int(repeated[f"{side}_repeats"].sum()), flips, changes, by_prompt)


def _share(changed: BoolArray) -> Rate:
    return rate(int(changed.sum()), len(changed))


def _rates_by_prompt(prompt: IntArray, changed: Sequence[BoolArray]) -> EffectTable[Rate]:
    """Labels and texts: prompts of which any row has changed."""
    return EffectTable(*map(_share, by_unit(prompt, *changed)))


def cross_mode(records: Records, pairing: Pairing) -> CrossMode:
    """Whether the two modes give the same solo (and the same batched) answers.

    Freedom from batch effects is not agreement with the other mode: this is the second thing.
    """
    complete = pairing.complete(records)
    standard, invariant = (pairing.slots[mode][complete] for mode in MODES)

    def differing(side: str) -> Differing:
        columns = map(records.column, (f"{side}_state", f"{side}_said"))
        differs = [column[standard] != column[invariant] for column in columns]
        labels, texts = map(_share, differs)
        return Differing(labels, texts, _rates_by_prompt(records.prompts[complete], differs))

    return CrossMode(differing("solo"), differing("batch"))


def clusters(records: Records, pairing: Pairing) -> Clusters:
    """Rows that share (model, task, sample) share a prompt: the same test a cluster.

    ``n_clusters`` counts clusters with a complete pair; the sign-flip test swaps the two modes
    of a whole cluster.
    """
    complete = pairing.complete(records)
    cluster = np.unique(records.prompts[complete], return_inverse=True)[1]
    sizes = np.bincount(cluster)
    standard, invariant = (pairing.slots[mode][complete] for mode in MODES)

    def tested(endpoint: Endpoint) -> SignFlip:
        column = records.column(endpoint.column).astype(np.int64)
        sums = np.bincount(cluster, weights=column[standard] - column[invariant])
        test = sign_flip_test(sums.astype(np.int64).tolist())
        return SignFlip(test.informative, test.statistic, test.p_two_sided, test.method)

    largest = int(sizes.max(initial=0))
    return Clusters(len(cluster), len(sizes), largest, *map(tested, Endpoint))


def retries(records: Records, rows: IntArray) -> Retries:
    """Records of one mode that needed more than one attempt, and answers cut at the limit."""
    counted = records.frame[["solo_attempts", "batch_attempts", "truncated"]].take(rows)
    return Retries(
        solo=int((counted["solo_attempts"] > 1).sum()),
        batched=int((counted["batch_attempts"] > 1).sum()),
        truncated=int(counted["truncated"].sum()),
    )


def latency(records: Records, rows: IntArray) -> Latency:
    """Median seconds of an answer of one mode, alone and in its batch; ``None`` if unknown."""
    medians = records.frame[["solo_latency", "batch_latency"]].take(rows).median()
    return Latency(*(None if math.isnan(value) else float(value) for value in medians))


def list_flips(records: Records, pairing: Pairing) -> tuple[Flip, ...]:
    """Every label flip of a counted record, in file order within each mode.

    ``line`` finds the record, and with it the answers, in the records file.
    """
    flips: list[Flip] = []
    for mode in MODES:
        rows = pairing.rows(mode)
        rows = np.sort(rows[records.column("label_flip")[rows]])
        found = records.frame.take(rows).astype(object)
        keys = records.candidates.take(found["key"].to_numpy(int)).itertuples(
            index=False, name=None
        )
        for key, row in zip(keys, found.itertuples(), strict=True):
            flips.append(_flip(records, key, row, mode))
    return tuple(flips)


def _flip(records: Records, key: RecordKey, row: Any, mode: Mode) -> Flip:
    change = records.changes[row.Index] if row.text_change else None
    parts = change is not None and (change.char is not None or change.token is not None)
    solo, batched = records.states[row.solo_state][0], records.states[row.batch_state][0]

    def word(value: Any) -> str | None:
        return value if isinstance(value, str) else None  # nan where there is none

    model, task_name, sample_id, batch_size, dispatch_mode = key
    return Flip(
        model=model,
        task_name=task_name,
        sample_id=sample_id,
        batch_size=batch_size,
        dispatch_mode=dispatch_mode,
        mode=mode,
        record_id=change.record_id if change else None,
        line=int(row.line),
        phase=word(row.phase),
        domain=word(row.domain),
        original_direction=word(row.original_direction),
        solo_label=word(row.solo_label),
        batch_label=word(row.batch_label),
        solo_response_hash=row.solo_hash,
        batch_response_hash=row.batch_hash,
        text_change=bool(row.text_change),
        first_difference=FirstDifference(change.char, change.token) if change and parts else None,
        truncated=bool(row.truncated),
        solo_score=solo,
        batch_score=batched,
        kind=flip_kind(solo, batched),
        direction=flip_direction(solo, batched),
    )
