"""What the judgements come to: agreement, genuine flips, controls, people against the scorer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from msgspec import Struct

from harness.analyse import wilson_interval
from harness.people.agreement import cohen_kappa, krippendorff_alpha, percent_agreement
from harness.people.judgements import Judgement
from harness.people.key import AnswerKey, Item, ItemKind
from harness.people.rubric import CHANGES, RUBRICS

_ByItem = Mapping[str, Mapping[str, Judgement]]
_CONDITIONS = ("solo", "batched")


class Share(Struct, frozen=True):
    """A count with its Wilson interval, both as fractions; ``None`` where there is nothing."""

    count: int
    n: int
    rate: float | None
    wilson95: tuple[float, float] | None


class RaterPair(Struct, frozen=True):
    """How two raters agree on the units that both judged."""

    raters: tuple[str, str]
    n: int
    agreement: float | None
    kappa: float | None
    kappa_linear: float | None
    kappa_quadratic: float | None


class Measures(Struct, frozen=True):
    """Agreement on one question; weighted and ordinal measures leave labels off the scale out."""

    units: int
    units_with_two_ratings: int
    alpha_nominal: float | None
    alpha_ordinal: float | None
    labels: dict[str, int]
    pairs: list[RaterPair]


class GenuineFlips(Struct, frozen=True):
    """Flips that most raters call a change of behaviour, by item and by row.

    Attributes:
        flips: on the sheet; ``judged`` of them by anybody.
        unresolved: items without a majority, which ask for one more rater.
        verdicts: resolved flips by what most of their raters say.
        items, rows, rows_by_mode: the genuine among the resolved, ``unsure`` among those.
    """

    flips: int
    judged: int
    unresolved: list[str]
    verdicts: dict[str, int]
    items: Share
    rows: Share
    rows_by_mode: dict[str, Share]


class Control(Struct, frozen=True):
    """How often a change was seen where the scorer saw none: the raters' own false alarms."""

    items: int
    judged_yes: Share


class Repeats(Struct, frozen=True):
    """How often one rater gave a duplicate the judgement of its original."""

    n: int
    same_change: int
    same_labels: int


class LabelCount(Struct, frozen=True):
    """Answers to which the scorer gave one label and most people another, or the same."""

    rubric: str
    scorer: str
    people: str
    answers: int


class Outcome(Struct, frozen=True):
    """Everything that the judgements say; the content of ``adjudication.json``."""

    schema_version: int
    run_id: str
    rubric_version: str
    raters: list[str]
    judged_items: int
    items: int
    agreement: dict[str, Measures]
    genuine_flips: GenuineFlips
    controls: dict[str, Control]
    intra_rater: dict[str, Repeats]
    scorer_against_people: list[LabelCount]


def adjudicate(judgements: Iterable[Judgement], key: AnswerKey) -> Outcome:
    """Agreement and outcome of all judgements so far.

    An item's ``behavioural_change`` is what most of its raters say; without a majority it is
    unresolved and asks for one more rater. A genuine flip is a flip whose majority says ``yes``;
    its rate is over the resolved flips, ``unsure`` among them.
    """
    by_item: dict[str, dict[str, Judgement]] = {}
    for judgement in judgements:
        by_item.setdefault(judgement.item_id, {})[judgement.rater] = judgement
    raters = sorted({rater for votes in by_item.values() for rater in votes})
    return Outcome(
        schema_version=1,
        run_id=key.run_id,
        rubric_version=key.rubric_version,
        raters=raters,
        judged_items=len(by_item),
        items=len(key.items),
        agreement=dict(_agreement(by_item, key, raters)),
        genuine_flips=_genuine(by_item, key),
        controls=_controls(by_item, key),
        intra_rater=_intra_rater(by_item, key),
        scorer_against_people=_scorer_against_people(by_item, key),
    )


def _label(judgement: Judgement, item: Item, condition: str) -> str:
    return judgement.label_a if item.side(condition) == "A" else judgement.label_b


def _majority(votes: Sequence[str]) -> str | None:
    ranked = Counter(votes).most_common(2)
    if len(ranked) == 1 or ranked[0][1] > ranked[1][1]:
        return ranked[0][0]
    return None


def _share(count: int, n: int) -> Share:
    return Share(count, n, count / n if n else None, wilson_interval(count, n).bounds)


def _agreement(
    by_item: _ByItem, key: AnswerKey, raters: Sequence[str]
) -> Iterator[tuple[str, Measures]]:
    """Agreement on the change of behaviour, and on the labels of each rubric in use."""
    changes = {
        item_id: {rater: judgement.behavioural_change for rater, judgement in votes.items()}
        for item_id, votes in by_item.items()
    }
    yield "behavioural_change", _measures(changes, raters, ())
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
            yield f"labels_{rubric.name}", _measures(units, raters, rubric.order)


