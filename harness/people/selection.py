"""Which pairs of answers go on the sheet: every flip, and controls drawn by lot.

Rows with the very same answers are one item: a person judges them once. Sides, order and item
ids come from one seeded generator, so an export can be made again and nothing in it tells.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from harness.errors import UsageError
from harness.people.key import AnswerKey, Item, ItemKind, KeyRow, content_hash
from harness.people.rubric import RUBRIC_VERSION, rubric_of
from harness.people.sheet import safe_cell, sheet_csv

MAX_CONTROL_POOL = 20_000
"""Pairs of each kind of control that are kept to draw from, the first ones of a long file."""
MAX_CELL = 30_000
"""Characters of an answer on the sheet; a spreadsheet's cell holds 32,767."""

_KEY_FIELDS = tuple(KeyRow.__dataclass_fields__)

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Export:
    """A sheet's items in their drawn order, and the key to them."""

    items: tuple[Item, ...]
    key: AnswerKey


@dataclass(slots=True)
class _Pair:
    """Two answers to one prompt, and every record that has just these."""

    task_name: str
    sample_id: str
    solo: str
    batched: str
    rubric: str
    prompt_sha256: str
    rows: list[KeyRow] = field(default_factory=list)


def _text(record: Record, condition: str) -> str | None:
    answer = record.get(condition)
    text = answer.get("text") if isinstance(answer, Mapping) else None
    return text if isinstance(text, str) else None


def _scorer(record: Record) -> str | None:
    solo = record.get("solo")
    evidence = solo.get("score_evidence") if isinstance(solo, Mapping) else None
    return evidence.get("scorer") if isinstance(evidence, Mapping) else None


def _kind(record: Record, solo: str, batched: str) -> ItemKind:
    scores = record.get("solo_score"), record.get("batch_score")
    labels = record.get("solo_label"), record.get("batch_label")
    if scores[0] != scores[1] or (scores == (None, None) and labels[0] != labels[1]):
        return ItemKind.FLIP
    return ItemKind.IDENTICAL if solo == batched else ItemKind.TEXT_CHANGE


def _pairs(records: Iterable[Record]) -> dict[ItemKind, list[_Pair]]:
    found: dict[tuple[Any, ...], _Pair] = {}
    kinds: dict[ItemKind, list[_Pair]] = {kind: [] for kind in ItemKind}
    for record in records:
        solo, batched = _text(record, "solo"), _text(record, "batched")
        if record.get("status") != "ok" or solo is None or batched is None:
            continue
        kind = _kind(record, solo, batched)
        task, sample = str(record.get("task_name")), str(record.get("sample_id"))
        pair = found.get((kind, task, sample, solo, batched))
        if pair is None:
            if kind is not ItemKind.FLIP and len(kinds[kind]) >= MAX_CONTROL_POOL:
                continue
            rubric = rubric_of(_scorer(record)).name
            digest = str(record.get("prompt_sha256"))
            pair = _Pair(task, sample, solo, batched, rubric, digest)
            found[kind, task, sample, solo, batched] = pair
            kinds[kind].append(pair)
        values: dict[str, Any] = {name: record.get(name) for name in _KEY_FIELDS}
        pair.rows.append(KeyRow(**values))
    return kinds


def _control_counts(
    flips: int, share: float, available: Mapping[ItemKind, int]
) -> dict[ItemKind, int]:
    """How many controls of each kind make up ``share`` of the sheet, spread evenly."""
    wanted = math.ceil(flips * share / (1 - share))
    counts = dict.fromkeys((ItemKind.DUPLICATE, ItemKind.IDENTICAL, ItemKind.TEXT_CHANGE), 0)
    while sum(counts.values()) < wanted:
        open_kinds = [kind for kind in counts if counts[kind] < available[kind]]
        if not open_kinds:
            break
        counts[min(open_kinds, key=lambda kind: counts[kind])] += 1
    return counts


def _cell(text: str) -> str:
    cut = len(text) - MAX_CELL
    return safe_cell(text if cut <= 0 else f"{text[:MAX_CELL]}\n[{cut:,} more characters]")


class _Dealer:
    """Draws ids and sides."""

    def __init__(self, seed: int, prompts: Mapping[str, str]) -> None:
        self.random = random.Random(seed)
        self._prompts = prompts
        self._used: set[str] = set()

    def item(self, pair: _Pair, kind: ItemKind, of: str | None = None) -> Item:
        while (item_id := f"{self.random.getrandbits(48):012x}") in self._used:
            pass
        self._used.add(item_id)
        solo_side = self.random.choice("AB")
        prompt = _cell(self._prompts.get(pair.prompt_sha256, ""))
        answers = [_cell(pair.solo), _cell(pair.batched)]
        first, second = answers if solo_side == "A" else reversed(answers)
        return Item(
            item_id=item_id,
            kind=kind,
            of=of,
            task_name=pair.task_name,
            sample_id=pair.sample_id,
            rubric=pair.rubric,
            solo_side=solo_side,
            prompt=prompt,
            response_a=first,
            response_b=second,
            sha256=content_hash(item_id, prompt, first, second),
            rows=tuple(pair.rows),
        )


def build_export(
    records: Iterable[Record],
    *,
    run_id: str,
    prompts: Mapping[str, str],
    controls: float = 0.2,
    seed: int = 0,
) -> Export:
    """Draw a sheet.

    Args:
        records: the run's records, with their answers.
        run_id: named in the key.
        prompts: prompt texts by SHA-256; a prompt that is missing stays empty.
        controls: the share of the sheet that is controls, 0 <= controls < 1.
        seed: of the generator.

    Raises:
        UsageError: there is no flip with its answers, or ``controls`` is out of range.
    """
    if not 0 <= controls < 1:
        raise UsageError(f"--controls {controls:g} is not a share from 0 to below 1")
    kinds = _pairs(records)
    flips = kinds[ItemKind.FLIP]
    if not flips:
        raise UsageError(
            "no label flip with its answers in these records", hint="there is nothing to judge"
        )
    dealer = _Dealer(seed, prompts)
    items = [dealer.item(pair, ItemKind.FLIP) for pair in flips]
    available = {kind: len(pairs) for kind, pairs in kinds.items()}
    counts = _control_counts(len(flips), controls, available | {ItemKind.DUPLICATE: len(flips)})
    draw: Callable[[Sequence[Any], int], list[Any]] = dealer.random.sample
    repeated = draw(range(len(flips)), counts[ItemKind.DUPLICATE])
    items += [dealer.item(flips[i], ItemKind.DUPLICATE, of=items[i].item_id) for i in repeated]
    for kind in (ItemKind.IDENTICAL, ItemKind.TEXT_CHANGE):
        items += [dealer.item(pair, kind) for pair in draw(kinds[kind], counts[kind])]
    dealer.random.shuffle(items)
    key = AnswerKey(
        run_id=run_id,
        seed=seed,
        rubric_version=RUBRIC_VERSION,
        sheet_sha256=sha256(sheet_csv(items).encode()).hexdigest(),
        items={item.item_id: item for item in items},
    )
    return Export(tuple(items), key)
