"""A record: one candidate under one mode, as replay writes it and everybody reads it (DESIGN 4.6).

The order of fields is the order of the keys in the file. What follows from other fields (a label
flip, a text change, where two answers part) is worked out here and never believed from a file.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field

from harness.flips import flips
from harness.hostile import shaped
from harness.records.answers import Answer, Askings, Companion, Witnesses
from harness.records.divergence import Choice, Divergence, first_difference
from harness.records.lines import LineFault, is_sealed, look_closely, sealed, value_of
from harness.words import Asking, Effect, Mode, Pattern, Status, pattern_of

RecordKey = tuple[str, str, str, int, str]
"""Model, task, sample, batch size and dispatch mode: what makes a candidate."""
SCHEMA_VERSION = 3
"""Of the records that are written now: each line ends in its checksum."""
UNSEALED = 2
"""Of a record that says nothing of it; 1 had ``solo_repeats`` and ``batched_repeats``."""

_COMPACT = json.JSONEncoder(separators=(",", ":"))


def record_id(key: RecordKey, mode: Mode) -> str:
    """The stable id of a record: 16 hex digits of the SHA-256 of the key and the mode as JSON."""
    return sha256(_COMPACT.encode([*key, str(mode)]).encode()).hexdigest()[:16]


class Difference(NamedTuple):
    """Whether two askings have another text, and whether they are judged another way."""

    text: bool
    label: bool


class FirstDifference(Struct, frozen=True):
    """Where the batched answer leaves the solo one: index of the character and of the token."""

    char: int | None
    token: int | None


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
        stated_flip, stated_change, stated_pattern: what a file says of them, for `harness validate`
            alone; they are written from `label_flip`, `text_change` and `pattern`.
        solo, batched: the askings S0 and B; the others are in ``askings``.
        companions: the other prompts of B, in the order of ``group``; ``None`` where not recorded.
        warmed: how many of them were asked alone before the server's first B of the group;
            ``None`` where not recorded.
        start: which start of the server of its model and mode answered, from 1.
    """

    schema_version: int = UNSEALED
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
    stated_pattern: str | None = field(default=None, name="pattern")
    solo: Answer | None = None
    batched: Answer | None = None
    askings: Askings = Askings()
    companions: tuple[Companion, ...] | None = None
    warmed: int | None = None
    witness: Witnesses | None = None
    start: int | None = None

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
    def batch(self) -> tuple[str, Mode, str, tuple[str | int, ...] | None]:
        """What the rows of one batch share; its last part is ``None`` where it is not recorded."""
        return self.model, self.mode, self.dispatch_mode, self.group

    @property
    def ok(self) -> bool:
        """Whether the record can be counted."""
        return self.status is Status.OK

    def answer(self, condition: str) -> Answer | None:
        """The ``solo`` or the ``batched`` answer, where the record holds it."""
        return self.solo if condition == "solo" else self.batched

    def asked(self, asking: Asking) -> Answer | None:
        """The answer of an asking, where the record holds it."""
        own = {Asking.S0: self.solo, Asking.B: self.batched}
        return own[asking] if asking in own else getattr(self.askings, asking)

    def hash_of(self, asking: Asking) -> str | None:
        """The hash of an asking's text: of its own where it is here, else the recorded one."""
        answer = self.asked(asking)
        if answer is not None and answer.text is not None:
            return answer.response_hash
        recorded = {Asking.S0: self.solo_response_hash, Asking.B: self.batch_response_hash}
        return recorded.get(asking)

    @property
    def s1_after_batch(self) -> bool:
        """Whether S1 was asked after B, as all records of schema 1 were."""
        return self.schema_version < UNSEALED

    @property
    def pattern(self) -> Pattern | None:
        """What S0, S1, B and S2 say together; ``None`` unless ok and all four are there."""
        hashes = [self.hash_of(one) for one in (Asking.S0, Asking.S1, Asking.B, Asking.S2)]
        return None if not self.ok or None in hashes else pattern_of(*hashes)

    def differs(self, one: Asking, other: Asking) -> Difference | None:
        """Whether two askings were answered otherwise; ``None`` unless ok and both are there."""
        texts = self.hash_of(one), self.hash_of(other)
        if not self.ok or None in texts:
            return None
        return Difference(texts[0] != texts[1], flips(*self.judged(one), *self.judged(other)))

    def effect(self, effect: Effect) -> Difference | None:
        """The batch effect, the cache effect or the noise; ``None`` where an asking is missing."""
        return self.differs(*effect.askings)

    def judged(self, asking: Asking) -> tuple[float | None, str | None]:
        """Score and label of an asking, where the record holds them."""
        if asking is Asking.S0:
            return self.solo_score, self.solo_label
        if asking is Asking.B:
            return self.batch_score, self.batch_label
        answer = self.asked(asking) or Answer()
        return answer.score, answer.label

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

    @property
    def divergence(self) -> Divergence | None:
        """Where B leaves the answer alone: S1 where it was asked before B, else S0.

        ``None`` where they agree, or either is not there.
        """
        known = self.askings.S1 is not None and not self.s1_after_batch
        return diverged(self.askings.S1 if known else self.solo, self.batched)

    def line(self) -> str:
        """The record as one line of ASCII JSON, its checksum and its line end included.

        ASCII, because an answer may hold what UTF-8 cannot (a lone surrogate).
        """
        value = msgspec.to_builtins(self)
        value["schema_version"] = SCHEMA_VERSION if self.schema_version >= UNSEALED else 1
        value["label_flip"] = self.label_flip if self.ok else None
        value["text_change"] = self.text_change if self.ok else None
        value["pattern"] = self.pattern
        for told in filter(None, (value["solo"], value["batched"], *value["askings"].values())):
            if told["likely"] is None:  # as in every run that asked for no log-probabilities
                del told["likely"]
        return json.dumps(sealed(value)) + "\n"


