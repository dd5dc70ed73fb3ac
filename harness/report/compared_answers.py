"""The answers of what changed from A to B, side by side, within a stated budget."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from harness.compare import (
    CandidateChange,
    Comparison,
    FlipChange,
    SampleChange,
    SampleComparison,
)
from harness.files import rows_at
from harness.numbers import score_text
from harness.records import Record, first_difference, part, records_at
from harness.report.answer_windows import (
    Piece,
    answer_limit,
    answer_view,
    beyond,
    text_view,
)
from harness.report.document import Change, Group

MAX_SHOWN = 1_000
"""Changes of one kind that are shown with their answers."""
Row = Mapping[str, Any]
Test = Callable[[CandidateChange], bool]
C = TypeVar("C", CandidateChange, SampleChange)
R = TypeVar("R", Record, Row)

_KINDS: tuple[tuple[str, str, str, Test], ...] = (
    (
        "new-flips",
        "New label flips",
        "B flips these labels in the batch and A does not.",
        lambda change: change.flip is FlipChange.APPEARED,
    ),
    (
        "solo-changes",
        "Changed alone, no batch",
        "The answer to the prompt on its own is another one; no batch was there.",
        lambda change: change.solo.text_changed,
    ),
    (
        "gone-flips",
        "Label flips that are gone",
        "A flips these labels in the batch and B does not.",
        lambda change: change.flip is FlipChange.VANISHED,
    ),
    (
        "stayed-flips",
        "Label flips that stayed",
        "Both flip these labels in the batch.",
        lambda change: change.flip is FlipChange.STAYED,
    ),
    (
        "batched-changes",
        "Changed only in the batch",
        "Alone the answer is the same; the batched one is another.",
        lambda change: change.batched.text_changed,
    ),
)


def change_groups(comparison: Comparison) -> tuple[Group, ...]:
    """Every change once, under the first kind that it is of; only groups that have changes."""
    sorted_out: list[list[CandidateChange]] = [[] for _ in _KINDS]
    for mode in comparison.modes:
        for change in mode.changes:
            kind = next((i for i, (*_, test) in enumerate(_KINDS) if test(change)), None)
            if kind is not None:
                sorted_out[kind].append(change)
    kinds = [
        (anchor, title, prose, found)
        for (anchor, title, prose, _), found in zip(_KINDS, sorted_out, strict=True)
    ]
    return _groups(kinds, (comparison.a.path, comparison.b.path), records_at, _candidate)


def sample_groups(comparison: SampleComparison) -> tuple[Group, ...]:
    """Documents that became wrong, that became right, and other changed answers."""
    wrong: list[SampleChange] = []
    right: list[SampleChange] = []
    other: list[SampleChange] = []
    for entry in comparison.filters:
        for change in entry.changes:
            down = any(moved.b < moved.a for moved in change.metrics.values())
            (wrong if down else right if change.metrics else other).append(change)
    kinds = (
        ("newly-wrong", "Newly wrong", "A metric went down.", wrong),
        ("newly-right", "Newly right", "A metric went up, and none went down.", right),
        ("answer-changes", "Another answer, the same metrics", "", other),
    )
    return _groups(kinds, (comparison.a.path, comparison.b.path), rows_at, _sample)


def _groups(
    kinds: Sequence[tuple[str, str, str, Sequence[C]]],
    paths: tuple[str, str],
    rows: Callable[[Path, Container[int]], Mapping[int, R]],
    view: Callable[[C, str, R, R, int], Change],
) -> tuple[Group, ...]:
    """Groups of ``(anchor, title, prose, changes)``; only the rows shown are read."""
    shown = [change for *_, changes in kinds for change in changes[:MAX_SHOWN]]
    limit = answer_limit(len(shown))
    rows_a = rows(Path(paths[0]), {change.line_a for change in shown})
    rows_b = rows(Path(paths[1]), {change.line_b for change in shown})
    groups: list[Group] = []
    for anchor, title, prose, changes in kinds:
        if not changes:
            continue
        left_out, heading = max(0, len(changes) - MAX_SHOWN), f"{title}: {len(changes):,}"
        groups.append(
            Group(
                anchor=anchor,
                title=heading,
                short=title,
                prose=(
                    Piece(f"{prose} "),
                    Piece("Marked", differs=True),
                    Piece(
                        f": where A's and B's answers first differ.{beyond(left_out)} "
                        f"Up to {limit:,} characters of an answer are shown."
                    ),
                ),
                changes=tuple(
                    view(c, f"{anchor}-{n}", rows_a[c.line_a], rows_b[c.line_b], limit)
                    for n, c in enumerate(changes[:MAX_SHOWN], start=1)
                ),
                left_out=left_out,
                plain=f"{prose} ⟪…⟫ marks where the answers of A and B first differ.",
                rest="more are in comparison.json and, up to a limit, in comparison.html.",
                brief=heading,
                opens=not groups,
            )
        )
    return tuple(groups)


def _candidate(
    change: CandidateChange, anchor: str, one: Record, other: Record, limit: int
) -> Change:
    model, task, sample, batch_size, dispatch = change.key
    modes = (
        str(change.mode_a)
        if change.mode_a == change.mode_b
        else f"{change.mode_a} against {change.mode_b}"
    )
    words, answers = [], []
    for name, condition, answer in (
        ("alone", "solo", change.solo),
        ("batched", "batched", change.batched),
    ):
        before, after = (score_text(side.score, side.label) for side in (answer.a, answer.b))
        if answer.label_changed:
            words.append(f"{name} {before} → {after}")
        elif answer.text_changed:
            words.append(f"{name} another text, {before} kept")
        parted = part(one.answer(condition), other.answer(condition))
        at = parted.char if parted else None
        a, b = (answer_view(record, condition, at, limit) for record in (one, other))
        answers.append((replace(a, name=f"A {condition}"), replace(b, name=f"B {condition}")))
    return Change(
        anchor=anchor,
        heading=f"{task}/{sample}",
        change="; ".join(words) or "the same answers in A and B",
        context=(f"{model} · {modes} · batch {batch_size} · {dispatch}",),
        answers=tuple(answers),
    )


def _sample(change: SampleChange, anchor: str, one: Row, other: Row, limit: int) -> Change:
    moved = [f"{name} {m.a:g} → {m.b:g}" for name, m in change.metrics.items()]
    texts = _said(one), _said(other)
    at = first_difference(*texts)
    views = []
    for name, text, row in zip("AB", texts, (one, other), strict=True):
        filtered = row.get("filtered_resps")
        kept = filtered[0] if isinstance(filtered, list) and len(filtered) == 1 else None
        shown = kept[:200] if isinstance(kept, str) and kept != text else ""
        views.append(text_view(name, text, at, limit, scored=shown))
    return Change(
        anchor=anchor,
        heading=f"doc_id {change.doc_id}",
        change="; ".join(moved) or "another answer",
        context=(f"filter {change.filter}",),
        notes=(f"target: {str(other.get('target'))[:400]}",) if "target" in other else (),
        answers=((views[0], views[1]),),
    )


def _said(row: Row) -> str:
    """The raw responses where they are text, else the filtered ones as they stand."""
    for name in ("resps", "filtered_resps"):
        value = row.get(name)
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str):
            return value
    answers = row.get("filtered_resps")
    if isinstance(answers, list):
        return "\n".join(str(answer) for answer in answers)
    return str(answers)
