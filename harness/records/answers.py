"""What one record's answers tell: where they part, how repeats agree, whether they are whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from harness.flips import score_state
from harness.records.columns import Change
from harness.records.record import first_difference, text_hash
from harness.records.wire import AnswerWire, RecordWire, decode_text, decode_tokens

_UNFINISHED = frozenset({"abort", "error"})


class Repeats(NamedTuple):
    """Repeats of one answer: how many, with another text, with another label."""

    repeats: int
    text_changes: int
    label_flips: int


def change(row: RecordWire) -> Change:
    """Where the batched answer of a row leaves its solo answer."""
    char = token = None
    if row.solo is not None and row.batched is not None:
        solo, batched = decode_text(row.solo.text), decode_text(row.batched.text)
        if solo is not None and batched is not None:
            char = first_difference(solo, batched)
        ids = decode_tokens(row.solo.token_ids), decode_tokens(row.batched.token_ids)
        if ids[0] is not None and ids[1] is not None:
            token = first_difference(ids[0], ids[1])
    return Change(row.record_id, char, token)


def count_repeats(first: AnswerWire | None, repeats: Sequence[AnswerWire] | None) -> Repeats:
    """Compare repeats with the first answer of the same condition."""
    if first is None or not repeats:
        return Repeats(0, 0, 0)
    state = score_state(first.score, first.label)
    changes = sum(not _same_text(first.text, repeat.text) for repeat in repeats)
    flips = sum(score_state(repeat.score, repeat.label) != state for repeat in repeats)
    return Repeats(len(repeats), changes, flips)


def is_unfinished(answer: AnswerWire | None) -> bool:
    """Whether the server gave the answer up (``abort``, ``error``)."""
    return answer is not None and answer.finish_reason in _UNFINISHED


def text_has_hash(answer: AnswerWire | None, recorded: str | None) -> bool | None:
    """Whether the text has the recorded SHA-256; ``None`` where either is not recorded."""
    if answer is None or recorded is None:
        return None
    text = decode_text(answer.text)
    if text is None:
        return None
    return text_hash(text) == recorded


def error_text(raw: msgspec.Raw) -> str:
    """The error of a record, as one text."""
    value = json.loads(bytes(raw))
    if value is None:
        return "no error text recorded"
    return value if isinstance(value, str) else json.dumps(value)


def _same_text(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    left, right = bytes(one), bytes(other)
    return left == right or bool(json.loads(left) == json.loads(right))
