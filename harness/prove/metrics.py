"""vLLM's ``/metrics`` text as numbers, and what happened between two readings.

The histogram ``vllm:iteration_tokens_total`` observes the tokens of each engine step, so the steps
of one token, the decode steps of a request alone, can be counted without any flag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["EngineMetrics", "metrics_delta", "read_metrics"]

_SAMPLE = re.compile(
    r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>[-+.\deE]+|NaN|[+-]?Inf)"
)
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
        return {
            "steps": self.steps,
            "one_token_steps": self.one_token_steps,
            "step_tokens": self.step_tokens,
            "prompt_tokens": self.prompt_tokens,
            "generation_tokens": self.generation_tokens,
            "prefix_cache_queries": self.prefix_cache_queries,
            "prefix_cache_hits": self.prefix_cache_hits,
            "preemptions": self.preemptions,
            "finished": dict(self.finished),
        }


def read_metrics(text: str) -> EngineMetrics:
    """Read the Prometheus text of ``GET /metrics``; engines are summed."""
    samples = [
        (match["name"], dict(_LABEL.findall(match["labels"] or "")), float(match["value"]))
        for match in map(_SAMPLE.match, text.splitlines())
        if match
    ]

    def total(name: str, **labels: str) -> float | None:
        values = [
            value
            for found, held, value in samples
            if found == name and all(held.get(key) == want for key, want in labels.items())
        ]
        return sum(values) if values else None

    finished: dict[str, float] = {}
    for name, held, value in samples:
        if name == "vllm:request_success_total":
            reason = held.get("finished_reason", "")
            finished[reason] = finished.get(reason, 0.0) + value
    return EngineMetrics(
        steps=total("vllm:iteration_tokens_total_count"),
        one_token_steps=total("vllm:iteration_tokens_total_bucket", le="1.0"),
        step_tokens=total("vllm:iteration_tokens_total_sum"),
        prompt_tokens=total("vllm:prompt_tokens_total"),
        generation_tokens=total("vllm:generation_tokens_total"),
        prefix_cache_queries=total("vllm:prefix_cache_queries_total"),
        prefix_cache_hits=total("vllm:prefix_cache_hits_total"),
        preemptions=total("vllm:num_preemptions_total"),
        finished=finished,
    )


def metrics_delta(before: EngineMetrics, after: EngineMetrics) -> EngineMetrics:
    """What happened between two readings of one server lifetime."""
    reasons = {*before.finished, *after.finished}
    return EngineMetrics(
        steps=_minus(after.steps, before.steps),
        one_token_steps=_minus(after.one_token_steps, before.one_token_steps),
        step_tokens=_minus(after.step_tokens, before.step_tokens),
        prompt_tokens=_minus(after.prompt_tokens, before.prompt_tokens),
        generation_tokens=_minus(after.generation_tokens, before.generation_tokens),
        prefix_cache_queries=_minus(after.prefix_cache_queries, before.prefix_cache_queries),
        prefix_cache_hits=_minus(after.prefix_cache_hits, before.prefix_cache_hits),
        preemptions=_minus(after.preemptions, before.preemptions),
        finished={
            reason: after.finished.get(reason, 0.0) - before.finished.get(reason, 0.0)
            for reason in sorted(reasons)
        },
    )


def _minus(after: float | None, before: float | None) -> float | None:
    if after is None:
        return None
    return after - (before or 0.0)
