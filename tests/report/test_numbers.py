"""Numbers as people read them."""

from __future__ import annotations

import pytest
from report_samples import summary_of
from study_records import study_records

from harness.analyse import Rate
from harness.numbers import p_text, rate_text, score_text
from harness.report.text import paired_text


def test_a_rate_shows_count_rows_rate_and_interval() -> None:
    rate = Rate(count=22, n=55, rate=0.4, wilson95=(0.2811, 0.5319))
    assert rate_text(rate) == "22/55 = 40.0% [28.1, 53.2]"


def test_a_rate_over_no_rows_claims_no_rate() -> None:
    assert rate_text(Rate(0, 0)) == "0/0"


def test_a_pair_table_shows_both_discordant_counts_and_the_exact_p() -> None:
    paired = summary_of(study_records()).paired.label_flips
    assert paired_text(paired) == "b=22 c=0 p=4.8e-07 (exact McNemar)"


@pytest.mark.parametrize(
    ("p", "text"),
    [(5.960464477539063e-08, "6.0e-08"), (0.0078125, "0.0078"), (1.0, "1"), (None, "–")],
)
def test_p_has_two_digits(p: float | None, text: str) -> None:
    assert p_text(p) == text


def test_a_state_without_a_score_shows_its_label() -> None:
    assert score_text(None, "unparsed") == "– (unparsed)"
