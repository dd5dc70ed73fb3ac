"""How much a plan asks of a server, and very roughly how long it takes.

The rates are this project's own readings (an H200 with a 1B model, and two CPU cores with the demo
model); another machine or model is faster or slower, so the result is for patience, not for claims.
"""

from dataclasses import dataclass

from harness.plan.planning import Plan
from harness.settings import RunSpec

_CPU_VARIABLE = "VLLM_CPU_KVCACHE_SPACE"
_GPU_START_S, _GPU_TOKEN_S = 90.0, 0.003
_CPU_START_S, _CPU_TOKEN_S = 30.0, 0.006


@dataclass(frozen=True, slots=True)
class Estimate:
    """Totals of a plan: server starts, records to be written, and what they ask.

    ``requests`` are HTTP requests without warm-up and retries, ``answers`` the completions that
    they bring back, ``seconds`` a rough duration for a GPU or, ``on_cpu``, for the CPU engine.
    """

    lifetimes: int
    records: int
    requests: int
    answers: int
    seconds: float
    on_cpu: bool


def estimate(spec: RunSpec, plan: Plan) -> Estimate:
    """Count requests and answers; time is start-ups plus one wave of tokens a request in turn."""
    records = plan.records
    solo, batched = 1 + spec.controls.solo_repeats, 1 + spec.controls.batched_repeats
    waves = len(records) * (solo + batched) + len(plan.lifetimes) * spec.controls.warmup_requests
    candidates = [record.candidate for record in records]
    return Estimate(
        lifetimes=len(plan.lifetimes),
        records=len(records),
        requests=sum(
            solo + batched * one.dispatch_mode.requests(one.batch_size) for one in candidates
        ),
        answers=sum(solo + batched * one.batch_size for one in candidates),
        seconds=_seconds(spec, plan, waves),
        on_cpu=_CPU_VARIABLE in spec.server.env,
    )


def scan_seconds(spec: RunSpec, plan: Plan) -> float:
    """A rough duration of a scan of these records: each prompt once alone, each slice once."""
    solos = {(r.candidate.model, r.group.target.key) for r in plan.records}
    slices = {(r.candidate.model, r.candidate.dispatch_mode, r.group.ids) for r in plan.records}
    return _seconds(spec, plan, len(solos) + len(slices))


def _seconds(spec: RunSpec, plan: Plan, waves: int) -> float:
    """Server starts and one token step after the other."""
    on_cpu = _CPU_VARIABLE in spec.server.env
    start_s, token_s = (_CPU_START_S, _CPU_TOKEN_S) if on_cpu else (_GPU_START_S, _GPU_TOKEN_S)
    return len(plan.lifetimes) * start_s + waves * spec.request.max_tokens * token_s
