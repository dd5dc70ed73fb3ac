"""Rates and paired tables of summary.json as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.analyse import Rate
from harness.numbers import NONE, discordant_text, interval_text, percent
from harness.report.document import Entry


def rate_text(rate: Mapping[str, Any] | None) -> str:
    """Count, rows, rate and Wilson interval of one object of summary.json (DESIGN 4.7)."""
    if not rate or rate.get("n") is None:
        return NONE
    if not rate["n"]:
        return "0/0"
    interval = interval_text(rate.get("wilson95"))
    head = f"{rate['count']}/{rate['n']} = {percent(rate.get('rate'))}"
    return f"{head} {interval}".strip()


def paired_text(paired: Mapping[str, Any] | None) -> str:
    """The discordant pairs and the exact test; ``b`` is standard only, ``c`` invariant only."""
    if not paired or paired.get("standard_only") is None:
        return NONE
    first, second = paired["standard_only"], paired["invariant_only"]
    return discordant_text(first, second, paired.get("p_two_sided"))


def rate_entry(name: str, rate: Rate, mode: str = "") -> Entry:
    """A rate in large type: its count over its rows, with the rate and the interval beside it."""
    detail = f"{percent(rate.rate)} {interval_text(rate.wilson95)}".strip()
    return Entry(name, f"{rate.count}/{rate.n}", detail, mode)
