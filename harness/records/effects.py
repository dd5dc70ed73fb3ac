"""What the askings of one row show, worked out where the row's texts are still undecoded bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from math import inf
from typing import NamedTuple

import msgspec

from harness.flips import ScoreState, score_state
from harness.records.answers import REPEATED, repeats, text_hash
from harness.records.rows import AnswerRow, Row
from harness.words import Asking, DispatchMode, Effect, Pattern, Status, pattern_of

_UNKNOWN = -1
_TEXT = msgspec.json.Decoder(str)
_COMPARED = tuple(effect.askings for effect in Effect)
Repeats = tuple[int, int, int]
"""Answers to the same asked again: how many, with another text, with another label."""
_NO_REPEATS: Repeats = (0, 0, 0)


class Shown(NamedTuple):
    """The pattern, what differs for each effect, and what either side showed when asked again.

    Attributes:
        pattern: ``None`` where an asking is missing.
        effects: text and label of each `Effect`: 1 another, 0 the same, -1 an asking is missing.
        solo, batched: answers to the same question, with nothing changed but time.
    """

    pattern: Pattern | None
    effects: tuple[int, ...]
    solo: Repeats
    batched: Repeats


NOTHING_SHOWN = Shown(None, (_UNKNOWN,) * (2 * len(Effect)), _NO_REPEATS, _NO_REPEATS)
_ALL_THE_SAME = Shown(Pattern.SAME, (0,) * (2 * len(Effect)), (1, 0, 0), _NO_REPEATS)


def shown(row: Row) -> Shown:
    """What a row's askings show; nothing unless it is ok and more than S0 and B are there.

    Nothing changed but time between S1 and S2, and between B and B2. A row of schema 1 has repeats
    instead: all are set against the first answer, and the first solo one is S1, asked after B.
    """
    if row.status is not Status.OK:
        return NOTHING_SHOWN
    if row.solo_repeats or row.batched_repeats:
        s1 = row.solo_repeats[0] if row.solo_repeats else None
        solo = _again(row.solo, row.solo_repeats or ())
        batched = _again(row.batched, row.batched_repeats or ())
        return Shown(None, _Asked(row, s1, None).effects(), solo, batched)
    told = row.askings
    if not (told.S1 or told.S2 or told.B2):
        return NOTHING_SHOWN
    if _all_the_same(row):
        return _ALL_THE_SAME
    asked = _Asked(row, told.S1, told.S2)
    solo = _again(told.S1, (told.S2,) if told.S2 else ())
    batched = _again(row.batched, (told.B2,) if told.B2 else ())
    return Shown(asked.pattern(), asked.effects(), solo, batched)


def _all_the_same(row: Row) -> bool:
    """Whether S0, S1, B and S2 are there, and no more, with one text and one judgement."""
    told = row.askings
    answers = (row.solo, told.S1, row.batched, told.S2)
    if told.B2 or None in answers:
        return False
    texts = {said for said, _ in row.told}
    states = {_state(told.S1), _state(told.S2), score_state(row.solo_score, row.solo_label)}
    states.add(score_state(row.batch_score, row.batch_label))
    return len(texts) == 1 == len(states) and texts != {b"null"}


def witnessed(row: Row) -> tuple[bool, bool, bool]:
    """Whether every asking has a witness, whether one is vacuous, and whether B mixed its steps.

    Vacuous: a batch whose requests never shared an engine step, or a solo asking that did share
    one. A batch mixes where a step held a prefill beside running decodes.
    """
    seen, told = row.witness, row.askings
    if seen is None:
        return False, False, False
    asked = (True, True, told.S1, told.S2)
    askings = [w for w, a in zip((seen.S0, seen.B, seen.S1, seen.S2), asked, strict=True) if a]
    batches = [one for one in (seen.B, seen.B2) if one and one.source]
    alone = [one for one in (seen.S0, seen.S1, seen.S2) if one and one.source]
    vacuous = not all(one.shared for one in batches) or any(one.shared for one in alone)
    whole = all(one and one.source for one in askings)
    if row.dispatch_mode == DispatchMode.GATED:  # admitted in one step, or nobody knows
        whole &= all(one.admitted_first_step is not None for one in batches)
    return whole, vacuous, any(b.mixed_steps for b in batches)


class Meeting(NamedTuple):
    """What the counts of a row's batches say of how much its prompt met the others.

    Of two batches, the one that shared fewer steps.

    Attributes:
        shared_steps, lone_steps: steps in which two requests or more decoded, and the other steps.
        tokens: of the prompt's answer in it; -1 where they are not recorded.
        at_once: whether the first step admitted the whole batch.
    """

    shared_steps: float = 0.0
    lone_steps: float = inf
    tokens: int = _UNKNOWN
    at_once: bool = False


def meeting(row: Row) -> Meeting:
    """How much a row's prompt met the others; nothing is sure without a witness of its batches."""
    seen = row.witness
    pairs = ((seen.B, row.batched), (seen.B2, row.askings.B2)) if seen else ()
    met = [
        Meeting(
            share * witness.steps,
            (1 - share) * witness.steps,
            answer.tokens,
            witness.admitted_first_step == row.batch_size,
        )
        for witness, answer in pairs
        if witness and answer and witness.steps is not None
        if (share := witness.shared_decode_share) is not None
    ]
    return min(met, default=Meeting())


