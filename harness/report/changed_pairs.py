"""The records of a run whose two answers differ, side by side, within a stated budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from sys import intern
from typing import Any

from harness.numbers import score_text
from harness.report.answer_windows import answer_limit, answer_of, answer_view, first_difference
from harness.report.document import Change, mode_words

MAX_FLIPS = 10_000
MAX_TEXT_CHANGES = 2_000
MAX_PROMPT = 4_000
MAX_CO_BATCHED = 64
_TAGS = ("domain", "phase", "original_direction")

Record = Mapping[str, Any]
Outcomes = dict[str, dict[str, str]]
"""Mode, then candidate, then what happened; few distinct texts, so they are interned."""


@dataclass(slots=True)
class Shelf:
    """Records kept for one list, at most ``most`` of them, then their views."""

    anchor: str
    most: int
    kept: list[Record] = field(default_factory=list)
    left_out: int = 0
    changes: tuple[Change, ...] = ()

    def add(self, record: Record) -> None:
        """Keep it, or count it as left out."""
        if len(self.kept) < self.most:
            self.kept.append(record)
        else:
            self.left_out += 1


def collect_pairs(
    records: Iterable[Record], prompts: Mapping[str, str]
) -> tuple[Shelf, Shelf, int]:
    """Walk the records once and keep those whose answers differ.

    Args:
        records: record objects of a run, in file order.
        prompts: prompt texts by their SHA-256, for those whose task files were found.

    Returns:
        Label flips, text changes without one, and the characters of an answer shown at most.
    """
    flips, changes = Shelf("flip", MAX_FLIPS), Shelf("text", MAX_TEXT_CHANGES)
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
    for shelf in (flips, changes):
        shelf.changes = tuple(_views(shelf, limit, prompts, outcomes))
    return flips, changes, limit


def _key(record: Record) -> str:
    names = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
    return "\0".join(str(record.get(name)) for name in names)


def _flipped(record: Record) -> bool:
    """From scores and labels: what the record states of itself is a check's business."""
    solo, batch = record.get("solo_score"), record.get("batch_score")
    if solo is None and batch is None:
        return record.get("solo_label") != record.get("batch_label")
    return bool(solo != batch)


def _text_changed(record: Record) -> bool:
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


def _views(
    shelf: Shelf, limit: int, prompts: Mapping[str, str], outcomes: Outcomes
) -> Iterable[Change]:
    for number, record in enumerate(shelf.kept, start=1):
        view = _pair(record, f"{shelf.anchor}-{number}", limit, prompts)
        others = (seen.get(_key(record)) for mode, seen in outcomes.items() if mode != view.mode)
        yield replace(view, other_modes=tuple(text for text in others if text))


def _pair(record: Record, anchor: str, limit: int, prompts: Mapping[str, str]) -> Change:
    at, where = _where(record)
    group, mode = record.get("group"), str(record.get("mode"))
    prompt = prompts.get(str(record.get("prompt_sha256")))
    return Change(
        anchor=anchor,
        heading=f"{record.get('task_name')}/{record.get('sample_id')}",
        change=_change(record),
        context=(
            mode_words(mode),
            f"batch {record.get('batch_size')}",
            str(record.get("dispatch_mode")),
        ),
        answers=(
            (
                answer_view(record, "solo", at, limit),
                answer_view(record, "batched", at, limit),
            ),
        ),
        model=str(record.get("model")),
        mode=mode,
        where=(where, *(str(record[tag]) for tag in _TAGS if record.get(tag))),
        notes=_repeat_notes(record),
        prompt=prompt[:MAX_PROMPT] if prompt is not None else None,
        co_batched=tuple(map(str, group[:MAX_CO_BATCHED])) if isinstance(group, list) else (),
    )


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


def _tokens(answer: Mapping[str, Any]) -> list[int]:
    tokens = answer.get("token_ids")
    return tokens if isinstance(tokens, list) else []


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