def _measures(
    units: Mapping[str, Mapping[str, str]], raters: Sequence[str], order: Sequence[str]
) -> Measures:
    def pair(one: str, other: str) -> RaterPair:
        both = [(u[one], u[other]) for u in units.values() if one in u and other in u]
        scaled = [(a, b) for a, b in both if a in order and b in order]
        first, second = [a for a, _ in both], [b for _, b in both]
        low, high = [a for a, _ in scaled], [b for _, b in scaled]
        return RaterPair(
            raters=(one, other),
            n=len(both),
            agreement=percent_agreement(first, second),
            kappa=cohen_kappa(first, second),
            kappa_linear=cohen_kappa(low, high, weights="linear", order=order),
            kappa_quadratic=cohen_kappa(low, high, weights="quadratic", order=order),
        )

    ratings = [list(unit.values()) for unit in units.values()]
    on_scale = [[label for label in unit if label in order] for unit in ratings]
    return Measures(
        units=len(units),
        units_with_two_ratings=sum(len(unit) > 1 for unit in ratings),
        alpha_nominal=krippendorff_alpha(ratings),
        alpha_ordinal=krippendorff_alpha(on_scale, level="ordinal", order=order) if order else None,
        labels=dict(Counter(label for unit in ratings for label in unit)),
        pairs=[pair(one, other) for one, other in combinations(raters, 2)],
    )


def _genuine(by_item: _ByItem, key: AnswerKey) -> GenuineFlips:
    flips = [item for item in key.items.values() if item.kind is ItemKind.FLIP]
    verdicts = {
        item.item_id: _majority([j.behavioural_change for j in by_item[item.item_id].values()])
        for item in flips
        if item.item_id in by_item
    }
    resolved = {item_id: verdict for item_id, verdict in verdicts.items() if verdict}
    said = list(resolved.values())
    # one row a record of an item: is it genuine, and under which mode
    rows = [
        (resolved[item.item_id] == "yes", row.mode)
        for item in flips
        if item.item_id in resolved
        for row in item.rows
    ]
    genuine, all_rows = Counter(mode for yes, mode in rows if yes), Counter(m for _, m in rows)
    return GenuineFlips(
        flips=len(flips),
        judged=len(verdicts),
        unresolved=sorted(item_id for item_id, verdict in verdicts.items() if verdict is None),
        verdicts={change: said.count(change) for change in CHANGES},
        items=_share(said.count("yes"), len(said)),
        rows=_share(genuine.total(), len(rows)),
        rows_by_mode={mode: _share(genuine[mode], n) for mode, n in sorted(all_rows.items())},
    )


def _controls(by_item: _ByItem, key: AnswerKey) -> dict[str, Control]:
    result = {}
    for kind in (ItemKind.IDENTICAL, ItemKind.TEXT_CHANGE):
        items = [item for item in key.items.values() if item.kind is kind]
        votes = [j.behavioural_change for i in items for j in by_item.get(i.item_id, {}).values()]
        result[str(kind)] = Control(len(items), _share(votes.count("yes"), len(votes)))
    return result


def _intra_rater(by_item: _ByItem, key: AnswerKey) -> dict[str, Repeats]:
    pairs: dict[str, list[tuple[bool, bool]]] = {}
    for item in key.items.values():
        if item.kind is not ItemKind.DUPLICATE or item.of is None:
            continue
        original, firsts = key.items[item.of], by_item.get(item.of, {})
        for rater, again in by_item.get(item.item_id, {}).items():
            if first := firsts.get(rater):
                same_labels = all(
                    _label(first, original, condition) == _label(again, item, condition)
                    for condition in _CONDITIONS
                )
                same_change = first.behavioural_change == again.behavioural_change
                pairs.setdefault(rater, []).append((same_change, same_labels))
    return {
        rater: Repeats(len(same), sum(c for c, _ in same), sum(labels for _, labels in same))
        for rater, same in pairs.items()
    }


def _scorer_against_people(by_item: _ByItem, key: AnswerKey) -> list[LabelCount]:
    """Majority label of each answer against the scorer's; duplicates are left out."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for item_id, votes in by_item.items():
        item = key.items[item_id]
        if item.kind is ItemKind.DUPLICATE:
            continue
        row = item.rows[0]
        given = ((row.solo_label, row.solo_score), (row.batch_label, row.batch_score))
        for condition, (label, score) in zip(_CONDITIONS, given, strict=True):
            people = _majority([_label(j, item, condition) for j in votes.values()])
            scorer = label or ("none" if score is None else f"{score:g}")
            counts[item.rubric, scorer, people or "unresolved"] += 1
    return [LabelCount(*what, answers) for what, answers in sorted(counts.items())]
