"""How a batch is sent, and the one retry policy for everything that is sent.

The companions of a prompt are the treatment, so a batch of which one request failed is sent
again whole: an attempt is an attempt at the batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog
from msgspec.structs import replace
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from harness.records import Answer
from harness.replay.client import CompletionsClient, RequestFailed
from harness.words import DispatchMode

log = structlog.get_logger()


class LivenessProbe(Protocol):
    """Raises ``ServerDied`` when the server behind the client is gone; else returns."""

    async def __call__(self) -> None:
        """Look once."""


class Dispatcher:
    """Sends prompts alone or as a batch, under one retry policy.

    Args:
        client: makes the single attempts.
        max_attempts: attempts in all, first one included.
        probe: asked after each failed attempt whether the server still lives.
        stagger_s: seconds between two requests of a staggered batch.
        sleep: how to wait, in seconds.
    """

    def __init__(
        self,
        client: CompletionsClient,
        *,
        max_attempts: int,
        probe: LivenessProbe,
        stagger_s: float = 0.02,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._max_attempts = max_attempts
        self._probe = probe
        self._stagger_s = stagger_s
        self._sleep = sleep

    async def solo(self, prompt: str) -> Answer:
        """The answer to the prompt alone, with the attempts that it took.

        Raises:
            RequestFailed: it still fails after the last attempt, or cannot be retried.
            ServerDied: the probe found the server gone.
        """

        async def attempt() -> tuple[Answer, ...]:
            return (await self._client.complete_one(prompt),)

        return (await self._with_retries(attempt))[0]

    async def batch(self, prompts: Sequence[str], mode: DispatchMode) -> tuple[Answer, ...]:
        """The answers to all prompts together, as ``mode`` says, in the order of the prompts.

        Raises:
            RequestFailed, ServerDied: as ``solo``.
        """
        if mode is DispatchMode.PROMPT_LIST:
            return await self._with_retries(lambda: self._client.complete_list(prompts))
        apart = self._stagger_s if mode is DispatchMode.STAGGERED else 0.0
        return await self._with_retries(lambda: self._concurrently(prompts, apart))

    async def _concurrently(self, prompts: Sequence[str], apart: float) -> tuple[Answer, ...]:
        """N requests over N warm connections, ``apart`` seconds from one to the next.

        All end before a failure is raised.
        """
        await self._client.warm(len(prompts))

        async def ask(place: int, prompt: str) -> Answer:
            if apart:
                await self._sleep(place * apart)
            return await self._client.complete_one(prompt, connection=place)

        results = await asyncio.gather(
            *(ask(place, prompt) for place, prompt in enumerate(prompts)), return_exceptions=True
        )
        answers = [result for result in results if isinstance(result, Answer)]
        if len(answers) == len(prompts):
            return tuple(answers)
        raise _worst([result for result in results if isinstance(result, BaseException)])

    async def _with_retries(
        self, attempt: Callable[[], Awaitable[tuple[Answer, ...]]]
    ) -> tuple[Answer, ...]:
        policy = AsyncRetrying(
            retry=retry_if_exception(_is_retryable),
            stop=stop_after_attempt(self._max_attempts),
            wait=wait_exponential(multiplier=0.25, max=8.0),
            sleep=self._sleep,
            before_sleep=_log_retry,
            reraise=True,
        )
        attempts = 0
        async for state in policy:
            with state:
                attempts = state.retry_state.attempt_number
                try:
                    answers = await attempt()
                except RequestFailed:
                    await self._probe()
                    raise
        return tuple(replace(answer, attempts=attempts) for answer in answers)


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
