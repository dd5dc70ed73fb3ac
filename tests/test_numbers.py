"""How numbers read."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import pytest

from harness import numbers
from harness.numbers import NONE


@dataclass(frozen=True)
class Rate:
    count: int
    n: int
    rate: float | None
    wilson95: tuple[float | None, float | None] | None


@pytest.mark.parametrize(
    ("p", "value", "equation"),
    [
        (4.8e-07, "4.8e-07", "p=4.8e-07"),
        (0.0078125, "0.0078", "p=0.0078"),
        (0.25, "0.25", "p=0.25"),
        (0.625, "0.62", "p=0.62"),
        (1.0, "1", "p=1"),
        (0.001, "0.001", "p=0.001"),
        (0.00024, "2.4e-04", "p=2.4e-04"),
        (2e-300, "2.0e-300", "p=2.0e-300"),
        (1e-310, "<1e-300", "p<1e-300"),
        (0.0, "<1e-300", "p<1e-300"),
        (None, NONE, f"p={NONE}"),
        (nan, NONE, f"p={NONE}"),
    ],
)
def test_a_p_value_has_two_significant_digits_and_is_never_0(p, value, equation):
    assert (numbers.p_text(p), numbers.p_equals(p)) == (value, equation)


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Rate(22, 55, 0.4, (0.2807, 0.5321)), "22/55 = 40.0% [28.1, 53.2]"),
        (Rate(0, 0, None, None), "0/0"),
        (Rate(0, 0, None, (None, None)), "0/0"),
        (Rate(1, 2, 0.5, None), "1/2 = 50.0%"),
        (Rate(1, 2, None, (0.1, None)), f"1/2 = {NONE}"),
        (None, NONE),
    ],
)
def test_a_rate_is_a_count_a_percentage_and_an_interval(rate, text):
    assert numbers.rate_text(rate) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (numbers.percent(0.4), "40.0%"),
        (numbers.percent(None), NONE),
        (numbers.percent(nan), NONE),
        (numbers.interval_text((0, 1)), "[0.0, 100.0]"),
        (numbers.interval_text((nan, nan)), ""),
        (numbers.interval_text(None), ""),
        (numbers.discordant_text(22, 0, 2 * 0.5**22), "b=22 c=0 p=4.8e-07 (exact McNemar)"),
        (numbers.discordant_text(3, 0, 0.25, "few"), "b=3 c=0 p=0.25 (exact McNemar); few"),
        (numbers.discordant_text(2000, 0, 0.0), "b=2000 c=0 p<1e-300 (exact McNemar)"),
        (numbers.score_text(1.0, "refused"), "1 (refused)"),
        (numbers.score_text(0.3333333), "0.333333"),
        (numbers.score_text(None), NONE),
        (numbers.score_text("A"), "A"),
        (numbers.measure_text(0.81249), "0.812"),
        (numbers.measure_text(None), "n/a"),
        (numbers.measure_text(None, 1.0), "n/a, 100.0% agreement"),
        (numbers.seconds_text(87.44), "87.4 s"),
        (numbers.seconds_text(None), NONE),
        (numbers.duration_text(3), "1 min"),
        (numbers.duration_text(60 * 89), "89 min"),
        (numbers.duration_text(60 * 96), "1.6 h"),
        (numbers.size_text(8_123_400_000), "8,123.4 MB"),
        (numbers.size_text(None), NONE),
        (numbers.gigabytes_text(8_123_400_000), "8.12 GB"),
        (numbers.count_of(1, "file"), "1 file"),
        (numbers.count_of(0, "file"), "0 files"),
        (numbers.count_of(2_000, "file"), "2,000 files"),
        (numbers.count_of(2, "entry", "entries"), "2 entries"),
        (numbers.shortened("abc", 3), "a; b; c"),
        (numbers.shortened("abcdefg", 7), "a; b; c; d; e; and 2 more"),
        (numbers.shortened(iter("abcdefg"), 100), "a; b; c; d; e; and 95 more"),
        (numbers.shortened([], 0), ""),
    ],
)
def test_a_number_reads_so(text, expected):
    assert text == expected
