"""The outcome of an adjudication as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.report.numbers import measure_text, percent, rate_text

__all__ = ["outcome_lines"]

Json = Mapping[str, Any]


def outcome_lines(outcome: Json) -> Iterator[str]:
    """Genuine flips, agreement, controls and repeatability."""
    yield f"{outcome['judged_items']} of {outcome['items']} items judged by {_raters(outcome)}"
    genuine = outcome["genuine_flips"]
    yield f"genuine flips: {rate_text(genuine['items'])} of the resolved items"
    for mode, rate in genuine["rows_by_mode"].items():
        yield f"  {mode}: {rate_text(rate)} of the rows"
    if genuine["unresolved"]:
        yield f"  {len(genuine['unresolved'])} without a majority: they need another rater"
    for name, measures in outcome["agreement"].items():
        yield from _agreement(name, measures)
    for kind, control in outcome["controls"].items():
        yield f"controls, {kind}: a change was seen in {rate_text(control['judged_yes'])}"
    for rater, counts in outcome["intra_rater"].items():
        yield (
            f"{rater} judged {counts['n']} duplicates: same change {counts['same_change']}, "
            f"same labels {counts['same_labels']}"
        )


def _raters(outcome: Json) -> str:
    return ", ".join(outcome["raters"]) or "nobody"


def _agreement(name: str, measures: Json) -> Iterator[str]:
    for pair in measures["pairs"]:
        agreement = pair["agreement"]
        parts = [f"kappa {measure_text(pair['kappa'], agreement)}"]
        parts += [
            f"{weight} {measure_text(pair[f'kappa_{weight}'])}"
            for weight in ("linear", "quadratic")
            if pair[f"kappa_{weight}"] is not None
        ]
        who = " and ".join(pair["raters"])
        yield f"{name}: {who} agree on {percent(agreement)} of {pair['n']}; {', '.join(parts)}"
    if measures["units_with_two_ratings"]:
        alpha = measure_text(measures["alpha_nominal"])
        more = measures["alpha_ordinal"]
        ordinal = "" if more is None else f", ordinal {measure_text(more)}"
        yield f"{name}: Krippendorff's alpha {alpha}{ordinal}"
