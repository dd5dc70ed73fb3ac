"""Exact tests against published values, statsmodels, scipy and brute force."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from harness.analyse import (
    holm,
    mcnemar,
    minimum_detectable_rate,
    sign_flip_test,
    statistics,
    symmetry_p,
)

counts = st.integers(0, 80)


@given(counts, counts, counts, counts)
def test_mcnemar_is_what_statsmodels_says(both, first, second, neither):
    oracle = statsmodels_mcnemar([[both, first], [second, neither]], exact=True).pvalue
    assert mcnemar(first, second).two_sided == pytest.approx(oracle, rel=1e-9)


@given(counts, counts)
def test_the_one_sided_tail_is_the_binomial_one(first, second):
    total = first + second
    oracle = binomtest(first, total, alternative="greater").pvalue if total else 1.0
    assert mcnemar(first, second).one_sided == pytest.approx(oracle, rel=1e-9)


@given(counts, counts)
def test_mid_p_takes_half_of_the_observed_outcome(first, second):
    total, few = first + second, min(first, second)
    oracle = min(1.0, 2 * binom.cdf(few, total, 0.5) - binom.pmf(few, total, 0.5))
    assert mcnemar(first, second).mid == pytest.approx(oracle if total else 1.0, rel=1e-9)


def test_large_counts_agree_with_scipy():
    oracle = binomtest(4000, 8300).pvalue
    assert mcnemar(4000, 4300).two_sided == pytest.approx(oracle, rel=1e-9)


def test_no_discordant_pair_gives_one():
    test = mcnemar(0, 0)
    assert (test.two_sided, test.one_sided, test.mid, test.smallest) == (1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(("discordant", "underpowered"), [(0, True), (5, True), (6, False)])
def test_fewer_than_six_discordant_pairs_are_underpowered(discordant, underpowered):
    assert mcnemar(discordant, 0).underpowered is underpowered


@given(st.integers(0, 40))
def test_the_smallest_p_is_the_one_of_the_most_extreme_outcome(discordant):
    assert mcnemar(discordant, 0).two_sided == pytest.approx(mcnemar(discordant, 0).smallest)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_what_statsmodels_says(p_values):
    oracle = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(oracle), abs=1e-12)


def test_holm_of_nothing_is_nothing():
    assert holm([]) == []


def test_fourteen_up_and_eight_down_are_compatible_with_symmetry():
    assert symmetry_p(14, 8) == pytest.approx(0.28627872467)


@pytest.mark.parametrize(
    ("pairs", "rate"),
    [(9, 0.73), (12, 0.58), (16, 0.45), (26, 0.29), (44, 0.174), (55, 0.140), (200, 0.039)],
)
def test_the_minimum_detectable_rate(pairs, rate):
    assert minimum_detectable_rate(pairs) == pytest.approx(rate, abs=5e-3)


def test_the_minimum_detectable_rate_reaches_its_power():
    rate = minimum_detectable_rate(55)
    assert binom.sf(5, 55, rate) == pytest.approx(0.8)


def test_five_pairs_can_detect_nothing():
    assert minimum_detectable_rate(5) is None


def _every_sign(differences):
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(total >= observed for total in sums) / len(sums)


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_the_sign_flip_test_counts_every_sign_pattern(differences):
    assert sign_flip_test(differences).p_two_sided == pytest.approx(_every_sign(differences))


@pytest.mark.parametrize("clusters", [6, 10, 22])
def test_clusters_that_all_agree_give_two_halves_to_the_power(clusters):
    assert sign_flip_test([1] * clusters).p_two_sided == pytest.approx(2 * 0.5**clusters)


def test_clusters_of_equal_modes_are_not_informative():
    test = sign_flip_test([0, 0, 3])
    assert (test.clusters, test.informative, test.p_two_sided) == (3, 1, 1.0)


def test_no_cluster_gives_one():
    assert sign_flip_test([]).p_two_sided == 1.0


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize(("up", "down"), [(4500, 4200), (8001, 7760), (9000, 9000)])
def test_very_many_events_of_one_size_are_as_likely_as_coin_tosses(up, down, factor):
    test = sign_flip_test([factor] * up + [-factor] * down)
    oracle = binomtest(up, up + down).pvalue
    assert (test.statistic, test.method) == (factor * (up - down), "exact")
    assert test.p_two_sided == pytest.approx(oracle, rel=1e-9)


def test_the_normal_limit_is_not_anti_conservative(monkeypatch):
    differences = [2] * 4100 + [-2] * 4000 + [4] * 40
    monkeypatch.setattr(statistics, "_EXACT_SUM", 1 << 20)
    counted = sign_flip_test(differences)
    monkeypatch.setattr(statistics, "_EXACT_SUM", 1)
    limit = sign_flip_test(differences)
    assert (counted.method, limit.method) == ("exact", "normal")
    assert limit.p_two_sided == pytest.approx(counted.p_two_sided, rel=2e-3)


def test_the_normal_limit_for_very_many_events_is_close_to_the_exact_test(monkeypatch):
    differences = [1] * 3100 + [-1] * 2950 + [2] * 30
    counted = sign_flip_test(differences)
    monkeypatch.setattr(statistics, "_EXACT_SUM", 100)
    limit = sign_flip_test(differences)
    assert (counted.method, limit.method) == ("exact", "normal")
    assert limit.p_two_sided == pytest.approx(counted.p_two_sided, abs=2e-3)
