"""One server lifetime's records, one after the other.

A run asks for each record anew. A scan of a whole population shares what it can: a prompt is asked
alone once, and a slice of the population answers for every prompt in it, so a scan of N prompts
costs N solo requests and N / batch_size batches for each batch size and dispatch mode.
"""

from collections.abc import Callable
from itertools import groupby
from typing import Any

import structlog
from msgspec.structs import replace

from harness.plan import Lifetime, PlannedRecord
from harness.records import Answer, Evidence, Record, Sampling, text_hash
from harness.replay.client import RequestFailed
from harness.replay.dispatch import Dispatcher
from harness.score import score
from harness.settings import ModelSpec, RunSpec
from harness.words import Status

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
            batch: tuple[Answer, ...] | RequestFailed
            try:
                batch = await self._batch(together[0])
            except RequestFailed as error:
                log.error("batch_failed", group=together[0].group.ids, error=str(error))
                batch = error
            for planned in together:
                solo = solos[planned.group.target.key]
                if isinstance(solo, RequestFailed):
                    self._failed(planned, lifetime.model, f"solo: {solo}")
                elif isinstance(batch, RequestFailed):
                    self._failed(planned, lifetime.model, f"batched: {batch}")
                else:
                    answer = batch[planned.group.target_index]
                    self._answered(planned, lifetime.model, solo, answer)

    async def _solo(self, planned: PlannedRecord) -> Answer:
        return await self._dispatcher.solo(planned.group.target.text)

    async def _batch(self, planned: PlannedRecord) -> tuple[Answer, ...]:
        prompts = [prompt.text for prompt in planned.group.prompts]
        return await self._dispatcher.batch(prompts, planned.candidate.dispatch_mode)

    async def _batched(self, planned: PlannedRecord) -> Answer:
        return (await self._batch(planned))[planned.group.target_index]

    def _answered(
        self,
        planned: PlannedRecord,
        model: ModelSpec,
        solo: Answer,
        batched: Answer,
        repeats: tuple[list[Answer], list[Answer]] = ([], []),
    ) -> None:
        """Write the record of a candidate that was answered in every condition."""
        solo, batched = self._scored(planned, solo), self._scored(planned, batched)
        self._write(
            Record(
                **self._head(planned, model),
                status=Status.OK,
                solo_score=solo.score,
                batch_score=batched.score,
                solo_label=solo.label,
                batch_label=batched.label,
                solo_response_hash=text_hash(solo.text or ""),
                batch_response_hash=text_hash(batched.text or ""),
                solo=solo,
                batched=batched,
                solo_repeats=tuple(self._scored(planned, answer) for answer in repeats[0]),
                batched_repeats=tuple(self._scored(planned, answer) for answer in repeats[1]),
            )
        )

    def _failed(self, planned: PlannedRecord, model: ModelSpec, error: str) -> None:
        """Write the record of one that could not be answered: present, and never counted."""
        self._write(
            Record(
                **self._head(planned, model),
                status=Status.ERROR,
                error=error,
                solo_score=None,
                batch_score=None,
                solo_response_hash=None,
                batch_response_hash=None,
            )
        )

    def _scored(self, planned: PlannedRecord, answer: Answer) -> Answer:
        target = planned.group.target
        verdict = score(target.task, target.sample, answer.text or "", self._spec.score_profile)
        reasons = Evidence(verdict.rule, verdict.span, verdict.matched, verdict.scorer)
        return replace(answer, score=verdict.value, label=verdict.label, score_evidence=reasons)

    def _head(self, planned: PlannedRecord, model: ModelSpec) -> dict[str, Any]:
        """What both kinds of record say of the candidate, its batch and the sampling."""
        candidate, request = planned.candidate, self._spec.request
        return {
            "run_id": self._run_id,
            "record_id": planned.record_id,
            "model": candidate.model,
            "hf_id": model.hf_id,
            "task_name": candidate.task_name,
            "sample_id": candidate.sample_id,
            "batch_size": candidate.batch_size,
            "dispatch_mode": str(candidate.dispatch_mode),
            "phase": candidate.phase,
            "domain": candidate.domain or str(planned.group.target.task.domain),
            "original_direction": candidate.original_direction,
            "original_solo_score": candidate.original_solo_score,
            "original_batch_score": candidate.original_batch_score,
            "mode": planned.mode,
            "prompt_sha256": planned.group.target.sha256,
            "group": planned.group.ids,
            "target_index": planned.group.target_index,
            "sampling": Sampling(request.max_tokens, request.temperature, request.seed),
            "score_profile": self._spec.score_profile,
            "extra": candidate.extra,
        }


def _slice(planned: PlannedRecord) -> tuple[str, int, tuple[str, ...]]:
    candidate = planned.candidate
    return str(candidate.dispatch_mode), candidate.batch_size, planned.group.ids
