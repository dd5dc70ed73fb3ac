"""Which axis takes a change away, on a stand-in (named so) with forty scripted causes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cause.stand_in_servers import StandIn

from harness.cause import Axis, Explorer, How, Seen

SCRIPT = json.loads((Path(__file__).parent / "forty_causes.json").read_text())


def found(cause, seed=0):
    stand_in = StandIn(cause, SCRIPT["axes"], SCRIPT["prompts"], seed)
    return Explorer(stand_in.axes, stand_in).attribute(), stand_in


def outcome(cause, seed=0):
    told, _ = found(cause, seed)
    expected = cause["expected"]
    if (str(told.how), sorted(told.axes)) == (expected["how"], expected["axes"]):
        return "right"
    return "unknown" if told.how in (How.UNKNOWN, How.NOTHING) else "wrong"


@pytest.mark.parametrize("seed", range(5))
def test_of_forty_causes_33_of_35_are_found_none_is_wrong_and_5_are_unknown(seed):
    outcomes = {cause["id"]: outcome(cause, seed) for cause in SCRIPT["causes"]}
    assert len(outcomes) == 40
    explained = {name: told for name, told in outcomes.items() if not name.startswith("none")}
    assert len(explained) == 35
    assert [name for name, told in outcomes.items() if told == "wrong"] == []
    assert list(explained.values()).count("right") >= 33, explained
    assert all(outcomes[name] == "right" for name in outcomes.keys() - explained.keys())


def test_a_wrong_axis_is_rarer_than_one_in_five_hundred():
    tried = [outcome(cause, seed) for cause in SCRIPT["causes"] for seed in range(100, 160)]
    assert tried.count("wrong") <= len(tried) / 500


def test_a_steady_cause_costs_few_lifetimes():
    _, stand_in = found(SCRIPT["causes"][0])
    assert stand_in.asked <= 18


def explore(measure, *axes):
    return Explorer([Axis(name, values) for name, values in axes], measure).attribute()


ATTENTION = ("attention", ("FA3", "FA2"))


def test_a_base_that_stops_changing_has_no_cause():
    seen = iter([Seen(frozenset("a"), 9, mixed=1)] * 3)  # the base's first three
    told = explore(lambda *_: next(seen, Seen(frozenset(), 9, mixed=1)), ATTENTION)
    assert told.how is How.UNKNOWN
    assert "lifetimes" in told.reason or "no longer changes" in told.reason


def test_a_cell_without_mixed_steps_is_not_clean_where_the_base_has_them():
    def measure(cell, _):
        return Seen(frozenset() if cell else frozenset("a"), 9, mixed=0 if cell else 3)

    assert explore(measure, ATTENTION).how is How.UNKNOWN


def test_a_base_that_does_not_change_is_told_with_a_bound():
    told = explore(lambda *_: Seen(frozenset(), 24, mixed=1), ATTENTION)
    assert told.how is How.NOTHING
    assert told.cells[0].bound == pytest.approx(1 - 0.05 ** (1 / 24))


def test_an_axis_that_lessens_the_change_does_not_remove_it():
    def measure(cell, _):
        return Seen(frozenset("a" if cell else "abcdefgh"), 24, mixed=1)

    told = explore(measure, ATTENTION)
    assert told.how is How.UNKNOWN
    assert [cell.changed for cell in told.cells] == [8, 1]
