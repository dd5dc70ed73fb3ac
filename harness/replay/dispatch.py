"""How a batch is sent, and the one retry policy for everything that is sent.

The companions of a prompt are the treatment, so a batch of which one request failed is sent
again whole: an attempt is an attempt at the batch. An answer that the server gave up is a failure,
and a batch of which no two requests met in a step of the engine is sent again while attempts last.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from msgspec.structs import replace
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from harness.prove import EngineStep
from harness.records import Answer, Witness
from harness.replay.cache import PrefixCache
from harness.replay.client import CompletionsClient
from harness.replay.completion import Reply, RequestFailed
from harness.replay.finished import insist_finished
from harness.replay.gate import Gate
from harness.replay.timed import Due, Sent, send_on_time
from harness.replay.witness import StepWatch
from harness.words import DispatchMode

log = structlog.get_logger()
_BACKOFF = wait_exponential(multiplier=0.25, max=8.0)
_LONGEST_PAUSE_S = 60.0
_WARM = 64
"""Connections that are open before requests leave at their own times."""


class LivenessProbe(Protocol):
    """Raises ``ServerDied`` when the server behind the client is gone; else returns."""

    async def __call__(self) -> None:
        """Look once."""


Send = Callable[[int], Awaitable[tuple[Reply, ...]]]
"""One attempt at an asking; it is given the number of the attempt."""


class Dispatcher:
    """Sends prompts alone or as a batch, under one retry policy.

    Args:
        client: makes the single attempts.
        max_attempts: attempts in all, first one included.
        probe: asked after each failed attempt whether the server still lives.
        cache: what an asking may find in the prefix cache; the server's default without it.
        gate: what holds a gated batch; without it there is none.
        watch: sees the engine's steps of each asking; without it nothing is witnessed.
        stagger_s: seconds between two requests of a staggered batch.
        sleep: how to wait, in seconds.
    """

    def __init__(
        self,
        client: CompletionsClient,
        *,
        max_attempts: int,
        probe: LivenessProbe,
        cache: PrefixCache | None = None,
        gate: Gate | None = None,
        watch: StepWatch | None = None,
        stagger_s: float = 0.02,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._max_attempts = max_attempts
        self._probe = probe
        self._cache = cache or PrefixCache(client)
        self._gate = gate
        self._stagger_s = stagger_s
        self._sleep = sleep
        self._watch = watch
        self._askings = 0
        self._they_meet = True
        self.witness: Witness | None = None
        """Of the asking that was answered last; the askings of a server follow one another."""
        self.prompt_ids: tuple[tuple[int, ...] | None, ...] = ()
        """The tokens of each of its prompts, where the server returns them."""

    async def solo(
        self, prompt: str | Sequence[int], *, own: Mapping[str, Any] | None = None
    ) -> Answer:
        """The answer to the prompt alone, with the attempts that it took.

        ``own`` is what the request says in place of the settings: ``max_tokens``, ``seed`` …

        Raises:
            RequestFailed: it still fails after the last attempt, or cannot be retried.
            ServerDied: the probe found the server gone.
        """
        asking = self._next()

        async def send(attempt: int) -> tuple[Reply, ...]:
            salt = self._cache.salt(asking, attempt)
            return (await self._client.complete_one(prompt, salt=salt, own=own),)

        return (await self._with_retries(send))[0]

    async def batch(
        self,
        prompts: Sequence[str],
        mode: DispatchMode,
        *,
        own: Sequence[Mapping[str, Any]] = (),
    ) -> tuple[Answer, ...]:
        """The answers to all prompts together, as ``mode`` says, in the order of the prompts.

        ``own`` is what each prompt's request says in place of the settings; a prompt list is one
        request and has none.

        Raises:
            RequestFailed, ServerDied: as ``solo``.
        """
        asking = self._next()

        async def send(attempt: int) -> tuple[Reply, ...]:
            if mode is DispatchMode.PROMPT_LIST:
                salt = self._cache.salt(asking, attempt)
                return await self._client.complete_list(prompts, salt=salt)
            salts = [self._cache.salt(asking, attempt, place) for place in range(len(prompts))]
            if mode is DispatchMode.GATED:
                return await self._gated(prompts, salts, own, attempt)
            apart = self._stagger_s if mode is DispatchMode.STAGGERED else 0.0
            return await self._concurrently(prompts, salts, own, apart)

        return await self._with_retries(send, as_list=mode is DispatchMode.PROMPT_LIST)

    async def on_time(self, dues: Sequence[Due]) -> tuple[list[Sent], tuple[EngineStep, ...]]:
        """Send requests at their own times, each once, and read the engine's account of its steps.

        Returns:
            What became of each, and the steps from the first that left to the last that ended;
            none where the server's log does not show them.

        Raises:
            ServerDied: a request failed, and the probe found the server gone.
            RequestFailed: the connections cannot be opened, or the cache not be emptied.
        """
        asking = self._next()
        salts = [self._cache.salt(asking, 1, place) for place in range(len(dues))]
        await self._client.warm(min(len(dues), _WARM))
        await self._cache.before(as_list=False)
        since = await self._watch.mark() if self._watch else None
        sent = await send_on_time(self._client, dues, salts)
        if any(one.error for one in sent):
            await self._probe()
        said = [one.reply.answer for one in sent if one.reply]
        steps = await self._watch.steps(since, said) if self._watch and since else ()
        return sent, steps

    def _next(self) -> int:
        """The number of an asking that begins now."""
        self._askings += 1
        return self._askings

    async def _concurrently(
        self,
        prompts: Sequence[str],
        salts: Sequence[str | None],
        own: Sequence[Mapping[str, Any]],
        apart: float,
    ) -> tuple[Reply, ...]:
        """N requests over N warm connections, ``apart`` seconds from one to the next."""
        await self._client.warm(len(prompts))

        async def ask(place: int) -> Reply:
            if apart:
                await self._sleep(place * apart)
            return await self._client.complete_one(
                prompts[place],
                connection=place,
                salt=salts[place],
                own=own[place] if own else None,
            )

        return await _all(asyncio.ensure_future(ask(place)) for place in range(len(prompts)))

    async def _gated(
        self,
        prompts: Sequence[str],
        salts: Sequence[str | None],
        own: Sequence[Mapping[str, Any]],
        attempt: int,
    ) -> tuple[Reply, ...]:
        """N requests that the server holds until all are there, and admits in one engine step."""
        if self._gate is None:
            raise RequestFailed("this server holds no gate for a gated batch", retryable=False)
        await self._client.warm(len(prompts))
        sent: list[asyncio.Future[Reply]] = []
        try:
            async with self._gate.closed(prompts, attempt=attempt) as left:
                sent += [
                    asyncio.ensure_future(
                        self._client.complete_one(
                            prompt,
                            connection=place,
                            salt=salts[place],
                            sent=left,
                            own=own[place] if own else None,
                        )
                    )
                    for place, prompt in enumerate(prompts)
                ]
            replies = await _all(sent)
        finally:
            for request in sent:
                request.cancel()
        await self._gate.insist(len(prompts))
        return replies

    async def _with_retries(self, send: Send, *, as_list: bool = False) -> tuple[Answer, ...]:
        policy = AsyncRetrying(
            retry=retry_if_exception(_is_retryable),
            stop=stop_after_attempt(self._max_attempts),
            wait=_pause,
            sleep=self._sleep,
            before_sleep=_log_retry,
            reraise=True,
        )
        attempts = 0
        async for state in policy:
            with state:
                attempts = state.retry_state.attempt_number
                try:
                    before = await self._cache.before(as_list=as_list)
                    since = await self._watch.mark() if self._watch else None
                    replies = await send(attempts)
                    said = [reply.answer for reply in replies]
                    insist_finished(said)
                    watch = self._watch
                    self.witness = await watch.witness(since, said) if watch and since else None
                    self._insist_met(len(said), last=attempts == self._max_attempts)
                except RequestFailed:
                    await self._probe()
                    raise
        self.prompt_ids = tuple(reply.prompt_ids for reply in replies)
        answers = await self._cache.account(replies, before, as_list=as_list)
        return tuple(replace(answer, attempts=attempts) for answer in answers)

    def _insist_met(self, requests: int, *, last: bool) -> None:
        """Refuse a batch that was none, by chance; a server whose batches never meet is left so."""
        if requests < 2 or self.witness is None or self.witness.source is None:
            return
        if self.witness.shared:
            self._they_meet = True
        elif self._they_meet and not last:
            raise RequestFailed("no two requests of the batch met in a step", retryable=True)
        else:
            self._they_meet = False


async def _all(requests: Iterable[asyncio.Future[Reply]]) -> tuple[Reply, ...]:
    """The reply to each request; all end before a failure is raised."""
    results = await asyncio.gather(*requests, return_exceptions=True)
    replies = [result for result in results if isinstance(result, Reply)]
    if len(replies) == len(results):
        return tuple(replies)
    raise _worst([result for result in results if isinstance(result, BaseException)])


def _pause(state: RetryCallState) -> float:
    """Longer from attempt to attempt, and at least what the server asks for, up to a minute."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.after_s if isinstance(error, RequestFailed) else 0.0
    return max(_BACKOFF(state), min(asked, _LONGEST_PAUSE_S))


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, RequestFailed) and error.retryable


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("request_retried", attempt=state.attempt_number, error=str(error))


def _worst(errors: Sequence[BaseException]) -> BaseException:
    """What to raise for a batch: not a failed request first, then one without a retry."""
    for error in errors:
        if not isinstance(error, RequestFailed):
            return error
    return next((e for e in errors if not _is_retryable(e)), errors[0])
