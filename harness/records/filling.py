"""The frame that is filled with the rows of a records file.

Columns are filled a chunk of lines at a time, which is what makes half a million records a
matter of seconds.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from itertools import product
from operator import ne
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import astuple

from harness.flips import ScoreState, score_state
from harness.records.answers import FINISHED, text_hash
from harness.records.effects import shown, witnessed
from harness.records.frame import (
    KEY,
    AnswerChecks,
    BoolArray,
    Change,
    IntArray,
    LineProblem,
    Records,
)
from harness.records.record import first_difference
from harness.records.rows import AnswerRow, Row
from harness.words import Effect, Mode, Status

if TYPE_CHECKING:
    import pandas as pd

_REPEATS = ("repeats", "repeat_changes", "repeat_flips")
_T = TypeVar("_T", bound=Hashable)
_FIELDS = Row.__struct_fields__
_NO_ANSWER = AnswerRow()


class _Codes(dict[_T, int]):
    """A number for each distinct value, in order of first appearance."""

    def __missing__(self, value: _T) -> int:
        code = self[value] = len(self)
        return code


class _Categories(_Codes[str | None]):
    """The same with -1 for ``None``."""

    def __init__(self) -> None:
        super().__init__({None: -1})

    def __missing__(self, value: str | None) -> int:
        code = self[value] = len(self) - 1
        return code


class _States(dict[tuple[float | None, str | None], int]):
    """The number of the state that a score and a label make."""

    def __init__(self) -> None:
        super().__init__()
        self.codes = _Codes[ScoreState]()

    def __missing__(self, pair: tuple[float | None, str | None]) -> int:
        code = self[pair] = self.codes[score_state(*pair)]
        return code


class _Settings(dict[tuple[bytes, str | None, str | None], int]):
    """The category of a sampling (as it stands in the file), a score profile and a hub id."""

    def __init__(self, categories: _Categories) -> None:
        super().__init__()
        self._words = categories

    def __missing__(self, raw: tuple[bytes, str | None, str | None]) -> int:
        settings = {"sampling": json.loads(raw[0]), "score_profile": raw[1], "hf_id": raw[2]}
        known = any(value is not None for value in settings.values())
        code = self[raw] = self._words[json.dumps(settings, sort_keys=True) if known else None]
        return code


class RecordsBuilder:
    """Collects chunks of rows; `finish` gives the `Records`.

    Args:
        path: the file, for messages.
        check: whether to look at the answers themselves too.
    """

    def __init__(self, path: str, *, check: bool = False) -> None:
        self._path = path
        self._check = check
        self._chunks: dict[str, list[npt.NDArray[Any]]] = {}
        self._categories: dict[str, _Categories] = {}
        self._samples = _Codes[str]()
        self._states = _States()
        self._settings = _Settings(self._categories.setdefault("settings", _Categories()))
        self._errors: dict[int, str] = {}
        self._changes: dict[int, Change] = {}
        self._checks = AnswerChecks()
        self._count = 0
        self.problems: list[LineProblem] = []

    def add(self, rows: Sequence[Row], lines: Sequence[int]) -> None:
        """Add a chunk of records and the lines they stand on."""
        if not rows:
            return
        columns = dict(zip(_FIELDS, zip(*map(astuple, rows), strict=True), strict=True))
        ok = np.fromiter((s is Status.OK for s in columns["status"]), np.bool_, len(rows))
        self._put("line", lines)
        self._put("ok", ok)
        self._put("mode", [mode is Mode.BATCH_INVARIANT for mode in columns["mode"]], np.int8)
        self._add_identity(columns)
        self._add_scores(columns, ok)
        self._add_answers(columns)
        self._add_askings(rows)
        self._add_witness(rows)
        self._add_remarks(rows, ok)
        if self._check:
            self._check_answers(rows, lines)
        self._count += len(rows)

    def _put(self, name: str, values: Any, dtype: Any = np.int32) -> None:
        if not isinstance(values, np.ndarray):
            values = np.array(values, dtype=dtype)
        self._chunks.setdefault(name, []).append(values)

    def _put_words(self, name: str, values: Iterable[str | None], shared: str = "") -> None:
        codes = self._categories.setdefault(shared or name, _Categories())
        self._put(name, np.fromiter(map(codes.__getitem__, values), np.int32))

    def _add_identity(self, columns: dict[str, tuple[Any, ...]]) -> None:
        for name in ("model", "task_name", "dispatch_mode", "domain", "original_direction"):
            self._put_words(name, columns[name])
        self._put_words("phase", (p if p is None else str(p) for p in columns["phase"]))
        self._put_words("prompt", columns["prompt_sha256"])
        self._put_words("run", columns["run_id"])
        self._put("sample_id", [self._samples[str(sample)] for sample in columns["sample_id"]])
        self._put("batch_size", columns["batch_size"], np.int64)
        groups = zip(map(bytes, columns["group"]), columns["target_index"], strict=True)
        self._put("group", [0 if g[0] == b"null" else hash(g) for g in groups], np.int64)
        sampling = map(bytes, columns["sampling"])
        raw = zip(sampling, columns["score_profile"], columns["hf_id"], strict=True)
        self._put("settings", np.fromiter(map(self._settings.__getitem__, raw), np.int32))

    def _add_scores(self, columns: dict[str, tuple[Any, ...]], ok: BoolArray) -> None:
        for side in ("solo", "batch"):
            labels = columns[f"{side}_label"]
            pairs = zip(columns[f"{side}_score"], labels, strict=True)
            self._put(f"{side}_state", np.fromiter(map(self._states.__getitem__, pairs), np.int32))
            self._put_words(f"{side}_label", labels, "label")
        solo, batch = columns["solo_response_hash"], columns["batch_response_hash"]
        flips = self._chunks["solo_state"][-1] != self._chunks["batch_state"][-1]
        changes = np.fromiter(map(ne, solo, batch), np.bool_, len(ok))
        self._put("label_flip", ok & flips)
        self._put("text_change", ok & changes)
        self._put("solo_hash", solo, object)
        # an equal hash is kept once
        same = [a if a == b else b for a, b in zip(solo, batch, strict=True)]
        self._put("batch_hash", same, object)
        self._put("stated_flip", [-1 if f is None else f for f in columns["label_flip"]], np.int8)
        stated = [-1 if c is None else c for c in columns["text_change"]]
        self._put("stated_change", stated, np.int8)

    def _add_answers(self, columns: dict[str, tuple[Any, ...]]) -> None:
        truncated = np.zeros(len(columns["solo"]), dtype=np.bool_)
        for side, name in (("solo", "solo"), ("batch", "batched")):
            if not any(columns[name]):
                self._put_nothing(side, len(truncated))
                continue
            answers = [answer or _NO_ANSWER for answer in columns[name]]
            self._put(f"{side}_attempts", [answer.attempts or 1 for answer in answers])
            seconds = [answer.latency_s for answer in answers]
            self._put(f"{side}_latency", seconds, np.float64)  # None becomes nan
            truncated |= np.array([answer.finish_reason == "length" for answer in answers])
        self._put("truncated", truncated)

    def _put_nothing(self, side: str, count: int) -> None:
        """What stands for the answers of records that hold none."""
        self._put(f"{side}_attempts", np.ones(count, np.int32))
        self._put(f"{side}_latency", np.full(count, np.nan))

    def _add_askings(self, rows: Sequence[Row]) -> None:
        """The pattern and the effects; an older row's S1 is that of its repeats."""
        found = list(map(shown, rows))
        self._put_words("pattern", (one.pattern for one in found))
        self._put_words("stated_pattern", (row.pattern for row in rows))
        self._put("s1_after_batch", [row.is_of_schema_1 for row in rows], np.bool_)
        effects = np.array([one.effects for one in found], dtype=np.int8)
        for number, (effect, what) in enumerate(product(Effect, ("text", "flip"))):
            self._put(f"{effect}_{what}", effects[:, number])
        for side, counts in (
            ("solo", [r.solo for r in found]),
            ("batch", [r.batched for r in found]),
        ):
            for kind, values in zip(_REPEATS, zip(*counts, strict=True), strict=True):
                self._put(f"{side}_{kind}", values)

    def _add_witness(self, rows: Sequence[Row]) -> None:
        """What the engine's steps show, how much was compared, and whether the server computed."""
        seen = [witnessed(row) for row in rows]
        for name, values in zip(
            ("witnessed", "vacuous", "mixed"), zip(*seen, strict=True), strict=True
        ):
            self._put(name, values, np.bool_)
        tokens = [min(_tokens(row.solo), _tokens(row.batched)) for row in rows]
        self._put("compared_tokens", tokens)
        self._put("degenerate", [_degenerate(row.solo) for row in rows], np.bool_)

    def _add_remarks(self, rows: Sequence[Row], ok: BoolArray) -> None:
        changed = self._chunks["text_change"][-1]
        for index in np.flatnonzero(~ok | changed).tolist():
            row = rows[index]
            if ok[index]:
                self._changes[self._count + index] = _change(row)
            else:
                error = json.loads(bytes(row.error)) or "no error text recorded"
                text = error if isinstance(error, str) else json.dumps(error)
                self._errors[self._count + index] = text

    def _check_answers(self, rows: Sequence[Row], lines: Sequence[int]) -> None:
        found = self._checks
        for row, line in zip(rows, lines, strict=True):
            if row.solo is None and row.batched is None:
                continue
            found.answers += 1
            for asking, one in row.asked() if row.status is Status.OK else ():
                found.cache.add(line, asking, one.cached_tokens, one.cached_earlier)
            sides = (
                (row.solo, row.solo_response_hash, (row.solo_score, row.solo_label)),
                (row.batched, row.batch_response_hash, (row.batch_score, row.batch_label)),
            )
            hashed, contradicted = [], False
            for answer, digest, stated in sides:
                if answer is None:
                    continue
                contradicted |= (answer.score, answer.label) not in ((None, None), stated)
                if digest is not None and (text := _text(answer.text)) is not None:
                    hashed.append(text_hash(text) == digest)
            found.texts_hashed += len(hashed)
            for lines_of, fault in (
                (found.hash_mismatches, not all(hashed)),
                (found.unfinished, not FINISHED.issuperset(row.endings())),
                (found.contradicted, contradicted),
            ):
                if fault:
                    lines_of.append(line)

    def finish(self) -> Records:
        """The records read so far, as a frame."""
        if not self._count:
            self.add([_PLACEHOLDER], [0])  # so that an empty frame has its columns
            self._count = 0
        import pandas as pd  # half a second, only where records are looked at as a whole

        words = {name: pd.Index(list(c)[1:], dtype=object) for name, c in self._categories.items()}
        columns: dict[str, Any] = {
            name: np.concatenate(self._chunks.pop(name))[: self._count]
            for name in list(self._chunks)
        }
        for name, values in columns.items():
            kind = "label" if name.endswith("_label") else name
            if kind in words:
                dtype = pd.CategoricalDtype(words[kind][: self._count or None])
                columns[name] = pd.Categorical.from_codes(values, dtype=dtype)
            elif values.dtype == object:
                columns[name] = pd.Series(values, dtype=object, copy=False)
        samples = np.array(list(self._samples), dtype=object)
        identity = pd.DataFrame({name: columns.pop(name) for name in KEY}, copy=False)
        key = _numbered(identity)
        first = np.zeros(len(key) and key.max() + 1, dtype=np.intp)
        first[key[::-1]] = np.arange(len(key))[::-1]
        candidates = identity.take(first)
        candidates["sample_id"] = samples[candidates["sample_id"].to_numpy()]
        return Records(
            path=self._path,
            frame=pd.DataFrame({"key": key, **columns}, copy=False),
            candidates=candidates.reset_index(drop=True),
            states=tuple(self._states.codes),
            errors=self._errors,
            changes=self._changes,
            problems=tuple(self.problems),
            checks=self._checks,
        )


