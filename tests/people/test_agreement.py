"""Agreement measures against the check vector and an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa, to_table

from harness.people import cohen_kappa, krippendorff_alpha, percent_agreement

ONE = [0, 0.5, 1, 1, 0, 0.5, 1, 0]
OTHER = [0, 0.5, 1, 0.5, 0, 1, 1, 0]
ORDER = (0, 0.5, 1)
UNITS = list(zip(ONE, OTHER, strict=True))
LABELS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=40)


@pytest.mark.parametrize(
    ("weights", "kappa"), [(None, 0.6190), ("linear", 0.7333), ("quadratic", 0.8333)]
)
def test_kappa_of_the_check_vector(weights, kappa: float) -> None:
    assert cohen_kappa(ONE, OTHER, weights=weights, order=ORDER) == pytest.approx(kappa, abs=5e-5)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.6429), ("ordinal", 0.8438)])
def test_alpha_of_the_check_vector(level, alpha: float) -> None:
    found = krippendorff_alpha(UNITS, level=level, order=ORDER)
    assert found == pytest.approx(alpha, abs=5e-5)


def test_alpha_of_krippendorff_s_own_example_with_missing_ratings() -> None:
    # Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C
    units = [
        "111",
        "2223",
        "3333",
        "3333",
        "2222",
        "1234",
        "4444",
        "1112",
        "2222",
        "555",
        "11",
        "3",
    ]
    ratings = [[int(c) for c in unit] for unit in units]
    assert krippendorff_alpha(ratings) == pytest.approx(0.743, abs=5e-4)
    order = (1, 2, 3, 4, 5)
    assert krippendorff_alpha(ratings, level="ordinal", order=order) == pytest.approx(
        0.815, abs=5e-4
    )
    values = {n: float(n) for n in order}
    assert krippendorff_alpha(ratings, level="interval", values=values) == pytest.approx(
        0.849, abs=5e-4
    )


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_kappa_does_not_exist_where_all_labels_are_equal(weights) -> None:
    assert cohen_kappa([1, 1], [1, 1], weights=weights, order=(0, 1)) is None
    assert percent_agreement([1, 1], [1, 1]) == 1.0


def test_alpha_does_not_exist_where_all_labels_are_equal_or_none_is_shared() -> None:
    assert krippendorff_alpha([[1, 1], [1, 1]]) is None
    assert krippendorff_alpha([[1], [2]]) is None
    assert krippendorff_alpha([]) is None


def test_no_units_have_no_agreement() -> None:
    assert percent_agreement([], []) is None
    assert cohen_kappa([], []) is None


def _oracle(pairs: list[tuple[int, int]], weights: str | None = None) -> float:
    table = to_table(np.array(pairs), bins=3)[0]
    with np.errstate(all="ignore"):  # it also divides by a standard error that may be 0
        return float(cohens_kappa(table, wt=weights).kappa)


@given(LABELS)
def test_kappa_agrees_with_statsmodels(pairs: list[tuple[int, int]]) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    found = cohen_kappa(one, other)
    if found is not None:
        assert found == pytest.approx(_oracle(pairs), abs=1e-9)


@given(LABELS)
def test_weighted_kappa_agrees_with_statsmodels(pairs: list[tuple[int, int]]) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    for weights in ("linear", "quadratic"):
        found = cohen_kappa(one, other, weights=weights, order=(0, 1, 2))
        if found is not None:
            assert found == pytest.approx(_oracle(pairs, weights), abs=1e-9)


@given(LABELS)
def test_agreement_does_not_depend_on_who_is_first(pairs: list[tuple[int, int]]) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    assert cohen_kappa(one, other) == pytest.approx(cohen_kappa(other, one))
    swapped = [(b, a) for a, b in pairs]
    assert krippendorff_alpha(pairs) == pytest.approx(krippendorff_alpha(swapped))
