"""A record as it stands in a file: only the fields that the analysis reads.

msgspec decodes these and steps over everything else, so a record with long answers costs its
length once and no memory. Answers' texts stay undecoded bytes (`msgspec.Raw`) until needed.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from harness.words import Mode, Status

__all__ = [
    "AnswerWire",
    "RecordWire",
    "decode_lines",
    "decode_record",
    "decode_text",
    "decode_tokens",
]

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


def decode_record(line: bytes) -> RecordWire:
    """Read one line.

    What Python's own writer may have put there and JSON does not know (``NaN`` for a missing
    score, ``8.0`` for a batch size, half a surrogate pair) is accepted.

    Raises:
        msgspec.MsgspecError: the line is no record; the message says what and where.
    """
    try:
        return _FAST.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        tolerant = _tolerant(line)
        if tolerant is None:
            raise
        try:
            return _FAST.decode(tolerant)
        except msgspec.DecodeError as second:
            raise second from error


def decode_lines(lines: list[bytes]) -> list[RecordWire] | None:
    """Read many lines at once; ``None`` where any needs a closer look."""
    try:
        return list(map(_FAST.decode, lines))
    except (msgspec.MsgspecError, UnicodeError):
        return None


def _tolerant(line: bytes) -> bytes | None:
    try:
        row: Any = json.loads(line, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    if isinstance(row, dict):
        size = row.get("batch_size")
        if isinstance(size, float) and size.is_integer():
            row["batch_size"] = int(size)
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")


def decode_text(raw: msgspec.Raw) -> str | None:
    """The text of an answer, or ``None`` where the record has none."""
    value = json.loads(bytes(raw))
    return value if isinstance(value, str) else None


def decode_tokens(raw: msgspec.Raw) -> list[int] | None:
    """The token ids of an answer, or ``None`` where the record has none."""
    value = json.loads(bytes(raw))
    return value if isinstance(value, list) else None
