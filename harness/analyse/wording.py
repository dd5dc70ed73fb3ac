"""Numbers for people: a summary as a few lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analyse.summary import ClaimStatus, Paired, Summary
from harness.numbers import discordant_text, p_equals, rate_text
from harness.words import Endpoint


def paired_text(cells: Paired) -> str:
    """``b=22 c=0 p=4.8e-07 (exact McNemar)``, with a remark where no p could be small."""
    return discordant_text(cells.standard_only, cells.invariant_only, cells.p_two_sided, cells.note)


def summary_lines(summary: Summary) -> list[str]:
    """A summary as lines: rates, paired tests, breakdowns, repeats and the ledger's verdicts."""
    return [
        f"{summary.n_records} records, {summary.n_ok} ok, "
        f"{summary.startup_error_count} start-up errors; "
        f"{summary.pairs.complete} complete pairs, {summary.pairs.left_out} left out",
        "",
        *_rates(summary),
        *_paired(summary),
        *_breakdowns(summary),
        *_beside(summary),
        *_claims(summary),
    ]


def _rates(summary: Summary) -> Iterator[str]:
    for mode, table in summary.by_mode.items():
        rates = "   ".join(f"{e.words.lower()} {rate_text(table.of(e)):<28}" for e in Endpoint)
        errors = f"   {table.errors} errors" if table.errors else ""
        yield f"{mode:<16} {rates}{errors}".rstrip()


def _paired(summary: Summary) -> Iterator[str]:
    if not summary.pairs.complete:
        return
    yield ""
    for endpoint in Endpoint:
        name = f"paired {endpoint.words.lower()}"
        yield f"{name:<21} {paired_text(summary.paired.of(endpoint))}"
    clusters = summary.clusters
    if clusters.largest > 1:  # rows that share a prompt are not independent
        prompts = f"{clusters.n_rows} rows are {clusters.n_clusters} prompts"
        tests = ", ".join(
            f"{e.words.lower()} {p_equals(clusters.of(e).p_two_sided)}" for e in Endpoint
        )
        yield f"by prompt             {tests} (sign-flip test; {prompts})"


def _breakdowns(summary: Summary) -> Iterator[str]:
    for attribute, slices in summary.breakdowns.each():
        if len(slices) < 2:
            continue
        yield ""
        yield f"label flips by {attribute.words}"
        for entry in slices:
            rates = "   ".join(
                f"{mode} {rate_text(entry.mode(mode).label_flips):<28}" for mode in summary.by_mode
            )
            value = "(none)" if entry.value is None else entry.value
            yield f"  {value:<26} {rates}".rstrip()


def _beside(summary: Summary) -> Iterator[str]:
    yield ""
    for mode, floor in summary.noise_floor.items():
        if floor.solo is None:
            yield f"asked again alone, {mode}: not measured"
        else:
            changes, flips = rate_text(floor.solo.text_changes), rate_text(floor.solo.label_flips)
            yield f"asked again alone, {mode}: text changes {changes}, label flips {flips}"
    if summary.pairs.complete:
        differs = summary.cross_mode.solo.text_differs
        yield f"solo answers that differ between the modes: {rate_text(differs)}"


def _claims(summary: Summary) -> Iterator[str]:
    leading = summary.claims[:5]
    more = (c for c in summary.claims[5:] if c.status is not ClaimStatus.NOT_ESTABLISHED)
    yield ""
    for claim in [*leading, *more]:
        yield f"{claim.status.words:<16} {claim.text}: {claim.reason}"
