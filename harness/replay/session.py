"""One server lifetime's records, one after the other.

A run asks for each record anew. A scan of a whole population shares what it can: a prompt is asked
alone once, and a slice of the population answers for every prompt in it, so a scan of N prompts
costs N solo requests and N / batch_size batches for each batch size and dispatch mode.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import structlog

from harness.plan import Lifetime, PlannedRecord
from harness.records import Answer, Record
from harness.replay.client import RequestFailed
from harness.replay.dispatch import Dispatcher
from harness.replay.record import error_record, ok_record
from harness.settings import ModelSpec, RunSpec

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
        write: Callable[[Record], None],
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
        controls = self._spec.controls
        for position, planned in enumerate(lifetime.records):
            try:
                if controls.order == "alternate" and position % 2:
                    batched = await self._batched(planned)
                    solo = await self._solo(planned)
                else:
                    solo = await self._solo(planned)
                    batched = await self._batched(planned)
                repeats = (
                    [await self._solo(planned) for _ in range(controls.solo_repeats)],
                    [await self._batched(planned) for _ in range(controls.batched_repeats)],
                )
            except RequestFailed as error:
                log.error("record_failed", record_id=planned.record_id, error=str(error))
                self._failed(planned, lifetime.model, str(error))
            else:
                self._answered(planned, lifetime.model, solo, batched, repeats)

    async def scan(self, lifetime: Lifetime) -> None:
        """The same for a scan: rows of one slice share its one dispatch, all rows their solos.

        Raises:
            ServerDied: the server is gone; what was written stays.
        """
        solos: dict[str, Answer | RequestFailed] = {}
        for _, rows in groupby(lifetime.records, key=_slice):
            together = list(rows)
            for planned in together:
                key = planned.group.target.key
                if key not in solos:
                    try:
                        solos[key] = await self._solo(planned)
                    except RequestFailed as error:
                        solos[key] = error
            batch = await self._sent(together[0])
            for planned in together:
                self._shared(planned, lifetime.model, solos[planned.group.target.key], batch)

    async def _sent(self, planned: PlannedRecord) -> tuple[Answer, ...] | RequestFailed:
        prompts = [prompt.text for prompt in planned.group.prompts]
        try:
            return await self._dispatcher.batch(prompts, planned.candidate.dispatch_mode)
        except RequestFailed as error:
            log.error("batch_failed", group=planned.group.ids, error=str(error))
            return error

    def _shared(
        self,
        planned: PlannedRecord,
        model: ModelSpec,
        solo: Answer | RequestFailed,
        batch: tuple[Answer, ...] | RequestFailed,
    ) -> None:
        if isinstance(solo, RequestFailed):
            self._failed(planned, model, f"solo: {solo}")
        elif isinstance(batch, RequestFailed):
            self._failed(planned, model, f"batched: {batch}")
        else:
            self._answered(planned, model, solo, batch[planned.group.target_index])

    async def _solo(self, planned: PlannedRecord) -> Answer:
        return await self._dispatcher.solo(planned.group.target.text)

    async def _batched(self, planned: PlannedRecord) -> Answer:
        prompts = [prompt.text for prompt in planned.group.prompts]
        sent = await self._dispatcher.batch(prompts, planned.candidate.dispatch_mode)
        return sent[planned.group.target_index]

    def _answered(
        self,
        planned: PlannedRecord,
        model: ModelSpec,
        solo: Answer,
        batched: Answer,
        repeats: tuple[list[Answer], list[Answer]] = ([], []),
    ) -> None:
        about = self._run_id, self._spec, model
        self._write(ok_record(planned, about, solo, batched, repeats))

    def _failed(self, planned: PlannedRecord, model: ModelSpec, error: str) -> None:
        self._write(error_record(planned, (self._run_id, self._spec, model), error))


def _slice(planned: PlannedRecord) -> tuple[str, int, tuple[str, ...]]:
    candidate = planned.candidate
    return str(candidate.dispatch_mode), candidate.batch_size, planned.group.ids
