"""Which pairs of answers go on the sheet: every flip or pattern, and controls drawn by lot.

Rows with the very same answers are one item: a person judges them once. Sides, order and item
ids come from one seeded generator, so an export can be made again and nothing in it tells.
"""

import math
import random
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Literal, NamedTuple

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
from harness.words import Asking, Pattern

MAX_CONTROL_POOL = 20_000
"""Pairs of each kind of control that are kept to draw from, the first ones of a long file."""
_SHOWN = ("prompt", "response_a", "response_b")
_JUDGED: Mapping[str, ItemKind] = {"flip": ItemKind.FLIP, "pattern": ItemKind.PATTERN}
_UNDEALT: Mapping[str, Any] = {"of": None, "solo_side": "A", "sha256": ""}


class Export(NamedTuple):
    """A sheet's items in their drawn order, and the key to them."""

    items: tuple[Item, ...]
    key: AnswerKey


By = Literal["flip", "pattern"]
_ROW = tuple(name for name in KeyRow.__struct_fields__ if name != "pattern")


class _Pair(NamedTuple):
    """Two answers of a record, why they are shown, and the record as the key has it."""

    kind: ItemKind
    solo: Answer
    batched: Answer
    row: KeyRow


def _by_flip(record: Record) -> _Pair | None:
    """S0 and B, which the study compares."""
    solo, batched = record.solo or Answer(), record.batched or Answer()
    same = ItemKind.IDENTICAL if solo.text == batched.text else ItemKind.TEXT_CHANGE
    kind = ItemKind.FLIP if record.label_flip else same
    return _Pair(kind, solo, batched, KeyRow(*(getattr(record, column) for column in _ROW)))


def _by_pattern(record: Record) -> _Pair | None:
    """The two askings that the pattern is about; nothing where all is noise or not known."""
    pattern = record.pattern
    if pattern is None or pattern is Pattern.UNSTABLE:
        return None
    askings = pattern.effect.askings if pattern.effect else (Asking.S1, Asking.B)
    first, second = (record.asked(asking) or Answer() for asking in askings)
    (score, label), (score_2, label_2) = map(record.judged, askings)
    shown = {"solo_score": score, "batch_score": score_2, "solo_label": label}
    shown |= {"batch_label": label_2, "pattern": pattern if pattern.effect else None}
    shown |= {"solo_response_hash": first.response_hash}
    shown |= {"batch_response_hash": second.response_hash}
    row = KeyRow(*(getattr(record, column) for column in _ROW))
    kind = ItemKind.PATTERN if pattern.effect else ItemKind.IDENTICAL
    return _Pair(kind, first, second, replace(row, **shown))


def _undealt(
    records: Iterable[Record], prompts: Mapping[str, str], by: By
) -> dict[ItemKind, list[Item]]:
    """The different pairs of answers, without an id and with solo as A."""
    found: dict[tuple[str, ...], Item] = {}
    kinds: dict[ItemKind, list[Item]] = {kind: [] for kind in ItemKind}
    for record in records:
        pair = (_by_flip if by == "flip" else _by_pattern)(record) if record.ok else None
        if pair is None or (one := pair.solo.text) is None or (other := pair.batched.text) is None:
            continue
        kind, solo, _, row = pair
        name = (kind, record.task_name, str(record.sample_id), one, other)
        if name not in found:
            if kind is not _JUDGED[by] and len(kinds[kind]) >= MAX_CONTROL_POOL:
                continue
            evidence, prompt = solo.score_evidence, prompts.get(record.prompt_sha256 or "", "")
            rubric = rubric_of(evidence.scorer if evidence else None).name
            shown = dict(zip(_SHOWN, map(safe_cell, (prompt, one, other)), strict=True))
            place = {"task_name": record.task_name, "sample_id": name[2], "rubric": rubric}
            found[name] = Item(**_UNDEALT, kind=kind, **place, **shown, rows=[])
            kinds[kind].append(found[name])
        found[name].rows.append(row)
    return kinds


def build_export(
    records: Iterable[Record],
    *,
    run_id: str,
    prompts: Mapping[str, str],
    controls: float = 0.2,
    seed: int = 0,
    by: By = "flip",
) -> Export:
    """Draw a sheet from a run's records, which have their answers.

    Args:
        prompts: prompt texts by SHA-256; a prompt that is missing stays empty.
        controls: the share of the sheet that is controls, 0 <= controls < 1.
        seed: of the generator.
        by: what is judged: label flips (S0 against B), or rows whose pattern is ``batch``,
            ``cache``, ``masked`` or ``both``, by the two askings that the pattern is about.

    Raises:
        UsageError: there is nothing to judge, or ``controls`` is out of range.
    """
    if not 0 <= controls < 1:
        raise UsageError(f"--controls {controls:g} is not a share from 0 to below 1")
    kinds = _undealt(records, prompts, by)
    flips = kinds[ItemKind.DUPLICATE] = kinds[_JUDGED[by]]
    if not flips:
        what = "label flip" if by == "flip" else "pattern of S0, S1, B and S2 that moved"
        raise UsageError(
            f"no {what} with its answers in these records", hint="there is nothing to judge"
        )
    counts = dict.fromkeys((ItemKind.DUPLICATE, ItemKind.IDENTICAL, ItemKind.TEXT_CHANGE), 0)
    for _ in range(math.ceil(len(flips) * controls / (1 - controls))):
        if spare := [kind for kind in counts if counts[kind] < len(kinds[kind])]:
            counts[min(spare, key=lambda kind: counts[kind])] += 1
    # ids of their own for each sheet: judgements of several lie in one file, and go by them
    drawn = [item for pool in kinds.values() for item in pool]
    about = sha256(f"{by} {controls!r} {sheet_csv(drawn)}".encode()).hexdigest()
    lot, dealt = random.Random(f"{seed} {about}"), dict[str, Item]()

    def deal(item: Item, kind: ItemKind, of: str | None = None) -> None:
        while (item_id := f"{lot.getrandbits(48):012x}") in dealt:
            pass
        side, shown = lot.choice("AB"), (item.response_a, item.response_b)
        a, b = shown if side == "A" else shown[::-1]
        digest = content_hash(item_id, item.prompt, a, b)
        new = {"item_id": item_id, "kind": kind, "of": of, "solo_side": side, "sha256": digest}
        dealt[item_id] = replace(item, response_a=a, response_b=b, **new)

    for item in flips:
        deal(item, _JUDGED[by])
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
