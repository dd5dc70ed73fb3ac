"""What stands beside the main comparison: noise, kinds of flips, the two modes, clusters, times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.report.headline import MEASURES, MODE_NAMES
from harness.report.model import Cell, Column, Kind, Section, Table
from harness.report.numbers import NONE, interval_text, p_text, percent, rate_text

__all__ = ["conduct_table", "kinds_section", "noise_section", "robustness_section"]

Json = Mapping[str, Any]
_NUMBER = Kind.NUMBER


def _columns(first: str, *numbers: str) -> tuple[Column, ...]:
    return Column(first), *(Column(title, _NUMBER) for title in numbers)


def _by_mode(summary: Json, key: str) -> Iterator[tuple[str, Json]]:
    for mode, value in (summary.get(key) or {}).items():
        if value:
            yield MODE_NAMES.get(mode, mode), value


def _cells(*texts: Any) -> tuple[Cell, ...]:
    return tuple(Cell(NONE if text is None else str(text)) for text in texts)


def _table(caption: str, columns: tuple[Column, ...], rows: Iterable[Any], note: str = "") -> Table:
    return Table(caption, columns, tuple(rows), note)


def _repeat_rows(summary: Json) -> Iterator[tuple[Cell, ...]]:
    for mode, floor in _by_mode(summary, "noise_floor"):
        for condition in ("solo", "batched"):
            repeats = floor.get(condition)
            if repeats:
                rates = (rate_text(repeats.get(key)) for key, _ in MEASURES)
                yield _cells(f"{mode}, {condition} again", repeats.get("repeats"), *rates)


def _beyond_rows(summary: Json) -> Iterator[tuple[Cell, ...]]:
    for mode, floor in _by_mode(summary, "noise_floor"):
        for key, label in MEASURES:
            table = (floor.get("batch_beyond_repeat") or {}).get(key)
            if table:
                counts = (table.get(c) for c in ("both", "batch_only", "repeat_only", "neither"))
                yield _cells(f"{mode}, {label.lower()}", *counts, p_text(table.get("p_two_sided")))


def noise_section(summary: Json) -> Section:
    """How often the same question, asked again, got another answer without any batch."""
    repeats = tuple(_repeat_rows(summary))
    if not repeats:
        prose = (
            "No answer was asked for twice, so this run does not know how often the text changes "
            "without any batch.",
        )
        return Section("noise", "Noise floor", prose)
    tables = [
        _table(
            "Asked again, nothing changed",
            _columns("Kernels and condition", "Repeats", *(label for _, label in MEASURES)),
            repeats,
            "Rows in which any repeat differs from the first answer of the same condition.",
        )
    ]
    beyond = tuple(_beyond_rows(summary))
    if beyond:
        heads = ("Both", "Batch only", "Repeat only", "Neither", "p (exact)")
        note = "“Batch only”: the batched answer differs from solo and the solo repeat does not."
        tables.append(
            _table("The batch against a solo repeat", _columns("Measure", *heads), beyond, note)
        )
    prose = ("A batch effect is what goes beyond the change that repeating alone produces.",)
    return Section("noise", "Noise floor", prose, tuple(tables))


def kinds_section(summary: Json) -> Section | None:
    """Flips by direction and by kind."""
    rows = tuple(
        _cells(
            mode,
            *(kinds.get(key) for key in ("up", "down")),
            p_text(kinds.get("p_symmetry")),
            *(kinds.get(key) for key in ("hard", "soft", "state")),
        )
        for mode, kinds in _by_mode(summary, "flip_kinds")
    )
    if not rows:
        return None
    heads = ("Score up", "Score down", "p (symmetric)", "Hard", "Soft", "State")
    note = (
        "Hard: the scores lie on both sides of 0.5. Soft: they do not. State: one answer has no "
        "score (unparsed or empty). p: exact test that up and down are equally likely."
    )
    table = _table("Flips by direction and kind", _columns("Kernels", *heads), rows, note)
    return Section("kinds", "Kinds of flips", (), (table,))


def _difference_rows(summary: Json) -> Iterator[tuple[Cell, ...]]:
    for key, label in MEASURES:
        paired = (summary.get("paired") or {}).get(key) or {}
        difference = paired.get("difference") or {}
        if difference.get("estimate") is not None:
            yield _cells(
                label,
                percent(difference["estimate"]),
                interval_text(difference.get("newcombe95")),
                interval_text(difference.get("tango95")),
                p_text(paired.get("p_one_sided")),
                percent(paired.get("detectable_rate80")),
            )


def _bound_rows(summary: Json) -> Iterator[tuple[Cell, ...]]:
    for mode, counts in (summary.get("by_mode") or {}).items():
        for key, label in MEASURES:
            rate = counts.get(key) or {}
            if rate.get("upper95") is not None:
                yield _cells(
                    f"{MODE_NAMES.get(mode, mode)}, {label.lower()}",
                    f"{rate['count']}/{rate['n']}",
                    interval_text(rate.get("clopper_pearson95")),
                    percent(rate["upper95"]),
                    percent(rate.get("margin")),
                )


def _cross_rows(summary: Json) -> Iterator[tuple[Cell, ...]]:
    for condition, rates in (summary.get("cross_mode") or {}).items():
        if rates:
            yield _cells(
                condition,
                rate_text(rates.get("label_differs")),
                rate_text(rates.get("text_differs")),
            )


def _cluster_rows(clusters: Json) -> Iterator[tuple[Cell, ...]]:
    for key, label in MEASURES:
        test = clusters.get(key)
        if test:
            p = p_text(test.get("p_two_sided"))
            yield _cells(label, test.get("informative"), p, test.get("method"))


def robustness_section(summary: Json) -> Section | None:
    """Intervals of the difference, bounds on nothing seen, cross-mode agreement, clusters."""
    clusters = summary.get("clusters") or {}
    shared = (
        f"{clusters.get('n_rows')} rows in {clusters.get('n_clusters')} clusters of equal model, "
        f"task and sample; the largest holds {clusters.get('largest')}. The sign-flip test swaps "
        "the two modes of a whole cluster."
    )
    heads = ("Difference", "Newcombe 10", "Tango", "One-sided p", "Detectable at 80% power")
    rates = ("Count", "Clopper-Pearson 95%", "One-sided upper 95%", "Supports a margin of")
    candidates = (
        _table(
            "Difference of the two modes (standard − batch-invariant)",
            _columns("Measure", *heads),
            _difference_rows(summary),
        ),
        _table(
            "Exact bounds",
            _columns("Kernels and measure", *rates),
            _bound_rows(summary),
            "What a count, zero included, rules out: rates above the one-sided bound.",
        ),
        _table(
            "Do the two modes agree with each other?",
            _columns("Condition", "Label differs", "Text differs"),
            _cross_rows(summary),
            "Being free of batch effects is one thing; answering as the other mode is another.",
        ),
        _table(
            "Clusters",
            _columns("Measure", "Informative clusters", "p (two-sided)", "Method"),
            _cluster_rows(clusters),
            shared,
        ),
    )
    tables = tuple(table for table in candidates if table.rows)
    return Section("robustness", "Robustness", (), tables) if tables else None


def conduct_table(summary: Json) -> Table | None:
    """Median times of an answer, retries and answers cut at the token limit."""
    retries, latency = (summary.get(key) or {} for key in ("retries", "latency"))

    def seconds(value: Any) -> str:
        return NONE if value is None else f"{value:.2f} s"

    rows = tuple(
        _cells(
            MODE_NAMES.get(mode, mode),
            seconds((latency.get(mode) or {}).get("solo_median_s")),
            seconds((latency.get(mode) or {}).get("batched_median_s")),
            *((retries.get(mode) or {}).get(key) for key in ("solo", "batched", "truncated")),
        )
        for mode in dict.fromkeys((*latency, *retries))
    )
    if not rows:
        return None
    heads = ("Solo, median", "Batched, median", "Solo retried", "Batched retried", "Cut at limit")
    return _table("Answers", _columns("Kernels", *heads), rows)