def cached_of(row: Row) -> str:
    """What each asking found in the cache, and the companions: one word, a list as JSON has it."""
    told = row.askings
    found = [
        one.cached_tokens if one else None
        for one in (row.solo, told.S1, row.batched, told.B2, told.S2)
    ]
    own = ",".join(["null" if one is None else str(one) for one in found])
    others = b",".join([b"", *_CACHED.findall(bytes(row.companions))]).decode()
    return f"[{own}{others}]"


_CACHED = re.compile(rb'"cached_tokens": ?(null|\d+)')


class _Asked:
    """The hash and the judgement of each asking of a row."""

    def __init__(self, row: Row, s1: AnswerRow | None, s2: AnswerRow | None) -> None:
        hashes = {
            Asking.S0: _hash(row.solo) or row.solo_response_hash,
            Asking.S1: _hash(s1),
            Asking.B: _hash(row.batched) or row.batch_response_hash,
            Asking.S2: _hash(s2),
        }
        self._hashes = hashes
        self._states = {
            Asking.S0: score_state(row.solo_score, row.solo_label),
            Asking.S1: _state(s1),
            Asking.B: score_state(row.batch_score, row.batch_label),
            Asking.S2: _state(s2),
        }

    def pattern(self) -> Pattern | None:
        """Of all four, where they are there."""
        hashes = self._hashes.values()
        return None if None in hashes else pattern_of(*hashes)

    def effects(self) -> tuple[int, ...]:
        """Text and label of each effect."""
        found: list[int] = []
        for one, other in _COMPARED:
            if None in (self._hashes[one], self._hashes[other]):
                found += (_UNKNOWN, _UNKNOWN)
            else:
                found.append(self._hashes[one] != self._hashes[other])
                found.append(self._states[one] != self._states[other])
        return tuple(found)


@lru_cache(64)  # most askings of a row have one text
def raw_hash(raw: bytes) -> str | None:
    """The hash of a text as it stands in its file; ``None`` where it is no text."""
    if raw.startswith(b'"') and b"\\" not in raw:
        return sha256(raw[1:-1]).hexdigest()
    try:
        text = _TEXT.decode(raw)
    except (msgspec.MsgspecError, UnicodeError):  # no text, or half of a surrogate pair
        text = json.loads(raw)
    return text_hash(text) if isinstance(text, str) else None


def _hash(answer: AnswerRow | None) -> str | None:
    return None if answer is None else raw_hash(answer.said)


def _state(answer: AnswerRow | None) -> ScoreState:
    return (None, None) if answer is None else score_state(answer.score, answer.label)


