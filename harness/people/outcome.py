"""What the judgements come to: agreement, genuine flips, controls, people against the scorer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from harness.analyse import wilson_interval
from harness.people.agreement import cohen_kappa, krippendorff_alpha, percent_agreement
from harness.people.judgements import Judgement
from harness.people.key import AnswerKey, Item, ItemKind, KeyRow
from harness.people.rubric import CHANGES, RUBRICS

__all__ = ["adjudicate"]

Json = dict[str, Any]
ByItem = Mapping[str, Mapping[str, Judgement]]
_CONDITIONS = ("solo", "batched")


def adjudicate(judgements: Iterable[Judgement], key: AnswerKey) -> Json:
    """Agreement and outcome of all judgements so far.

    An item's ``behavioural_change`` is what most of its raters say; without a majority it is
    unresolved and asks for one more rater. A genuine flip is a flip whose majority says ``yes``;
    its rate is over the resolved flips, ``unsure`` among them.
    """
    by_item: dict[str, dict[str, Judgement]] = {}
    for judgement in judgements:
        by_item.setdefault(judgement.item_id, {})[judgement.rater] = judgement
    raters = sorted({rater for votes in by_item.values() for rater in votes})
    return {
        "schema_version": 1,
        "run_id": key.run_id,
        "rubric_version": key.rubric_version,
        "raters": raters,
        "judged_items": len(by_item),
        "items": len(key.items),
        "agreement": _agreement(by_item, key, raters),
        "genuine_flips": _genuine(by_item, key),
        "controls": _controls(by_item, key),
        "intra_rater": _intra_rater(by_item, key),
        "scorer_against_people": _confusion(by_item, key),
    }


def _label(judgement: Judgement, item: Item, condition: str) -> str:
    return judgement.label_a if item.side(condition) == "A" else judgement.label_b


def _majority(votes: Sequence[str]) -> str | None:
    ranked = Counter(votes).most_common(2)
    if len(ranked) == 1 or ranked[0][1] > ranked[1][1]:
        return ranked[0][0]
    return None


def _rate(count: int, n: int) -> Json:
    interval = wilson_interval(count, n).as_json()
    return {"count": count, "n": n, "rate": count / n if n else None, "wilson95": interval}


def _agreement(by_item: ByItem, key: AnswerKey, raters: Sequence[str]) -> Json:
    changes = {
        item_id: {r: j.behavioural_change for r, j in votes.items()}
        for item_id, votes in by_item.items()
    }
    result: Json = {"behavioural_change": _measures(changes, raters, ())}
    for rubric in RUBRICS.values():
        units = {
            f"{item_id}/{condition}": {
                rater: _label(judgement, key.items[item_id], condition)
                for rater, judgement in votes.items()
            }
            for item_id, votes in by_item.items()
            if key.items[item_id].rubric == rubric.name
            for condition in _CONDITIONS
        }
        if units:
            result[f"labels_{rubric.name}"] = _measures(units, raters, rubric.order)
    return result


def _measures(
    units: Mapping[str, Mapping[str, str]], raters: Sequence[str], order: Sequence[str]
) -> Json:
    """Agreement over units; the weighted and ordinal measures leave labels off the scale out."""
    scaled = [[label for label in unit.values() if label in order] for unit in units.values()]
    ordinal = krippendorff_alpha(scaled, level="ordinal", order=order) if order else None
    return {
        "units": len(units),
        "units_with_two_ratings": sum(len(unit) > 1 for unit in units.values()),
        "alpha_nominal": krippendorff_alpha([list(unit.values()) for unit in units.values()]),
        "alpha_ordinal": ordinal,
        "labels": dict(Counter(label for unit in units.values() for label in unit.values())),
        "pairs": [
            _pair_of_raters(one, other, units, order) for one, other in combinations(raters, 2)
        ],
    }


def _pair_of_raters(
    one: str, other: str, units: Mapping[str, Mapping[str, str]], order: Sequence[str]
) -> Json:
    both = [(u[one], u[other]) for u in units.values() if one in u and other in u]
    first, second = [a for a, _ in both], [b for _, b in both]
    scaled = [(a, b) for a, b in both if a in order and b in order]
    low, high = [a for a, _ in scaled], [b for _, b in scaled]
    weighted = {
        f"kappa_{name}": cohen_kappa(low, high, weights=name, order=order) if order else None
        for name in ("linear", "quadratic")
    }
    return {
        "raters": [one, other],
        "n": len(both),
        "agreement": percent_agreement(first, second),
        "kappa": cohen_kappa(first, second),
        **weighted,
    }


def _verdicts(by_item: ByItem, items: Iterable[Item]) -> dict[str, str | None]:
    return {
        item.item_id: _majority([j.behavioural_change for j in by_item[item.item_id].values()])
        for item in items
        if item.item_id in by_item
    }


def _genuine(by_item: ByItem, key: AnswerKey) -> Json:
    flips = [item for item in key.items.values() if item.kind is ItemKind.FLIP]
    verdicts = _verdicts(by_item, flips)
    resolved = {item_id: verdict for item_id, verdict in verdicts.items() if verdict}
    rows = [(item, row) for item in flips if item.item_id in resolved for row in item.rows]
    genuine = [(i, row) for i, row in rows if resolved[i.item_id] == "yes"]
    by_mode = {
        mode: _rate(_in_mode(genuine, mode), _in_mode(rows, mode))
        for mode in sorted({row.mode for _, row in rows})
    }
    return {
        "flips": len(flips),
        "judged": len(verdicts),
        "unresolved": sorted(item_id for item_id, verdict in verdicts.items() if verdict is None),
        "verdicts": {change: list(resolved.values()).count(change) for change in CHANGES},
        "items": _rate(list(resolved.values()).count("yes"), len(resolved)),
        "rows": _rate(len(genuine), len(rows)),
        "rows_by_mode": by_mode,
    }


def _in_mode(rows: Iterable[tuple[Item, KeyRow]], mode: str) -> int:
    return sum(row.mode == mode for _, row in rows)


def _controls(by_item: ByItem, key: AnswerKey) -> Json:
    """How often a change was seen where the scorer saw none: the raters' own false alarms."""
    result: Json = {}
    for kind in (ItemKind.IDENTICAL, ItemKind.TEXT_CHANGE):
        items = [item for item in key.items.values() if item.kind is kind]
        votes = [j.behavioural_change for i in items for j in by_item.get(i.item_id, {}).values()]
        result[str(kind)] = {
            "items": len(items),
            "judged_yes": _rate(votes.count("yes"), len(votes)),
        }
    return result


