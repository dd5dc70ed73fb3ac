"""Numbers for people, each written one way: ``22/55 = 40.0% [28.1, 53.2]``, ``p=4.8e-07``."""

from collections.abc import Iterable, Sequence
from math import isnan
from typing import Any, Protocol

NONE = "–"
"""What stands where there is no number."""

_MEGABYTE, _GIGABYTE = 1e6, 1e9
_SMALLEST_P = 1e-300
_SHOWN = 5


class RateLike(Protocol):
    """A count of rows with its proportion and its Wilson interval, both as fractions."""

    @property
    def count(self) -> int:
        """Rows counted."""

    @property
    def n(self) -> int:
        """Rows looked at."""

    @property
    def rate(self) -> float | None:
        """``count / n``; ``None`` for no rows."""

    @property
    def wilson95(self) -> Sequence[float | None] | None:
        """Lower and upper bound at 95 %."""


def percent(fraction: float | None) -> str:
    """``40.0%``; a dash for no rows."""
    return NONE if fraction is None or isnan(fraction) else f"{fraction * 100:.1f}%"


def interval_text(bounds: Sequence[float | None] | None) -> str:
    """``[28.1, 53.2]`` in per cent, of two fractions; empty where either bound is missing."""
    if not bounds:
        return ""
    low, high = bounds
    if low is None or high is None or isnan(low) or isnan(high):
        return ""
    return f"[{low * 100:.1f}, {high * 100:.1f}]"


def rate_text(rate: RateLike | None) -> str:
    """``22/55 = 40.0% [28.1, 53.2]`` (Wilson 95 %); ``0/0`` for no rows, a dash for no rate."""
    if rate is None:
        return NONE
    if not rate.n:
        return "0/0"
    head = f"{rate.count}/{rate.n} = {percent(rate.rate)}"
    return f"{head} {interval_text(rate.wilson95)}".strip()


def p_text(p: float | None) -> str:
    """Two significant digits: ``4.8e-07``, ``0.0078``, ``0.25``, ``1``; ``<1e-300`` below that.

    A p value is never 0: where a float cannot hold it, the text gives a bound.
    """
    if p is None or isnan(p):
        return NONE
    if p < _SMALLEST_P:
        return f"<{_SMALLEST_P:.0e}"
    return f"{p:.2g}" if p >= 1e-3 else f"{p:.1e}"


def p_equals(p: float | None) -> str:
    """``p=0.0078``, or ``p<1e-300`` where the value underflows."""
    text = p_text(p)
    return f"p{text}" if text.startswith("<") else f"p={text}"


def discordant_text(first: int, second: int, p: float | None, note: str | None = None) -> str:
    """``b=22 c=0 p=4.8e-07 (exact McNemar)``, with a remark where no p could be small.

    Args:
        first, second: ``b`` and ``c``, the discordant pairs of either kind.
        p: two-sided, of the exact test.
        note: the remark.
    """
    text = f"b={first} c={second} {p_equals(p)} (exact McNemar)"
    return f"{text}; {note}" if note else text


def score_text(score: Any, label: str | None = None) -> str:
    """A score without needless digits, and the scorer's word for it: ``1 (refused)``."""
    number = isinstance(score, int | float)
    shown = NONE if score is None else f"{score:g}" if number else str(score)
    return f"{shown} ({label})" if label else shown


def measure_text(value: float | None, agreement: float | None = None) -> str:
    """A kappa or an alpha in three digits; where it does not exist, the plain agreement instead."""
    if value is not None:
        return f"{value:.3f}"
    return "n/a" if agreement is None else f"n/a, {percent(agreement)} agreement"


def seconds_text(seconds: float | None) -> str:
    """A measured time: ``87.4 s``."""
    return NONE if seconds is None or isnan(seconds) else f"{seconds:.1f} s"


def duration_text(seconds: float) -> str:
    """An estimated time, for patience: ``1 min`` at least, ``1.6 h`` from an hour and a half."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def size_text(size: float | None) -> str:
    """Bytes in megabytes (10^6), for sizes to be compared: ``8,123.4 MB``."""
    return NONE if size is None else f"{size / _MEGABYTE:,.1f} MB"


def gigabytes_text(size: float | None) -> str:
    """Bytes in gigabytes (10^9), for one size alone: ``8.12 GB``."""
    return NONE if size is None else f"{size / _GIGABYTE:.2f} GB"


def count_of(n: int, word: str, plural: str | None = None) -> str:
    """``1 file``, ``2,000 files``, ``0 files``; ``plural`` for a word that takes no s."""
    return f"{n:,} {word if n == 1 else plural or word + 's'}"


def shortened(items: Iterable[str], total: int) -> str:
    """The first five items, and how many more of the ``total`` there are."""
    shown = [item for _, item in zip(range(_SHOWN), items, strict=False)]
    more = total - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
