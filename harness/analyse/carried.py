"""Which rows carry a claim, and what they show: by different answers, and by schedule.

An answer that is empty or a loop, one that ended long before the other mode's, one whose batch is
answered otherwise when sent again, and one whose prompt is not sure to have met another in a step
show nothing of the batch; prompts with one and the same long answer show it once. docs/verdict.md
argues each bound.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from harness.analyse.asking_tables import Carried, CarriedEndpoint, EffectTable
from harness.analyse.effects import by_unit
from harness.analyse.rates import Rate
from harness.analyse.tables import paired_counts, paired_statistics, rate
from harness.records import BoolArray, IntArray, Pairing, Records, numbered
from harness.words import MODES, Effect, Endpoint

LONG = 8
"""Tokens of which an answer has more that is not given to several prompts by chance."""
_KINDS = {Endpoint.LABEL_FLIPS: "flip", Endpoint.TEXT_CHANGES: "text"}


def carried_of(records: Records, pairing: Pairing, tokens_a_step: float = 1) -> Carried:
    """Which rows carry a claim.

    Args:
        records, pairing: of the run.
        tokens_a_step: that one request may be given at most (speculative decoding: more than 1).
    """
    complete = pairing.complete(records)
    slots = [pairing.slots[mode][complete] for mode in MODES]
    carries, left_out = np.ones(len(slots[0]), dtype=bool), dict[str, int]()
    for why, bad in _flaws(records, slots, tokens_a_step).items():
        left_out[why] = int((carries & bad).sum())
        carries &= ~bad
    prompt = records.prompts[complete]
    answers = _answers(records, slots, prompt)
    answer = answers[carries]
    return Carried(
        rate(int(carries.sum()), len(carries)),
        np.unique(prompt[carries]).size,
        np.unique(answer).size,
        left_out,
        {
            mode: int(_scarce(records, pairing.rows(mode), tokens_a_step).sum())
            for mode in pairing.modes()
        },
        len(cache_differs(records, pairing)[0]),
        EffectTable(*(_endpoint(records, pairing, e, carries, answers) for e in Endpoint)),
        None if carries.all() else _tokens(records, slots[1][carries]),
    )


def _tokens(records: Records, rows: IntArray) -> int | None:
    """Tokens compared in these rows; ``None`` where token ids are not recorded."""
    tokens = records.column(f"{Effect.BATCH}_tokens")[rows]
    return None if (tokens < 0).any() else int(tokens.sum())


def _either(records: Records, slots: list[IntArray], name: str) -> BoolArray:
    one, other = (records.column(name)[slot] > 0 for slot in slots)
    return np.asarray(one | other)


def _flaws(records: Records, slots: list[IntArray], per_step: float) -> dict[str, BoolArray]:
    """By reason, which pairs carry nothing."""
    sure = [_sure(records, slot, per_step) for slot in slots]
    again = _either(records, slots, "batch_repeat_changes")
    return _of_answers(records, slots) | {
        "the batch sent again (B2) is answered otherwise": again,
        "no count shows that its prompt met another in a step of its batch": ~(sure[0] & sure[1]),
    }


def _of_answers(records: Records, slots: list[IntArray]) -> dict[str, BoolArray]:
    standard, invariant = (records.column(f"{Effect.BATCH}_tokens")[slot] for slot in slots)
    idle = _either(records, slots, "degenerate")
    return {
        "an answer is empty or a few tokens over and over": idle,
        "batch-invariant mode gave less than half of standard mode's tokens": (
            (invariant >= 0) & (2 * invariant < standard)
        ),
    }


def carry_little(records: Records, pairing: Pairing) -> dict[str, BoolArray]:
    """By reason, the records whose own answers carry no claim, or none of their own."""
    complete = pairing.complete(records)
    slots = [pairing.slots[mode][complete] for mode in MODES]
    flaws, prompt = _of_answers(records, slots), records.prompts[complete]
    shared = _shared(_answers(records, slots, prompt), prompt)
    flaws[f"another prompt has the same answer of more than {LONG} tokens"] = shared
    found = {}
    for why, bad in flaws.items():
        found[why] = np.zeros(len(records), dtype=bool)
        found[why][slots[1][bad]] = True
    return found


def _own_steps(records: Records, rows: IntArray, per_step: float) -> Any:
    """Decode steps that a prompt's answer in its batch took at least."""
    return np.ceil((records.column("tokens")[rows] - 1) / per_step)