def _intra_rater(by_item: ByItem, key: AnswerKey) -> Json:
    """For each rater, how often a duplicate got the judgement of its original."""
    result: Json = {}
    for item in key.items.values():
        if item.kind is not ItemKind.DUPLICATE or item.of is None:
            continue
        original = key.items[item.of]
        for rater, again in by_item.get(item.item_id, {}).items():
            first = by_item.get(original.item_id, {}).get(rater)
            if first is None:
                continue
            counts = result.setdefault(rater, {"n": 0, "same_change": 0, "same_labels": 0})
            counts["n"] += 1
            counts["same_change"] += first.behavioural_change == again.behavioural_change
            counts["same_labels"] += all(
                _label(first, original, condition) == _label(again, item, condition)
                for condition in _CONDITIONS
            )
    return result


def _confusion(by_item: ByItem, key: AnswerKey) -> list[Json]:
    """Majority label of each answer against the scorer's; duplicates are left out."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for item_id, votes in by_item.items():
        item = key.items[item_id]
        if item.kind is ItemKind.DUPLICATE:
            continue
        for condition in _CONDITIONS:
            people = _majority([_label(j, item, condition) for j in votes.values()])
            scorer = _scorer_word(item.rows[0], condition)
            counts[item.rubric, scorer, people or "unresolved"] += 1
    return [
        {"rubric": rubric, "scorer": scorer, "people": people, "answers": n}
        for (rubric, scorer, people), n in sorted(counts.items())
    ]


def _scorer_word(row: KeyRow, condition: str) -> str:
    """The scorer's label of an answer, or its score where it gave no label."""
    if condition == "solo":
        label, score = row.solo_label, row.solo_score
    else:
        label, score = row.batch_label, row.batch_score
    return label or ("none" if score is None else f"{score:g}")
