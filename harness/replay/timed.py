"""Requests that leave at their own times, whatever became of the ones before them."""

from __future__ import annotations

import asyncio
import gc
import heapq
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.replay.client import CompletionsClient
from harness.replay.completion import Reply, RequestFailed
from harness.replay.finished import insist_finished

LEAD_S = 0.25
"""From the call to the moment from which times are counted."""
_SLEEPS_SHORT_S = 0.002
"""The end of a wait is spent awake: a timer may be a millisecond or two late."""


@dataclass(frozen=True, slots=True)
class Due:
    """A request and when it leaves.

    Attributes:
        at_s: seconds after the beginning.
        prompt: its text or its tokens.
        own: what it says in place of the settings.
    """

    at_s: float
    prompt: str | tuple[int, ...]
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Sent:
    """What became of a request; times in seconds after the beginning, ``None``: it never left."""

    sent_s: float | None = None
    done_s: float | None = None
    reply: Reply | None = None
    error: str = ""


async def send_on_time(
    client: CompletionsClient, dues: Sequence[Due], salts: Sequence[str | None]
) -> list[Sent]:
    """Send each request at its time, once; one that fails is not sent again.

    Meanwhile Python collects no garbage.

    Args:
        client: has as many connections as are needed at once, warm ones first.
        dues: by their times.
        salts: the ``cache_salt`` of each.
    """
    found, tasks = [Sent() for _ in dues], list[asyncio.Task[None]]()
    free: list[int] = []
    gc.collect()
    gc.disable()  # a collection stops everything for a tenth of a second
    start, opened = time.perf_counter() + LEAD_S, 0

    async def ask(place: int, connection: int) -> None:
        one, due = found[place], dues[place]

        def left() -> None:
            one.sent_s = time.perf_counter() - start

        try:
            reply = await client.complete_one(
                due.prompt, connection=connection, salt=salts[place], sent=left, own=due.own
            )
            one.done_s = time.perf_counter() - start
            insist_finished([reply.answer])
            one.reply = reply
        except RequestFailed as error:
            one.error = str(error)
        finally:
            heapq.heappush(free, connection)

    try:
        for place, due in enumerate(dues):
            await _until(start + due.at_s)
            if free:
                connection = heapq.heappop(free)
            else:
                connection, opened = opened, opened + 1
            tasks.append(asyncio.ensure_future(ask(place, connection)))
        await asyncio.gather(*tasks)
    finally:
        gc.enable()
        for task in tasks:
            task.cancel()
    return found


async def _until(moment: float) -> None:
    """Wait for a moment of the clock."""
    if (left := moment - time.perf_counter() - _SLEEPS_SHORT_S) > 0:
        await asyncio.sleep(left)
    while time.perf_counter() < moment:
        await asyncio.sleep(0)
