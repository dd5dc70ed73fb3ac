"""Rows in, columns out: chunks of records become `Records`.

The work is done a column at a time, which is what makes half a million records a matter of
seconds.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from harness.flips import flips
from harness.records.answers import (
    Repeats,
    change,
    count_repeats,
    error_text,
    is_unfinished,
    text_has_hash,
)
from harness.records.columns import Change, Columns, LineProblem, Records, Vocabulary
from harness.records.record import RecordKey
from harness.records.wire import AnswerWire, RecordWire
from harness.words import Mode, Status

_FLOATS = ("solo_score", "batch_score", "solo_latency", "batch_latency")
_FLAGS = ("ok", "label_flip", "text_change", "truncated")
_TYPES = {"group": "q"} | dict.fromkeys(_FLOATS, "d") | dict.fromkeys(_FLAGS, "b")
_DTYPES: dict[str, type] = {"d": np.float64, "q": np.int64, "b": np.bool_, "i": np.int32}
_VOCABULARIES = ("phases", "domains", "directions", "labels", "prompts", "settings", "runs")
_NO_ANSWER = AnswerWire()
_NO_REPEATS = Repeats(0, 0, 0)


class RecordsBuilder:
    """Collects chunks of rows; `finish` gives the `Records`.

    Args:
        path: the file, for messages.
        check_hashes: whether to compare recorded hashes with the texts' own.
    """

    def __init__(self, path: str, *, check_hashes: bool = False) -> None:
        self._path = path
        self._check_hashes = check_hashes
        self._columns: dict[str, array[Any]] = {
            name: array(_TYPES.get(name, "i")) for name in Columns.__dataclass_fields__
        }
        self._keys: dict[RecordKey, int] = {}
        self._names: dict[str, str] = {}
        self._solo_hash: list[str | None] = []
        self._batch_hash: list[str | None] = []
        self._words = {name: Vocabulary() for name in _VOCABULARIES}
        self._settings_codes: dict[tuple[Any, ...], int] = {}
        self._errors: dict[int, str] = {}
        self._changes: dict[int, Change] = {}
        self._problems: list[LineProblem] = []
        self._mismatches: list[int] = []
        self._unfinished: list[int] = []
        self._contradicted: list[int] = []
        self._answers = self._texts_hashed = 0

    def problem(self, problem: LineProblem) -> None:
        """Remember a line that is no record."""
        self._problems.append(problem)

    def add(self, rows: Sequence[RecordWire], lines: Sequence[int]) -> None:
        """Add a chunk of records and the lines they stand on."""
        self._extend("line", lines)
        self._add_identity(rows)
        self._add_scores(rows)
        self._add_conduct(rows)
        self._add_answers(rows, lines)

    def _extend(self, name: str, values: Iterable[float]) -> None:
        self._columns[name].extend(values)

    def _add_identity(self, rows: Sequence[RecordWire]) -> None:
        words = self._words
        self._extend("key", [self._key(row) for row in rows])
        self._extend("mode", [row.mode is Mode.BATCH_INVARIANT for row in rows])
        self._extend("ok", [row.status is Status.OK for row in rows])
        phases = (None if row.phase is None else str(row.phase) for row in rows)
        self._extend("phase", words["phases"].encode(phases))
        self._extend("domain", words["domains"].encode(row.domain for row in rows))
        directions = (row.original_direction for row in rows)
        self._extend("direction", words["directions"].encode(directions))
        self._extend("prompt", words["prompts"].encode(row.prompt_sha256 for row in rows))
        self._extend("run", words["runs"].encode(row.run_id for row in rows))

    def _key(self, row: RecordWire) -> int:
        sample = row.sample_id if isinstance(row.sample_id, str) else str(row.sample_id)
        key = (row.model, row.task_name, sample, row.batch_size, row.dispatch_mode)
        code = self._keys.get(key)
        if code is None:
            same = self._names.setdefault
            kept = (
                same(row.model, row.model),
                same(row.task_name, row.task_name),
                sample,
                row.batch_size,
                same(row.dispatch_mode, row.dispatch_mode),
            )
            code = self._keys[kept] = len(self._keys)
        return code

    def _add_scores(self, rows: Sequence[RecordWire]) -> None:
        labels = self._words["labels"]
        ok = [row.status is Status.OK for row in rows]
        solo = [row.solo_score for row in rows]
        batch = [row.batch_score for row in rows]
        self._extend("solo_score", [math.nan if s is None else s for s in solo])
        self._extend("batch_score", [math.nan if s is None else s for s in batch])
        self._extend("solo_label", labels.encode(row.solo_label for row in rows))
        self._extend("batch_label", labels.encode(row.batch_label for row in rows))
        self._extend("label_flip", [_flips(row) for row in rows])
        solo_hash = [row.solo_response_hash for row in rows]
        batch_hash = [row.batch_response_hash for row in rows]
        changed = [o and a != b for o, a, b in zip(ok, solo_hash, batch_hash, strict=True)]
        self._extend("text_change", changed)
        self._solo_hash += solo_hash
        # an equal hash is kept once
        self._batch_hash += [a if a == b else b for a, b in zip(solo_hash, batch_hash, strict=True)]
        self._extend("stated_flip", [_stated(row.label_flip) for row in rows])
        self._extend("stated_change", [_stated(row.text_change) for row in rows])

    def _add_conduct(self, rows: Sequence[RecordWire]) -> None:
        solo = [row.solo or _NO_ANSWER for row in rows]
        batch = [row.batched or _NO_ANSWER for row in rows]
        self._extend("solo_attempts", [answer.attempts or 1 for answer in solo])
        self._extend("batch_attempts", [answer.attempts or 1 for answer in batch])
        self._extend(
            "truncated",
            [
                "length" in (a.finish_reason, b.finish_reason)
                for a, b in zip(solo, batch, strict=True)
            ],
        )
        self._extend("solo_latency", [_seconds(answer) for answer in solo])
        self._extend("batch_latency", [_seconds(answer) for answer in batch])
        self._extend("group", [_group(row) for row in rows])
        self._extend("settings", [self._settings(row) for row in rows])

    def _settings(self, row: RecordWire) -> int:
        sampling = bytes(row.sampling)
        raw = (sampling, row.score_profile, row.hf_id)
        code = self._settings_codes.get(raw)
        if code is None:
            settings = {
                "sampling": json.loads(sampling),
                "score_profile": row.score_profile,
                "hf_id": row.hf_id,
            }
            known = any(value is not None for value in settings.values())
            words = json.dumps(settings, sort_keys=True) if known else None
            code = self._settings_codes[raw] = self._words["settings"].code(words)
        return code

    def _add_answers(self, rows: Sequence[RecordWire], lines: Sequence[int]) -> None:
        solo, batch = [], []
        start = len(self._solo_hash) - len(rows)
        for index, (row, line) in enumerate(zip(rows, lines, strict=True), start=start):
            if row.status is not Status.OK:
                self._errors[index] = error_text(row.error)
            elif row.solo_response_hash != row.batch_response_hash:
                self._changes[index] = change(row)
            if row.solo is None and row.batched is None:
                solo.append(_NO_REPEATS)
                batch.append(_NO_REPEATS)
                continue
            solo.append(count_repeats(row.solo, row.solo_repeats))
            batch.append(count_repeats(row.batched, row.batched_repeats))
            self._check_answers(row, line)
        for name, counts in (("solo", solo), ("batch", batch)):
            self._extend(f"{name}_repeats", [c.repeats for c in counts])
            self._extend(f"{name}_repeat_changes", [c.text_changes for c in counts])
            self._extend(f"{name}_repeat_flips", [c.label_flips for c in counts])

    def _check_answers(self, row: RecordWire, line: int) -> None:
        if is_unfinished(row.solo) or is_unfinished(row.batched):
            self._unfinished.append(line)
        self._answers += 1
        if not self._check_hashes:
            return
        verdicts = (
            text_has_hash(row.solo, row.solo_response_hash),
            text_has_hash(row.batched, row.batch_response_hash),
        )
        self._texts_hashed += sum(verdict is not None for verdict in verdicts)
        if False in verdicts:
            self._mismatches.append(line)
        if _contradicts(row.solo, row.solo_score, row.solo_label) or _contradicts(
            row.batched, row.batch_score, row.batch_label
        ):
            self._contradicted.append(line)

    def finish(self) -> Records:
        """The records read so far, as columns."""
        columns: dict[str, Any] = {
            name: np.frombuffer(column, dtype=_DTYPES[column.typecode])
            if column
            else np.empty(0, dtype=_DTYPES[column.typecode])
            for name, column in self._columns.items()
        }
        return Records(
            path=self._path,
            keys=list(self._keys),
            columns=Columns(**columns),
            solo_hash=self._solo_hash,
            batch_hash=self._batch_hash,
            **self._words,
            errors=self._errors,
            changes=self._changes,
            problems=tuple(self._problems),
            answers=self._answers,
            texts_hashed=self._texts_hashed,
            hash_mismatches=tuple(self._mismatches),
            unfinished=tuple(self._unfinished),
            contradicted=tuple(self._contradicted),
        )


def _contradicts(answer: AnswerWire | None, score: float | None, label: str | None) -> bool:
    """Whether a record says of an answer something else than the answer's own entry says."""
    if answer is None or (answer.score is None and answer.label is None):
        return False
    return (answer.score, answer.label) != (score, label)


def _flips(row: RecordWire) -> bool:
    return row.status is Status.OK and flips(
        row.solo_score, row.solo_label, row.batch_score, row.batch_label
    )


def _stated(value: bool | None) -> int:
    return -1 if value is None else int(value)


def _seconds(answer: AnswerWire) -> float:
    return math.nan if answer.latency_s is None else answer.latency_s


def _group(row: RecordWire) -> int:
    group = bytes(row.group)
    return 0 if group == b"null" else hash((group, row.target_index))