def part(solo: Answer | None, batched: Answer | None) -> FirstDifference | None:
    """Where two answers part; ``None`` where they do not, or either is not there."""
    if solo is None or batched is None:
        return None
    char = _parting(solo.text, batched.text)
    token = _parting(solo.token_ids, batched.token_ids)
    return None if char is None and token is None else FirstDifference(char, token)


def diverged(alone: Answer | None, batched: Answer | None) -> Divergence | None:
    """Where an answer in a batch leaves the one alone; ``None`` where it does not."""
    parted = part(alone, batched)
    if parted is None or alone is None or batched is None:
        return None
    at, sides = parted.token, (alone, batched)
    evidence = [one.score_evidence for one in sides if one.score_evidence]
    ends = [found.span[1] for found in evidence if found.span]
    one, other = (_choice(side, at) for side in sides)
    return Divergence(
        token=at,
        char=parted.char,
        of=None if alone.token_ids is None else len(alone.token_ids),
        alone=one,
        batched=other,
        evidence_after=any(end > parted.char for end in ends)
        if ends and parted.char is not None
        else None,
    )


def _choice(answer: Answer, at: int | None) -> Choice | None:
    """The likeliest tokens at a place of an answer, where they were asked for and it has one."""
    likely = answer.likely
    return likely[at] if likely is not None and at is not None and at < len(likely) else None


def _parting(one: Sequence[Any] | None, other: Sequence[Any] | None) -> int | None:
    return None if one is None or other is None else first_difference(one, other)


class _Schema1(Struct):
    """What a record of schema 1 says in other words."""

    solo_repeats: tuple[Answer, ...] | None = None
    batched_repeats: tuple[Answer, ...] | None = None


_DECODER = msgspec.json.Decoder(Record)
_OLD_KEYS = (b'"solo_repeats"', b'"batched_repeats"')


def decode_record(line: bytes) -> Record:
    """Read one line; a record of schema 1 is read as one of today (see `upgraded`).

    Raises:
        LineFault, msgspec.ValidationError: the line is no record; the message says what and where.
    """
    whole = is_sealed(line)
    try:
        if not (whole or look_closely(line)):
            raise msgspec.DecodeError
        record = _DECODER.decode(line)
        if _OLD_KEYS[0] in line or _OLD_KEYS[1] in line:
            record = upgraded(record, msgspec.json.decode(line, type=_Schema1))
    except msgspec.DecodeError:
        row = value_of(line)
        record = upgraded(shaped(row, Record), shaped(row, _Schema1))
    if not whole and record.schema_version >= SCHEMA_VERSION:
        raise LineFault("damaged: the line has lost its checksum")
    return record


def upgraded(record: Record, old: _Schema1) -> Record:
    """The record with its first repeats as askings: S1, which came after B, and B2.

    S2 is missing, and so is the pattern. The version stays 1, by which `s1_after_batch` knows it.
    """
    if not (old.solo_repeats or old.batched_repeats):
        return record
    s1 = next(iter(old.solo_repeats or ()), None)
    b2 = next(iter(old.batched_repeats or ()), None)
    return msgspec.structs.replace(record, schema_version=1, askings=Askings(S1=s1, B2=b2))
