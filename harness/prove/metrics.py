"""vLLM's ``/metrics`` text as numbers, and what happened between two readings.

The histogram ``vllm:iteration_tokens_total`` observes the tokens of each engine step, so the steps
of one token, the decode steps of a request alone, can be counted without any flag.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

_SAMPLE = re.compile(
    r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>[-+.\deE]+|NaN|[+-]?Inf)"
)
_TOTALS = {
    "vllm:iteration_tokens_total_count": "steps",
    "vllm:iteration_tokens_total_sum": "step_tokens",
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:generation_tokens_total": "generation_tokens",
    "vllm:prefix_cache_queries_total": "prefix_cache_queries",
    "vllm:prefix_cache_hits_total": "prefix_cache_hits",
    "vllm:num_preemptions_total": "preemptions",
}
_PROCESS = re.compile(r"^process_(start_time|cpu)_seconds(?:_total)? (\S+)$", re.MULTILINE)
_NOTHING = float("nan")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """Counters at one moment, or their growth; ``None`` where the server exports none.

    Attributes:
        steps: engine steps.
        one_token_steps: steps that processed exactly one token.
        step_tokens: tokens processed in all steps.
        prompt_tokens: prompt tokens.
        generation_tokens: tokens generated.
        prefix_cache_queries: prompt tokens looked up in the prefix cache.
        prefix_cache_hits: prompt tokens found there; each changes the path of computation.
        preemptions: requests put back and computed anew; they change the path too.
        finished: requests finished, by reason.
    """

    steps: float | None = None
    one_token_steps: float | None = None
    step_tokens: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    prefix_cache_queries: float | None = None
    prefix_cache_hits: float | None = None
    preemptions: float | None = None
    finished: Mapping[str, float] = field(default_factory=dict)

    @property
    def finished_requests(self) -> float:
        """Requests finished for whatever reason."""
        return sum(self.finished.values())

    @property
    def shared_step_share(self) -> float | None:
        """Share of steps with more than one token: several requests, or a prompt."""
        if not self.steps or self.one_token_steps is None:
            return None
        return 1.0 - self.one_token_steps / self.steps

    @property
    def mean_width(self) -> float | None:
        """Generated tokens a step: about 1 alone, about N in a batch of N."""
        if not self.steps or self.generation_tokens is None:
            return None
        return self.generation_tokens / self.steps

    def to_json(self) -> dict[str, object]:
        """The counters as JSON values."""
        return asdict(self)


def read_metrics(text: str) -> EngineMetrics:
    """Read the Prometheus text of ``GET /metrics``; engines are summed."""
    totals: dict[str, Any] = {}
    finished: dict[str, float] = {}
    for match in filter(None, map(_SAMPLE.match, text.splitlines())):
        labels, value = dict(_LABEL.findall(match["labels"] or "")), _number(match["value"])
        if not math.isfinite(value):
            continue  # a counter that is no number is one that is not exported
        if match["name"] == "vllm:request_success_total":
            reason = labels.get("finished_reason", "")
            finished[reason] = finished.get(reason, 0.0) + value
        elif match["name"] == "vllm:iteration_tokens_total_bucket" and labels.get("le") == "1.0":
            totals["one_token_steps"] = totals.get("one_token_steps", 0.0) + value
        elif name := _TOTALS.get(match["name"]):
            totals[name] = totals.get(name, 0.0) + value
    return EngineMetrics(**totals, finished=finished)


def metrics_delta(before: EngineMetrics, after: EngineMetrics) -> EngineMetrics:
    """What happened between two readings of one server lifetime."""
    grown: dict[str, Any] = {}
    for name in (*_TOTALS.values(), "one_token_steps"):
        now = getattr(after, name)
        grown[name] = None if now is None else now - (getattr(before, name) or 0.0)
    return EngineMetrics(
        **grown,
        finished={
            reason: after.finished.get(reason, 0.0) - before.finished.get(reason, 0.0)
            for reason in sorted({*before.finished, *after.finished})
        },
    )


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """The process that answered ``/metrics``.

    Attributes:
        started: when it started, in seconds since the epoch.
        cpu_s: processor time that it had taken by then, in seconds.
    """

    started: float
    cpu_s: float

    def is_between(self, before: ServerProcess, after: ServerProcess) -> bool:
        """Whether this is the process that was read before and after.

        Two servers that one command starts may have the same start time, which has two decimals;
        they hardly have taken the same processor time as well.
        """
        same = self.started == before.started == after.started
        return same and before.cpu_s <= self.cpu_s <= after.cpu_s


def read_process(text: str) -> ServerProcess | None:
    """The process in the text of ``GET /metrics``; ``None`` where it is not told.

    A server with several API processes tells none.
    """
    found = dict(_PROCESS.findall(text))
    started, cpu = (_number(found.get(name, "")) for name in ("start_time", "cpu"))
    known = math.isfinite(started) and math.isfinite(cpu)
    return ServerProcess(started, cpu) if known else None


def tells_one_process(
    arguments: Iterable[str], environment: Iterable[str], *, platform: str
) -> bool:
    """Whether a server's ``/metrics`` has to tell the process that answers.

    There is none where several API processes share the metrics, nor outside Linux.

    Args:
        arguments: names of the server's own.
        environment: names of its variables.
        platform: of the host, as `platform.platform` has it.
    """
    several = {"api_server_count", "data_parallel_size"}.intersection(arguments)
    return (
        not several
        and "PROMETHEUS_MULTIPROC_DIR" not in environment
        and platform.startswith("Linux")
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return _NOTHING
