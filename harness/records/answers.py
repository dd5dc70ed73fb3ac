"""What one prompt was answered in each of its askings, and what is known of how it was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Literal

from msgspec import Struct

from harness.flips import ScoreState, score_state
from harness.records.divergence import Choice
from harness.words import Asking

FINISHED = frozenset({"stop", "length"})
"""How an answer ends that is whole: by itself, or at ``max_tokens``."""


REPEATED = 16
"""Tokens at an answer's beginning that are no answer where they only repeat."""
_PERIODS = range(1, 5)
_ASKINGS = tuple(Asking)


def repeats(first: Sequence[object]) -> bool:
    """Whether an answer's first `REPEATED` tokens are one to four tokens over and over."""
    return len(first) >= REPEATED and any(
        first[n] == first[0] and first[n:] == first[:-n] for n in _PERIODS
    )


def text_hash(text: str) -> str:
    """SHA-256 of an answer, half a surrogate pair included."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


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
        prompt_tokens: tokens of the prompt; ``None`` where the server does not tell them.
        cached_tokens: prompt tokens that the server took from its prefix cache. Where it tells no
            more (a prompt list) those of the whole asking; ``None`` where it is not known.
        cached_earlier: of the whole asking's prompt tokens, those that none of its own requests
            computed: an earlier asking left them. ``None`` where it is not known.
        likely: the likeliest tokens at each place; ``None`` unless ``request.logprobs`` asked for
            them, which it does of every asking alike.
        score, label: the scorer's verdict.
        score_evidence: its reasons.
    """

    text: str | None = None
    token_ids: tuple[int, ...] | None = None
    finish_reason: str | None = None
    latency_s: float | None = None
    attempts: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    cached_earlier: int | None = None
    likely: tuple[Choice, ...] | None = None
    score: float | None = None
    label: str | None = None
    score_evidence: Evidence | None = None

    @property
    def state(self) -> ScoreState:
        """What a flip compares."""
        return score_state(self.score, self.label)

    @property
    def response_hash(self) -> str | None:
        """SHA-256 of the text; ``None`` where there is none."""
        return None if self.text is None else text_hash(self.text)

    @property
    def degenerate(self) -> bool:
        """Whether it is empty, or begins as a few tokens (else characters) over and over."""
        text, ids = self.text or "", self.token_ids
        return not text.strip() or repeats(text[: 4 * REPEATED] if ids is None else ids[:REPEATED])


class Askings(Struct, frozen=True):
    """The answers of a row beside ``solo`` (S0) and ``batched`` (B); ``None``: not asked.

    Attributes:
        S1: alone again, before B; in records of schema 1 it was asked after B.
        S2: alone once more, after every batch.
        B2: in the same batch once more.
    """

    S1: Answer | None = None
    S2: Answer | None = None
    B2: Answer | None = None


class Companion(Struct, frozen=True):
    """Another prompt of B and how it was answered there.

    Attributes:
        key: its id, as it stands in the record's ``group``.
        response_hash: of its answer's text.
        finish_reason, cached_tokens, degenerate: as in `Answer`; ``None`` where not recorded.
    """

    key: str
    response_hash: str
    finish_reason: str | None = None
    cached_tokens: int | None = None
    degenerate: bool | None = None


class Witness(Struct, frozen=True):
    """How the engine worked through the requests of one asking; ``None`` where it is not known.

    Attributes:
        steps: engine steps that had part in it.
        admitted_first_step: its requests that the first of them admitted.
        shared_decode_share: of its decode steps, the share that had two requests or more.
        mixed_steps: steps that held prefill and decode together.
        split_prefills: pieces of prompts beyond one a request: more than none where a prompt was
            longer than what a step had left.
        largest_step: tokens of the largest of its steps.
        source: what was read: the iteration log, or the server's metrics, which give ``steps`` and
            ``shared_decode_share`` alone. ``None``: no witness.
    """

    steps: int | None = None
    admitted_first_step: int | None = None
    shared_decode_share: float | None = None
    mixed_steps: int | None = None
    split_prefills: int | None = None
    largest_step: int | None = None
    source: Literal["log", "metrics"] | None = None

    @property
    def shared(self) -> bool:
        """Whether two requests are seen in one step."""
        many = (self.admitted_first_step or 0) > 1
        return many or bool(self.shared_decode_share) or bool(self.mixed_steps)

    @property
    def alone(self) -> bool:
        """Whether its steps are known and none of them held two requests."""
        return self.source is not None and not self.shared


class Witnesses(Struct, frozen=True):
    """The witness of each asking of a row; ``None`` where nothing was looked for."""

    S0: Witness | None = None
    S1: Witness | None = None
    B: Witness | None = None
    B2: Witness | None = None
    S2: Witness | None = None

    def each(self) -> Iterator[tuple[Asking, Witness]]:
        """Each asking that has one."""
        for asking, seen in zip(
            _ASKINGS, (self.S0, self.S1, self.B, self.B2, self.S2), strict=True
        ):
            if seen is not None:
                yield asking, seen
