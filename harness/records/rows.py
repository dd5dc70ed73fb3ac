"""A line of a records file as far as the frame holds it.

msgspec decodes only these fields and steps over everything else, so a record with long answers
costs its length once and no memory; texts stay undecoded bytes until they are compared. A line
whose undecoded parts do not look like a record's is decoded in full: it is a record to every reader
or to none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import numpy as np
from msgspec.structs import astuple

from harness.records.answers import Evidence, Witnesses
from harness.records.divergence import Choice
from harness.records.lines import LineFault, is_sealed, value_of
from harness.records.record import UNSEALED, RecordKey, Sampling, decode_record
from harness.words import Asking, Mode, Status

_NULL = msgspec.Raw(b"null")
_T = TypeVar("_T")
_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that a column of whole numbers holds."""


class Kept(Generic[_T]):
    """What a row tells that is worked out once, when it is first asked for."""

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self._make, self._name, self.__doc__ = make, make.__name__, make.__doc__

    def __get__(self, row: Any, _: object = None) -> _T:
        told: _T
        row.__dict__[self._name] = told = self._make(row)
        return told


class AnswerRow(msgspec.Struct, dict=True):
    """One answer inside a row."""

    text: msgspec.Raw = _NULL
    token_ids: msgspec.Raw = _NULL
    finish_reason: str | None = None
    latency_s: float | None = None
    attempts: _Whole | None = None
    prompt_tokens: _Whole | None = None
    cached_tokens: _Whole | None = None
    cached_earlier: _Whole | None = None
    score: float | None = None
    label: str | None = None
    likely: msgspec.Raw = _NULL
    score_evidence: msgspec.Raw = _NULL

    @Kept
    def said(self) -> bytes:
        """Its text as it stands in the line."""
        return bytes(self.text)

    @Kept
    def ids(self) -> bytes:
        """Its token ids as they stand in the line."""
        return bytes(self.token_ids)

    @Kept
    def tokens(self) -> int:
        """How many it has; -1 where its ids are not recorded."""
        if self.ids == b"null":
            return -1
        return self.ids.count(b",") + (self.ids.strip(b"[ ]") != b"")


class AskingsRow(msgspec.Struct, gc=False, frozen=True):
    """The other askings inside a row."""

    S1: AnswerRow | None = None
    S2: AnswerRow | None = None
    B2: AnswerRow | None = None


class CompanionRow(msgspec.Struct, gc=False):
    """Another prompt of the batch, what it was answered there and how that ended."""

    key: str
    response_hash: str
    finish_reason: str | None = None
    cached_tokens: int | None = None
    degenerate: bool | None = None


_ASKINGS = tuple(Asking)
_Companions = tuple[CompanionRow, ...] | None
_COMPANIONS = msgspec.json.Decoder(_Companions)
_Group = tuple[str | int, ...] | None
_GROUP = msgspec.json.Decoder(_Group)
_SAMPLING = msgspec.json.Decoder(Sampling | None)
_EVIDENCE = msgspec.json.Decoder(Evidence | None)
_LIKELY = msgspec.json.Decoder(tuple[Choice, ...] | None)
_OF_IDS = b"0123456789-, \t\r\n"
"""What stands between the brackets of a list of token ids."""


class RequiredRow(msgspec.Struct):
    """The columns that every line has."""

    model: str
    task_name: str
    sample_id: str | int
    batch_size: _Whole
    dispatch_mode: str
    phase: str | int | None
    domain: str | None
    original_direction: str | None
    mode: Mode
    status: Status
    solo_score: float | None
    batch_score: float | None
    solo_response_hash: str | None
    batch_response_hash: str | None


class FlatRow(RequiredRow, gc=False, forbid_unknown_fields=True):
    """A line that has the required columns and no other."""


class Row(RequiredRow, dict=True):
    """One line of a records file, as far as the frame holds it (see `Record`)."""

    schema_version: _Whole = UNSEALED
    run_id: str | None = None
    record_id: str | None = None
    hf_id: str | None = None
    error: msgspec.Raw = _NULL
    prompt_sha256: str | None = None
    group: msgspec.Raw = _NULL
    target_index: _Whole | None = None
    solo_label: str | None = None
    batch_label: str | None = None
    label_flip: bool | None = None
    text_change: bool | None = None
    score_profile: str | None = None
    sampling: msgspec.Raw = _NULL
    solo: AnswerRow | None = None
    batched: AnswerRow | None = None
    pattern: str | None = None
    askings: AskingsRow = AskingsRow()
    companions: msgspec.Raw = _NULL
    warmed: _Whole | None = None
    start: _Whole | None = None
    witness: Witnesses | None = None
    solo_repeats: tuple[AnswerRow, ...] | None = None
    batched_repeats: tuple[AnswerRow, ...] | None = None

    @property
    def key(self) -> RecordKey:
        """The candidate."""
        sample = str(self.sample_id)
        return self.model, self.task_name, sample, self.batch_size, self.dispatch_mode

    @property
    def is_of_schema_1(self) -> bool:
        """Whether it has repeats and not askings, by its version or by its keys."""
        has_repeats = self.solo_repeats or self.batched_repeats
        return self.schema_version < UNSEALED or bool(has_repeats)

    @Kept
    def asked(self) -> list[tuple[Asking, AnswerRow]]:
        """Each asking of the row that is recorded, with its answer."""
        told = self.askings
        answers = (self.solo, told.S1, self.batched, told.B2, told.S2)
        return [(asking, one) for asking, one in zip(_ASKINGS, answers, strict=True) if one]

    @Kept
    def told(self) -> list[tuple[bytes, bytes]]:
        """The distinct texts of its askings with their tokens, as they stand in the line."""
        told = [(one.said, one.ids) for _, one in self.asked]
        if told and told.count(told[0]) == len(told):
            return told[:1]
        return [*dict.fromkeys(told)]

    @Kept
    def told_companions(self) -> tuple[CompanionRow, ...] | None:
        """The other prompts of its batch, ``None`` where they are not recorded, or are none."""
        return _told(self.companions, _COMPANIONS)

    @Kept
    def told_group(self) -> tuple[str | int, ...] | None:
        """The prompts of its batch, ``None`` where they are not recorded, or are no list of any."""
        return _told(self.group, _GROUP)

    def endings(self) -> set[str | None]:
        """The finish reasons of its own answers, ``None`` among them where one is not recorded."""
        told, old = self.askings, (*(self.solo_repeats or ()), *(self.batched_repeats or ()))
        answers = (self.solo, self.batched, told.S1, told.S2, told.B2, *old)
        return {one.finish_reason for one in answers if one}


