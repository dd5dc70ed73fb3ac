"""Two lm-evaluation-harness sample files, document by document."""

import math
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import astuple

from harness.analyse import Rate, paired_statistics, rate
from harness.compare.alignment import SUBSET_HINT
from harness.compare.compared_modes import PairedSides, Sides
from harness.compare.samples_file import SampleKey, Samples
from harness.errors import UsageError

_ASPECTS = {
    "document": "doc_hash",
    "prompt": "prompt_hash",
    "target": "target_hash",
    "sampling": "generation arguments",
}


_BINARY = frozenset((0.0, 1.0))
Values = tuple[float, float]
"""A metric of a document in A and in B; not a number where a side has none."""


class MetricComparison(Struct, frozen=True):
    """One metric of A against B, over the documents that have it on both sides.

    Attributes:
        n: documents with a number on both sides; for a binary metric, with 0 or 1 on both.
        binary: whether most numbers of a side are 0 or 1; only then is it tested.
        mean_a, mean_b: its means, the share of right answers for a binary metric; ``None`` for
            no documents.
        changed: documents whose value changed.
        newly_right, newly_wrong: from 0 to 1 and from 1 to 0 (binary), or up and down.
        paired: the table and exact McNemar test of a binary metric; ``first_only`` right in A
            only.
        a, b: of a binary metric, how many answers are right.
    """

    name: str
    n: int
    binary: bool
    mean_a: float | None
    mean_b: float | None
    changed: int
    newly_right: int
    newly_wrong: int
    paired: PairedSides | None = None
    a: Rate | None = None
    b: Rate | None = None


class SampleChange(Struct, frozen=True):
    """A document whose answer, or any metric, changed; ``metrics`` holds the values that did."""

    doc_id: str
    filter: str
    line_a: int
    line_b: int
    answer_changed: bool
    metrics: dict[str, Sides[float]]


class FilterComparison(Struct, frozen=True):
    """All documents under one filter.

    Attributes:
        answer_changes: documents whose answer changed, after the filter.
        response_changes: documents of which anything that the model gave changed,
            log-likelihoods too.
        correctness_changes: documents of which any binary metric changed, of those that have one.
    """

    filter: str
    n: int
    answer_changes: Rate
    response_changes: Rate
    correctness_changes: Rate
    metrics: tuple[MetricComparison, ...]
    changes: tuple[SampleChange, ...]


class SamplesPath(Struct, frozen=True):
    """Where the samples of one side are."""

    path: str


class SampleComparison(Struct, frozen=True, kw_only=True):
    """Samples file A against B, as ``comparison.json`` holds it.

    Attributes:
        not_checked: what the files do not hold, in words.
        left_out: documents without a partner, in words; only with ``allow_subset``.
    """

    schema_version: int = 1
    kind: str = "lm_eval_samples"
    a: SamplesPath
    b: SamplesPath
    filters: tuple[FilterComparison, ...]
    not_checked: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def compare_samples(a: Samples, b: Samples, *, allow_subset: bool = False) -> SampleComparison:
    """Compare two evaluations of the same documents.

    Raises:
        UsageError: other documents, prompts, targets or generation arguments; the message names
            the first line that differs.
    """
    keys = [key for key in a.rows if key in b.rows]
    lone_a = [key for key in a.rows if key not in b.rows]
    lone_b = [key for key in b.rows if key not in a.rows]
    if not keys or ((lone_a or lone_b) and not allow_subset):
        side, other, key = (a, b, lone_a[0]) if lone_a else (b, a, lone_b[0])
        raise UsageError(
            f"other samples: {len(lone_a)} are only in A and {len(lone_b)} only in B; the first, "
            f"doc_id {key[1]} under filter '{key[0]}', is not in {other.path}",
            file=side.path,
            line=side.rows[key].line,
            hint=f"{SUBSET_HINT}, here {len(keys)}" if keys else "these are samples of other tasks",
        )
    notes = tuple(_require_same_questions(a, b, keys))
    filters = tuple(
        _compare_filter(a, b, name, [key for key in keys if key[0] == name])
        for name in dict.fromkeys(key[0] for key in keys)
    )
    left_out = f"{len(keys)} samples compared, {len(lone_a)} only in A, {len(lone_b)} only in B"
    return SampleComparison(
        a=SamplesPath(a.path),
        b=SamplesPath(b.path),
        filters=filters,
        not_checked=(*notes, *(gap for entry in filters for gap in _unchecked(entry))),
        left_out=(left_out,) if lone_a or lone_b else (),
    )


