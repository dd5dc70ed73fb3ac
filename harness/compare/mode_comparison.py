"""The numbers of one mode of A against one mode of B, and the candidates that changed.

Three questions are kept apart. *Alone*: did the answer to the prompt on its own change? *In its
batch*: did the batched answer change? *Flips*: did the batch's effect, solo against batched of
the same run, appear, vanish or stay?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import to_builtins

from harness.analyse import (
    endpoint,
    flip_direction,
    noise_floor,
    paired_counts,
    paired_statistics,
    rate,
    score_states,
    symmetry_p,
)
from harness.compare.alignment import Alignment
from harness.compare.model import CONDITIONS, CandidateChange, FlipChange, ModeComparison
from harness.compare.side import Side
from harness.records import BoolArray, IntArray, RecordKey, ScoreState
from harness.words import Endpoint

__all__ = ["compare_mode"]

Json = dict[str, Any]
_SHORT = {"solo": "solo", "batched": "batch"}
_FAMILIES = {"model": 0, "task_name": 1, "batch_size": 3, "dispatch_mode": 4}


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What changed, one entry a counted candidate."""

    keys: Sequence[RecordKey]
    rows: tuple[IntArray, IntArray]
    events: Mapping[str, tuple[BoolArray, BoolArray]]
    texts: Mapping[str, BoolArray]
    labels: Mapping[str, BoolArray]
    states: Mapping[str, tuple[list[ScoreState], list[ScoreState]]]


def compare_mode(a: Side, b: Side, pairs: Alignment) -> ModeComparison:
    """Compare the records of an alignment; those that failed on either side are not counted."""
    ok_a, ok_b = a.records.columns.ok[pairs.rows_a], b.records.columns.ok[pairs.rows_b]
    counted = ok_a & ok_b
    out = _outcome(a, b, pairs, counted)
    return ModeComparison(
        mode_a=pairs.mode_a,
        mode_b=pairs.mode_b,
        candidates=len(pairs.keys),
        n=int(counted.sum()),
        errors_a=int((~ok_a).sum()),
        errors_b=int((~ok_b).sum()),
        flips={name: _flips(*out.events[name]) for name in Endpoint},
        answers={condition: _answers(out, condition) for condition in CONDITIONS},
        prompts=_prompts(out),
        noise_a=to_builtins(noise_floor(a.records, out.rows[0])),
        noise_b=to_builtins(noise_floor(b.records, out.rows[1])),
        breakdowns={name: _breakdown(out, at) for name, at in _FAMILIES.items()},
        changes=tuple(_changes(a, b, pairs, out)),
    )


def _outcome(a: Side, b: Side, pairs: Alignment, counted: BoolArray) -> _Outcome:
    rows_a, rows_b = pairs.rows_a[counted], pairs.rows_b[counted]
    events = {
        str(name): (endpoint(a.records, name)[rows_a], endpoint(b.records, name)[rows_b])
        for name in Endpoint
    }
    hashes = {
        "solo": (a.records.solo_hash, b.records.solo_hash),
        "batched": (a.records.batch_hash, b.records.batch_hash),
    }
    lists = list(zip(rows_a.tolist(), rows_b.tolist(), strict=True))
    texts = {
        name: np.array([one[i] != other[j] for i, j in lists], dtype=bool)
        for name, (one, other) in hashes.items()
    }
    states = {
        name: (score_states(a.records, short, rows_a), score_states(b.records, short, rows_b))
        for name, short in _SHORT.items()
    }
    labels = {
        name: np.array([x != y for x, y in zip(one, other, strict=True)], dtype=bool)
        for name, (one, other) in states.items()
    }
    keys = [pairs.keys[index] for index in np.flatnonzero(counted).tolist()]
    return _Outcome(keys, (rows_a, rows_b), events, texts, labels, states)


