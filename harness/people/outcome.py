"""What the judgements come to: agreement, genuine flips, controls, people against the scorer."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from msgspec import Struct
from msgspec.structs import astuple, force_setattr, replace

from harness.analyse import wilson_interval
from harness.people.agreement import cohen_kappa, krippendorff_alpha, percent_agreement
from harness.people.judgements import Judgement, rater_of
from harness.people.sheet import CHANGES, RUBRICS, AnswerKey, Item, ItemKind, KeyRow
from harness.words import Pattern

_CONDITIONS = ("solo", "batched")
_Units = Mapping[str, Mapping[str, str]]


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
    """Flips (or items of one pattern) on the sheet, those ``judged`` by anybody, and the genuine.

    ``unresolved`` items have no majority and ask for one more rater; the shares are of the genuine
    among the resolved, ``unsure`` ones included. ``doubt`` is what the controls say against the
    shares: that raters called identical pairs changed too, or that none was judged.
    """

    flips: int
    judged: int
    unresolved: list[str]
    verdicts: dict[str, int]
    items: Share
    rows: Share
    rows_by_mode: dict[str, Share]
    doubt: str | None = None


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


class Outcome(Struct, frozen=True, omit_defaults=True):
    """Everything that the judgements say; the content of ``adjudication.json``.

    ``by_pattern`` is what ``genuine_flips`` is, for the rows of each pattern of a sheet by pattern.
    """

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
    by_pattern: dict[Pattern, GenuineFlips] = {}

    def __post_init__(self) -> None:
        """Say what the controls say against the shares, which older files do not tell."""
        identical = self.controls.get(ItemKind.IDENTICAL)
        alarms = identical.judged_yes if identical else _share(0, 0)
        by_pattern = {one: _doubted(found, alarms) for one, found in self.by_pattern.items()}
        force_setattr(self, "genuine_flips", _doubted(self.genuine_flips, alarms))
        force_setattr(self, "by_pattern", by_pattern)


def _doubted(found: GenuineFlips, alarms: Share) -> GenuineFlips:
    """With what identical pairs that were called changed say against its share.

    The share is not established where its interval and that of the false alarms meet.
    """
    doubt = None
    if found.items.wilson95 is None:
        return replace(found, doubt=doubt)
    if alarms.wilson95 is None:
        doubt = "no identical pair was judged: how often raters see a change in none is not known"
    elif alarms.count:
        doubt = f"raters called identical pairs changed, {alarms.count} of {alarms.n} times"
        if found.items.wilson95[0] <= alarms.wilson95[1]:
            doubt = f"not established: {doubt}"
    return replace(found, doubt=doubt)


def adjudicate(judgements: Iterable[Judgement], key: AnswerKey) -> Outcome:
    """Agreement and outcome of all judgements so far, in whatever order they came.

    An item's ``behavioural_change`` is what most of its raters say; without a majority it is
    unresolved and asks for one more rater. A genuine flip is a flip whose majority says ``yes``;
    its rate is over the resolved flips, ``unsure`` among them. A rater has one name, however it is
    spelled.
    """
    votes: dict[str, dict[str, Judgement]] = {}
    names: dict[str, str] = {}
    for judgement in sorted(judgements, key=lambda one: (one.item_id, one.rater)):
        name = names.setdefault(rater_of(judgement.rater), judgement.rater)
        votes.setdefault(judgement.item_id, {})[name] = judgement
    raters = sorted({rater for given in votes.values() for rater in given})
    changes = {i: {r: j.behavioural_change for r, j in given.items()} for i, given in votes.items()}
    called, against = _labels(votes, key)
    shown = [item for item in key.items.values() if item.kind is ItemKind.PATTERN]
    agreement = {"behavioural_change": _measures(changes, raters, ())} | {
        f"labels_{name}": _measures(called[name], raters, rubric.order)
        for name, rubric in RUBRICS.items()
        if name in called
    }
    controls = {}
    for kind in (ItemKind.IDENTICAL, ItemKind.TEXT_CHANGE):
        items = [item_id for item_id, item in key.items.items() if item.kind is kind]
        seen = [change for item_id in items for change in changes.get(item_id, {}).values()]
        controls[str(kind)] = Control(len(items), _share(seen.count("yes"), len(seen)))
    repeats: dict[str, Repeats] = {}
    for again, item in key.items.items():
        once, labels = item.of or "", called.get(item.rubric, {})
        for rater in changes.get(again, {}):
            if rater in changes.get(once, {}):
                told = [[labels[f"{i}/{c}"][rater] for c in _CONDITIONS] for i in (once, again)]
                same = (changes[again][rater] == changes[once][rater], told[0] == told[1])
                so_far = astuple(repeats.get(rater, Repeats(0, 0, 0)))
                repeats[rater] = Repeats(*map(sum, zip(so_far, (1, *same), strict=True)))
    return Outcome(
        schema_version=1,
        run_id=key.run_id,
        rubric_version=key.rubric_version,
        raters=raters,
        judged_items=len(votes),
        items=len(key.items),
        agreement=agreement,
        genuine_flips=_genuine(
            changes, [(i, i.rows) for i in key.items.values() if i.kind is ItemKind.FLIP]
        ),
        controls=controls,
        intra_rater=repeats,
        scorer_against_people=[LabelCount(*what, n) for what, n in sorted(against.items())],
        by_pattern={
            pattern: _genuine(changes, of)
            for pattern in Pattern
            if (of := [(i, rows) for i in shown if (rows := _rows_of(i, pattern))])
        },
    )


def _rows_of(item: Item, pattern: Pattern) -> list[KeyRow]:
    return [row for row in item.rows if row.pattern is pattern]


def _labels(
    votes: Mapping[str, Mapping[str, Judgement]], key: AnswerKey
) -> tuple[dict[str, dict[str, dict[str, str]]], Counter[tuple[str, str, str]]]:
    """What raters called each answer, by rubric and item, and how often people as the scorer."""
    called: dict[str, dict[str, dict[str, str]]] = {}
    against: Counter[tuple[str, str, str]] = Counter()
    for item_id, given in votes.items():
        item, row = key.items[item_id], key.items[item_id].rows[0]
        verdicts = ((row.solo_label, row.solo_score), (row.batch_label, row.batch_score))
        for condition, (label, score) in zip(_CONDITIONS, verdicts, strict=True):
            first = (item.solo_side == "A") == (condition == "solo")
            said = {rater: j.label_a if first else j.label_b for rater, j in given.items()}
            called.setdefault(item.rubric, {})[f"{item_id}/{condition}"] = said
            if item.of is None:
                scorer = label or ("none" if score is None else f"{score:g}")
                against[item.rubric, scorer, _majority(said.values()) or "unresolved"] += 1
    return called, against


def _majority(votes: Iterable[str]) -> str | None:
    ranked = Counter(votes).most_common(2)
    return ranked[0][0] if len(ranked) == 1 or ranked[0][1] > ranked[1][1] else None


def _share(count: int, n: int) -> Share:
    return Share(count, n, count / n if n else None, wilson_interval(count, n).bounds)


def _measures(units: _Units, raters: Sequence[str], order: Sequence[str]) -> Measures:
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


def _genuine(changes: _Units, flips: Sequence[tuple[Item, Sequence[KeyRow]]]) -> GenuineFlips:
    judged = [item.item_id for item, _ in flips if item.item_id in changes]
    verdicts = {item_id: _majority(changes[item_id].values()) for item_id in judged}
    resolved = {item_id: verdict for item_id, verdict in verdicts.items() if verdict}
    said = list(resolved.values())
    modes = [(resolved.get(item.item_id), row.mode) for item, rows in flips for row in rows]
    genuine = Counter(mode for verdict, mode in modes if verdict == "yes")
    every = Counter(mode for verdict, mode in modes if verdict)
    return GenuineFlips(
        flips=len(flips),
        judged=len(verdicts),
        unresolved=sorted(item_id for item_id, verdict in verdicts.items() if verdict is None),
        verdicts={change: said.count(change) for change in CHANGES},
        items=_share(said.count("yes"), len(said)),
        rows=_share(genuine.total(), every.total()),
        rows_by_mode={mode: _share(genuine[mode], n) for mode, n in sorted(every.items())},
    )