def _numbered(identity: pd.DataFrame) -> IntArray:
    """A number for each distinct row, in order of first appearance."""
    from pandas import factorize

    number = np.zeros(len(identity), dtype=np.int64)
    for name in identity:
        column = identity[name]
        values = column.cat.codes if column.dtype == "category" else column
        codes, _ = factorize(values.to_numpy())
        number, _ = factorize(number * (codes.max(initial=0) + 1) + codes)
    return number.astype(np.int32)


def _tokens(answer: AnswerRow | None) -> int:
    """How many tokens an answer has; -1 where its ids are not recorded."""
    if answer is None or (ids := bytes(answer.token_ids)) == b"null":
        return -1
    return ids.count(b",") + (ids.strip(b"[ ]") != b"")


_REPEATED = 16
"""So many equal tokens at an answer's beginning are no answer."""


def _degenerate(answer: AnswerRow | None) -> bool:
    """Whether an answer is empty, or begins as one token over and over."""
    if answer is None:
        return False
    text = bytes(answer.text)
    if text != b"null" and not text.strip(b'" '):
        return True
    first = bytes(answer.token_ids)[1 : 12 * _REPEATED].split(b",")[:_REPEATED]
    return len(first) == _REPEATED and len({token.strip() for token in first[:-1]}) == 1


def _text(raw: msgspec.Raw) -> str | None:
    value = json.loads(bytes(raw))
    return value if isinstance(value, str) else None


def _change(row: Row) -> Change:
    """Where the batched answer of a row leaves its solo answer."""
    if row.solo is None or row.batched is None:
        return Change(row.record_id, None, None)
    parts = [
        first_difference(one, other)
        if isinstance(one := json.loads(bytes(solo)), kind)
        and isinstance(other := json.loads(bytes(batched)), kind)
        else None
        for solo, batched, kind in (
            (row.solo.text, row.batched.text, str),
            (row.solo.token_ids, row.batched.token_ids, list),
        )
    ]
    return Change(row.record_id, parts[0], parts[1])


_PLACEHOLDER = Row(
    "", "", "", 0, "", None, None, None, Mode.STANDARD, Status.OK, None, None, None, None
)
