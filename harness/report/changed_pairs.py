"""The records of a run whose two answers differ, side by side, within a stated budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from sys import intern

from harness.numbers import score_text
from harness.records import Record, RecordKey
from harness.report.answer_windows import answer_limit, answer_view
from harness.report.document import Change
from harness.words import Mode

MAX_FLIPS = 10_000
MAX_TEXT_CHANGES = 2_000
MAX_PROMPT = 4_000
MAX_CO_BATCHED = 64

Outcomes = dict[Mode, dict[RecordKey, str]]
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
        records: of a run, in file order.
        prompts: prompt texts by their SHA-256, for those whose task files were found.

    Returns:
        Label flips, text changes without one, and the characters of an answer shown at most.
    """
    flips, changes = Shelf("flip", MAX_FLIPS), Shelf("text", MAX_TEXT_CHANGES)
    outcomes: Outcomes = {}
    for record in records:
        text = "text changed" if record.text_change else "text identical"
        said = (
            f"{_scores(record)}, {text}" if record.ok else f"no answer ({record.error or 'error'})"
        )
        outcomes.setdefault(record.mode, {})[record.key] = intern(f"{record.mode}: {said}")
        if record.label_flip:
            flips.add(record)
        elif record.text_change:
            changes.add(record)
    limit = answer_limit(len(flips.kept) + len(changes.kept))
    for shelf in (flips, changes):
        shelf.changes = tuple(
            _pair(record, f"{shelf.anchor}-{number}", limit, prompts, outcomes)
            for number, record in enumerate(shelf.kept, start=1)
        )
    return flips, changes, limit


def _scores(record: Record) -> str:
    solo = score_text(record.solo_score, record.solo_label)
    return f"{solo} → {score_text(record.batch_score, record.batch_label)}"


def _pair(
    record: Record, anchor: str, limit: int, prompts: Mapping[str, str], outcomes: Outcomes
) -> Change:
    at, where = _where(record)
    others = (seen.get(record.key) for mode, seen in outcomes.items() if mode is not record.mode)
    notes = []
    for condition in ("solo", "batched"):
        first, again = record.answer(condition), record.repeats(condition)
        if first is not None and first.text is not None and again:
            other = sum(answer.text != first.text for answer in again)
            notes.append(f"{condition} asked again: {other} of {len(again)} gave another text")
    tags = (record.domain, record.phase, record.original_direction)
    prompt = prompts.get(record.prompt_sha256 or "")
    return Change(
        anchor=anchor,
        heading=f"{record.task_name}/{record.sample_id}",
        change=_scores(record),
        context=(record.mode.words, f"batch {record.batch_size}", record.dispatch_mode),
        answers=(
            (
                answer_view(record, "solo", at, limit),
                answer_view(record, "batched", at, limit),
            ),
        ),
        model=record.model,
        mode=record.mode,
        where=(where, *(str(tag) for tag in tags if tag)),
        notes=tuple(notes),
        other_modes=tuple(text for text in others if text),
        prompt=prompt[:MAX_PROMPT] if prompt is not None else None,
        co_batched=tuple(map(str, (record.group or ())[:MAX_CO_BATCHED])),
    )


def _where(record: Record) -> tuple[int | None, str]:
    """Where the answers part: the index of the character, and that in words."""
    texts = [answer.text for answer in (record.solo, record.batched) if answer is not None]
    if len(texts) < 2 or None in texts:
        return None, "this file holds no answers, only their hashes"
    parted = record.first_difference
    if parted is None or parted.char is None:
        return None, "the answers are identical"
    words = f"first difference at character {parted.char + 1}"
    token = "" if parted.token is None else f", token {parted.token + 1}"
    return parted.char, f"{words}{token}"
