"""A record: one candidate under one mode, as replay writes it and everybody reads it (DESIGN 4.6).

The order of fields is the order of the keys in the file. What follows from other fields (a label
flip, a text change, where two answers part) is worked out here and never believed from a file.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct, field

from harness.flips import ScoreState, flips, score_state
from harness.words import Mode, Status

RecordKey = tuple[str, str, str, int, str]
"""Model, task, sample, batch size and dispatch mode: what makes a candidate."""


def text_hash(text: str) -> str:
    """SHA-256 of an answer, half a surrogate pair included."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def first_difference(one: Sequence[Any], other: Sequence[Any]) -> int | None:
    """Index at which two sequences part (the shorter one's end counts); ``None`` if equal."""
    if one == other:
        return None
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class FirstDifference(Struct, frozen=True):
    """Where the batched answer leaves the solo one: index of the character and of the token."""

    char: int | None
    token: int | None


class Evidence(Struct, frozen=True):
    """What a scorer went by.

    Attributes:
        rule: the id of the rule that fired.
        span: start and end in the answer's text.
        matched: the text of that span.
        scorer: scorer, profile and version, such as ``refusal/strict/1``.
    """

    rule: str | None = None
    span: tuple[int, int] | None = None
    matched: str | None = None
    scorer: str | None = None


class Answer(Struct, frozen=True):
    """What the server said to one prompt, and what a scorer says of it.

    Attributes:
        text: the completion; ``None`` where a file holds only its hash.
        token_ids: ``None`` where the server does not return them.
        finish_reason: ``stop``, ``length``, or why the server gave up.
        latency_s: seconds from sending the request to having its whole answer (a list's prompts
            share it).
        attempts: how often the request was sent.
        score, label: the scorer's verdict.
        score_evidence: its reasons.
    """

    text: str | None = None
    token_ids: tuple[int, ...] | None = None
    finish_reason: str | None = None
    latency_s: float | None = None
    attempts: int | None = None
    score: float | None = None
    label: str | None = None
    score_evidence: Evidence | None = None

    @property
    def state(self) -> ScoreState:
        """What a flip compares."""
        return score_state(self.score, self.label)


class Sampling(Struct, frozen=True):
    """How the answers were sampled."""

    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None


class Record(Struct, frozen=True, kw_only=True):
    """One line of a records file; the fields without a default are the required columns.

    Attributes:
        group: ids of the batch in order; ``target_index`` is this candidate's place in it.
        extra: columns of the candidate file that the harness does not know.
        stated_flip, stated_change: the flags as a file has them, for `harness validate` alone;
            they are written from `label_flip` and `text_change`.
        solo_repeats, batched_repeats: answers to the same, asked again.
    """

    schema_version: int = 1
    run_id: str | None = None
    record_id: str | None = None
    model: str
    hf_id: str | None = None
    task_name: str
    sample_id: str | int
    batch_size: int
    dispatch_mode: str
    phase: str | int | None
    domain: str | None
    original_direction: str | None
    original_solo_score: Any = None
    original_batch_score: Any = None
    mode: Mode
    prompt_sha256: str | None = None
    group: tuple[str | int, ...] | None = None
    target_index: int | None = None
    sampling: Sampling | None = None
    score_profile: str | None = None
    extra: Any = None
    status: Status
    error: Any = None
    solo_score: float | None
    batch_score: float | None
    solo_label: str | None = None
    batch_label: str | None = None
    solo_response_hash: str | None
    batch_response_hash: str | None
    stated_flip: bool | None = field(default=None, name="label_flip")
    stated_change: bool | None = field(default=None, name="text_change")
    solo: Answer | None = None
    batched: Answer | None = None
    solo_repeats: tuple[Answer, ...] | None = ()
    batched_repeats: tuple[Answer, ...] | None = ()

    def __post_init__(self) -> None:
        """Read numbers where a data frame has made some of an id or of a phase."""
        for name in ("sample_id", "phase"):
            if isinstance(value := getattr(self, name), int):
                msgspec.structs.force_setattr(self, name, str(value))

    @property
    def key(self) -> RecordKey:
        """The candidate."""
        sample = str(self.sample_id)
        return self.model, self.task_name, sample, self.batch_size, self.dispatch_mode

    @property
    def ok(self) -> bool:
        """Whether the record can be counted."""
        return self.status is Status.OK

    def answer(self, condition: str) -> Answer | None:
        """The ``solo`` or the ``batched`` answer, where the record holds it."""
        return self.solo if condition == "solo" else self.batched

    def repeats(self, condition: str) -> tuple[Answer, ...]:
        """The answers to asking for the ``solo`` or the ``batched`` one again."""
        return (self.solo_repeats if condition == "solo" else self.batched_repeats) or ()

    @property
    def label_flip(self) -> bool:
        """Whether the batched answer is judged another way than the solo one; false unless ok."""
        return self.ok and flips(
            self.solo_score, self.solo_label, self.batch_score, self.batch_label
        )

    @property
    def text_change(self) -> bool:
        """Whether the two answers have other hashes; false unless ok."""
        return self.ok and self.solo_response_hash != self.batch_response_hash

    @property
    def first_difference(self) -> FirstDifference | None:
        """Where the two answers part; ``None`` where they do not, or the record holds none."""
        return part(self.solo, self.batched)

    def line(self) -> str:
        """The record as one line of ASCII JSON, its line end included.

        ASCII, because an answer may hold what UTF-8 cannot (a lone surrogate).
        """
        value = msgspec.to_builtins(self)
        value["label_flip"] = self.label_flip if self.ok else None
        value["text_change"] = self.text_change if self.ok else None
        return json.dumps(value) + "\n"


def part(solo: Answer | None, batched: Answer | None) -> FirstDifference | None:
    """Where two answers part; ``None`` where they do not, or either is not there."""
    if solo is None or batched is None:
        return None
    char = _parting(solo.text, batched.text)
    token = _parting(solo.token_ids, batched.token_ids)
    return None if char is None and token is None else FirstDifference(char, token)


def _parting(one: Sequence[Any] | None, other: Sequence[Any] | None) -> int | None:
    return None if one is None or other is None else first_difference(one, other)


def tolerant(line: bytes) -> Any:
    """What a line holds, read as Python's own writer may have written it.

    JSON knows no ``NaN`` for a missing score, no ``8.0`` for a batch size and no half of a
    surrogate pair.

    Raises:
        ValueError, RecursionError: it is not readable that way either.
    """
    row: Any = json.loads(line, parse_constant=lambda _: None)
    if isinstance(row, dict) and "batch_size" in row:
        size = row["batch_size"]
        if isinstance(size, float) and size.is_integer():
            row["batch_size"] = int(size)
    return row


_DECODER = msgspec.json.Decoder(Record)


def decode_record(line: bytes) -> Record:
    """Read one line.

    Raises:
        msgspec.MsgspecError: the line is no record; the message says what and where.
    """
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        try:
            row = tolerant(line)
        except (ValueError, RecursionError):
            raise error from None
        return msgspec.convert(row, Record)
