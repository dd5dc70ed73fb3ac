"""Two lm-evaluation-harness sample files, document by document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import astuple

from harness.analyse import Rate, paired_statistics, rate
from harness.compare.alignment import SUBSET_HINT
from harness.compare.compared_modes import PairedSides
from harness.compare.samples_file import Sample, SampleKey, Samples
from harness.errors import UsageError

_ASPECTS = {
    "document": "doc_hash",
    "prompt": "prompt_hash",
    "target": "target_hash",
    "sampling": "generation arguments",
}


class MetricComparison(Struct, frozen=True):
    """One metric of A against B, over the documents that have it on both sides.

    Attributes:
        binary: whether every value is 0 or 1; only then is it tested.
        mean_a, mean_b: its means; for a binary metric, the share of right answers.
        changed: documents whose value changed.
        newly_right, newly_wrong: from 0 to 1 and from 1 to 0 (binary), or up and down.
        paired: the table and exact McNemar test of a binary metric; ``first_only`` right in A
            only.
        a, b: of a binary metric, how many answers are right.
    """

    name: str
    n: int
    binary: bool
    mean_a: float
    mean_b: float
    changed: int
    newly_right: int
    newly_wrong: int
    paired: PairedSides | None = None
    a: Rate | None = None
    b: Rate | None = None


class Moved(Struct, frozen=True):
    """A metric's value in A and in B."""

    a: float
    b: float


class SampleChange(Struct, frozen=True):
    """A document whose answer, or any metric, changed; ``metrics`` holds the values that did."""

    doc_id: str
    filter: str
    line_a: int
    line_b: int
    answer_changed: bool
    metrics: dict[str, Moved]


class FilterComparison(Struct, frozen=True):
    """All documents under one filter.

    Attributes:
        answer_changes: documents whose answer changed, after the filter.
        response_changes: documents of which anything that the model gave changed,
            log-likelihoods too.
        correctness_changes: documents of which any binary metric changed.
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
        raise _other_documents(a, b, len(keys), lone_a, lone_b)
    notes = tuple(_require_same_questions(a, b, keys))
    left_out = f"{len(keys)} samples compared, {len(lone_a)} only in A, {len(lone_b)} only in B"
    return SampleComparison(
        a=SamplesPath(a.path),
        b=SamplesPath(b.path),
        filters=tuple(
            _compare_filter(a, b, name, [key for key in keys if key[0] == name])
            for name in dict.fromkeys(key[0] for key in keys)
        ),
        not_checked=notes,
        left_out=(left_out,) if lone_a or lone_b else (),
    )


def _other_documents(
    a: Samples, b: Samples, common: int, lone_a: Sequence[SampleKey], lone_b: Sequence[SampleKey]
) -> UsageError:
    side, other, key = (a, b, lone_a[0]) if lone_a else (b, a, lone_b[0])
    return UsageError(
        f"other samples: {len(lone_a)} are only in A and {len(lone_b)} only in B; the first, "
        f"doc_id {key[1]} under filter '{key[0]}', is not in {other.path}",
        file=side.path,
        line=side.rows[key].line,
        hint=f"{SUBSET_HINT}, here {common}" if common else "these are samples of other tasks",
    )


def _require_same_questions(a: Samples, b: Samples, keys: Sequence[SampleKey]) -> Iterator[str]:
    for name, column in _ASPECTS.items():
        unknown = differs = 0
        first: SampleKey | None = None
        for key in keys:
            one, other = getattr(a.rows[key], name), getattr(b.rows[key], name)
            if one is None or other is None:
                unknown += 1
            elif one != other:
                differs += 1
                first = first or key
        if first is not None:
            raise UsageError(
                f"not comparable, another {name}: doc_id {first[1]} under filter '{first[0]}' "
                f"differs from {a.path}:{a.rows[first].line} in its {column}; "
                f"{differs} of {len(keys)} samples differ",
                file=b.path,
                line=b.rows[first].line,
                hint="compare evaluations of one task version with the same settings",
            )
        if unknown and name != "sampling":
            yield f"{name} ({column}): not recorded on both sides for {unknown} samples"


def _compare_filter(
    a: Samples, b: Samples, name: str, keys: Sequence[SampleKey]
) -> FilterComparison:
    pairs = [(a.rows[key], b.rows[key]) for key in keys]
    metrics = tuple(
        _compare_metric(metric, pairs)
        for metric in dict.fromkeys(m for one, _ in pairs for m in one.metrics)
        if any(metric in other.metrics for _, other in pairs)
    )
    binary = [metric.name for metric in metrics if metric.binary]
    n = len(pairs)
    return FilterComparison(
        filter=name,
        n=n,
        answer_changes=rate(sum(one.answer != other.answer for one, other in pairs), n),
        response_changes=rate(sum(one.responses != other.responses for one, other in pairs), n),
        correctness_changes=rate(
            sum(any(_moved(one, other, metric) for metric in binary) for one, other in pairs), n
        ),
        metrics=metrics,
        changes=tuple(_changes(name, keys, pairs)),
    )


def _compare_metric(name: str, pairs: Sequence[tuple[Sample, Sample]]) -> MetricComparison:
    values = [
        (one.metrics[name], other.metrics[name])
        for one, other in pairs
        if name in one.metrics and name in other.metrics
    ]
    n = len(values)
    up, down = sum(y > x for x, y in values), sum(y < x for x, y in values)
    both = sum(x == y == 1.0 for x, y in values)
    binary = all(value in (0.0, 1.0) for pair in values for value in pair)
    table = paired_statistics(both, down, up, n - both - down - up) if binary else None
    return MetricComparison(
        name=name,
        n=n,
        binary=binary,
        mean_a=sum(x for x, _ in values) / n if n else math.nan,
        mean_b=sum(y for _, y in values) / n if n else math.nan,
        changed=up + down,
        newly_right=up,
        newly_wrong=down,
        paired=PairedSides(*astuple(table)) if table else None,
        a=rate(both + down, n) if binary else None,
        b=rate(both + up, n) if binary else None,
    )


def _changes(
    name: str, keys: Sequence[SampleKey], pairs: Sequence[tuple[Sample, Sample]]
) -> Iterator[SampleChange]:
    for (_, doc_id), (one, other) in zip(keys, pairs, strict=True):
        moved = {
            metric: Moved(one.metrics[metric], other.metrics[metric])
            for metric in one.metrics
            if _moved(one, other, metric)
        }
        answer = one.answer != other.answer
        if answer or moved:
            yield SampleChange(doc_id, name, one.line, other.line, answer, moved)


def _moved(one: Sample, other: Sample, metric: str) -> bool:
    if metric not in one.metrics or metric not in other.metrics:
        return False
    before, after = one.metrics[metric], other.metrics[metric]
    return before != after and not (math.isnan(before) and math.isnan(after))
