"""Intervals against published values and against statsmodels over random tables."""

import ast
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from harness.analyse import (
    clopper_pearson_interval,
    newcombe_interval,
    tango_interval,
    upper_bound,
    wilson_interval,
)
from harness.analyse.statistics import supported_margin, trials_for_margin

proportions = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
tables2x2 = st.tuples(*[st.integers(0, 60)] * 4).filter(any)


@given(proportions, st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_what_statsmodels_says(proportion, confidence):
    oracle = proportion_confint(*proportion, alpha=1 - confidence, method="wilson")
    interval = wilson_interval(*proportion, confidence)
    assert (interval.low, interval.high) == pytest.approx(oracle, abs=1e-9)


@given(proportions, st.sampled_from([0.8, 0.95, 0.99]))
def test_clopper_pearson_is_what_statsmodels_says(proportion, confidence):
    oracle = proportion_confint(*proportion, alpha=1 - confidence, method="beta")
    interval = clopper_pearson_interval(*proportion, confidence)
    assert (interval.low, interval.high) == pytest.approx(oracle, abs=1e-9)


@given(proportions)
def test_the_one_sided_bound_is_the_upper_end_of_a_90_per_cent_interval(proportion):
    k, n = proportion
    oracle = proportion_confint(k, n, alpha=0.10, method="beta")[1]
    assert upper_bound(k, n) == pytest.approx(oracle, abs=1e-9)


@pytest.mark.parametrize(
    ("n", "bound"), [(55, 0.0530), (44, 0.0658), (16, 0.171), (11, 0.238), (9, 0.283)]
)
def test_the_upper_bound_for_no_event(n, bound):
    assert upper_bound(0, n) == pytest.approx(bound, abs=5e-4)


@pytest.mark.parametrize(
    ("margin", "rows"),
    [(0.05, 59), (0.03, 99), (0.02, 149), (0.01, 299), (0.005, 598), (0.001, 2995)],
)
def test_rows_without_an_event_that_support_a_margin(margin, rows):
    assert trials_for_margin(margin) == rows
    assert upper_bound(0, rows) < margin <= upper_bound(0, rows - 1)


def test_a_bound_over_every_margin_supports_none():
    assert supported_margin(0.9) is None


def test_a_missing_bound_supports_no_margin():
    assert supported_margin(math.nan) is None


def test_the_published_paired_intervals(tables):
    for cells, golden in tables["paired"].items():
        counts = ast.literal_eval(cells)
        newcombe, tango = newcombe_interval(*counts), tango_interval(*counts)
        assert [newcombe.low, newcombe.high] == pytest.approx(golden["newcombe10"][1:], abs=1e-9)
        assert [tango.low, tango.high] == pytest.approx(golden["tango"][1:], abs=1e-9)


@pytest.mark.parametrize("interval", [newcombe_interval, tango_interval])
@given(cells=tables2x2)
def test_a_paired_interval_holds_its_estimate(interval, cells):
    both, first, second, neither = cells
    estimate = (first - second) / sum(cells)
    found = interval(both, first, second, neither)
    assert -1 <= found.low <= estimate + 1e-12
    assert estimate - 1e-12 <= found.high <= 1


@pytest.mark.parametrize("interval", [newcombe_interval, tango_interval])
@given(cells=tables2x2)
def test_swapping_the_conditions_mirrors_a_paired_interval(interval, cells):
    both, first, second, neither = cells
    one, other = interval(both, first, second, neither), interval(both, second, first, neither)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


@given(st.integers(1, 400))
def test_no_discordant_row_still_leaves_width(n):
    for interval in (newcombe_interval(0, 0, 0, n), tango_interval(0, 0, 0, n)):
        assert interval.high > 0 > interval.low


@pytest.mark.parametrize("interval", [wilson_interval, clopper_pearson_interval])
def test_no_rows_give_no_interval_of_a_proportion(interval):
    assert interval(0, 0).bounds is None


@pytest.mark.parametrize("interval", [newcombe_interval, tango_interval])
def test_no_rows_give_no_interval_of_a_difference(interval):
    assert interval(0, 0, 0, 0).bounds is None


def test_no_rows_give_no_bound():
    assert math.isnan(upper_bound(0, 0))
