"""A whole population in one mode: each prompt once alone, and each slice of it once as a batch.

A slice answers for every prompt in it, so a scan of N prompts costs N solo requests and N /
batch_size batches for each batch size and dispatch mode, where a run would repeat both per row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

import structlog

from harness.plan import Lifetime, PlannedRecord
from harness.replay.client import RequestFailed
from harness.replay.dispatch import BatchAnswers, Dispatcher
from harness.replay.record import Answers, TimedAnswer, error_record, ok_record
from harness.settings import RunSpec

__all__ = ["scan_lifetime"]

log = structlog.get_logger()
SoloCache = dict[str, TimedAnswer | RequestFailed]


async def scan_lifetime(
    lifetime: Lifetime,
    dispatcher: Dispatcher,
    spec: RunSpec,
    *,
    run_id: str,
    write: Callable[[dict[str, Any]], None],
) -> None:
    """Write one record for each planned one; rows of one slice share its one dispatch.

    Raises:
        ServerDied: the server is gone; what was written stays.
    """
    solos: SoloCache = {}
    about: Mapping[str, Any] = {"run_id": run_id, "spec": spec, "model": lifetime.model}
    for _, rows in groupby(lifetime.records, key=_slice_key):
        slice_rows = list(rows)
        for planned in slice_rows:
            await _remember_solo(planned, dispatcher, solos)
        batch = await _send(slice_rows[0], dispatcher)
        for planned in slice_rows:
            write(_record(planned, solos[planned.group.target.key], batch, about))


def _slice_key(planned: PlannedRecord) -> tuple[str, int, tuple[str, ...]]:
    candidate = planned.candidate
    return (str(candidate.dispatch_mode), candidate.batch_size, planned.group.ids)


async def _remember_solo(planned: PlannedRecord, dispatcher: Dispatcher, solos: SoloCache) -> None:
    target = planned.group.target
    if target.key in solos:
        return
    try:
        sent = await dispatcher.solo(target.text)
        solos[target.key] = TimedAnswer(sent.answers[0], sent.attempts)
    except RequestFailed as error:
        solos[target.key] = error


async def _send(planned: PlannedRecord, dispatcher: Dispatcher) -> BatchAnswers | RequestFailed:
    prompts = [prompt.text for prompt in planned.group.prompts]
    try:
        return await dispatcher.batch(prompts, planned.candidate.dispatch_mode)
    except RequestFailed as error:
        log.error("batch_failed", group=planned.group.ids, error=str(error))
        return error


def _record(
    planned: PlannedRecord,
    solo: TimedAnswer | RequestFailed,
    batch: BatchAnswers | RequestFailed,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    if isinstance(solo, RequestFailed):
        return error_record(planned, f"solo: {solo}", **about)
    if isinstance(batch, RequestFailed):
        return error_record(planned, f"batched: {batch}", **about)
    answer = batch.answers[planned.group.target_index]
    return ok_record(planned, Answers(solo, TimedAnswer(answer, batch.attempts)), **about)
