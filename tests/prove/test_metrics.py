"""Counters of a real server: three prompts alone, then one list of four."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.prove import EngineMetrics, metrics_delta, read_metrics

METRICS = Path(__file__).parent.parent / "data" / "metrics"


def reading(name: str) -> EngineMetrics:
    return read_metrics((METRICS / f"vllm-0.32.0-cpu-{name}.txt").read_text())


@pytest.fixture
def solo() -> EngineMetrics:
    return metrics_delta(reading("0-idle"), reading("1-after-three-solo"))


@pytest.fixture
def batched() -> EngineMetrics:
    return metrics_delta(reading("1-after-three-solo"), reading("2-after-one-list-of-four"))


def test_every_decode_step_of_a_prompt_alone_holds_one_token(solo: EngineMetrics):
    assert solo.steps == 24
    assert solo.one_token_steps == 21
    assert solo.mean_width == 1.0


def test_no_step_of_a_batch_holds_one_token(batched: EngineMetrics):
    assert batched.one_token_steps == 0
    assert batched.shared_step_share == 1.0
    assert batched.mean_width is not None
    assert batched.mean_width > 3


def test_tokens_of_the_steps_are_prompt_and_generated_tokens(solo: EngineMetrics):
    assert solo.prompt_tokens is not None
    assert solo.generation_tokens is not None
    assert solo.step_tokens == solo.prompt_tokens + solo.generation_tokens


def test_finished_requests_are_counted_by_reason(solo: EngineMetrics, batched: EngineMetrics):
    assert solo.finished_requests == 3
    assert batched.finished["length"] == 4


def test_the_prefix_cache_was_not_used(batched: EngineMetrics):
    assert batched.prefix_cache_hits == 0
    assert batched.preemptions == 0


def test_engines_are_summed():
    text = (
        'vllm:generation_tokens_total{engine="0",model_name="m"} 3.0\n'
        'vllm:generation_tokens_total{engine="1",model_name="m"} 4.0\n'
    )
    assert read_metrics(text).generation_tokens == 7


def test_a_server_without_engine_metrics_gives_none_and_not_zero():
    metrics = read_metrics("# nothing\npython_info 1.0\n")
    assert metrics.steps is None
    assert metrics.shared_step_share is None
    assert metrics_delta(metrics, metrics).prefix_cache_hits is None


def test_a_label_may_hold_braces_quotes_and_spaces():
    text = 'vllm:prompt_tokens_total{model_name="a \\"b\\" {c} d"} 5.0\n'
    assert read_metrics(text).prompt_tokens == 5


def test_large_counters_in_exponent_form_are_read():
    assert read_metrics('vllm:prompt_tokens_total{engine="0"} 1.5e+06\n').prompt_tokens == 1_500_000
