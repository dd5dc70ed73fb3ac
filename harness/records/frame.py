"""Records as a pandas frame: what the statistics need of a records file, and no answer text.

A candidate has one counted record a mode. An error record that a resumed run later replaced by
an ``ok`` one is superseded and not counted; any other second record is a duplicate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.errors import UsageError
from harness.flips import ScoreState
from harness.numbers import count_of
from harness.records.answer_checks import AnswerChecks
from harness.records.record import RecordKey
from harness.words import MODES, Mode

if TYPE_CHECKING:
    import pandas as pd

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
KEY = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
"""The columns that make a candidate."""


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A line that is no record: its 1-based number and what is wrong with it."""

    line: int
    message: str
    truncated: bool = False


class Change(NamedTuple):
    """Where a batched answer first leaves the solo one; ``None`` where that is not recorded.

    Attributes:
        record_id: the record's own id.
        char: index of the first differing character.
        token: index of the first differing token id.
    """

    record_id: str | None
    char: int | None
    token: int | None


@dataclass(frozen=True)
class Records:
    """A records file without its texts.

    Attributes:
        path: the file, for messages.
        frame: one row a record, in file order; see below.
        candidates: one row a distinct key, in order of first appearance: ``model, task_name,
            sample_id, batch_size, dispatch_mode``.
        states: the distinct scores, each a score or the label where there is none.
        errors: error text by row.
        changes: where the two answers part, by row, for changed texts only.
        problems: lines that are no records (lenient reader).
        checks: what the answers themselves show (lenient reader).

    Columns of ``frame``:
        line: 1-based line in the file.
        key: row of ``candidates``.
        mode: index into `MODES`; ok: whether the status is ``ok``.
        domain, phase, original_direction, solo_label, batch_label, prompt, run: categories.
        settings: category of the record's sampling, score profile and hub id, as JSON.
        solo_state, batch_state: index into ``states``.
        label_flip, text_change: what follows from states and hashes; false unless ok.
        stated_flip, stated_change: as the file says, -1 where it does not.
        solo_hash, batch_hash: response hashes, ``None`` where there is no answer.
        solo_said, batch_said: eight bytes of each, to tell answers apart by.
        solo_attempts, batch_attempts: requests sent until an answer came, 1 without a retry.
        prompt_tokens: of its prompt, -1 where not recorded.
        truncated: whether either answer ended at ``max_tokens``.
        solo_latency, batch_latency: seconds, nan where not recorded.
        group: hash of the batch's ids and the target's place; batch: of its ids alone, which rows
            of one dispatch share; 0 where not recorded.
        pattern: category of what S0, S1, B and S2 say together (`Pattern`), none where one of
            them is missing; stated_pattern: as the file says.
        batch_effect_text, batch_effect_flip: whether B differs from S1: 1, 0, and -1 where one of
            them is missing; likewise cache_effect (S1 from S0) and noise (S2 from S1).
        witnessed: whether the engine's steps are known of every asking; vacuous: whether they show
            a batch that was none, or a solo asking that was not alone; mixed: whether a step of B
            held a prefill beside running decodes.
        compared_tokens: tokens of the shorter of S0 and B; -1 where ids are not recorded;
            likewise batch_effect_tokens (S1 and B), cache_effect_tokens and noise_tokens.
        degenerate: whether any asking is empty or begins as a few tokens over and over.
        batch_effect_retold: whether S1 and B, or B and B2, have one text of other token ids;
            likewise cache_effect_retold (S0 and S1) and noise_retold (S1 and S2).
        cache_moved: whether B found another number of its tokens in the cache than S1: 1, 0, and
            -1 where that is not known.
        shared_steps, lone_steps, tokens, at_once: how much its prompt met the others (`Meeting`).
        cached: category of what each asking and each companion found in the cache (lenient
            reader).
        start: which start of its server answered, from 1; 0 where not recorded.
        s1_after_batch: whether S1 was asked after B, as in schema 1.
        solo_repeats, batch_repeats: answers to the same with nothing changed but time: S2 to S1, B2
            to B; in schema 1 all repeats to the first answer. ``*_repeat_changes`` and
            ``*_repeat_flips`` count those whose text or label differs.
    """

    path: str
    frame: pd.DataFrame
    candidates: pd.DataFrame
    states: tuple[ScoreState, ...]
    errors: dict[int, str] = field(default_factory=dict)
    changes: dict[int, Change] = field(default_factory=dict)
    problems: tuple[LineProblem, ...] = ()
    checks: AnswerChecks = field(default_factory=AnswerChecks)

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def keys(self) -> list[RecordKey]:
        """The distinct candidates, in order of first appearance."""
        return list(zip(*(self.candidates[name].tolist() for name in KEY), strict=True))

    @cached_property
    def prompts(self) -> IntArray:
        """A number for each candidate's prompt: what a model was asked in the same words has one.

        The same words are the same hash; where hashes are not recorded, the same task and sample.
        The same model are the same weights (``hf_id``), under whatever name.
        """
        words = np.full(len(self.candidates), -1, dtype=np.int64)
        keys = self.column("key")
        words[keys[::-1]] = self.column("prompt")[::-1]  # the first record of a key stays
        words = np.where(words >= 0, words, -1 - self.samples)
        columns = {"model": self._weights(), "words": words}
        numbers = type(self.candidates)(columns).groupby(["model", "words"]).ngroup()
        return np.asarray(numbers, dtype=np.int32)

    @cached_property
    def samples(self) -> npt.NDArray[np.int64]:
        """A number for each candidate's task and sample, whatever model it is asked of."""
        named = self.candidates[["task_name", "sample_id"]]
        numbers = named.groupby([*named.columns], observed=True, sort=False).ngroup()
        return np.asarray(numbers, dtype=np.int64)

    def _weights(self) -> list[str]:
        """The weights of each candidate, or the model's name where they are not recorded."""
        told = [json.loads(one)["hf_id"] for one in self.frame["settings"].cat.categories]
        first = np.full(len(self.candidates), -1)
        first[self.column("key")[::-1]] = self.column("settings")[::-1]
        named = zip(first.tolist(), self.candidates["model"].tolist(), strict=True)
        told.append(None)
        return [told[code] or name for code, name in named]

    @cached_property
    def dispatches(self) -> IntArray:
        """A number for each candidate's dispatch, the batch that its rows share; -1 if unknown."""
        sent = self.candidates[["model", "dispatch_mode", "batch_size"]]
        batch, keys = np.zeros(len(sent), dtype=np.int64), self.column("key")
        batch[keys[::-1]] = self.column("batch")[::-1]  # the first record of a key stays
        numbers = sent.assign(batch=batch).groupby(
            [*sent.columns, "batch"], observed=True, sort=False
        )
        return np.where(batch != 0, numbers.ngroup().to_numpy(), -1).astype(np.int32)

    @property
    def runs(self) -> list[str]:
        """The run ids that are there."""
        return self.frame["run"].cat.categories.tolist()

    @property
    def of_schema_1(self) -> bool:
        """Whether any record has no S1 of its own place: those of before the askings."""
        return bool(self.frame["s1_after_batch"].any())

    def column(self, name: str) -> npt.NDArray[Any]:
        """A column as an array, not to be written to; of categories their codes, -1 for none."""
        if name not in self._columns:
            values = self.frame[name]
            codes = values.cat.codes if values.dtype == "category" else values
            self._columns[name] = codes.to_numpy()
        return self._columns[name]

    @cached_property
    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        return {}

    def studied(self, name: str) -> npt.NDArray[Any]:
        """A flag of B against S0, which only an ok record shows: 1, 0, and -1 for any other."""
        if (known := f"{name} of ok") not in self._columns:
            shown = self.column(name).astype(np.int8)
            self._columns[known] = np.where(self.column("ok"), shown, np.int8(-1))
        return self._columns[known]

    def words(self, name: str, rows: IntArray) -> list[str | None]:
        """The values of a column of categories."""
        known = [*self.frame[name].cat.categories.tolist(), None]
        return [known[code] for code in self.column(name)[rows].tolist()]

    def score_states(self, side: str, rows: IntArray) -> list[ScoreState]:
        """Score, or label where there is no score, of the ``solo`` or ``batch`` answers."""
        states = self.states
        return [states[code] for code in self.column(f"{side}_state")[rows].tolist()]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two records of the same candidate and mode."""

    key: RecordKey
    mode: Mode
    first_line: int
    line: int


@dataclass(frozen=True, slots=True)
class Pairing:
    """The counted record of each candidate in each mode.

    Attributes:
        slots: for each mode, the record index of every key in `Records.keys`, -1 for none.
        superseded: error records that a later ok record replaced.
        duplicates: further records, which count in no table.
    """

    slots: dict[Mode, IntArray]
    superseded: int
    duplicates: tuple[Duplicate, ...]

    def rows(self, mode: Mode) -> IntArray:
        """Indices of the counted records of a mode, in key order."""
        slot = self.slots[mode]
        return slot[slot >= 0]

    def modes(self) -> tuple[Mode, ...]:
        """The modes that have records."""
        return tuple(mode for mode in MODES if (self.slots[mode] >= 0).any())

    def complete(self, records: Records) -> BoolArray:
        """For each key, whether both modes have an ok record."""
        ok = records.column("ok")
        both = np.ones(len(records.candidates), dtype=bool)
        for mode in MODES:
            slot = self.slots[mode]
            both &= slot >= 0
            both[both] &= ok[slot[both]]
        return both


def numbered(*columns: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A number for each distinct row, in order of first appearance, and where each comes first."""
    from pandas import factorize

    number = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        if not len(column) or (column == column[0]).all():
            continue
        codes, _ = factorize(column)
        number, _ = factorize(number * (codes.max(initial=0) + 1) + codes)
    first = np.zeros(number.max(initial=-1) + 1, dtype=np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    return number, first


def pair_records(records: Records) -> Pairing:
    """Find the counted record of every candidate in every mode."""
    modes, key, ok, line = map(records.column, ("mode", "key", "ok", "line"))
    slots: dict[Mode, IntArray] = {}
    superseded = 0
    duplicates: list[Duplicate] = []
    for number, mode in enumerate(MODES):
        rows = np.flatnonzero(modes == number).astype(np.int32)
        keys = key[rows]
        slot = np.full(len(records.candidates), -1, dtype=np.int32)
        slot[keys[::-1]] = rows[::-1]  # the first record of a key stays
        again = rows[slot[keys] != rows]
        for row in again.tolist():
            first = int(slot[key[row]])
            if not ok[first]:
                slot[key[row]] = row
                superseded += 1
                continue
            lines = int(line[first]), int(line[row])
            duplicates.append(Duplicate(records.keys[key[row]], mode, *lines))
        slots[mode] = slot
    return Pairing(slots, superseded, tuple(duplicates))


def refuse_duplicates(records: Records, pairing: Pairing) -> None:
    """Refuse to count a candidate twice.

    Raises:
        UsageError: a candidate has two records in one mode.
    """
    if not pairing.duplicates:
        return
    twice = pairing.duplicates[0]
    name = f"{twice.key[0]} {twice.key[1]}/{twice.key[2]} batch {twice.key[3]} {twice.key[4]}"
    raise UsageError(
        f"{name} was already recorded in mode {twice.mode} on line {twice.first_line}; "
        f"{count_of(len(pairing.duplicates), 'duplicate')} in all",
        file=records.path,
        line=twice.line,
        hint="remove the records that do not belong to this run",
    )
