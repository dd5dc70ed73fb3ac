"""What the figures draw, taken from summary.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.report.headline import MEASURES, MODE_NAMES
from harness.report.model import Bar, Figures, ForestRow, Matrix, PairedBar
from harness.report.numbers import score_text

__all__ = ["figure_data"]

Json = Mapping[str, Any]
FOREST_SLICES = (
    ("model", "By model"),
    ("domain", "By domain"),
    ("task_name", "By task"),
    ("dispatch_mode", "By dispatch mode"),
)
MOST_SLICES = 30


def _forest_row(label: str, mode: str, rate: Json, group: str) -> ForestRow:
    low, high = rate.get("wilson95") or (None, None)
    return ForestRow(label, mode, rate["count"], rate["n"], rate.get("rate"), low, high, group)


def _forest(summary: Json) -> Iterator[ForestRow]:
    by_mode = summary.get("by_mode") or {}
    for measure, label in MEASURES:
        for mode, counts in by_mode.items():
            if counts.get(measure):
                yield _forest_row(label, mode, counts[measure], "All rows")
    for key, group in FOREST_SLICES:
        slices = (summary.get("breakdowns") or {}).get(key) or ()
        if len(slices) < 2:
            continue  # one slice is all rows once more
        for entry in slices[:MOST_SLICES]:
            for mode in by_mode:
                rate = (entry.get(mode) or {}).get("label_flips")
                if rate and rate.get("n"):
                    yield _forest_row(str(entry.get("value")), mode, rate, f"{group}: label flips")


def _paired(summary: Json) -> Iterator[PairedBar]:
    paired = summary.get("paired") or {}
    for key, label in MEASURES:
        table = paired.get(key)
        if table and table.get("both") is not None:
            names = ("both", "standard_only", "invariant_only", "neither")
            yield PairedBar(label, *(int(table[name]) for name in names))


def _matrices(summary: Json) -> Iterator[Matrix]:
    for mode, rows in (summary.get("score_pairs") or {}).items():
        if not rows:
            continue
        seen: dict[tuple[str, str], int] = {}
        order: dict[str, tuple[bool, float, str]] = {}
        for row in rows:
            names = []
            for side in ("solo", "batched"):
                score, word = row.get(side), row.get(f"{side}_label")
                name = score_text(score) if score is not None else str(word or "none")
                number = score if isinstance(score, int | float) else 0.0
                order[name] = (score is None, number, name)
                names.append(name)
            pair = names[0], names[1]
            seen[pair] = seen.get(pair, 0) + int(row.get("rows") or 0)
        scores = tuple(sorted(order, key=order.__getitem__))
        counts = tuple(tuple(seen.get((a, b), 0) for b in scores) for a in scores)
        yield Matrix(MODE_NAMES.get(mode, mode), scores, counts)


def _bars(summary: Json) -> Iterator[Bar]:
    for entry in (summary.get("breakdowns") or {}).get("batch_size") or ():
        for mode in summary.get("by_mode") or {}:
            counts = entry.get(mode) or {}
            flips = counts.get("label_flips")
            if not flips:
                continue
            texts = counts.get("text_changes") or {}
            size = str(entry.get("value"))
            yield Bar(size, mode, flips["count"], texts.get("count") or 0, flips["n"])


def figure_data(summary: Json) -> Figures:
    """Every figure's data; empty where the summary has nothing to draw."""
    return Figures(
        forest=tuple(_forest(summary)),
        paired=tuple(_paired(summary)),
        matrices=tuple(_matrices(summary)),
        batch_sizes=tuple(_bars(summary)),
    )