def _told(raw: msgspec.Raw, decoder: msgspec.json.Decoder[_T | None]) -> _T | None:
    if bytes(raw) == b"null":
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError):
        return None


@lru_cache(512)
def _is_of(raw: bytes, decoder: msgspec.json.Decoder[Any]) -> bool:
    try:
        decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError):
        return False
    return True


def _looks_like_a_record(row: Row) -> bool:
    """Whether all that stays undecoded in a row is plainly of a record's types.

    Where it is not, `decode_record` has the word.
    """
    for raw, told in ((row.group, row.told_group), (row.companions, row.told_companions)):
        if told is None and bytes(raw) != b"null":
            return False
    answers = [one for _, one in row.asked]
    if row.solo_repeats or row.batched_repeats:
        answers += (*(row.solo_repeats or ()), *(row.batched_repeats or ()))
    return _is_of(bytes(row.sampling), _SAMPLING) and all(map(_is_answer, answers))


def _is_answer(one: AnswerRow) -> bool:
    said = one.said
    return (
        (said[:1] == b'"' or said == b"null")
        and one.ids.translate(None, _OF_IDS) in (b"[]", b"null")
        and _is_of(bytes(one.score_evidence), _EVIDENCE)
        and (bytes(one.likely) == b"null" or _is_of(bytes(one.likely), _LIKELY))
    )


_DECODER = msgspec.json.Decoder(Row)


def decode_row(line: bytes) -> Row:
    """Read one line, by the rules of `decode_record`.

    Raises:
        LineFault, msgspec.ValidationError: the line is no record; the message says what and where.
    """
    if not is_sealed(line):
        decode_record(line)
    try:
        row = _DECODER.decode(line)
    except msgspec.DecodeError:
        plain = json.dumps(value_of(line), ensure_ascii=False)
        row = _DECODER.decode(plain.encode("utf-8", "surrogatepass"))
    if not _looks_like_a_record(row):
        decode_record(line)
    return row


_FLAT = msgspec.json.Decoder(FlatRow)
_REQUIRED = len(FlatRow.__struct_fields__)


def decode_flat(block: bytes, lines: int) -> dict[str, tuple[Any, ...]] | None:
    """The columns of a block of lines with the required ones alone and a hash of each answer.

    ``None`` where any line is another. Every line begins and ends in a brace, so a value ends where
    its line does; no colon has a blank before it, so every key counts; and there are no more keys
    than each must have, so none twice.
    """
    try:
        rows = _FLAT.decode_lines(block)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    signs = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(signs[:-1] == ord("\n"))
    before = signs[np.flatnonzero(signs == ord(":")) - 1]
    apart = len(rows) == lines == len(ends) + 1 and signs[0] == ord("{")
    apart = apart and np.all(signs[ends - 1] == ord("}")) and np.all(signs[ends + 1] == ord("{"))
    once = np.count_nonzero(before == ord('"')) == lines * _REQUIRED and before.min() > ord(" ")
    if not (apart and once):
        return None
    columns = dict(
        zip(FlatRow.__struct_fields__, zip(*map(astuple, rows), strict=True), strict=True)
    )
    hashes = columns["solo_response_hash"], columns["batch_response_hash"]
    return None if any(None in column for column in hashes) else columns


def decode_rows(lines: list[bytes]) -> list[Row] | None:
    """Read many lines at once; ``None`` where any needs a closer look."""
    try:
        if not all(map(is_sealed, lines)):
            return list(map(decode_row, lines))
        rows = list(map(_DECODER.decode, lines))
        return rows if all(map(_looks_like_a_record, rows)) else None
    except (LineFault, msgspec.MsgspecError, UnicodeError):
        return None


class AsideRow(msgspec.Struct, gc=False):
    """A record that was set aside, as far as it tells whether its batch changed its answer."""

    model: str
    task_name: str
    sample_id: str | int
    batch_size: _Whole
    dispatch_mode: str
    mode: Mode
    status: Status
    start: _Whole | None = None
    batched: AnswerRow | None = None
    askings: AskingsRow | None = None

    @property
    def key(self) -> RecordKey:
        """The candidate."""
        sample = str(self.sample_id)
        return self.model, self.task_name, sample, self.batch_size, self.dispatch_mode

    @property
    def changed(self) -> bool:
        """Whether B has another text than S1."""
        again = self.askings.S1 if self.askings else None
        return bool(again and self.batched and again.said != self.batched.said)
