"""What a server says to a completion, read into answers; and what is said where it cannot be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any

import msgspec

from harness.hostile import shaped
from harness.records import Answer, Likely

_TOKEN_ID = re.compile(r"token_id:([0-9]{1,10})")
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Id = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class RequestFailed(Exception):
    """One attempt failed.

    Attributes:
        retryable: whether the same request may be sent again.
        after_s: how long the server asks to wait before that, in seconds.
    """

    def __init__(self, message: str, *, retryable: bool, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and what the server said of the prompt itself.

    Attributes:
        answer: its ``cached_tokens`` are of this prompt alone, or not known.
        prompt_ids: the prompt's tokens; ``None`` where the server does not return them.
        request_tokens: prompt tokens of the whole request; ``None`` where it does not say.
    """

    answer: Answer
    prompt_ids: tuple[int, ...] | None = None
    request_tokens: int | None = None


class _Details(msgspec.Struct):
    cached_tokens: _Count | None = None


class _Usage(msgspec.Struct):
    """What a completion says of its prompts."""

    prompt_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None

    def cached(self, *, zero_left_out: bool) -> int | None:
        """Tokens from the prefix cache; a missing number is a 0 only where one is left out."""
        details = self.prompt_tokens_details
        said = details.cached_tokens if details else None
        return 0 if said is None and zero_left_out and self.prompt_tokens is not None else said


class _Likely(msgspec.Struct):
    """At each token of an answer the likeliest ones, by ``token_id:N``."""

    top_logprobs: tuple[dict[str, float | None] | None, ...] | None = None

    def choices(self) -> tuple[tuple[Likely, ...], ...] | None:
        """Those with an id and a number, the likeliest first; two a place are kept."""
        if self.top_logprobs is None:
            return None
        found = []
        for place in self.top_logprobs:
            told = (
                Likely(int(id_[1]), value)
                for name, value in (place or {}).items()
                # a token that is ruled out has minus infinity, which is no number of JSON
                if value is not None and isfinite(value) and (id_ := _TOKEN_ID.fullmatch(name))
            )
            found.append(tuple(sorted(told, key=lambda one: (-one.logprob, one.token))[:2]))
        return tuple(found)


class _Choice(msgspec.Struct):
    index: int
    text: str
    finish_reason: str | None = None
    token_ids: tuple[_Id, ...] | None = None
    prompt_token_ids: tuple[_Id, ...] | None = None
    logprobs: _Likely | None = None


class _Completion(msgspec.Struct):
    """An answer of ``/v1/completions``; a usage of another shape says nothing of the cache."""

    choices: tuple[_Choice, ...]
    usage: Any = None

    @property
    def told(self) -> _Usage:
        """What it says of its prompts."""
        try:
            return shaped(self.usage, _Usage)
        except msgspec.ValidationError:
            return _Usage()


class _Token(msgspec.Struct):
    token: str
    logprob: float | None = None


class _Place(_Token):
    top_logprobs: tuple[_Token, ...] = ()


class _ChatLikely(msgspec.Struct):
    content: tuple[_Place, ...] | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _ChatChoice(msgspec.Struct):
    index: int
    message: _Message
    finish_reason: str | None = None
    token_ids: tuple[_Id, ...] | None = None
    logprobs: _ChatLikely | None = None


class _Chat(msgspec.Struct):
    """An answer of ``/v1/chat/completions``; what it says beside ``content`` is left out."""

    choices: tuple[_ChatChoice, ...]
    usage: Any = None
    prompt_token_ids: tuple[_Id, ...] | None = None

    def completion(self) -> _Completion:
        """The same as a completion."""
        return _Completion(tuple(map(self._choice, self.choices)), self.usage)

    def _choice(self, choice: _ChatChoice) -> _Choice:
        said, told = choice.message.content or "", choice.logprobs and choice.logprobs.content
        places = [{one.token: one.logprob for one in place.top_logprobs} for place in told or ()]
        likely = _Likely(tuple(places)) if places else None
        ids = choice.token_ids, self.prompt_token_ids
        return _Choice(choice.index, said, choice.finish_reason, *ids, likely)


def replies(
    said: object, count: int, latency: float, *, zero_left_out: bool, chat: bool = False
) -> tuple[Reply, ...]:
    """The reply to each of ``count`` prompts of one request, in their order.

    ``chat`` says that the chat endpoint was asked, whose answers have another shape.

    Raises:
        RequestFailed: it is no completion, or not of as many prompts.
    """
    try:
        completion = shaped(said, _Chat).completion() if chat else shaped(said, _Completion)
    except msgspec.ValidationError as error:
        raise RequestFailed(f"the answer is not a completion: {error}", retryable=False) from error
    by_index = {choice.index: choice for choice in completion.choices}
    if len(completion.choices) != count or set(by_index) != set(range(count)):
        raise RequestFailed(
            f"asked for {count} prompts, got choices with indices "
            f"{sorted(choice.index for choice in completion.choices)}",
            retryable=False,
        )
    usage = completion.told
    # of a list the usage holds the last prompt's tokens only
    cached = usage.cached(zero_left_out=zero_left_out) if count == 1 else None
    return tuple(
        Reply(
            Answer(
                text=choice.text,
                token_ids=choice.token_ids,
                finish_reason=choice.finish_reason,
                latency_s=round(latency, 6),
                prompt_tokens=usage.prompt_tokens
                if count == 1
                else len(choice.prompt_token_ids)
                if choice.prompt_token_ids
                else None,
                cached_tokens=cached,
                likely=choice.logprobs.choices() if choice.logprobs else None,
            ),
            choice.prompt_token_ids,
            usage.prompt_tokens,
        )
        for choice in map(by_index.__getitem__, range(count))
    )
