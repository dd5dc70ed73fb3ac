"""What people said of the flips, where they were asked (`harness adjudicate import`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.numbers import measure_text, percent, rate_text
from harness.report.document import Section, mode_words
from harness.report.wording import wording

if TYPE_CHECKING:
    from harness.people import Outcome


def adjudication_section(outcome: Outcome | None) -> Section | None:
    """Genuine flips with their interval, agreement, and how the controls were judged."""
    if outcome is None or not outcome.judged_items:
        return None
    told, genuine = wording("run/adjudication"), outcome.genuine_flips
    genuine_rows = [("different pairs of answers", rate_text(genuine.items))]
    genuine_rows += [
        (f"rows, {mode_words(mode)} kernels", rate_text(rate))
        for mode, rate in genuine.rows_by_mode.items()
    ]
    agreement = (
        (
            (name.replace("_", " "), " and ".join(pair.raters)),
            *(pair.n, percent(pair.agreement), measure_text(pair.kappa, pair.agreement)),
            *map(measure_text, (pair.kappa_linear, pair.kappa_quadratic)),
            *map(measure_text, (measures.alpha_nominal, measures.alpha_ordinal)),
        )
        for name, measures in outcome.agreement.items()
        for pair in measures.pairs
    )
    controls = [
        (f"controls ({kind.replace('_', ' ')}): a change was seen", rate_text(control.judged_yes))
        for kind, control in outcome.controls.items()
    ]
    controls += [
        (f"{rater}, duplicates: same judgement again", f"{counts.same_change}/{counts.n}")
        for rater, counts in outcome.intra_rater.items()
    ]
    return told.section(
        told.table("genuine", genuine_rows, unresolved=len(genuine.unresolved)),
        told.table("agreement", agreement),
        told.table("controls", controls),
        items=outcome.judged_items,
        raters=len(outcome.raters),
    )


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """Genuine flips, agreement, controls and repeatability."""
    raters = ", ".join(outcome.raters) or "nobody"
    yield f"{outcome.judged_items} of {outcome.items} items judged by {raters}"
    genuine = outcome.genuine_flips
    yield f"genuine flips: {rate_text(genuine.items)} of the resolved items"
    for mode, rate in genuine.rows_by_mode.items():
        yield f"  {mode}: {rate_text(rate)} of the rows"
    if genuine.unresolved:
        yield f"  {len(genuine.unresolved)} without a majority: they need another rater"
    for name, measures in outcome.agreement.items():
        for pair in measures.pairs:
            parts = [f"kappa {measure_text(pair.kappa, pair.agreement)}"]
            weighted = (("linear", pair.kappa_linear), ("quadratic", pair.kappa_quadratic))
            parts += [f"{word} {measure_text(k)}" for word, k in weighted if k is not None]
            who, share = " and ".join(pair.raters), percent(pair.agreement)
            yield f"{name}: {who} agree on {share} of {pair.n}; {', '.join(parts)}"
        if measures.units_with_two_ratings:
            alpha, more = measure_text(measures.alpha_nominal), measures.alpha_ordinal
            ordinal = "" if more is None else f", ordinal {measure_text(more)}"
            yield f"{name}: Krippendorff's alpha {alpha}{ordinal}"
    for kind, control in outcome.controls.items():
        yield f"controls, {kind}: a change was seen in {rate_text(control.judged_yes)}"
    for rater, counts in outcome.intra_rater.items():
        yield (
            f"{rater} judged {counts.n} duplicates: same change {counts.same_change}, "
            f"same labels {counts.same_labels}"
        )
