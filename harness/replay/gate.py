"""Hold the server's scheduler while a batch arrives, so that one engine step admits all of it.

``POST /pause?mode=keep`` queues what comes, ``POST /resume`` lets it go; both are development
endpoints. A gate is opened again on every way out: a paused server answers nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import httpx

from harness.replay.client import CompletionsClient
from harness.replay.completion import RequestFailed

_PAUSE, _RESUME = "/pause?mode=keep", "/resume"
_TRIES = 3
SETTLE_S = 0.1
"""How long a paused server has at least to receive a batch, in seconds."""
_ROUNDS = 3
"""Requests that queue up behind a batch: a loaded server takes the longer for them."""
_LEAVES_S = 10.0
_LOOK_S = 0.05


class Admission(Protocol):
    """How the engine admitted a batch, by its own account."""

    def end(self) -> int:
        """The end of the account so far."""

    async def problem(self, since: int, requests: int) -> str:
        """Why not all ``requests`` entered in one step after that; empty if they did."""


class Gate:
    """The server's scheduler, stopped for as long as a batch takes to arrive.

    Args:
        client: asks the server.
        admission: where it shows how a batch was admitted.
        sleep: how to wait, in seconds.
    """

    def __init__(
        self,
        client: CompletionsClient,
        admission: Admission,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._admission = admission
        self._since = 0

    @asynccontextmanager
    async def closed(
        self, prompts: Sequence[str], *, attempt: int = 1
    ) -> AsyncIterator[Callable[[], None]]:
        """Pause, let the block send its requests, wait until they are there, and resume.

        A paused server's gauges read 0, so nothing tells that a request has arrived. What queues up
        behind the batch in the same process does: it is answered when its turn has come.

        Args:
            prompts: the batch.
            attempt: of the batch; each gives the requests twice the time.

        Yields:
            What to call for each request that has left.

        Raises:
            RequestFailed: the server cannot be paused or resumed.
        """
        try:
            await self._order(_PAUSE)
        except BaseException:
            with suppress(RequestFailed):  # it may be paused although it did not say so
                await _despite_cancellation(self._open())
            raise
        left: list[None] = []
        try:
            yield lambda: left.append(None)
            for _ in range(int(_LEAVES_S / _LOOK_S)):
                if len(left) >= len(prompts):
                    break
                await self._sleep(_LOOK_S)
            await self._sleep(SETTLE_S * 2 ** (attempt - 1))
            for _ in range(_ROUNDS * attempt):
                await self._client.queue_behind(prompts[-1])
            self._since = self._admission.end()
        finally:
            await _despite_cancellation(self._open())

    async def insist(self, requests: int) -> None:
        """Make sure that the last batch was admitted in one step.

        Raises:
            RequestFailed: it was not, or nothing shows it.
        """
        if problem := await self._admission.problem(self._since, requests):
            raise RequestFailed(f"gated: {problem}", retryable=True)

    async def _open(self) -> None:
        for left in reversed(range(_TRIES)):
            try:
                return await self._order(_RESUME)
            except RequestFailed as error:
                if not (left and error.retryable):
                    raise
                await self._sleep(_LOOK_S)

    async def _order(self, path: str) -> None:
        answer = await self._client.order(path)
        if answer.status == httpx.codes.NOT_FOUND:
            raise RequestFailed(
                f"the server has no {path}: gated needs vLLM 0.13 or later, run with "
                "VLLM_SERVER_DEV_MODE=1",
                retryable=False,
            )
        if not answer.ok:
            after = answer.retry_after_s
            raise RequestFailed(f"{path}: {answer}", retryable=True, after_s=after)


async def _despite_cancellation(work: Awaitable[None]) -> None:
    """Wait for ``work`` to its end, also when the task that waits is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
            if task.cancelled():
                break
    if cancelled:
        raise asyncio.CancelledError
    task.result()
