"""What two drawings of a run show: its rates with their intervals, and its score pairs."""

from collections import Counter
from collections.abc import Iterable

from harness.analyse import Rate, ScorePair, Summary
from harness.report.document import Figure, ForestRow, Matrix
from harness.words import Endpoint, Mode

MOST_SLICES = 30
"""Slices of one attribute that the forest plot draws."""
_FOREST_SLICES = ("model", "domain", "task_name", "dispatch_mode")


def forest(summary: Summary) -> Figure:
    """Both endpoints over all rows, then label flips by what has more than one slice."""

    def row(label: object, mode: Mode, r: Rate) -> ForestRow:
        return ForestRow(str(label), mode, r.count, r.n, r.rate, *r.wilson95 or (None, None))

    modes = summary.by_mode
    rows = [row(e.words, mode, modes[mode].of(e)) for e in Endpoint for mode in modes]
    groups = [("All rows", tuple(rows))]
    for attribute, slices in summary.breakdowns.each():
        if attribute in _FOREST_SLICES and len(slices) > 1:  # one slice is all rows once more
            rows = [
                row(entry.value, mode, rate)
                for entry in slices[:MOST_SLICES]
                for mode in modes
                if (rate := entry.mode(mode).label_flips).n
            ]
            groups.append((f"By {attribute.words}: label flips", tuple(rows)))
    return Figure("forest", tuple(groups))


def score_matrix(mode: Mode, rows: Iterable[ScorePair]) -> Matrix:
    """Scores in order, then states without a score by their name."""
    seen: Counter[tuple[str, ...]] = Counter()
    order: dict[str, tuple[bool, float, str]] = {}
    for row in rows:
        states = [
            (score is None, score or 0.0, str(label or "none") if score is None else f"{score:g}")
            for score, label in ((row.solo, row.solo_label), (row.batched, row.batched_label))
        ]
        order |= {state[-1]: state for state in states}
        seen[tuple(state[-1] for state in states)] += row.rows
    scores = tuple(sorted(order, key=order.__getitem__))
    return Matrix(mode.words, scores, tuple(tuple(seen[a, b] for b in scores) for a in scores))
