"""How much a plan asks of a server, and very roughly how long it takes.

The rates are this project's own readings (an H200 with a 1B model, and two CPU cores with the demo
model); another machine or model is faster or slower, so the result is for patience, not for claims.
"""

from dataclasses import dataclass

from harness.plan.planning import Lifetime, Plan
from harness.settings import RunSpec
from harness.words import Asking, BackendName

_GPU_START_S, _GPU_TOKEN_S = 90.0, 0.003
_CPU_START_S, _CPU_TOKEN_S = 30.0, 0.006


@dataclass(frozen=True, slots=True)
class Estimate:
    """Totals of a plan: server starts, records to be written, and what they ask.

    ``requests`` are HTTP requests without warm-up and retries, ``answers`` the completions that
    they bring back, ``seconds`` a rough duration for a GPU or, ``on_cpu``, for the CPU engine.
    ``gpu_hours`` is how long GPUs are held in all, be it side by side; 0 on a CPU. Of ``theirs``,
    servers that someone else runs, neither is known: ``seconds`` are a GPU's, without a start.
    """

    lifetimes: int
    records: int
    requests: int
    answers: int
    seconds: float
    on_cpu: bool
    gpu_hours: float
    theirs: bool = False


def estimate(spec: RunSpec, plan: Plan) -> Estimate:
    """Count requests and answers; time is start-ups plus one wave of tokens an asking."""
    solos = sum(_solos(spec, lifetime) for lifetime in plan.lifetimes)
    each = len({Asking.B, Asking.B2} & set(spec.controls.askings))
    sent = [rows[0].candidate for lifetime in plan.lifetimes for rows in lifetime.slices]
    waves = solos + each * len(sent) + len(plan.lifetimes) * spec.controls.warmup_requests
    alone = _seconds(spec, plan, waves)
    return Estimate(
        lifetimes=len(plan.lifetimes),
        records=len(plan.records),
        requests=solos + each * sum(one.dispatch_mode.requests(one.batch_size) for one in sent),
        answers=solos + each * sum(one.batch_size for one in sent),
        seconds=alone / min(spec.server.overlap, max(1, len(plan.lifetimes))),
        on_cpu=spec.server.on_cpu,
        gpu_hours=0.0 if spec.server.on_cpu else alone * spec.server.workers / 3600,
        theirs=spec.backend is BackendName.EXTERNAL,
    )


def _solos(spec: RunSpec, lifetime: Lifetime) -> int:
    """Askings alone: each prompt once, each target once more before its first batch, and S2.

    S2 follows all batches of a group, once a prompt.
    """
    asked, controls = spec.controls.askings, spec.controls
    targets = {record.group.target.sha256 for record in lifetime.records}
    groups = [] if controls.prefix_caching.forbids_earlier else lifetime.slices
    first = targets | {prompt.sha256 for rows in groups for prompt in rows[0].group.prompts}
    again = len(targets) if Asking.S1 in asked else 0
    last = {(record.group.ids, record.group.target.sha256) for record in lifetime.records}
    return len(first) + again + (len(last) if Asking.S2 in asked else 0)


def _seconds(spec: RunSpec, plan: Plan, waves: int) -> float:
    """Server starts and one token step after the other, one server after the other."""
    on_cpu = spec.server.on_cpu
    start_s, token_s = (_CPU_START_S, _CPU_TOKEN_S) if on_cpu else (_GPU_START_S, _GPU_TOKEN_S)
    starts = 0 if spec.backend is BackendName.EXTERNAL else len(plan.lifetimes)
    return starts * start_s + waves * spec.request.max_tokens * token_s