def _sure(records: Records, rows: IntArray, per_step: float) -> BoolArray:
    """Whose prompt has met another: its answer took more steps than were anybody's own alone."""
    lone, at_once = (records.column(name)[rows] for name in ("lone_steps", "at_once"))
    return np.asarray((lone < _own_steps(records, rows, per_step)) | (at_once > 0))


def _scarce(records: Records, rows: IntArray, per_step: float) -> BoolArray:
    """Whose prompt was alone for most of its answer: fewer steps were shared than half of it."""
    shared, lone = (records.column(name)[rows] for name in ("shared_steps", "lone_steps"))
    ok = records.column("ok")[rows]
    few = 2 * shared < _own_steps(records, rows, per_step)
    return np.asarray(ok & few & np.isfinite(lone))


def scarce_rows(records: Records, tokens_a_step: float = 1) -> BoolArray:
    """Of every record, whether its prompt was surely alone for most of its answer in the batch."""
    return _scarce(records, np.arange(len(records), dtype=np.int32), tokens_a_step)


def _answers(records: Records, slots: list[IntArray], prompt: IntArray) -> IntArray:
    """A number for each prompt, one for all that have a long answer in common in a mode."""
    parent = dict[int, int]()

    def root(number: int) -> int:
        while (above := parent.setdefault(number, number)) != number:
            parent[number] = number = parent[above]
        return number

    for slot in slots:
        long = records.column("compared_tokens")[slot] > LONG
        for side in ("solo_said", "batch_said"):
            texts, _ = numbered(records.column(side)[slot][long])
            once = numbered(texts, prompt[long])[1]
            said, told = texts[once], prompt[long][once]
            several, first = np.bincount(said)[said] > 1, dict[int, int]()
            for text, number in zip(said[several].tolist(), told[several].tolist(), strict=True):
                parent[root(number)] = root(first.setdefault(text, number))
    named = np.arange(prompt.max(initial=-1) + 1, dtype=np.int32)
    for number in list(parent):
        named[number] = root(number)
    return named[prompt]


def _shared(answers: IntArray, prompt: IntArray) -> BoolArray:
    """Whether a prompt's answer is that of another prompt too."""
    first = numbered(answers, prompt)[1]
    return np.asarray(np.bincount(answers[first], minlength=1)[answers] > 1)


def _endpoint(
    records: Records, pairing: Pairing, endpoint: Endpoint, carries: BoolArray, answers: IntArray
) -> CarriedEndpoint:
    complete, answer = pairing.complete(records), answers[carries]
    name = f"{Effect.BATCH}_{_KINDS[endpoint]}"
    slots = [pairing.slots[mode][complete] for mode in MODES]
    standard, changed = slots[0], [records.column(name)[slot[carries]] == 1 for slot in slots]
    ways = records.candidates["dispatch_mode"].to_numpy()[complete][carries].astype(str)

    def control(way: str) -> Rate:
        own = ways == way
        return rate(*(np.unique(answer[own & of]).size for of in (changed[0], own)))

    poor = (records.column("degenerate") > 0) | (records.column("batch_repeat_changes") > 0)
    shows = ((records.column(name) == 1) & ~poor)[standard]
    return CarriedEndpoint(
        paired_statistics(*paired_counts(*by_unit(answer, *changed))),
        {way: control(way) for way in sorted(set(ways))},
        int((shows & ~_shared(answers, records.prompts[complete])).sum()),
    )


def cache_differs(records: Records, pairing: Pairing) -> tuple[IntArray, IntArray]:
    """The pairs of records of which an asking found other tokens in the cache in the other mode.

    The first asking (S0) is left out, for it finds what other rows left; what is unknown differs
    from nothing.
    """
    complete = pairing.complete(records)
    standard, invariant = (pairing.slots[mode][complete] for mode in MODES)
    cached = records.column("cached")
    known = (cached[standard] >= 0) & (cached[invariant] >= 0)
    other = np.flatnonzero(known & (cached[standard] != cached[invariant]))
    words = (records.words("cached", slot[other]) for slot in (standard, invariant))
    differ = [_differ(str(one), str(two)) for one, two in zip(*words, strict=True)]
    found = other[np.array(differ, dtype=bool)]
    return standard[found], invariant[found]


def _differ(one: str, other: str) -> bool:
    pairs = [*zip(json.loads(one), json.loads(other), strict=False)][1:]
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)
