"""What the askings of a prompt show: the batch effect, the cache effect and the noise, by prompt.

The prompt is the unit: its rows (sizes, schedules) are not independent, and it counts as changed
where any of them is. By-row counts stand beside it. A row counts for an effect where both of the
askings that the effect compares are there.
"""

from __future__ import annotations

import numpy as np

from harness.analyse.asking_tables import (
    Counted,
    EffectPairs,
    EffectTable,
    Hidden,
    ModeEffects,
    OfEffects,
    Witnessed,
)
from harness.analyse.rates import BeyondRepeat, PairTest, Rate
from harness.analyse.statistics import mcnemar, upper_bound
from harness.analyse.tables import paired_counts, paired_statistics, rate
from harness.records import BoolArray, IntArray, Pairing, Records
from harness.words import MIXING, MODES, Effect, Endpoint

_KINDS = {Endpoint.LABEL_FLIPS: "flip", Endpoint.TEXT_CHANGES: "text"}


def _seen(records: Records, effect: Effect | None, endpoint: Endpoint) -> IntArray:
    """For each record whether it shows the effect: 1, 0, and -1 where it was not measured.

    No effect is the study's comparison: B against S0.
    """
    if effect is None:
        shown = records.column(endpoint.column).astype(np.int8)
        return np.where(records.column("ok"), shown, np.int8(-1))
    return records.column(f"{effect}_{_KINDS[endpoint]}")


def effects_of(records: Records, rows: IntArray) -> ModeEffects:
    """What the askings of one mode show.

    Args:
        records: of the run.
        rows: the counted records of the mode.
    """
    prompt = records.prompts[records.column("key")[rows]]
    tokens = records.column("compared_tokens")[rows]

    def counted(effect: Effect | None, endpoint: Endpoint) -> Counted:
        seen = _seen(records, effect, endpoint)[rows]
        there, changed = seen >= 0, int((seen == 1).sum())
        known = there.any() and (tokens[there] >= 0).all()
        compared = int(tokens[there].sum()) if known else None
        return Counted(
            rows=rate(changed, int(there.sum())),
            prompts=rate(np.unique(prompt[seen == 1]).size, np.unique(prompt[there]).size),
            compared_tokens=compared,
            compared_upper95=upper_bound(0, compared) if compared and not changed else None,
        )

    def hidden(endpoint: Endpoint) -> Hidden:
        study, batch = (_seen(records, e, endpoint)[rows] for e in (None, Effect.BATCH))
        return Hidden(
            int(((batch == 1) & (study == 0)).sum()), int(((batch == 0) & (study == 1)).sum())
        )

    def beyond(endpoint: Endpoint) -> BeyondRepeat:
        batch, noise = (_seen(records, e, endpoint)[rows] for e in (Effect.BATCH, Effect.NOISE))
        there = (batch >= 0) & (noise >= 0)
        changed = batch[there] == 1, noise[there] == 1
        cells = paired_counts(*_by_prompt(prompt[there], *changed))
        return BeyondRepeat(*cells, mcnemar(*cells[1:3]).two_sided)

    ok = records.column("ok")[rows]
    return ModeEffects(
        OfEffects(*(EffectTable(*(counted(e, p) for p in Endpoint)) for e in (None, *Effect))),
        _patterns(records, rows),
        *_occasions(_seen(records, Effect.CACHE, Endpoint.TEXT_CHANGES)[rows], rows, prompt),
        EffectTable(*map(hidden, Endpoint)),
        EffectTable(*map(beyond, Endpoint)),
        int((records.column("s1_after_batch")[rows] & ok).sum()),
    )


def _occasions(seen: IntArray, rows: IntArray, prompt: IntArray) -> tuple[Rate, Rate]:
    """An effect at the first row of each prompt in the file, and at the later ones."""
    order = rows.argsort(kind="stable")
    is_first = np.zeros(len(rows), dtype=bool)
    is_first[order[np.unique(prompt[order], return_index=True)[1]]] = True
    first, later = seen[is_first], seen[~is_first]
    return (
        rate(int((first == 1).sum()), int((first >= 0).sum())),
        rate(int((later == 1).sum()), int((later >= 0).sum())),
    )


def _patterns(records: Records, rows: IntArray) -> dict[str, int]:
    frame = records.frame[["ok", "pattern"]].take(rows)
    found = frame[frame["ok"]]["pattern"].astype(object).fillna("unknown").value_counts()
    return {str(name): int(count) for name, count in sorted(found.items())}


def paired_effects(records: Records, pairing: Pairing) -> OfEffects[EffectPairs]:
    """Standard against batch-invariant for each comparison, by prompt and by row."""
    complete = pairing.complete(records)
    slots = [pairing.slots[mode][complete] for mode in MODES]

    def pairs(effect: Effect | None, endpoint: Endpoint) -> EffectPairs:
        first, second = (_seen(records, effect, endpoint)[slot] for slot in slots)
        there = (first >= 0) & (second >= 0)
        changed = first[there] == 1, second[there] == 1
        of_prompts = _by_prompt(records.prompts[complete][there], *changed)
        return EffectPairs(_tested(*changed), _tested(*of_prompts))

    return OfEffects(*(EffectTable(*(pairs(e, p) for p in Endpoint)) for e in (None, *Effect)))


def _by_prompt(
    prompt: IntArray, first: BoolArray, second: BoolArray
) -> tuple[BoolArray, BoolArray]:
    """For each prompt whether any of its rows shows the one, and the other."""
    _, number = np.unique(prompt, return_inverse=True)
    return np.bincount(number, weights=first) > 0, np.bincount(number, weights=second) > 0


def _tested(first: BoolArray, second: BoolArray) -> PairTest:
    return paired_statistics(*paired_counts(first, second))


def witnessed_of(records: Records, rows: IntArray) -> Witnessed:
    """What is known of the engine steps of one mode's records."""
    frame = records.frame[["ok", "witnessed", "vacuous", "mixed", "key"]].take(rows)
    frame = frame[frame["ok"]]
    sent = records.candidates["dispatch_mode"].to_numpy()[frame["key"]]
    mixed = frame["mixed"].to_numpy() & np.isin(sent.astype(str), list(MIXING))
    return Witnessed(
        len(frame),
        int(frame["witnessed"].sum()),
        int(frame["vacuous"].sum()),
        int(mixed.sum()),
        int(np.unique(records.prompts[frame["key"]][mixed]).size),
    )
