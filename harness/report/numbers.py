"""Numbers for people: ``22/55 = 40.0% [28.1, 53.2]`` and ``b=22 c=0 p=4.8e-07 (exact McNemar)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "NONE",
    "interval_text",
    "measure_text",
    "p_text",
    "paired_text",
    "percent",
    "rate_text",
    "score_text",
]

NONE = "–"


def percent(fraction: float | None) -> str:
    """``40.0%``; a dash for no rows."""
    return NONE if fraction is None else f"{fraction * 100:.1f}%"


def interval_text(bounds: Any) -> str:
    """``[28.1, 53.2]`` in per cent; empty where either bound is missing."""
    if not bounds or bounds[0] is None or bounds[1] is None:
        return ""
    return f"[{bounds[0] * 100:.1f}, {bounds[1] * 100:.1f}]"


def rate_text(rate: Mapping[str, Any] | None) -> str:
    """Count, rows, rate and Wilson interval of one object of summary.json (DESIGN 4.7)."""
    if not rate or rate.get("n") is None:
        return NONE
    if not rate["n"]:
        return "0/0"
    interval = interval_text(rate.get("wilson95"))
    head = f"{rate['count']}/{rate['n']} = {percent(rate.get('rate'))}"
    return f"{head} {interval}".strip()


def p_text(p: float | None) -> str:
    """Two significant digits: ``4.8e-07``, ``0.0078``, ``1``."""
    if p is None:
        return NONE
    return f"{p:.2g}" if p >= 1e-3 else f"{p:.1e}"


def paired_text(paired: Mapping[str, Any] | None) -> str:
    """The discordant pairs and the exact test; ``b`` is standard only, ``c`` invariant only."""
    if not paired or paired.get("standard_only") is None:
        return NONE
    p = p_text(paired.get("p_two_sided"))
    return f"b={paired['standard_only']} c={paired['invariant_only']} p={p} (exact McNemar)"


def score_text(score: Any, label: Any = None) -> str:
    """A score without needless digits, and the scorer's word for it: ``1 (refused)``."""
    shown = (
        NONE if score is None else f"{score:g}" if isinstance(score, int | float) else str(score)
    )
    return f"{shown} ({label})" if label else shown


def measure_text(value: float | None, agreement: float | None = None) -> str:
    """Three digits; a measure that does not exist says so, with the agreement beside it."""
    if value is not None:
        return f"{value:.3f}"
    return "n/a" if agreement is None else f"n/a, {percent(agreement)} agreement"
