"""What the askings of a prompt show: the batch effect, the cache effect and the noise, by prompt.

The prompt is the unit: its rows (sizes, schedules) are not independent, and it counts as changed
where any of them is. By-row counts stand beside it. A row counts for an effect where both of the
askings that the effect compares are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from msgspec.structs import astuple

from harness.analyse.asking_tables import (
    ByPrompt,
    Counted,
    EffectPairs,
    EffectTable,
    Hidden,
    ModeEffects,
    OfEffects,
    SliceEffect,
    Unseen,
    Witnessed,
)
from harness.analyse.rates import BeyondRepeat, Paired, PairTest, Rate, T
from harness.analyse.statistics import mcnemar, upper_bound
from harness.analyse.tables import paired_counts, paired_statistics, rate
from harness.records import BoolArray, IntArray, Pairing, Records
from harness.words import MIXING, MODES, Effect, Endpoint, Mode

_OF_BATCHES = (None, Effect.BATCH)
_NOT_MEASURED = Counted(rate(0, 0), rate(0, 0))
_KINDS = {Endpoint.LABEL_FLIPS: "flip", Endpoint.TEXT_CHANGES: "text"}


def _seen(records: Records, effect: Effect | None, endpoint: Endpoint, rows: IntArray) -> IntArray:
    """For each row whether it shows the effect: 1, 0, and -1 where it was not measured.

    No effect is the study's comparison: B against S0.
    """
    if effect is None:
        return records.studied(endpoint.column)[rows]
    return records.column(f"{effect}_{_KINDS[endpoint]}")[rows]


def _counted(
    records: Records,
    rows: IntArray,
    effect: Effect | None,
    endpoint: Endpoint,
    *,
    dispatched: bool = True,
) -> Counted:
    """How often a comparison differs in records of one mode."""
    seen = _seen(records, effect, endpoint, rows)
    if not (there := seen >= 0).any():
        return _NOT_MEASURED
    if not there.all():
        rows, seen = rows[there], seen[there]
    changed, key = seen == 1, records.column("key")[rows]
    tokens = records.column(f"{effect}_tokens" if effect else "compared_tokens")[rows]
    compared = int(tokens.sum()) if (tokens >= 0).all() else None
    moved = changed.any() or any(
        compared is not None and records.column(f"{e}_retold")[rows].any()
        for e in ([effect] if effect else Effect)
    )
    sent = records.dispatches[key] if dispatched and effect in _OF_BATCHES else None
    batched = sent is not None and (sent >= 0).all()

    def share(unit: IntArray) -> Rate:
        return rate(_distinct(unit[changed]), _distinct(unit))

    return Counted(
        rows=rate(int(changed.sum()), len(rows)),
        prompts=share(records.prompts[key]),
        compared_tokens=compared,
        compared_upper95=upper_bound(0, compared) if compared and not moved else None,
        dispatches=share(sent) if sent is not None and batched else None,
    )


def _distinct(numbers: IntArray) -> int:
    return int(np.count_nonzero(np.bincount(numbers)))


def _table(make: Callable[[Endpoint], T]) -> EffectTable[T]:
    """The same of labels and of texts."""
    return EffectTable(*map(make, Endpoint))


def effects_of(records: Records, rows: IntArray) -> ModeEffects:
    """What the askings of one mode show.

    Args:
        records: of the run.
        rows: the counted records of the mode.
    """
    prompt = records.prompts[records.column("key")[rows]]

    def hidden(endpoint: Endpoint) -> Hidden:
        study, batch = (_seen(records, e, endpoint, rows) for e in (None, Effect.BATCH))
        return Hidden(
            int(((batch == 1) & (study == 0)).sum()), int(((batch == 0) & (study == 1)).sum())
        )

    def beyond(endpoint: Endpoint) -> BeyondRepeat:
        batch, noise = (_seen(records, e, endpoint, rows) for e in (Effect.BATCH, Effect.NOISE))
        there = (batch >= 0) & (noise >= 0)
        changed = batch[there] == 1, noise[there] == 1
        return beyond_repeat(*by_unit(prompt[there], *changed))

    ok = records.column("ok")[rows]
    return ModeEffects(
        OfEffects(*(_table(partial(_counted, records, rows, e)) for e in (None, *Effect))),
        _patterns(records, rows),
        *_occasions(_seen(records, Effect.CACHE, Endpoint.TEXT_CHANGES, rows), rows, prompt),
        _table(hidden),
        _table(beyond),
        int((records.column("s1_after_batch")[rows] & ok).sum()),
    )


def beyond_repeat(batch: BoolArray, repeat: BoolArray) -> BeyondRepeat:
    """Rows, or prompts, that the batch changes against those that asking again changes."""
    cells = paired_counts(batch, repeat)
    return BeyondRepeat(*cells, mcnemar(*cells[1:3]).two_sided)


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
    """Standard against batch-invariant for each comparison, by prompt, by row and by dispatch."""
    complete = pairing.complete(records)
    slots = [pairing.slots[mode][complete] for mode in MODES]

    def pairs(effect: Effect | None, endpoint: Endpoint) -> EffectPairs:
        first, second = (_seen(records, effect, endpoint, slot) for slot in slots)
        there = (first >= 0) & (second >= 0)
        changed = first[there] == 1, second[there] == 1
        prompt, sent = (unit[complete][there] for unit in (records.prompts, records.dispatches))
        by_dispatch = effect in _OF_BATCHES and there.any() and (sent >= 0).all()
        return EffectPairs(
            _tested(*changed),
            _tested(*by_unit(prompt, *changed)),
            _tested(*by_unit(sent, *changed)) if by_dispatch else None,
        )

    return OfEffects(*(_table(partial(pairs, effect)) for effect in (None, *Effect)))


def by_unit(unit: IntArray, *shown: BoolArray) -> Iterator[BoolArray]:
    """For each unit whether any of its rows shows the one, and the other."""
    there = np.bincount(unit)
    return (np.bincount(unit[one], minlength=len(there))[there > 0] > 0 for one in shown)


def _tested(first: BoolArray, second: BoolArray) -> PairTest:
    return paired_statistics(*paired_counts(first, second))


def slice_by_prompt(records: Records, pairing: Pairing, chosen: BoolArray) -> ByPrompt:
    """The prompts of some candidates, by the study's comparison and by the batch effect.

    Dispatches are told of all rows alone.

    Args:
        chosen: which candidates.
    """
    own = np.flatnonzero(chosen)
    rows = {mode: (slot := pairing.slots[mode][own])[slot >= 0] for mode in MODES}
    both = np.flatnonzero(chosen & pairing.complete(records))
    prompts, of_both = records.prompts[both], [pairing.slots[mode][both] for mode in MODES]

    def paired(effect: Effect | None, endpoint: Endpoint) -> Paired:
        seen = (_seen(records, effect, endpoint, slot) == 1 for slot in of_both)
        return Paired(*astuple(_tested(*by_unit(prompts, *seen))))

    def shown(effect: Effect | None) -> SliceEffect:
        one, other = (
            _table(partial(_counted, records, of, effect, dispatched=False)) for of in rows.values()
        )
        return SliceEffect(one, other, _table(partial(paired, effect)))

    study, batch = shown(None), shown(Effect.BATCH)
    asked = all(
        batch.mode(m).text_changes.rows.n == study.mode(m).text_changes.rows.n for m in MODES
    )
    known = asked and any(len(of) for of in rows.values())
    return ByPrompt(_distinct(records.prompts[own]), study, batch if known else None)


def witnessed_of(records: Records, rows: IntArray) -> Witnessed:
    """What is known of the engine steps of one mode's records."""
    good = rows[records.column("ok")[rows]]
    key = records.column("key")[good]
    mixed = records.column("mixed")[good]
    mixed = mixed & records.candidates["dispatch_mode"].isin(list(MIXING)).to_numpy()[key]
    return Witnessed(
        len(good),
        int(records.column("witnessed")[good].sum()),
        int(records.column("vacuous")[good].sum()),
        int(mixed.sum()),
        _distinct(records.prompts[key[mixed]]),
    )


def unseen_of(records: Records, rows: IntArray, mode: Mode) -> Unseen:
    """What the comparison of the texts of one mode's rows does not see."""
    good = rows[records.column("ok")[rows]]
    moved = records.column("cache_moved")[good][records.column(f"{Effect.BATCH}_text")[good] == 1]
    finds = records.checks.batches.companions
    told = [finds.moved(server) for server in finds.batched if server[1] == mode]
    return Unseen(
        companions=sum(compared for _, compared in told),
        companions_moved=sum(len(others) for others, _ in told),
        again=int((records.column("batch_repeats")[good] > 0).sum()),
        again_moved=int((records.column("batch_repeat_changes")[good] > 0).sum()),
        tokens_moved=int(records.column(f"{Effect.BATCH}_retold")[good].sum()),
        tokens_unsteady=int(records.column(f"{Effect.NOISE}_retold")[good].sum()),
        cache_moved=int((moved == 1).sum()),
        cache_unknown=int((moved < 0).sum()),
        unsteady=sum(finds.unsteady(server) for server in list(finds.alone) if server[1] == mode),
    )
