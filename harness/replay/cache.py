"""What an asking may find in the server's prefix cache, and what it found there.

An asking is all that is sent together: one prompt alone, or a batch. A token of a prompt is *from
an earlier asking* when none of the asking's own requests with the same beginning computed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256

import httpx
from msgspec.structs import replace

from harness.prove import EngineMetrics, metrics_delta, read_metrics
from harness.records import Answer
from harness.replay.client import CompletionsClient
from harness.replay.completion import Reply, RequestFailed
from harness.words import CachePolicy

_RESET = "/reset_prefix_cache"
_SALT_LENGTH = 32
_LOOKS = 6
_LOOK_S = 0.05


class PrefixCache:
    """The server's prefix cache under one policy.

    Args:
        client: asks the server.
        policy: what a request may find there.
        salted_with: drawn for this one use of a server; salts are worked out from it.
        sleep: how to wait, in seconds.
    """

    def __init__(
        self,
        client: CompletionsClient,
        policy: CachePolicy = CachePolicy.SERVER_DEFAULT,
        *,
        salted_with: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._policy = CachePolicy(policy)
        self._salted_with = salted_with
        self._sleep = sleep
        self._untold = False

    def salt(self, asking: int, attempt: int, place: int = 0) -> str | None:
        """The ``cache_salt`` of one request, under ``salted``: no other request has the same.

        Args:
            asking: its number in the lifetime.
            attempt: of the asking; a second one may not find what the first one left.
            place: of the prompt among the asking's requests.
        """
        if self._policy is not CachePolicy.SALTED:
            return None
        text = f"{self._salted_with}/{asking}/{attempt}/{place}"
        return sha256(text.encode()).hexdigest()[:_SALT_LENGTH]

    async def before(self, *, as_list: bool) -> EngineMetrics | None:
        """Empty the cache where the policy says so; the counters, where only they will tell.

        Raises:
            RequestFailed: the server did not empty it.
        """
        if self._policy is CachePolicy.RESET:
            await self._reset()
        if as_list or self._untold:
            return read_metrics(await self._client.metrics())
        return None

    async def account(
        self, replies: Sequence[Reply], before: EngineMetrics | None, *, as_list: bool
    ) -> tuple[Answer, ...]:
        """The asking's answers with what each took from the cache.

        Args:
            replies: to every prompt of the asking.
            before: what `before` returned.
            as_list: whether they were one request.
        """
        prompts = [reply.prompt_ids for reply in replies]
        told = [reply.answer.cached_tokens for reply in replies]
        share = self._share(as_list=as_list)
        cached = [n or 0 for n in told]
        total: int | None = sum(cached)
        if None in told:
            self._untold = True
            total = await self._grown(before, _prompt_tokens(replies, as_list=as_list))
        if total == sum(cached):  # who says nothing had nothing
            earlier = left_by_earlier(prompts, cached, apart=not share)
            return tuple(
                replace(reply.answer, cached_tokens=n, cached_earlier=earlier)
                for reply, n in zip(replies, cached, strict=True)
            )
        shared = _shared_tokens(prompts) if share else 0
        earlier = None if total is None or shared is None else max(0, total - shared)
        return tuple(
            replace(reply.answer, cached_tokens=total, cached_earlier=earlier) for reply in replies
        )

    def _share(self, *, as_list: bool) -> bool:
        """Whether requests of one asking may find what another of them left."""
        if self._policy is CachePolicy.SALTED:
            return as_list
        return self._policy is not CachePolicy.OFF

    async def _grown(self, before: EngineMetrics | None, tokens: int | None) -> int | None:
        """Tokens that the asking took from the cache, by the server's counter.

        Known only where the server counted exactly the asking's own prompt tokens meanwhile: it may
        count a little later than it answers, and somebody else may be asking too.
        """
        if before is None or tokens is None:
            return None
        for look in range(_LOOKS):
            if look:
                await self._sleep(_LOOK_S)
            grown = metrics_delta(before, read_metrics(await self._client.metrics()))
            if grown.prompt_tokens == tokens and grown.prefix_cache_hits is not None:
                return int(grown.prefix_cache_hits)
        return None

    async def _reset(self) -> None:
        answer = await self._client.order(_RESET)
        if answer.status == httpx.codes.NOT_FOUND:
            raise RequestFailed(
                f"the server has no {_RESET}: it runs without VLLM_SERVER_DEV_MODE=1",
                retryable=False,
            )
        refused = "false" in answer.text  # from 0.26 on {"success": false}; before, the log alone
        if not answer.ok or refused:
            raise RequestFailed(
                f"the server did not empty its prefix cache: {answer}",
                retryable=True,
                after_s=answer.retry_after_s,
            )


def left_by_earlier(
    prompts: Sequence[tuple[int, ...] | None], cached: Sequence[int], *, apart: bool = False
) -> int | None:
    """Distinct prompt tokens that none of these requests computed; ``None`` if it cannot be told.

    Args:
        prompts: the tokens of each request's prompt.
        cached: how many of them came from the cache, counted from the first.
        apart: whether no request can find what another of them left.
    """
    if apart or len(cached) == 1 or not any(cached):
        return sum(cached)
    places: dict[tuple[int, int], int] = {}
    computed: set[int] = set()
    for ids, from_cache in zip(prompts, cached, strict=True):
        if ids is None:
            return None
        place = 0
        for depth, token in enumerate(ids):
            place = places.setdefault((place, token), len(places) + 1)
            if depth >= from_cache:
                computed.add(place)
    return len(places) - len(computed)


def _shared_tokens(prompts: Sequence[tuple[int, ...] | None]) -> int | None:
    """Prompt tokens that these prompts have no need to compute again; ``None`` if not known."""
    known = [ids for ids in prompts if ids is not None]
    if len(known) < len(prompts):
        return None
    # with every token taken from the cache, what is left is each distinct one
    distinct = left_by_earlier(known, [len(ids) for ids in known])
    return None if distinct is None else sum(map(len, known)) - distinct


def _prompt_tokens(replies: Sequence[Reply], *, as_list: bool) -> int | None:
    """Prompt tokens of the asking, as the server counts them."""
    told = [n for reply in replies[: 1 if as_list else None] if (n := reply.request_tokens)]
    return sum(told) if len(told) == (1 if as_list else len(replies)) else None
