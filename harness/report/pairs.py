"""Records whose two answers differ, as side-by-side views, within a stated budget.

The whole answers of 10,000 flips do not belong into one page: the more there are, the less of
each is shown, round its first difference, and the hash of the whole stays beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from sys import intern
from typing import Any

from harness.report.answers import answer_of, answer_view
from harness.report.difference import first_difference
from harness.report.model import PairView
from harness.report.numbers import score_text

__all__ = ["MAX_FLIPS", "MAX_TEXT_CHANGES", "CollectedPairs", "answer_limit", "collect_pairs"]

MAX_FLIPS = 10_000
MAX_TEXT_CHANGES = 2_000
MAX_PROMPT = 4_000
MAX_CO_BATCHED = 64
_LIMITS = ((50, 12_000), (500, 4_000), (2_000, 1_000))
_SMALLEST_LIMIT = 300
_TAGS = ("domain", "phase", "original_direction")

Record = Mapping[str, Any]
Outcomes = dict[str, dict[str, str]]
"""Mode, then candidate, then what happened; few distinct texts, so they are interned."""


@dataclass(slots=True)
class CollectedPairs:
    """The views to show, and how many were counted beyond them."""

    flips: list[PairView] = field(default_factory=list)
    text_changes: list[PairView] = field(default_factory=list)
    flips_left_out: int = 0
    text_changes_left_out: int = 0
    limit: int = 0


def answer_limit(pairs: int) -> int:
    """Characters of each answer to show when that many pairs are shown."""
    return next((limit for most, limit in _LIMITS if pairs <= most), _SMALLEST_LIMIT)


def _key(record: Record) -> str:
    names = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
    return "\0".join(str(record.get(name)) for name in names)


def _flipped(record: Record) -> bool:
    stated = record.get("label_flip")
    if isinstance(stated, bool):
        return stated
    solo, batch = record.get("solo_score"), record.get("batch_score")
    if solo is None and batch is None:
        return record.get("solo_label") != record.get("batch_label")
    return bool(solo != batch)


def _text_changed(record: Record) -> bool:
    stated = record.get("text_change")
    if isinstance(stated, bool):
        return stated
    return record.get("solo_response_hash") != record.get("batch_response_hash")


def _outcome(record: Record) -> str:
    mode = record.get("mode")
    if record.get("status") != "ok":
        return f"{mode}: no answer ({record.get('error') or 'error'})"
    text = "text changed" if _text_changed(record) else "text identical"
    return f"{mode}: {_change(record)}, {text}"


def _change(record: Record) -> str:
    solo = score_text(record.get("solo_score"), record.get("solo_label"))
    return f"{solo} → {score_text(record.get('batch_score'), record.get('batch_label'))}"


def _tokens(answer: Mapping[str, Any]) -> list[int]:
    tokens = answer.get("token_ids")
    return tokens if isinstance(tokens, list) else []


def _where(record: Record) -> tuple[int | None, str]:
    solo, batched = answer_of(record, "solo"), answer_of(record, "batched")
    one, other = solo.get("text"), batched.get("text")
    if not isinstance(one, str) or not isinstance(other, str):
        return None, "this file holds no answers, only their hashes"
    at = first_difference(one, other)
    if at is None:
        return None, "the answers are identical"
    words = f"first difference at character {at + 1}"
    tokens = first_difference(_tokens(solo), _tokens(batched))
    return at, words if tokens is None else f"{words}, token {tokens + 1}"


def _repeat_notes(record: Record) -> tuple[str, ...]:
    """How often the same condition, asked again, gave another text."""
    notes = []
    for condition in ("solo", "batched"):
        first, again = answer_of(record, condition).get("text"), record.get(f"{condition}_repeats")
        texts = [a.get("text") for a in again or () if isinstance(a, Mapping)]
        if first is None or not texts:
            continue
        other = sum(text != first for text in texts)
        notes.append(f"{condition} asked again: {other} of {len(texts)} gave another text")
    return tuple(notes)


def _pair(record: Record, anchor: str, limit: int, prompts: Mapping[str, str]) -> PairView:
    at, where = _where(record)
    group = record.get("group")
    sample = f"{record.get('task_name')}/{record.get('sample_id')}"
    prompt = prompts.get(str(record.get("prompt_sha256")))
    return PairView(
        anchor=anchor,
        mode=str(record.get("mode")),
        model=str(record.get("model")),
        sample=sample,
        batch_size=str(record.get("batch_size")),
        dispatch_mode=str(record.get("dispatch_mode")),
        change=_change(record),
        where=where,
        tags=tuple(str(record[tag]) for tag in _TAGS if record.get(tag)),
        notes=_repeat_notes(record),
        other_modes=(),
        solo=answer_view(record, "solo", "solo", at, limit),
        batched=answer_view(record, "batched", "batch", at, limit),
        prompt=prompt[:MAX_PROMPT] if prompt is not None else None,
        co_batched=tuple(map(str, group[:MAX_CO_BATCHED])) if isinstance(group, list) else (),
    )


@dataclass(slots=True)
class _Shelf:
    """Records kept for one list, at most ``most`` of them."""

    most: int
    kept: list[Record] = field(default_factory=list)
    left_out: int = 0

    def add(self, record: Record) -> None:
        if len(self.kept) < self.most:
            self.kept.append(record)
        else:
            self.left_out += 1


def _views(
    shelf: _Shelf,
    name: str,
    limit: int,
    prompts: Mapping[str, str],
    outcomes: Outcomes,
) -> list[PairView]:
    views = []
    for number, record in enumerate(shelf.kept, start=1):
        view = _pair(record, f"{name}-{number}", limit, prompts)
        others = (seen.get(_key(record)) for mode, seen in outcomes.items() if mode != view.mode)
        views.append(replace(view, other_modes=tuple(text for text in others if text)))
    return views


def collect_pairs(records: Iterable[Record], prompts: Mapping[str, str]) -> CollectedPairs:
    """Walk the records once and keep those whose answers differ.

    Args:
        records: record objects of a run, in file order.
        prompts: prompt texts by their SHA-256, for those whose task files were found.
    """
    flips, changes = _Shelf(MAX_FLIPS), _Shelf(MAX_TEXT_CHANGES)
    outcomes: Outcomes = {}
    for record in records:
        outcomes.setdefault(str(record.get("mode")), {})[_key(record)] = intern(_outcome(record))
        if record.get("status") != "ok":
            continue
        if _flipped(record):
            flips.add(record)
        elif _text_changed(record):
            changes.add(record)
    limit = answer_limit(len(flips.kept) + len(changes.kept))
    return CollectedPairs(
        flips=_views(flips, "flip", limit, prompts, outcomes),
        text_changes=_views(changes, "text", limit, prompts, outcomes),
        flips_left_out=flips.left_out,
        text_changes_left_out=changes.left_out,
        limit=limit,
    )