def _flips(one: BoolArray, other: BoolArray) -> Json:
    both, only_a, only_b, neither = paired_counts(one, other)
    n = len(one)
    return {
        "a": to_builtins(rate(both + only_a, n)),
        "b": to_builtins(rate(both + only_b, n)),
        "appeared": only_b,
        "vanished": only_a,
        "stayed": both,
        "paired": {
            "both": both,
            "a_only": only_a,
            "b_only": only_b,
            "neither": neither,
            **to_builtins(paired_statistics(both, only_a, only_b, neither)),
        },
    }


def _answers(out: _Outcome, condition: str) -> Json:
    one, other = out.states[condition]
    changed = np.flatnonzero(out.labels[condition]).tolist()
    directions = [flip_direction(one[index][0], other[index][0]) for index in changed]
    up, down = directions.count("up"), directions.count("down")
    n = len(out.keys)
    return {
        "text_changes": to_builtins(rate(int(out.texts[condition].sum()), n)),
        "label_changes": to_builtins(rate(len(changed), n)),
        "up": up,
        "down": down,
        "p_symmetry": symmetry_p(up, down),
    }


def _prompts(out: _Outcome) -> Json:
    """Several batch sizes ask the same prompt alone; so changes are counted by prompt too."""
    changed: dict[tuple[str, str, str], bool] = {}
    for key, differs in zip(out.keys, out.texts["solo"].tolist(), strict=True):
        changed[key[:3]] = changed.get(key[:3], False) or differs
    moved = to_builtins(rate(sum(changed.values()), len(changed)))
    return {"n": len(changed), "solo_text_changes": moved}


def _breakdown(out: _Outcome, at: int) -> list[Json]:
    values: list[str | int] = [key[at] for key in out.keys]
    codes: dict[str | int, int] = {v: i for i, v in enumerate(sorted(set(values), key=_order))}
    column = np.array([codes[value] for value in values], dtype=np.int32)
    one, other = out.events["label_flips"]
    return [
        {
            "value": value,
            "n": int(mask.sum()),
            "flips_a": int((one & mask).sum()),
            "flips_b": int((other & mask).sum()),
            "appeared": int((other & ~one & mask).sum()),
            "vanished": int((one & ~other & mask).sum()),
            "solo_text_changes": int((out.texts["solo"] & mask).sum()),
            "solo_label_changes": int((out.labels["solo"] & mask).sum()),
            "batched_text_changes": int((out.texts["batched"] & mask).sum()),
            "batched_label_changes": int((out.labels["batched"] & mask).sum()),
        }
        for value, code in codes.items()
        for mask in [column == code]
    ]


def _order(value: str | int) -> tuple[bool, int, str]:
    number = value if isinstance(value, int) else 0
    return isinstance(value, str), number, str(value)


def _changes(a: Side, b: Side, pairs: Alignment, out: _Outcome) -> Iterator[CandidateChange]:
    one, other = out.events["label_flips"]
    text_a, text_b = out.events["text_changes"]
    anything = one != other
    for condition in CONDITIONS:
        anything = anything | out.texts[condition] | out.labels[condition]
    for index in np.flatnonzero(anything | (one & other)).tolist():
        yield CandidateChange(
            key=out.keys[index],
            mode_a=pairs.mode_a,
            mode_b=pairs.mode_b,
            line_a=a.line(int(out.rows[0][index])),
            line_b=b.line(int(out.rows[1][index])),
            flip=_effect(bool(one[index]), bool(other[index])),
            text_effect=_effect(bool(text_a[index]), bool(text_b[index])),
            text_changed={c: bool(out.texts[c][index]) for c in CONDITIONS},
            label_changed={c: bool(out.labels[c][index]) for c in CONDITIONS},
            states={c: (out.states[c][0][index], out.states[c][1][index]) for c in CONDITIONS},
        )


def _effect(before: bool, after: bool) -> FlipChange:
    if before and after:
        return FlipChange.STAYED
    if after:
        return FlipChange.APPEARED
    return FlipChange.VANISHED if before else FlipChange.NONE
