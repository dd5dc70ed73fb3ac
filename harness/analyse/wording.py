"""Numbers for people: a summary as a few lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.analyse.claims import ClaimStatus

__all__ = ["paired_text", "rate_text", "summary_lines"]

Json = Mapping[str, Any]
_ENDPOINTS = (("label_flips", "label flips"), ("text_changes", "text changes"))
_FAMILIES = {
    "model": "by model",
    "domain": "by domain",
    "task_name": "by task",
    "dispatch_mode": "by dispatch mode",
    "phase": "by phase",
    "original_direction": "by original direction",
    "batch_size": "by batch size",
}


def rate_text(rate: Json) -> str:
    """``22/55 = 40.0% [28.1, 53.2]`` (Wilson 95%), or ``0/0`` for no rows."""
    count = f"{rate['count']}/{rate['n']}"
    if rate["rate"] is None:
        return count
    low, high = rate["wilson95"]
    return f"{count} = {rate['rate']:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def paired_text(cells: Json) -> str:
    """``b=22 c=0 p=4.8e-07 (exact McNemar)``, with a remark where no p could be small."""
    p = cells["p_two_sided"]
    value = f"{p:.1e}" if p < 0.001 else f"{p:.3f}".rstrip("0").rstrip(".")
    text = f"b={cells['standard_only']} c={cells['invariant_only']} p={value} (exact McNemar)"
    return f"{text}; {cells['note']}" if cells["note"] else text


def summary_lines(summary: Json) -> list[str]:
    """A summary as lines: rates, paired tests, breakdowns, repeats and the ledger's verdicts."""
    return [
        *_counts(summary),
        "",
        *_rates(summary),
        *_paired(summary),
        *_breakdowns(summary),
        *_beside(summary),
        *_claims(summary),
    ]


def _counts(summary: Json) -> Iterator[str]:
    pairs = summary["pairs"]
    yield (
        f"{summary['n_records']} records, {summary['n_ok']} ok, "
        f"{summary['startup_error_count']} start-up errors; "
        f"{pairs['complete']} complete pairs, {pairs['left_out']} left out"
    )


def _rates(summary: Json) -> Iterator[str]:
    for mode, table in summary["by_mode"].items():
        rates = "   ".join(f"{word} {rate_text(table[name]):<28}" for name, word in _ENDPOINTS)
        errors = f"   {table['errors']} errors" if table["errors"] else ""
        yield f"{mode:<16} {rates}{errors}".rstrip()


def _paired(summary: Json) -> Iterator[str]:
    if not summary["pairs"]["complete"]:
        return
    yield ""
    for name, word in _ENDPOINTS:
        yield f"{'paired ' + word:<21} {paired_text(summary['paired'][name])}"
    yield from _clustered(summary)


def _clustered(summary: Json) -> Iterator[str]:
    """The same tests by prompt, where several rows share one and so are not independent."""
    clusters = summary["clusters"]
    if clusters["largest"] < 2:
        return
    prompts = f"{clusters['n_rows']} rows are {clusters['n_clusters']} prompts"
    tests = ", ".join(f"{word} p={clusters[name]['p_two_sided']:.1e}" for name, word in _ENDPOINTS)
    yield f"by prompt             {tests} (sign-flip test; {prompts})"


def _breakdowns(summary: Json) -> Iterator[str]:
    for family, title in _FAMILIES.items():
        slices = summary["breakdowns"].get(family) or ()
        if len(slices) < 2:
            continue
        yield ""
        yield f"label flips {title}"
        for entry in slices:
            rates = "   ".join(
                f"{mode} {rate_text(entry[mode]['label_flips']):<28}" for mode in summary["by_mode"]
            )
            yield f"  {_word(entry['value']):<26} {rates}".rstrip()


def _beside(summary: Json) -> Iterator[str]:
    yield ""
    for mode, floor in summary["noise_floor"].items():
        solo = floor["solo"]
        if solo is None:
            yield f"asked again alone, {mode}: not measured"
        else:
            changes, flips = rate_text(solo["text_changes"]), rate_text(solo["label_flips"])
            yield f"asked again alone, {mode}: text changes {changes}, label flips {flips}"
    if summary["pairs"]["complete"]:
        differs = summary["cross_mode"]["solo"]["text_differs"]
        yield f"solo answers that differ between the modes: {rate_text(differs)}"


def _claims(summary: Json) -> Iterator[str]:
    shown = [c for c in summary["claims"] if c["status"] != ClaimStatus.NOT_ESTABLISHED]
    leading = summary["claims"][:5]
    yield ""
    for claim in [*leading, *(c for c in shown if c not in leading)]:
        yield f"{claim['status'].replace('_', ' '):<16} {claim['text']}: {claim['reason']}"


def _word(value: Any) -> str:
    return "(none)" if value is None else str(value)
