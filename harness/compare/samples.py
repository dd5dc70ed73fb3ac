"""lm-evaluation-harness sample files (``samples_<task>_<time>.jsonl``), read without their texts.

One line a document and filter, as `lm_eval` writes them with ``--log_samples`` (0.4 and later):
``doc_id``, ``filter``, ``resps``, ``filtered_resps``, ``metrics`` and one column a metric. Older
files lack ``filter``, ``metrics`` or the hashes; what is missing is not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import UsageError

__all__ = ["Sample", "SampleKey", "Samples", "is_samples_file", "read_samples"]

SampleKey = tuple[str, str]
"""``(filter, doc_id)``."""
_BOM = b"\xef\xbb\xbf"
_NO_FILTER = "none"
_QUESTION = frozenset({"doc_id", "doc", "target", "arguments"})
_ANSWER = frozenset({"resps", "filtered_resps", "filter", "metrics"})
_HASHES = frozenset({"doc_hash", "prompt_hash", "target_hash"})
_BOOKKEEPING = _QUESTION | _ANSWER | _HASHES
_LINE = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Sample:
    """One line; texts are kept as SHA-256.

    Attributes:
        line: from 1.
        answer: of the filtered answer; for multiple choice, of the index of the likeliest choice.
        responses: of everything that the model gave, log-likelihoods included.
        document, prompt, target, sampling: what was asked; ``None`` where it is not recorded.
        metrics: metric to value, numbers only.
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

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.path).name


def is_samples_file(path: Path | str) -> bool:
    """Whether the first line looks like one of lm-evaluation-harness; false for no file."""
    path = Path(path)
    if not path.is_file():
        return False
    try:
        for _, line in _lines(path):
            row = _decode(line)
            return "doc_id" in row and bool({"filtered_resps", "resps"} & row.keys())
    except (UsageError, ValueError):
        return False
    return False


def read_samples(path: Path | str) -> Samples:
    """Read a samples file.

    Raises:
        UsageError: it cannot be read, is empty, has a line that is no sample, or a sample twice.
    """
    path = Path(path)
    rows: dict[SampleKey, Sample] = {}
    for number, line in _lines(path):
        try:
            key, sample = _sample(_decode(line), number)
        except (ValueError, TypeError, KeyError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UsageError(f"not a sample: {reason}", file=path, line=number) from error
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


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                line = line.removeprefix(_BOM) if number == 1 else line
                if line.strip():
                    yield number, line
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror or error}", file=path) from error


def _decode(line: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _LINE.decode(line)
    except (msgspec.DecodeError, UnicodeError):
        row = json.loads(line)  # Python's writer may have put NaN there
        if not isinstance(row, dict):
            raise ValueError("not a JSON object") from None
        return {key: msgspec.Raw(json.dumps(value).encode()) for key, value in row.items()}


def _sample(row: Mapping[str, msgspec.Raw], line: int) -> tuple[SampleKey, Sample]:
    def value(name: str) -> Any:
        return json.loads(bytes(row[name])) if name in row else None

    responses = "resps" if "resps" in row else "filtered_resps"
    answers = value("filtered_resps" if "filtered_resps" in row else "resps")
    prompt, sampling = _request(value("arguments"))
    key = str(value("filter") or _NO_FILTER), str(json.loads(bytes(row["doc_id"])))
    return key, Sample(
        line=line,
        answer=_digest(_chosen(answers)),
        responses=_digest(value(responses)),
        document=value("doc_hash"),
        prompt=value("prompt_hash") or prompt,
        target=value("target_hash") or (_digest(value("target")) if "target" in row else None),
        sampling=sampling,
        metrics=_metrics(row, value("metrics")),
    )


def _request(arguments: Any) -> tuple[str | None, str | None]:
    """Digest of the first request's prompt and of its generation arguments.

    ``{"gen_args_0": {"arg_0": prompt, "arg_1": {...}}}``, or ``[[prompt, {...}]]`` in older files.
    """
    if isinstance(arguments, Mapping):
        arguments = list(arguments.values())
    first = arguments[0] if isinstance(arguments, list) and arguments else None
    if isinstance(first, Mapping):
        first = list(first.values())
    if not isinstance(first, list) or not first:
        return None, None
    settings = first[1] if len(first) > 1 else None
    return _digest(first[0]), _digest(settings) if isinstance(settings, Mapping) else None


def _chosen(answers: Any) -> Any:
    """The likeliest choice where the answers are log-likelihoods of choices; else the answers."""
    if not isinstance(answers, list) or len(answers) < 2:
        return answers
    try:
        scores = [float(score) for score, _ in answers]
    except (TypeError, ValueError):
        return answers
    return scores.index(max(scores))


def _metrics(row: Mapping[str, msgspec.Raw], stated: Any) -> dict[str, float]:
    names = stated if isinstance(stated, list) else [n for n in row if n not in _BOOKKEEPING]
    values = {name: json.loads(bytes(row[name])) for name in names if name in row}
    return {name: float(v) for name, v in values.items() if isinstance(v, bool | int | float)}


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
