"""How much a plan asks of a server, and very roughly how long it takes.

The rates are this project's own readings (an H200 with a 1B model, and two CPU cores with the demo
model); another machine or model is faster or slower, so the result is for patience, not for claims.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.plan.model import Plan, PlannedRecord
from harness.settings import RunSpec
from harness.words import DispatchMode

__all__ = ["Estimate", "estimate", "scan_seconds"]

_CPU_VARIABLE = "VLLM_CPU_KVCACHE_SPACE"
_GPU_START_S, _GPU_TOKEN_S = 90.0, 0.003
_CPU_START_S, _CPU_TOKEN_S = 30.0, 0.006


@dataclass(frozen=True, slots=True)
class Estimate:
    """Totals of a plan.

    Attributes:
        lifetimes: server starts.
        records: records to be written.
        requests: HTTP requests, without warm-up and retries.
        answers: completions that those requests bring back.
        seconds: a rough duration, for a GPU or for the CPU engine.
        on_cpu: whether the duration is for the CPU engine.
    """

    lifetimes: int
    records: int
    requests: int
    answers: int
    seconds: float
    on_cpu: bool


def estimate(spec: RunSpec, plan: Plan) -> Estimate:
    """Count requests and answers; time is start-ups plus one wave of tokens a request in turn."""
    on_cpu = _CPU_VARIABLE in spec.server.env
    start_s, token_s = _rates(spec)
    records = plan.records
    solo, batched = 1 + spec.controls.solo_repeats, 1 + spec.controls.batched_repeats
    waves = len(records) * (solo + batched) + len(plan.lifetimes) * spec.controls.warmup_requests
    seconds = len(plan.lifetimes) * start_s + waves * spec.request.max_tokens * token_s
    return Estimate(
        lifetimes=len(plan.lifetimes),
        records=len(records),
        requests=sum(solo + batched * _requests(record) for record in records),
        answers=sum(solo + batched * record.candidate.batch_size for record in records),
        seconds=seconds,
        on_cpu=on_cpu,
    )


def scan_seconds(spec: RunSpec, plan: Plan) -> float:
    """A rough duration of a scan of these records: each prompt once alone, each slice once."""
    start_s, token_s = _rates(spec)
    solos = {(r.candidate.model, r.group.target.key) for r in plan.records}
    slices = {(r.candidate.model, r.candidate.dispatch_mode, r.group.ids) for r in plan.records}
    waves = len(solos) + len(slices)
    return len(plan.lifetimes) * start_s + waves * spec.request.max_tokens * token_s


def _rates(spec: RunSpec) -> tuple[float, float]:
    """Seconds of a server start and of one token step."""
    if _CPU_VARIABLE in spec.server.env:
        return _CPU_START_S, _CPU_TOKEN_S
    return _GPU_START_S, _GPU_TOKEN_S


def _requests(record: PlannedRecord) -> int:
    """HTTP requests that one batch of the record takes."""
    one_call = record.candidate.dispatch_mode is DispatchMode.PROMPT_LIST
    return 1 if one_call else record.candidate.batch_size
