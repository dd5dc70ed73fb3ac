"""The frame that is filled with the rows of a records file.

Columns are filled a chunk of lines at a time, which is what makes half a million records a
matter of seconds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from operator import ne
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import astuple

from harness.flips import score_state
from harness.records.answer_checks import AnswerChecks
from harness.records.coding import (
    Codes,
    CodesOf,
    coded,
    equal,
    long,
    made,
    once,
    short,
    spread,
)
from harness.records.divergence import first_difference
from harness.records.effects import (
    NOTHING_SHOWN,
    Meeting,
    cached_of,
    effect_tokens,
    meeting,
    shown,
    told_of,
    witnessed,
)
from harness.records.frame import (
    KEY,
    BoolArray,
    Change,
    LineProblem,
    Records,
    numbered,
)
from harness.records.record import UNSEALED
from harness.records.rows import AnswerRow, AskingsRow, Row
from harness.words import Effect, Mode, Status

_REPEATS = ("repeats", "repeat_changes", "repeat_flips")
_STATED: Mapping[bool | None, int] = {None: -1, False: 0, True: 1}
Columns = Mapping[str, Sequence[Any]]
_FIELDS = Row.__struct_fields__
_NO_ANSWER, _NO_ASKINGS = AnswerRow(), AskingsRow()


def group_hash(ids: bytes, target_index: int | None) -> int:
    """The number that a frame has for a batch, as it stands in a line, and the target's place."""
    return hash((ids, target_index))


def _group_hash(raw: msgspec.Raw, target_index: int | None) -> int:
    return 0 if (ids := bytes(raw)) == b"null" else group_hash(ids, target_index)


def _batch_hash(raw: msgspec.Raw) -> int:
    return 0 if (ids := bytes(raw)) == b"null" else hash(ids)


def _raw_settings(
    sampling: msgspec.Raw, score_profile: str | None, hf_id: str | None
) -> tuple[bytes, str | None, str | None]:
    return bytes(sampling), score_profile, hf_id


def _settings(sampling: bytes, score_profile: str | None, hf_id: str | None) -> str | None:
    """The category of a sampling (as it stands in the file), a score profile and a hub id."""
    settings = {"sampling": json.loads(sampling), "score_profile": score_profile, "hf_id": hf_id}
    known = any(value is not None for value in settings.values())
    return json.dumps(settings, sort_keys=True) if known else None


