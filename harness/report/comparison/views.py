"""The answers of what changed, A's and B's side by side, within a stated budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.compare import (
    CandidateChange,
    Comparison,
    FlipChange,
    SampleChange,
    SampleComparison,
    read_rows,
)
from harness.report.answers import answer_of, answer_view
from harness.report.comparison.model import ChangeGroup, ChangeView
from harness.report.difference import first_difference, window
from harness.report.model import AnswerView
from harness.report.numbers import score_text
from harness.report.pairs import answer_limit

__all__ = ["change_groups", "sample_groups"]

MAX_SHOWN = 1_000
"""Changes of one kind that are shown with their answers."""
_SHORT = {"solo": "solo", "batched": "batch"}
Rows = Mapping[int, Mapping[str, Any]]
Test = Callable[[CandidateChange], bool]

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
        lambda change: change.text_changed["solo"],
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
        lambda change: change.text_changed["batched"],
    ),
)


def change_groups(comparison: Comparison) -> tuple[tuple[ChangeGroup, ...], int]:
    """Every change once, under the first kind that it is of.

    Returns:
        The groups that have changes, and the characters of an answer that are shown at most.
    """
    sorted_out: list[list[CandidateChange]] = [[] for _ in _KINDS]
    for mode in comparison.modes:
        for change in mode.changes:
            kind = next((i for i, (*_, test) in enumerate(_KINDS) if test(change)), None)
            if kind is not None:
                sorted_out[kind].append(change)
    shown = [change for changes in sorted_out for change in changes[:MAX_SHOWN]]
    limit = answer_limit(len(shown))
    rows_a = read_rows(comparison.a.path, {change.line_a for change in shown})
    rows_b = read_rows(comparison.b.path, {change.line_b for change in shown})
    groups = [
        ChangeGroup(
            anchor,
            title,
            prose,
            tuple(
                _view(change, f"{anchor}-{number}", rows_a, rows_b, limit)
                for number, change in enumerate(changes[:MAX_SHOWN], start=1)
            ),
            max(0, len(changes) - MAX_SHOWN),
        )
        for (anchor, title, prose, _), changes in zip(_KINDS, sorted_out, strict=True)
        if changes
    ]
    return tuple(groups), limit


def _view(
    change: CandidateChange, anchor: str, rows_a: Rows, rows_b: Rows, limit: int
) -> ChangeView:
    model, task, sample, batch_size, dispatch = change.key
    one, other = rows_a[change.line_a], rows_b[change.line_b]
    modes = (
        str(change.mode_a)
        if change.mode_a == change.mode_b
        else f"{change.mode_a} against {change.mode_b}"
    )
    return ChangeView(
        anchor=anchor,
        heading=f"{task}/{sample}",
        change=_words(change),
        context=f"{model} · {modes} · batch {batch_size} · {dispatch}",
        notes=(),
        answers=tuple(_both(one, other, condition, limit) for condition in ("solo", "batched")),
    )


def _words(change: CandidateChange) -> str:
    words = []
    for condition, name in (("solo", "alone"), ("batched", "batched")):
        before, after = (score_text(*state) for state in change.states[condition])
        if change.label_changed[condition]:
            words.append(f"{name} {before} → {after}")
        elif change.text_changed[condition]:
            words.append(f"{name} another text, {before} kept")
    return "; ".join(words) or "the same answers in A and B"


def _both(
    one: Mapping[str, Any], other: Mapping[str, Any], condition: str, limit: int
) -> tuple[AnswerView, AnswerView]:
    before, after = (answer_of(record, condition).get("text") for record in (one, other))
    at = None
    if isinstance(before, str) and isinstance(after, str):
        at = first_difference(before, after)
    short = _SHORT[condition]
    a, b = (answer_view(record, condition, short, at, limit) for record in (one, other))
    return replace(a, name=f"A {condition}"), replace(b, name=f"B {condition}")


def sample_groups(comparison: SampleComparison) -> tuple[tuple[ChangeGroup, ...], int]:
    """Documents that became wrong, that became right, and other changed answers."""
    kinds: tuple[tuple[str, str, str], ...] = (
        ("newly-wrong", "Newly wrong", "A metric went down."),
        ("newly-right", "Newly right", "A metric went up, and none went down."),
        ("answer-changes", "Another answer, the same metrics", ""),
    )
    sorted_out: list[list[SampleChange]] = [[], [], []]
    for entry in comparison.filters:
        for change in entry.changes:
            down = any(b < a for a, b in change.metrics.values())
            sorted_out[0 if down else 1 if change.metrics else 2].append(change)
    shown = [change for changes in sorted_out for change in changes[:MAX_SHOWN]]
    limit = answer_limit(len(shown))
    rows_a = read_rows(comparison.a, {change.line_a for change in shown})
    rows_b = read_rows(comparison.b, {change.line_b for change in shown})
    groups = [
        ChangeGroup(
            anchor,
            title,
            prose,
            tuple(
                _sample_view(c, f"{anchor}-{n}", rows_a[c.line_a], rows_b[c.line_b], limit)
                for n, c in enumerate(changes[:MAX_SHOWN], start=1)
            ),
            max(0, len(changes) - MAX_SHOWN),
        )
        for (anchor, title, prose), changes in zip(kinds, sorted_out, strict=True)
        if changes
    ]
    return tuple(groups), limit


def _sample_view(
    change: SampleChange, anchor: str, one: Mapping[str, Any], other: Mapping[str, Any], limit: int
) -> ChangeView:
    texts = _said(one), _said(other)
    moved = [f"{name} {a:g} → {b:g}" for name, (a, b) in change.metrics.items()]
    return ChangeView(
        anchor=anchor,
        heading=f"doc_id {change.doc_id}",
        change="; ".join(moved) or "another answer",
        context=f"filter {change.filter}",
        notes=(f"target: {str(other.get('target'))[:400]}",) if "target" in other else (),
        answers=(_sample_answers(texts, (one, other), limit),),
    )


def _said(row: Mapping[str, Any]) -> str:
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


def _sample_answers(
    texts: Sequence[str], rows: Sequence[Mapping[str, Any]], limit: int
) -> tuple[AnswerView, AnswerView]:
    at = first_difference(texts[0], texts[1])
    views = []
    for name, text, row in zip("AB", texts, rows, strict=True):
        cut = window(text, at, None, limit)
        filtered = row.get("filtered_resps")
        kept = filtered[0] if isinstance(filtered, list) and len(filtered) == 1 else None
        views.append(
            AnswerView(
                name=name,
                pieces=cut.pieces,
                before=cut.before,
                after=cut.after,
                length=len(text),
                sha256="",
                scored=str(kept)[:200] if isinstance(kept, str) and kept != text else "",
                evidence="",
                facts="",
                ends_at_difference=at is not None and at == len(text) > 0,
            )
        )
    return views[0], views[1]
