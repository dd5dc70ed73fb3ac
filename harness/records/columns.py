"""Records as columns: what the statistics need of a records file, and no answer text.

Strings that repeat are kept once (`Vocabulary`); numbers lie in numpy arrays, one entry a
record, in file order. 614 thousand records take about 300 MiB.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from harness.records.record import RecordKey

IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Vocabulary:
    """The distinct values of a column and a code for each; ``None`` is code -1."""

    __slots__ = ("_codes", "values")

    def __init__(self) -> None:
        self.values: list[str] = []
        self._codes: dict[str | None, int] = {None: -1}

    def code(self, value: str | None) -> int:
        """The code of ``value``, given at its first appearance."""
        code = self._codes.get(value)
        if code is None:
            code = self._codes[value] = len(self.values)
            self.values.append(str(value))
        return code

    def encode(self, values: Iterable[str | None]) -> list[int]:
        """The codes of many values."""
        codes, code = self._codes, self.code
        return [codes[v] if v in codes else code(v) for v in values]

    def word(self, code: int) -> str | None:
        """The value of ``code``."""
        return None if code < 0 else self.values[code]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A line that is no record: its 1-based number and what is wrong with it."""

    line: int
    message: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Where a batched answer first leaves the solo one; ``None`` where that is not recorded.

    Attributes:
        record_id: the record's own id.
        char: index of the first differing character.
        token: index of the first differing token id.
    """

    record_id: str | None
    char: int | None
    token: int | None


@dataclass(slots=True)
class Columns:
    """One array a column, one entry a record.

    Attributes:
        line: 1-based line in the file.
        key: index into `Records.keys`.
        mode: index into `MODES`.
        ok: whether the status is ``ok``.
        phase, domain, direction: codes in the vocabulary of the same name.
        solo_score, batch_score: scores, nan for none.
        solo_label, batch_label: codes in ``labels``; -1 for none.
        label_flip, text_change: derived from scores, labels and hashes; false unless ok.
        stated_flip, stated_change: as the file says, -1 where it does not.
        solo_attempts, batch_attempts: requests sent until an answer came, 1 without a retry.
        truncated: whether either answer ended at ``max_tokens``.
        solo_latency, batch_latency: seconds, nan where not recorded.
        prompt: code in ``prompts``, -1 for none.
        group: hash of the batch's ids and the target's place; 0 where not recorded.
        settings: code in ``settings`` (sampling, score profile, hub id); -1 for none.
        run: code in ``runs``; -1 for none.
        solo_repeats, batch_repeats: repeats asked for; ``*_repeat_changes`` and
            ``*_repeat_flips`` count those whose text or label differs from the first answer.
    """

    line: IntArray
    key: IntArray
    mode: IntArray
    ok: BoolArray
    phase: IntArray
    domain: IntArray
    direction: IntArray
    solo_score: FloatArray
    batch_score: FloatArray
    solo_label: IntArray
    batch_label: IntArray
    label_flip: BoolArray
    text_change: BoolArray
    stated_flip: IntArray
    stated_change: IntArray
    solo_attempts: IntArray
    batch_attempts: IntArray
    truncated: BoolArray
    solo_latency: FloatArray
    batch_latency: FloatArray
    prompt: IntArray
    group: LongArray
    settings: IntArray
    run: IntArray
    solo_repeats: IntArray
    solo_repeat_changes: IntArray
    solo_repeat_flips: IntArray
    batch_repeats: IntArray
    batch_repeat_changes: IntArray
    batch_repeat_flips: IntArray


@dataclass(frozen=True, slots=True)
class Records:
    """A records file without its texts.

    Attributes:
        path: the file, for messages.
        keys: distinct candidate keys, in order of first appearance.
        columns: one entry a counted line.
        solo_hash, batch_hash: response hashes a record, ``None`` where there is no answer.
        errors: error text by record index.
        changes: where the two answers part, by record index, for changed texts only.
        problems: lines that are no records (filled when the reader is lenient).
        answers: records that hold their answers and not only scores and hashes.
        texts_hashed: texts that were compared with their recorded hash (lenient reader).
        hash_mismatches: lines whose text does not have the recorded hash (lenient reader).
        unfinished: lines with an answer that ended as ``abort`` or ``error``.
        contradicted: lines whose scores are not those of their answers (lenient reader).
    """

    path: str
    keys: list[RecordKey]
    columns: Columns
    solo_hash: list[str | None]
    batch_hash: list[str | None]
    phases: Vocabulary
    domains: Vocabulary
    directions: Vocabulary
    labels: Vocabulary
    prompts: Vocabulary
    settings: Vocabulary
    runs: Vocabulary
    errors: dict[int, str] = field(default_factory=dict)
    changes: dict[int, Change] = field(default_factory=dict)
    problems: tuple[LineProblem, ...] = ()
    answers: int = 0
    texts_hashed: int = 0
    hash_mismatches: tuple[int, ...] = ()
    unfinished: tuple[int, ...] = ()
    contradicted: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.columns.line)
