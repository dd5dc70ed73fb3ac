"""Two lm-evaluation-harness sample files, document by document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import to_builtins

from harness.analyse import paired_statistics, rate
from harness.compare.alignment import SUBSET_HINT
from harness.compare.samples import Sample, SampleKey, Samples
from harness.errors import UsageError

__all__ = [
    "FilterComparison",
    "MetricComparison",
    "SampleChange",
    "SampleComparison",
    "compare_samples",
]

Json = dict[str, Any]
_ASPECTS = {
    "document": "doc_hash",
    "prompt": "prompt_hash",
    "target": "target_hash",
    "sampling": "generation arguments",
}


def _rate(count: int, n: int) -> Json:
    value: Json = to_builtins(rate(count, n))
    return value


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric of A against B, over the documents that have it on both sides.

    Attributes:
        binary: whether every value is 0 or 1; only then is it tested.
        mean_a, mean_b: its means; for a binary metric, the share of right answers.
        changed: documents whose value changed.
        newly_right, newly_wrong: from 0 to 1 and from 1 to 0 (binary), or up and down.
        paired: the table and exact McNemar test of a binary metric; ``a_only`` right in A only.
    """

    name: str
    n: int
    binary: bool
    mean_a: float
    mean_b: float
    changed: int
    newly_right: int
    newly_wrong: int
    paired: Json | None

    def as_json(self) -> Json:
        """The comparison as JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "a": _rate(round(self.mean_a * self.n), self.n) if self.binary else None,
            "b": _rate(round(self.mean_b * self.n), self.n) if self.binary else None,
        }


@dataclass(frozen=True, slots=True)
class SampleChange:
    """A document whose answer, or any metric, changed; ``metrics`` holds the values that did."""

    doc_id: str
    filter: str
    line_a: int
    line_b: int
    answer_changed: bool
    metrics: Mapping[str, tuple[float, float]]

    def as_json(self) -> Json:
        """The change as JSON values."""
        return {
            "doc_id": self.doc_id,
            "filter": self.filter,
            "line_a": self.line_a,
            "line_b": self.line_b,
            "answer_changed": self.answer_changed,
            "metrics": {name: {"a": a, "b": b} for name, (a, b) in self.metrics.items()},
        }


@dataclass(frozen=True, slots=True)
class FilterComparison:
    """All documents under one filter.

    Attributes:
        answers: documents whose answer changed, after the filter.
        responses: documents of which anything that the model gave changed, log-likelihoods too.
        correctness: documents of which any binary metric changed.
    """

    filter: str
    n: int
    answers: Json
    responses: Json
    correctness: Json
    metrics: tuple[MetricComparison, ...]
    changes: tuple[SampleChange, ...]

    def as_json(self) -> Json:
        """The comparison as JSON values."""
        return {
            "filter": self.filter,
            "n": self.n,
            "answer_changes": self.answers,
            "response_changes": self.responses,
            "correctness_changes": self.correctness,
            "metrics": [metric.as_json() for metric in self.metrics],
            "changes": [change.as_json() for change in self.changes],
        }


@dataclass(frozen=True, slots=True)
class SampleComparison:
    """Samples file A against B.

    Attributes:
        a, b: the files.
        not_checked: what the files do not hold, in words.
        left_out: documents without a partner, in words; only with ``allow_subset``.
    """

    a: str
    b: str
    filters: tuple[FilterComparison, ...]
    not_checked: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def as_json(self) -> Json:
        """The content of ``comparison.json`` (schema version 1)."""
        return {
            "schema_version": 1,
            "kind": "lm_eval_samples",
            "a": {"path": self.a},
            "b": {"path": self.b},
            "filters": [entry.as_json() for entry in self.filters],
            "not_checked": list(self.not_checked),
            "left_out": list(self.left_out),
        }


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
        a=a.path,
        b=b.path,
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
    wrong = sum(any(_moved(one, other, m) for m in binary) for one, other in pairs)
    n = len(pairs)
    return FilterComparison(
        filter=name,
        n=n,
        answers=_rate(sum(one.answer != other.answer for one, other in pairs), n),
        responses=_rate(sum(one.responses != other.responses for one, other in pairs), n),
        correctness=_rate(wrong, n),
        metrics=metrics,
        changes=tuple(_changes(name, keys, pairs)),
    )


def _moved(one: Sample, other: Sample, metric: str) -> bool:
    before, after = one.metrics.get(metric), other.metrics.get(metric)
    if before is None or after is None:
        return False
    return before != after and not (math.isnan(before) and math.isnan(after))


def _compare_metric(name: str, pairs: Sequence[tuple[Sample, Sample]]) -> MetricComparison:
    values = [
        (one.metrics[name], other.metrics[name])
        for one, other in pairs
        if name in one.metrics and name in other.metrics
    ]
    n = len(values)
    up, down = sum(y > x for x, y in values), sum(y < x for x, y in values)
    binary = all(value in (0.0, 1.0) for pair in values for value in pair)
    both = sum(x == y == 1.0 for x, y in values)
    cells = (both, down, up, n - both - down - up)
    return MetricComparison(
        name=name,
        n=n,
        binary=binary,
        mean_a=sum(x for x, _ in values) / n if n else math.nan,
        mean_b=sum(y for _, y in values) / n if n else math.nan,
        changed=up + down,
        newly_right=up,
        newly_wrong=down,
        paired={
            **dict(zip(("both", "a_only", "b_only", "neither"), cells, strict=True)),
            **to_builtins(paired_statistics(*cells)),
        }
        if binary
        else None,
    )


def _changes(
    name: str, keys: Sequence[SampleKey], pairs: Sequence[tuple[Sample, Sample]]
) -> Iterator[SampleChange]:
    for key, (one, other) in zip(keys, pairs, strict=True):
        moved = {
            metric: (one.metrics[metric], other.metrics[metric])
            for metric in one.metrics
            if _moved(one, other, metric)
        }
        answer = one.answer != other.answer
        if answer or moved:
            yield SampleChange(key[1], name, one.line, other.line, answer, moved)
