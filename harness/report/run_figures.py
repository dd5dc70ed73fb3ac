"""What two drawings of a run show: its rates with their intervals, and its score pairs."""

from collections import Counter
from collections.abc import Iterable

from harness.analyse import Rate, ScorePair, Slice, Summary
from harness.report.document import Figure, ForestRow, Matrix
from harness.words import Effect, Endpoint, Mode

MOST_SLICES = 30
"""Slices of one attribute that the forest plot draws."""
_FOREST_SLICES = ("model", "domain", "task_name", "dispatch_mode")


def forest(summary: Summary) -> Figure:
    """Both endpoints over all prompts, then label flips by what has more than one slice.

    All of it is of what leads, by prompt; of an older summary by row.
    """

    def row(label: object, mode: Mode, r: Rate) -> ForestRow:
        return ForestRow(str(label), mode, r.count, r.n, r.rate, *r.wilson95 or (None, None))

    modes, effect = summary.by_mode, summary.leading
    found = {(e, mode): summary.counted(mode, effect, e) for e in Endpoint for mode in modes}
    by_prompt = all(of.prompts.n or not of.rows.n for of in found.values())
    rows = [row(e.words, m, of.prompts if by_prompt else of.rows) for (e, m), of in found.items()]
    groups = [("All prompts" if by_prompt else "All rows", tuple(rows))]
    for attribute, slices in summary.breakdowns.each():
        if attribute in _FOREST_SLICES and len(slices) > 1:  # one slice is all rows once more
            rows = [
                row(entry.value, mode, rate)
                for entry in slices[:MOST_SLICES]
                for mode in modes
                if (rate := _flips(entry, mode, effect)).n
            ]
            groups.append((f"By {attribute.words}: label flips", tuple(rows)))
    return Figure("forest", tuple(groups))


def _flips(entry: Slice, mode: Mode, effect: Effect | None) -> Rate:
    if entry.by_prompt is None:
        return entry.mode(mode).label_flips
    return entry.by_prompt.of(effect).mode(mode).label_flips.prompts


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
