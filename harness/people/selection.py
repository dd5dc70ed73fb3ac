"""Which pairs of answers go on the sheet: every flip, and controls drawn by lot.

Rows with the very same answers are one item: a person judges them once. Sides, order and item
ids come from one seeded generator, so an export can be made again and nothing in it tells.
"""

import math
import random
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from msgspec.structs import replace

from harness.errors import UsageError
from harness.people.sheet import (
    AnswerKey,
    Item,
    ItemKind,
    KeyRow,
    content_hash,
    rubric_of,
    safe_cell,
    sheet_csv,
)
from harness.records import Answer, Record

MAX_CONTROL_POOL = 20_000
"""Pairs of each kind of control that are kept to draw from, the first ones of a long file."""
_SHOWN = ("prompt", "response_a", "response_b")
_UNDEALT: Mapping[str, Any] = {"of": None, "solo_side": "A", "sha256": ""}


class Export(NamedTuple):
    """A sheet's items in their drawn order, and the key to them."""

    items: tuple[Item, ...]
    key: AnswerKey


def _undealt(records: Iterable[Record], prompts: Mapping[str, str]) -> dict[ItemKind, list[Item]]:
    """The different pairs of answers, without an id and with solo as A."""
    found: dict[tuple[str, ...], Item] = {}
    kinds: dict[ItemKind, list[Item]] = {kind: [] for kind in ItemKind}
    for record in records:
        solo, batched = record.solo or Answer(), record.batched or Answer()
        if not record.ok or solo.text is None or batched.text is None:
            continue
        same = ItemKind.IDENTICAL if solo.text == batched.text else ItemKind.TEXT_CHANGE
        kind, sample = ItemKind.FLIP if record.label_flip else same, str(record.sample_id)
        name = (kind, record.task_name, sample, solo.text, batched.text)
        if name not in found:
            if kind is not ItemKind.FLIP and len(kinds[kind]) >= MAX_CONTROL_POOL:
                continue
            evidence, prompt = solo.score_evidence, prompts.get(record.prompt_sha256 or "", "")
            rubric = rubric_of(evidence.scorer if evidence else None).name
            shown = dict(
                zip(_SHOWN, map(safe_cell, (prompt, solo.text, batched.text)), strict=True)
            )
            place = {"task_name": record.task_name, "sample_id": sample, "rubric": rubric}
            found[name] = Item(**_UNDEALT, kind=kind, **place, **shown, rows=[])
            kinds[kind].append(found[name])
        row = KeyRow(*(getattr(record, column) for column in KeyRow.__struct_fields__))
        found[name].rows.append(row)
    return kinds


def build_export(
    records: Iterable[Record],
    *,
    run_id: str,
    prompts: Mapping[str, str],
    controls: float = 0.2,
    seed: int = 0,
) -> Export:
    """Draw a sheet from a run's records, which have their answers.

    Args:
        prompts: prompt texts by SHA-256; a prompt that is missing stays empty.
        controls: the share of the sheet that is controls, 0 <= controls < 1.
        seed: of the generator.

    Raises:
        UsageError: there is no flip with its answers, or ``controls`` is out of range.
    """
    if not 0 <= controls < 1:
        raise UsageError(f"--controls {controls:g} is not a share from 0 to below 1")
    kinds = _undealt(records, prompts)
    flips = kinds[ItemKind.DUPLICATE] = kinds[ItemKind.FLIP]
    if not flips:
        raise UsageError(
            "no label flip with its answers in these records", hint="there is nothing to judge"
        )
    counts = dict.fromkeys((ItemKind.DUPLICATE, ItemKind.IDENTICAL, ItemKind.TEXT_CHANGE), 0)
    for _ in range(math.ceil(len(flips) * controls / (1 - controls))):
        if spare := [kind for kind in counts if counts[kind] < len(kinds[kind])]:
            counts[min(spare, key=lambda kind: counts[kind])] += 1
    lot, dealt = random.Random(seed), dict[str, Item]()

    def deal(item: Item, kind: ItemKind, of: str | None = None) -> None:
        while (item_id := f"{lot.getrandbits(48):012x}") in dealt:
            pass
        side, shown = lot.choice("AB"), (item.response_a, item.response_b)
        a, b = shown if side == "A" else shown[::-1]
        digest = content_hash(item_id, item.prompt, a, b)
        new = {"item_id": item_id, "kind": kind, "of": of, "solo_side": side, "sha256": digest}
        dealt[item_id] = replace(item, response_a=a, response_b=b, **new)

    for item in flips:
        deal(item, ItemKind.FLIP)
    firsts = list(dealt)
    for kind, count in counts.items():
        for i in lot.sample(range(len(kinds[kind])), count):
            deal(kinds[kind][i], kind, firsts[i] if kind is ItemKind.DUPLICATE else None)
    lot.shuffle(items := list(dealt.values()))
    digest = sha256(sheet_csv(items).encode()).hexdigest()
    key = AnswerKey(
        run_id=run_id, seed=seed, sheet_sha256=digest, items={item.item_id: item for item in items}
    )
    return Export(tuple(items), key)
