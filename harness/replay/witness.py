"""Watching the engine's steps while it is asked: where an asking begins in the log, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.prove import (
    GAP,
    EngineMetrics,
    EngineStep,
    log_witness,
    metrics_delta,
    metrics_witness,
    read_metrics,
    read_steps,
)
from harness.records import Answer, Witness

_WAITS_S = tuple(0.002 * 1.5**n for n in range(16))
"""Looks at the log, 2.6 s in all: a line takes that long at most from a container to its file."""
_SILENT = 10
"""After so many, 0.2 s, a log without any step is one that does not show them."""


class Mark(NamedTuple):
    """A quiet moment before an asking: the log's length in bytes, the server's counters."""

    log_bytes: int
    counters: EngineMetrics


class StepWatch:
    """Follows one server's log: the witness of each asking, and how a gated batch was admitted.

    A witness is of the log, else of the metrics. Which of the two is settled by the first asking
    that is seen whole (a warm-up): a server whose log shows its steps is never judged by less.

    Args:
        log: the server's log, growing.
        metrics: reads ``GET /metrics``; an empty text where there is none.
        sleep: how to wait, in seconds.
    """

    def __init__(
        self,
        log: Path,
        metrics: Callable[[], Awaitable[str]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._sleep = sleep
        self._by_log: bool | None = None

    async def mark(self) -> Mark:
        """The moment before the requests of an asking are sent."""
        counters = EngineMetrics() if self._by_log else read_metrics(await self._metrics())
        return Mark(self.end(), counters)

    def end(self) -> int:
        """The length of the log in bytes; 0 while there is none."""
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    async def problem(self, since: int, requests: int) -> str:
        """Why not all requests entered in the first step that began a prompt; empty if they did.

        Args:
            since: an `end` from before they could enter.
            requests: of the batch.
        """
        for wait in _WAITS_S:
            for step in read_steps(self._text(since)):
                if (admitted := step.context_requests) == requests:
                    return ""
                if admitted:
                    return (
                        f"the engine admitted {admitted} of {requests} requests in the first step"
                    )
            await self._sleep(wait)
        return (
            "the server's log shows no engine step, so nothing shows that the batch entered in "
            "one; the server needs --enable-logging-iteration-details"
        )

    async def witness(self, since: Mark, answers: Sequence[Answer]) -> Witness:
        """What happened from ``since`` until the answers were whole; an empty one if not known."""
        found = (
            await self._from_log(since.log_bytes, answers) if self._by_log is not False else None
        )
        if found is None and not self._by_log:
            grown = metrics_delta(since.counters, read_metrics(await self._metrics()))
            found = metrics_witness(grown, answers)
        return found or Witness()

    async def steps(self, since: Mark, answers: Sequence[Answer]) -> tuple[EngineStep, ...]:
        """The engine's steps since then, once those of all the answers are there.

        None where the log lost lines, or does not show as many tokens as the answers have.
        """
        due = sum(max(len(answer.token_ids or ()) - 1, 0) for answer in answers)
        for wait in _WAITS_S:
            text = self._text(since.log_bytes)
            found = read_steps(text)
            if GAP in text:
                return ()
            if sum(step.generation_tokens for step in found) >= due:
                return found
            await self._sleep(wait)
        return ()

    async def _from_log(self, offset: int, answers: Sequence[Answer]) -> Witness | None:
        """Look until the lines that are still to come have come."""
        for look, wait in enumerate(_WAITS_S):
            text = self._text(offset)
            if GAP in text:  # what is left may add up by chance
                return None
            steps = read_steps(text)
            if found := log_witness(steps, answers):
                self._by_log = True
                return found
            if self._by_log is None and look >= _SILENT:
                self._by_log = bool(steps)
                if not steps:
                    return None
            await self._sleep(wait)
        return None

    def _text(self, offset: int) -> str:
        try:
            with self._log.open("rb") as file:
                file.seek(offset)
                return file.read().decode(errors="replace")
        except OSError:
            return ""