def _no_words() -> Codes:
    return Codes({None: -1})


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
        self._categories = defaultdict[str, Codes](_no_words)
        self._samples, self._states = Codes(), Codes()
        self._state_codes = CodesOf(lambda pair: self._states[score_state(*pair)])
        words = self._categories["settings"]
        self._settings_codes = CodesOf(lambda raw: words[_settings(*raw)])
        self._errors: dict[int, str] = {}
        self._changes: dict[int, Change] = {}
        self._checks = AnswerChecks()
        self._count = 0
        self.problems: list[LineProblem] = []

    def add(self, rows: Sequence[Row], lines: Sequence[int]) -> None:
        """Add a chunk of records and the lines they stand on."""
        if not rows:
            return
        self._add(
            rows, lines, dict(zip(_FIELDS, zip(*map(astuple, rows), strict=True), strict=True))
        )
        if self._check:
            for row, line in zip(rows, lines, strict=True):
                self._checks.add(row, line)
        self._count += len(rows)

    def add_flat(self, told: Columns, lines: Sequence[int]) -> None:
        """Add a chunk of records that have these required columns alone: nothing of askings."""
        one = Row(*(values[0] for values in told.values()))
        rest, count = zip(_FIELDS, astuple(one), strict=True), len(lines)
        columns = {name: told.get(name) or (value,) * count for name, value in rest}
        self._add([one] * count, lines, columns)
        self._count += count

    def _add(self, rows: Sequence[Row], lines: Sequence[int], columns: Columns) -> None:
        self._put("line", np.fromiter(lines, np.int32, len(rows)))
        self._put("ok", ok := equal(columns["status"], Status.OK))
        self._put("mode", equal(columns["mode"], Mode.BATCH_INVARIANT).astype(np.int8))
        self._add_identity(columns)
        self._add_scores(columns, ok)
        self._add_answers(columns)
        self._add_askings(rows, columns)
        self._add_witness(rows, columns)
        self._add_remarks(rows, ok)

    def _put(self, name: str, values: npt.NDArray[Any]) -> None:
        self._chunks.setdefault(name, []).append(values)

    def _put_words(self, name: str, values: Sequence[str | None], shared: str = "") -> None:
        self._put(name, coded(values, self._categories[shared or name]))

    def _add_identity(self, columns: Columns) -> None:
        for name in ("model", "task_name", "dispatch_mode", "domain", "original_direction"):
            self._put_words(name, columns[name])
        self._put_words(
            "phase", [p if p is None or type(p) is str else str(p) for p in columns["phase"]]
        )
        self._put_words("prompt", columns["prompt_sha256"])
        self._put_words("run", columns["run_id"])
        self._put("sample_id", coded(list(map(str, columns["sample_id"])), self._samples))
        self._put("batch_size", np.array(columns["batch_size"], np.int64))
        groups = made(_group_hash, columns["group"], columns["target_index"])
        self._put("group", np.array(groups, np.int64))
        self._put("batch", np.array(made(_batch_hash, columns["group"]), np.int64))
        raw = made(_raw_settings, *(columns[n] for n in ("sampling", "score_profile", "hf_id")))
        self._put("settings", coded(raw, self._settings_codes))

    def _add_scores(self, columns: Columns, ok: BoolArray) -> None:
        for side in ("solo", "batch"):
            labels = columns[f"{side}_label"]
            pairs = list(zip(columns[f"{side}_score"], labels, strict=True))
            self._put(f"{side}_state", coded(pairs, self._state_codes))
            self._put_words(f"{side}_label", labels, "label")
        solo, batch = columns["solo_response_hash"], columns["batch_response_hash"]
        flips = self._chunks["solo_state"][-1] != self._chunks["batch_state"][-1]
        changes = np.fromiter(map(ne, solo, batch), np.bool_, len(ok))
        self._put("label_flip", ok & flips)
        self._put("text_change", ok & changes)
        one, other = (np.array(hashes, object) for hashes in (solo, batch))
        self._put("solo_hash", one)
        self._put("batch_hash", np.where(changes, other, one))  # an equal hash is kept once
        self._put("solo_said", said := np.fromiter(map(hash, solo), np.int64, len(ok)))
        self._put("batch_said", said := said.copy())
        said[changes] = list(map(hash, other[changes]))
        self._put("stated_flip", coded(columns["label_flip"], _STATED, np.int8))
        self._put("stated_change", coded(columns["text_change"], _STATED, np.int8))

    def _add_answers(self, columns: Columns) -> None:
        count = len(columns["solo"])
        truncated = np.zeros(count, np.bool_)
        for side, name in (("solo", "solo"), ("batch", "batched")):
            attempts, seconds = np.ones(count, np.int32), np.full(count, np.nan)
            sent = np.full(count, -1, np.int32)
            if any(columns[name]):
                answers = [answer or _NO_ANSWER for answer in columns[name]]
                attempts = np.array([answer.attempts or 1 for answer in answers], np.int32)
                sent = np.array([answer.prompt_tokens or -1 for answer in answers], np.int32)
                # None becomes nan
                seconds = np.array([answer.latency_s for answer in answers], np.float64)
                truncated |= equal([answer.finish_reason for answer in answers], "length")
            if side == "solo":
                self._put("prompt_tokens", sent)
            self._put(f"{side}_attempts", attempts)
            self._put(f"{side}_latency", seconds)
        self._put("truncated", truncated)

    def _add_askings(self, rows: Sequence[Row], columns: Columns) -> None:
        """The pattern and the effects; an older row's S1 is that of its repeats."""
        repeats = any(columns["solo_repeats"]) or any(columns["batched_repeats"])
        told = repeats or columns["askings"].count(_NO_ASKINGS) < len(rows)
        found = list(map(shown, rows)) if told else [NOTHING_SHOWN]  # one row for them all
        self._put_words("pattern", [one.pattern for one in found] if told else [None] * len(rows))
        self._put_words("stated_pattern", columns["pattern"])
        older = np.array(made(UNSEALED.__gt__, columns["schema_version"]), np.bool_)
        if repeats:
            older |= np.array([row.is_of_schema_1 for row in rows], np.bool_)
        self._put("s1_after_batch", older)
        effects = np.array([one.effects for one in found], np.int8)
        for number, (effect, what) in enumerate(product(Effect, ("text", "flip"))):
            self._put(f"{effect}_{what}", spread(effects[:, number], len(rows)))
        for side, counts in (
            ("solo", [one.solo for one in found]),
            ("batch", [one.batched for one in found]),
        ):
            for kind, values in zip(_REPEATS, np.array(counts, np.int32).T, strict=True):
                self._put(f"{side}_{kind}", spread(values, len(rows)))

    def _add_witness(self, rows: Sequence[Row], columns: Columns) -> None:
        """What the engine's steps show, how much was compared, and whether the server computed."""
        watched = rows if any(columns["witness"]) else rows[:1]
        seen = np.array([witnessed(row) for row in watched], np.bool_)
        for name, values in zip(("witnessed", "vacuous", "mixed"), seen.T, strict=True):
            self._put(name, spread(values, len(rows)))
        met = np.array([meeting(row) for row in watched], np.float64)
        for name, values in zip(Meeting._fields, met.T, strict=True):
            self._put(name, spread(values, len(rows)))
        check = self._check
        self._put_words("cached", [cached_of(row) if check and row.solo else None for row in rows])
        told = any(columns["solo"]) or any(columns["batched"])
        told = told or columns["askings"].count(_NO_ASKINGS) < len(rows)
        answered = rows if told else rows[:1]
        shown_of = np.array([told_of(row) for row in answered], np.int32).T
        for name, values in zip(("compared_tokens", "cache_moved"), shown_of, strict=False):
            self._put(name, spread(values, len(rows)))
        names = ("degenerate", *(f"{effect}_retold" for effect in Effect))
        for name, values in zip(names, shown_of[2:] > 0, strict=True):
            self._put(name, spread(values, len(rows)))
        self._put("start", np.array([start or 0 for start in columns["start"]], np.int32))
        tokens = np.array([effect_tokens(row) for row in answered], np.int32)
        for effect, values in zip(Effect, tokens.T, strict=True):
            self._put(f"{effect}_tokens", spread(values, len(rows)))

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

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to `join` it: each column once, one value where all are it."""
        state = {name: value for name, value in vars(self).items() if type(value) is not CodesOf}
        whole = {name: short(np.concatenate(one)) for name, one in self._chunks.items()}
        return state | {"_chunks": whole}

    def __setstate__(self, state: dict[str, Any]) -> None:
        whole = {name: [long(one)] for name, one in state["_chunks"].items()}
        vars(self).update(state | {"_chunks": whole})

    def pieces(self) -> Iterator[RecordsBuilder]:
        """This one in pieces to be joined one after the other; it holds none that was taken."""
        checks = self._checks.pieces()
        self._checks = AnswerChecks()
        yield self
        vars(self).update(vars(RecordsBuilder(self._path)))
        for self._checks in checks:
            yield self

    def join(self, later: RecordsBuilder) -> None:
        """Add what another one was filled with, from the lines that follow; it is used up.

        Raises:
            Apart: the two do not tell what one that was filled with all lines would.
        """
        self._checks.join(later._checks)
        for name in later._categories:
            self._categories[name]  # to be there, in this order
        for name in list(later._chunks):
            chunks, codes, theirs = later._chunks.pop(name), self._codes(name), later._codes(name)
            if codes is not None and theirs is not None:
                chunks = [codes.joined(theirs, one) for one in chunks]
            self._chunks.setdefault(name, []).extend(chunks)
        before = self._count
        self._errors.update({before + row: error for row, error in later._errors.items()})
        self._changes.update({before + row: change for row, change in later._changes.items()})
        self._count += later._count
        self.problems += later.problems

    def _codes(self, name: str) -> Codes | None:
        """The numbers that stand in a column, if it is one of numbers of something."""
        if name.endswith("_state"):
            return self._states
        if name == "sample_id":
            return self._samples
        return self._categories.get("label" if name.endswith("_label") else name)

    def finish(self) -> Records:
        """The records read so far, as a frame."""
        if not self._count:
            self.add([_PLACEHOLDER], [0])  # so that an empty frame has its columns
            self._count = 0
        import pandas as pd  # half a second, only where records are looked at as a whole

        columns: dict[str, Any] = {
            name: np.concatenate(self._chunks.pop(name))[: self._count]
            for name in list(self._chunks)
        }
        for what, codes in (("state", self._states), ("label", self._categories["label"])):
            both = [f"{side}_{what}" for side in ("solo", "batch")]
            columns.update(zip(both, codes.sort(*(columns[one] for one in both)), strict=True))
        words = {name: pd.Index(list(c)[1:], dtype=object) for name, c in self._categories.items()}
        for name, values in columns.items():
            if name not in KEY and len(values) and values.dtype != object and once(values):
                columns[name] = values = np.broadcast_to(values[0], values.shape)
            kind = "label" if name.endswith("_label") else name
            if kind in words:
                dtype = pd.CategoricalDtype(words[kind][: 2 * self._count or None])
                columns[name] = pd.Categorical.from_codes(values, dtype=dtype)
            elif values.dtype == object:
                columns[name] = pd.Series(values, dtype=object, copy=False)
        samples = np.array(list(self._samples), dtype=object)
        identity = pd.DataFrame({name: columns.pop(name) for name in KEY}, copy=False)
        sides = (identity[name] for name in identity)
        told = (one.cat.codes if one.dtype == "category" else one for one in sides)
        key, first = numbered(*(one.to_numpy() for one in told))
        candidates = identity.take(first)
        candidates["sample_id"] = samples[candidates["sample_id"].to_numpy()]
        return Records(
            path=self._path,
            frame=pd.DataFrame({"key": key.astype(np.int32), **columns}, copy=False),
            candidates=candidates.reset_index(drop=True),
            states=tuple(self._states),
            errors=self._errors,
            changes=self._changes,
            problems=tuple(self.problems),
            checks=self._checks,
        )


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