def _require_same_questions(a: Samples, b: Samples, keys: Sequence[SampleKey]) -> Iterator[str]:
    for name, column in _ASPECTS.items():
        asked = [(key, getattr(a.rows[key], name), getattr(b.rows[key], name)) for key in keys]
        known = [(key, one, other) for key, one, other in asked if None not in (one, other)]
        differing = [key for key, one, other in known if one != other]
        if differing:
            first = differing[0]
            raise UsageError(
                f"not comparable, another {name}: doc_id {first[1]} under filter '{first[0]}' "
                f"differs from {a.path}:{a.rows[first].line} in its {column}; "
                f"{len(differing)} of {len(keys)} samples differ",
                file=b.path,
                line=b.rows[first].line,
                hint="compare evaluations of one task version with the same settings",
            )
        if len(known) < len(keys) and name != "sampling":
            missing = len(keys) - len(known)
            yield f"{name} ({column}): not recorded on both sides for {missing} samples"


def _compare_filter(
    a: Samples, b: Samples, name: str, keys: Sequence[SampleKey]
) -> FilterComparison:
    pairs = [(a.rows[key], b.rows[key]) for key in keys]
    told = dict.fromkeys(name for pair in pairs for side in pair for name in side.metrics)
    values = {
        name: [(x.metrics.get(name, math.nan), y.metrics.get(name, math.nan)) for x, y in pairs]
        for name in told
    }
    metrics = tuple(_compare_metric(*of) for of in values.items())
    moves = [
        {name: Sides(*of[at]) for name, of in values.items() if _moved(*of[at])}
        for at in range(len(pairs))
    ]
    binary = [values[metric.name] for metric in metrics if metric.binary]
    judged = sum(any(_BINARY.issuperset(of[at]) for of in binary) for at in range(len(pairs)))
    answered = [one.answer != other.answer for one, other in pairs]
    rows = zip(keys, pairs, answered, moves, strict=True)
    n = len(pairs)
    return FilterComparison(
        filter=name,
        n=n,
        answer_changes=rate(sum(answered), n),
        response_changes=rate(sum(one.responses != other.responses for one, other in pairs), n),
        correctness_changes=rate(sum(bool(steps_of(metrics, moved)) for moved in moves), judged),
        metrics=metrics,
        changes=tuple(
            SampleChange(doc_id, name, one.line, other.line, answer, moved)
            for (_, doc_id), (one, other), answer, moved in rows
            if answer or moved
        ),
    )


def _moved(x: float, y: float) -> bool:
    return x != y and not (math.isnan(x) or math.isnan(y))


def steps_of(metrics: Sequence[MetricComparison], moved: Mapping[str, Sides[float]]) -> list[float]:
    """By how much a document's binary metrics moved, of those that are 0 or 1 on both sides."""
    binary = {metric.name for metric in metrics if metric.binary}
    sides = (side for name, side in moved.items() if name in binary)
    return [side.b - side.a for side in sides if {side.a, side.b} <= _BINARY]


def _compare_metric(name: str, told: Sequence[Values]) -> MetricComparison:
    binary = any(map(_is_binary, zip(*told, strict=True)))
    values = [
        of for of in told if _BINARY.issuperset(of) or not (binary or any(map(math.isnan, of)))
    ]
    n = len(values)
    up, down = sum(y > x for x, y in values), sum(y < x for x, y in values)
    both = sum(x == y == 1.0 for x, y in values)
    table = paired_statistics(both, down, up, n - both - down - up) if binary else None
    return MetricComparison(
        name=name,
        n=n,
        binary=binary,
        mean_a=sum(x for x, _ in values) / n if n else None,
        mean_b=sum(y for _, y in values) / n if n else None,
        changed=up + down,
        newly_right=up,
        newly_wrong=down,
        paired=PairedSides(*astuple(table)) if table else None,
        a=rate(both + down, n) if binary else None,
        b=rate(both + up, n) if binary else None,
    )


def _is_binary(side: Sequence[float]) -> bool:
    """Whether a metric says right or wrong; a few values between are what was not checked."""
    numbers = [value for value in side if not math.isnan(value)]
    return 2 * sum(value in _BINARY for value in numbers) > len(numbers)


def _unchecked(entry: FilterComparison) -> Iterator[str]:
    """The metrics that were not compared in every document, and in how many they were not."""
    for metric in entry.metrics:
        if missing := entry.n - metric.n:
            lacks = "not 0 or 1" if metric.binary else "no number"
            where = f"on a side in {missing} of {entry.n} documents"
            yield f"metric {metric.name} ({entry.filter}): missing or {lacks} {where}"
