"""One server lifetime's records, one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from harness.plan import Lifetime, PlannedRecord
from harness.replay.client import RequestFailed
from harness.replay.dispatch import BatchAnswers, Dispatcher
from harness.replay.record import Answers, TimedAnswer, error_record, ok_record
from harness.settings import RunSpec

__all__ = ["ReplaySession", "warm_up"]

log = structlog.get_logger()
WARM_UP_PROMPT = "The quick brown fox jumps over the lazy dog."


async def warm_up(dispatcher: Dispatcher, requests: int) -> None:
    """Send prompts whose answers are thrown away, so that no record is a server's first.

    Raises:
        RequestFailed, ServerDied: as the dispatcher says.
    """
    for n in range(requests):
        await dispatcher.solo(f"{n}. {WARM_UP_PROMPT}")


class ReplaySession:
    """Asks for each planned record of a lifetime and hands the finished record on.

    Args:
        dispatcher: sends prompts to the server.
        spec: sampling, repeats and order.
        run_id: goes into the records.
        write: receives each record as soon as it is whole.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        spec: RunSpec,
        *,
        run_id: str,
        write: Callable[[dict[str, Any]], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._spec = spec
        self._run_id = run_id
        self._write = write

    async def replay(self, lifetime: Lifetime) -> None:
        """Write one record for each planned one, in order.

        Raises:
            ServerDied: the server is gone; what was written stays.
        """
        for position, planned in enumerate(lifetime.records):
            self._write(await self._record(planned, lifetime, position))

    async def _record(
        self, planned: PlannedRecord, lifetime: Lifetime, position: int
    ) -> dict[str, Any]:
        about = {"run_id": self._run_id, "spec": self._spec, "model": lifetime.model}
        try:
            answers = await self._ask(planned, batched_first=self._batched_first(position))
        except RequestFailed as error:
            log.error("record_failed", record_id=planned.record_id, error=str(error))
            return error_record(planned, str(error), **about)  # type: ignore[arg-type]
        return ok_record(planned, answers, **about)  # type: ignore[arg-type]

    def _batched_first(self, position: int) -> bool:
        return self._spec.controls.order == "alternate" and position % 2 == 1

    async def _ask(self, planned: PlannedRecord, *, batched_first: bool) -> Answers:
        conditions: tuple[Callable[[PlannedRecord], Awaitable[TimedAnswer]], ...]
        conditions = (self._batched, self._solo) if batched_first else (self._solo, self._batched)
        first, second = [await condition(planned) for condition in conditions]
        solo, batched = (second, first) if batched_first else (first, second)
        controls = self._spec.controls
        return Answers(
            solo=solo,
            batched=batched,
            solo_repeats=[await self._solo(planned) for _ in range(controls.solo_repeats)],
            batched_repeats=[await self._batched(planned) for _ in range(controls.batched_repeats)],
        )

    async def _solo(self, planned: PlannedRecord) -> TimedAnswer:
        return _target(await self._dispatcher.solo(planned.group.target.text), 0)

    async def _batched(self, planned: PlannedRecord) -> TimedAnswer:
        prompts = [prompt.text for prompt in planned.group.prompts]
        sent = await self._dispatcher.batch(prompts, planned.candidate.dispatch_mode)
        return _target(sent, planned.group.target_index)


def _target(sent: BatchAnswers, index: int) -> TimedAnswer:
    return TimedAnswer(sent.answers[index], sent.attempts)
