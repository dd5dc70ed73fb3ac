"""lm-evaluation-harness sample files (``samples_<task>_<time>.jsonl``), read without their texts.

One line a document and filter, as `lm_eval` writes them with ``--log_samples`` (0.4 and later):
``doc_id``, ``filter``, ``resps``, ``filtered_resps``, ``metrics`` and one column a metric. Older
files lack ``filter``, ``metrics`` or the hashes; what is missing is not compared.
"""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import read_lines
from harness.hostile import unreadable

SampleKey = tuple[str, str]
"""``(filter, doc_id)``."""
_NO_FILTER = "none"
_NO_METRICS = frozenset(
    {
        *("doc_id", "doc", "target", "arguments"),
        *("resps", "filtered_resps", "filter", "metrics"),
        *("doc_hash", "prompt_hash", "target_hash"),
    }
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One line; texts are kept as SHA-256.

    Attributes:
        line: from 1.
        answer: of the filtered answer; for multiple choice, of the index of the likeliest choice.
        responses: of everything that the model gave, log-likelihoods included.
        document, prompt, target, sampling: what was asked; ``None`` where it is not recorded.
        metrics: metric to value; not a number where the file says it has one and tells none.
    """

    line: int
    answer: str
    responses: str
    document: str | None
    prompt: str | None
    target: str | None
    sampling: str | None
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Samples:
    """A samples file."""

    path: str
    rows: Mapping[SampleKey, Sample]


def is_samples_file(path: Path | str) -> bool:
    """Whether the first line looks like one of lm-evaluation-harness; false for no file."""
    try:
        _, line = next(read_lines(Path(path)))
        row = _object(line)
    except (StopIteration, UsageError, ValueError, RecursionError):
        return False
    return "doc_id" in row and bool({"filtered_resps", "resps"} & row.keys())


def read_samples(path: Path | str) -> Samples:
    """Read a samples file.

    Raises:
        UsageError: it cannot be read, is empty, has a line that is no sample, or a sample twice.
    """
    path = Path(path)
    rows: dict[SampleKey, Sample] = {}
    for number, line in read_lines(path):
        try:
            key, sample = _sample(_object(line), number)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            what = f"not a sample: {unreadable(error)}"
            raise UsageError(what, file=path, line=number) from error
        first = rows.setdefault(key, sample)
        if first is not sample:
            raise UsageError(
                f"doc_id {key[1]} under filter '{key[0]}' was already on line {first.line}",
                file=path,
                line=number,
                hint="lm_eval appends; keep the lines of one evaluation",
            )
    if not rows:
        raise UsageError("the samples file is empty", file=path)
    return Samples(str(path), rows)


def _object(line: bytes) -> dict[str, Any]:
    row = json.loads(line)  # not msgspec: lm_eval writes NaN, and half of a surrogate pair
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    return row


def _sample(row: Mapping[str, Any], line: int) -> tuple[SampleKey, Sample]:
    answers, responses = (
        row.get(first, row.get(second))
        for first, second in (("filtered_resps", "resps"), ("resps", "filtered_resps"))
    )
    if isinstance(answers, list) and len(answers) > 1:
        with suppress(TypeError, ValueError):  # log-likelihoods of choices: the likeliest
            scores = [float(score) for score, _ in answers]
            answers = scores.index(max(scores))
    prompt, sampling = _request(row.get("arguments"))
    stated = row.get("metrics")
    names = stated if isinstance(stated, list) else _columns(row)
    return (str(row.get("filter") or _NO_FILTER), str(row["doc_id"])), Sample(
        line=line,
        answer=_digest(answers),
        responses=_digest(responses),
        document=row.get("doc_hash"),
        prompt=row.get("prompt_hash") or prompt,
        target=row.get("target_hash") or (_digest(row["target"]) if "target" in row else None),
        sampling=sampling,
        metrics={str(name): _number(row.get(name)) for name in names},
    )


def _columns(row: Mapping[str, Any]) -> list[str]:
    """What may be a metric where a line does not name its metrics."""
    known = (name for name in row if name not in _NO_METRICS)
    return [name for name in known if isinstance(row[name], bool | int | float)]


def _number(value: Any) -> float:
    """A metric's value; not a number for what is none, or no finite one."""
    try:
        number = float(value) if isinstance(value, bool | int | float) else math.nan
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _request(arguments: Any) -> tuple[str | None, str | None]:
    """Digest of the first request's prompt and of its generation arguments.

    ``{"gen_args_0": {"arg_0": prompt, "arg_1": {...}}}``, or ``[[prompt, {...}]]`` in older files.
    """
    requests = list(arguments.values()) if isinstance(arguments, dict) else arguments
    first = requests[0] if isinstance(requests, list) and requests else None
    if isinstance(first, dict):
        first = list(first.values())
    if not isinstance(first, list) or not first:
        return None, None
    settings = first[1] if len(first) > 1 else None
    return _digest(first[0]), _digest(settings) if isinstance(settings, dict) else None


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
