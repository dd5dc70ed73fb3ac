"""A record as it stands in a file: only the fields that the analysis reads.

msgspec decodes these and steps over everything else, so a record with long answers costs its
length once and no memory. Answers' texts stay undecoded bytes (`msgspec.Raw`) until needed.
"""

from __future__ import annotations

import json

import msgspec

from harness.records.record import tolerant
from harness.words import Mode, Status

NULL = msgspec.Raw(b"null")
Score = float | None


class AnswerWire(msgspec.Struct, gc=False):
    """One answer inside a record."""

    text: msgspec.Raw = NULL
    token_ids: msgspec.Raw = NULL
    finish_reason: str | None = None
    latency_s: float | None = None
    attempts: int | None = None
    score: Score = None
    label: str | None = None


class RecordWire(msgspec.Struct, gc=False):
    """One line of a records file; the fields without a default are the required columns."""

    model: str
    task_name: str
    sample_id: str | int
    batch_size: int
    dispatch_mode: str
    phase: str | int | None
    domain: str | None
    original_direction: str | None
    mode: Mode
    status: Status
    solo_score: Score
    batch_score: Score
    solo_response_hash: str | None
    batch_response_hash: str | None
    schema_version: int = 1
    run_id: str | None = None
    record_id: str | None = None
    hf_id: str | None = None
    error: msgspec.Raw = NULL
    prompt_sha256: str | None = None
    group: msgspec.Raw = NULL
    target_index: int | None = None
    solo_label: str | None = None
    batch_label: str | None = None
    label_flip: bool | None = None
    text_change: bool | None = None
    score_profile: str | None = None
    sampling: msgspec.Raw = NULL
    solo: AnswerWire | None = None
    batched: AnswerWire | None = None
    solo_repeats: tuple[AnswerWire, ...] | None = None
    batched_repeats: tuple[AnswerWire, ...] | None = None


_FAST = msgspec.json.Decoder(RecordWire)


def decode_row(line: bytes) -> RecordWire:
    """Read one line.

    Raises:
        msgspec.MsgspecError: the line is no record; the message says what and where.
    """
    try:
        return _FAST.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        try:
            row = tolerant(line)
        except (ValueError, RecursionError):
            raise error from None
        return _FAST.decode(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))


def decode_lines(lines: list[bytes]) -> list[RecordWire] | None:
    """Read many lines at once; ``None`` where any needs a closer look."""
    try:
        return list(map(_FAST.decode, lines))
    except (msgspec.MsgspecError, UnicodeError):
        return None


def decode_text(raw: msgspec.Raw) -> str | None:
    """The text of an answer, or ``None`` where the record has none."""
    value = json.loads(bytes(raw))
    return value if isinstance(value, str) else None


def decode_tokens(raw: msgspec.Raw) -> list[int] | None:
    """The token ids of an answer, or ``None`` where the record has none."""
    value = json.loads(bytes(raw))
    return value if isinstance(value, list) else None