def _again(first: AnswerRow | None, repeats: Sequence[AnswerRow]) -> Repeats:
    """Repeats of one answer: how many, with another text, with another label."""
    if first is None or not repeats:
        return _NO_REPEATS
    text, state = first.said, _state(first)
    changes = flips = 0
    for repeat in repeats:
        again = repeat.said
        changes += again != text and json.loads(again) != json.loads(text)
        flips += _state(repeat) != state
    return len(repeats), changes, flips


def told_of(row: Row) -> tuple[int, int, bool, bool, bool, bool]:
    """Of a row's answers: tokens compared, whether the cache moved, degenerate, and tokens moved.

    Tokens compared are those of the shorter of S0 and B, -1 unless both have ids. Tokens moved: by
    the batch, by the cache and by time, in the order of `Effect`.
    """
    told = row.told
    idle = any(_degenerate(*one) for one in told)
    if row.solo is None or row.batched is None:
        return -1, -1, idle, False, False, False
    tokens = row.solo.tokens if len(told) == 1 else min(row.solo.tokens, row.batched.tokens)
    moved = retokenized(row) if len(told) > 1 else ()
    batch, cache, noise = (effect in moved for effect in Effect)
    return tokens, _cache_moved(row), idle, batch, cache, noise


def effect_tokens(row: Row) -> tuple[int, int, int]:
    """Tokens of the shorter answer of each effect's two; -1 where one of them is not recorded."""
    s1 = row.solo_repeats[0] if row.solo_repeats else row.askings.S1
    if s1 is None:
        return -1, -1, -1
    again, batched, solo, s2 = s1.tokens, row.batched, row.solo, row.askings.S2
    return (
        min(again, batched.tokens) if batched else -1,
        min(again, solo.tokens) if solo else -1,
        min(again, s2.tokens) if s2 else -1,
    )


def retokenized(row: Row) -> list[Effect]:
    """What moved the tokens of a text that stayed: a change that no text shows.

    Of the batch: B has other token ids than S1 (than S0 where S1 was not asked), or than B2.
    """
    if len(row.told) < 2:
        return []
    told = row.askings
    alone = told.S1 or row.solo
    pairs = {
        Effect.BATCH: ((alone, row.batched), (row.batched, told.B2)),
        Effect.CACHE: ((row.solo, told.S1),),
        Effect.NOISE: ((told.S1, told.S2),),
    }
    return [e for e in Effect if any(_other_ids(*pair) for pair in pairs[e])]


def _other_ids(one: AnswerRow | None, other: AnswerRow | None) -> bool:
    if one is None or other is None or one.said != other.said or one.ids == other.ids:
        return False
    ids = one.ids, other.ids
    return b"null" not in ids and json.loads(ids[0]) != json.loads(ids[1])


_BLANK = re.compile(rb'"(?:\s|\\[nrtfb]|\\u00(?:[01]\w|20|a0))*"')


def _degenerate(text: bytes, ids: bytes) -> bool:
    """What `Answer.degenerate` says, without decoding more than an answer's beginning."""
    if _BLANK.fullmatch(text):
        return True
    if ids == b"null":
        said = json.loads(text) if len(text) > REPEATED else ""
        return repeats((said or "")[: 4 * REPEATED])
    first = ids[1 : 12 * REPEATED].rstrip(b"] ").split(b",", REPEATED)[:REPEATED]
    return repeats([token.strip() for token in first])


def _cache_moved(row: Row) -> int:
    """Whether B found another number of its prompt's tokens in the cache than S1: 1, 0, else -1.

    A prompt list tells what its prompts took together, so there it is not known.
    """
    alone, batched = row.askings.S1, row.batched
    if alone is None or batched is None or row.dispatch_mode == DispatchMode.PROMPT_LIST:
        return -1
    one, other = alone.cached_tokens, batched.cached_tokens
    return -1 if one is None or other is None else int(one != other)
