"""Counts and their statistics: rates, paired tables, breakdowns, score pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET
from msgspec.structs import astuple, replace

from harness.analyse.asking_tables import ByPrompt, EffectTable
from harness.analyse.rates import (
    Difference,
    ModeTable,
    OfEndpoints,
    Paired,
    PairedTable,
    PairTest,
    Rate,
)
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
from harness.analyse.summary import Attribute, Breakdowns, ScorePair, Slice
from harness.numbers import p_text
from harness.records import BoolArray, IntArray, Pairing, Records, ScoreState
from harness.words import MODES, Endpoint, Mode

if TYPE_CHECKING:
    import pandas as pd

Counts = Mapping[tuple[str, str], int]
"""Numbers of candidates by the columns of `outcomes`."""


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
            f"underpowered: smallest possible p is {p_text(test.smallest)}"
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


def outcomes(records: Records, pairing: Pairing) -> pd.DataFrame:
    """What each candidate came to, one row each; sums of rows are the cells of every table.

    Columns: for each mode whether there is a record (``records``), whether it is ``ok``, and its
    two endpoints; ``complete`` under ``pairs``; and for each endpoint the cells of its paired
    table, which only complete pairs have.
    """
    import pandas as pd

    columns: dict[tuple[str, str], BoolArray] = {}
    for mode in MODES:
        slot = pairing.slots[mode]
        there = slot >= 0
        columns[mode, "records"] = there
        for name in ("ok", "label_flip", "text_change"):
            columns[mode, name] = there & records.column(name)[slot]
    complete = columns["pairs", "complete"] = pairing.complete(records)
    for endpoint in Endpoint:
        first, second = (columns[mode, endpoint.column] for mode in MODES)
        columns[endpoint, "both"] = complete & first & second
        columns[endpoint, "first"] = complete & first & ~second
        columns[endpoint, "second"] = complete & ~first & second
        columns[endpoint, "neither"] = complete & ~first & ~second
    return pd.DataFrame(columns)


def mode_table(counts: Counts, mode: Mode) -> ModeTable:
    """Counts and rates over the records of one mode; rates are over the ok ones."""
    records, ok = counts[mode, "records"], counts[mode, "ok"]
    flips, changes = (rate(counts[mode, endpoint.column], ok) for endpoint in Endpoint)
    return ModeTable(records, ok, records - ok, flips, changes)


def paired_table(counts: Counts) -> PairedTable:
    """Standard against batch-invariant over complete pairs."""

    def paired(endpoint: Endpoint) -> Paired:
        cells = (counts[endpoint, cell] for cell in ("both", "first", "second", "neither"))
        return Paired(*astuple(paired_statistics(*cells)))

    return PairedTable(*map(paired, Endpoint))


def totals(found: pd.DataFrame) -> Counts:
    """The counts over all rows of `outcomes`."""
    sums: Any = found.sum()
    return {name: int(count) for name, count in sums.items()}


def breakdowns(
    records: Records,
    pairing: Pairing,
    found: pd.DataFrame,
    by_prompt: Callable[[BoolArray], ByPrompt],
) -> Breakdowns:
    """The mode and paired tables for every value of every attribute of a candidate.

    Each attribute carries Holm-adjusted p values over its own slices as ``p_holm``.

    Args:
        records, pairing: of the run.
        found: its `outcomes`.
        by_prompt: the same of the chosen candidates by prompt.
    """
    standard, invariant = (pairing.slots[mode] for mode in MODES)
    row = np.where(standard >= 0, standard, invariant)
    cells: Any = found.columns.tolist()

    def slices(attribute: Attribute) -> tuple[Slice, ...]:
        if attribute in records.candidates:
            values = records.candidates[attribute]
        else:
            values = records.frame[attribute].take(row)
        grouped: Any = found.groupby(values.array, observed=True, dropna=False, sort=False)
        counted = zip(grouped.size().items(), grouped.sum().to_numpy().tolist(), strict=True)
        number = grouped.ngroup().to_numpy()
        entries = [
            _slice(value, size, dict(zip(cells, sums, strict=True)), by_prompt(number == at))
            for at, ((value, size), sums) in enumerate(counted)
        ]
        return _adjusted(sorted(entries, key=lambda entry: (entry.value is None, entry.value)))

    return Breakdowns(**{attribute: slices(attribute) for attribute in Attribute})


def _slice(value: Any, size: int, counts: Counts, prompts: ByPrompt) -> Slice:
    standard, invariant = (mode_table(counts, mode) for mode in MODES)
    known = None if value != value else value  # nan stands for none
    return Slice(known, int(size), standard, invariant, paired_table(counts), prompts)


def _adjusted(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """The slices of one attribute with their Holm-adjusted p values, by row and by prompt."""
    rows = _holm([entry.paired for entry in slices])
    prompts = [entry.by_prompt for entry in slices if entry.by_prompt]
    study = _holm([one.study.paired for one in prompts])
    effects = iter(_holm([one.batch_effect.paired for one in prompts if one.batch_effect]))
    return tuple(
        replace(
            entry,
            paired=PairedTable(*tests),
            by_prompt=replace(
                one,
                study=replace(one.study, paired=EffectTable(*both)),
                batch_effect=one.batch_effect
                and replace(one.batch_effect, paired=EffectTable(*next(effects))),
            ),
        )
        for entry, tests, one, both in zip(slices, rows, prompts, study, strict=True)
    )


def _holm(tables: Sequence[OfEndpoints[Paired]]) -> Iterable[tuple[Paired, ...]]:
    """Both tests of each table with their p values adjusted for all of them."""
    tests = []
    for endpoint in Endpoint:
        paired = [table.of(endpoint) for table in tables]
        adjusted = holm([test.p_two_sided for test in paired])
        tests.append([replace(t, p_holm=p) for t, p in zip(paired, adjusted, strict=True)])
    return zip(*tests, strict=True)


def score_pairs(records: Records, rows: IntArray) -> tuple[ScorePair, ...]:
    """How often each solo score met each batched score, over the ok records of one mode.

    A state without a score is ``None`` and named by ``solo_label`` or ``batched_label``.
    """
    states = records.states
    frame = records.frame[["ok", "solo_state", "batch_state"]].take(rows)
    counts: Any = frame[frame["ok"]].groupby(["solo_state", "batch_state"]).size()
    pairs = [(states[one], states[other], int(n)) for (one, other), n in counts.items()]
    return tuple(
        ScorePair(
            solo[0],
            batched[0],
            count,
            solo[1] if solo[0] is None else UNSET,
            batched[1] if batched[0] is None else UNSET,
        )
        for solo, batched, count in sorted(pairs, key=lambda p: (_rank(p[0]), _rank(p[1])))
    )


def _rank(state: ScoreState) -> tuple[bool, float, str]:
    score, label = state
    return score is None, score or 0.0, label or ""
