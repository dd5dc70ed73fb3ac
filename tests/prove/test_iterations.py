"""Engine steps witness how an asking was really computed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.prove import EngineMetrics, log_witness, metrics_witness, read_steps
from harness.prove.server_log import read_lines
from harness.records import Answer, Witness

LOGS = Path(__file__).parent.parent / "data" / "vllm_logs"


def log(name: str) -> str:
    return (LOGS / f"vllm-{name}.log").read_text(encoding="utf-8", errors="replace")


def step(number: int, context: int, generation: int, prefix: str = "Engine 000: ") -> str:
    return (
        f"(APIServer pid=1) INFO 11-23 17:00:00 [loggers.py:1] {prefix}Iteration({number}): "
        f"{context} context requests, {context * 8} context tokens, {generation} generation "
        f"requests, {generation} generation tokens, iteration elapsed time: 1.00 ms"
    )


def steps(*widths: tuple[int, int]) -> str:
    return "\n".join(step(number, *pair) for number, pair in enumerate(widths))


def answers(*lengths: int, reason: str = "length") -> list[Answer]:
    return [
        Answer(text="x", token_ids=tuple(range(length)), finish_reason=reason) for length in lengths
    ]


def witness(text: str, said: list[Answer]) -> Witness | None:
    return log_witness(read_steps(text), said)


def test_both_forms_of_the_line_are_read():
    old = read_steps(log("0.19.1-h200-docker-standard-gated"))
    new = read_steps(log("0.32.0-cpu-docker-standard-gated"))
    assert old[0].context_requests == new[0].context_requests == 8
    assert old[0].context_tokens == 64
    assert old[1].generation_requests == 8


@pytest.mark.parametrize(
    "name", ["0.19.1-h200-docker-batch_invariant-gated", "0.32.0-cpu-docker-standard-gated"]
)
def test_a_gated_batch_of_eight_was_admitted_in_one_step(name: str):
    seen = read_steps(log(name))
    decoded = sum(one.generation_tokens for one in seen)
    found = log_witness(seen, answers(*[1] * 7, decoded + 1))
    assert found == Witness(
        steps=len(seen),
        admitted_first_step=8,
        shared_decode_share=1.0,
        mixed_steps=0,
        split_prefills=0,
        largest_step=seen[0].context_tokens,
        source="log",
    )
    for others in (7, 9):
        assert log_witness(seen, answers(*[2] * others, decoded)) is None


def test_a_solo_request_is_alone():
    found = witness(steps((1, 0), (0, 1), (0, 1)), answers(3))
    assert found is not None
    assert found.alone
    assert not found.shared


@pytest.mark.parametrize(
    ("widths", "lengths"),
    [
        pytest.param([(1, 0), (1, 1), (0, 1)], (2, 2), id="a prefill beside a decode"),
        pytest.param([(2, 0), (0, 2)], (2, 2), id="decoded together"),
        pytest.param([(2, 0)], (1, 1), id="prefilled together, one token each"),
    ],
)
def test_what_shared_a_step_is_not_alone(widths: list[tuple[int, int]], lengths: tuple[int, ...]):
    found = witness(steps(*widths), answers(*lengths))
    assert found is not None
    assert found.shared
    assert not found.alone


def test_requests_one_after_another_share_nothing():
    found = witness(steps(*[(1, 0), (0, 1)] * 4), answers(2, 2, 2, 2))
    assert found is not None
    assert found.shared_decode_share == 0
    assert not found.shared


def test_a_staggered_batch_mixes_prefill_and_decode():
    found = witness(steps((1, 0), (1, 1), (1, 2), (0, 3), (0, 2), (0, 1)), answers(4, 4, 4))
    assert found is not None
    assert (found.admitted_first_step, found.mixed_steps, found.steps) == (1, 2, 6)
    assert found.shared_decode_share == 4 / 5


@pytest.mark.parametrize(
    ("widths", "reason"),
    [
        pytest.param([], "length", id="no lines"),
        pytest.param([(1, 0), (0, 1)], "stop", id="a line is still to come"),
        pytest.param([(1, 0), (0, 1), (0, 1), (0, 1)], "length", id="one step too many"),
        pytest.param([(1, 0), (0, 2), (0, 2)], "stop", id="another request decodes in between"),
    ],
)
def test_tokens_that_do_not_add_up_witness_nothing(widths: list[tuple[int, int]], reason: str):
    assert witness(steps(*widths), answers(3, reason=reason)) is None


def test_answers_without_token_ids_cannot_be_witnessed():
    assert witness(steps((1, 0), (0, 1)), [Answer(text="x")]) is None


def test_a_step_scheduled_ahead_of_a_stop_is_no_stranger():
    found = witness(steps((1, 0), (0, 1), (0, 1)), answers(2, reason="stop"))
    assert found is not None
    assert found.alone


def test_a_late_line_of_the_asking_before_is_passed_over():
    found = witness(steps((0, 1), (2, 0), (0, 2)), answers(2, 2))
    assert found is not None
    assert (found.steps, found.admitted_first_step) == (2, 2)


def test_two_processes_that_write_at_once_lose_no_step_and_prove_nothing():
    mixed = steps((1, 0), (0, 1), (0, 1)).replace(
        "(APIServer pid=1) INFO", "(EngineCore pid=3420) (APIServer pid=1312) INFO", 2
    )
    after = "INFO 11-23 17:00:00 [loggers.py:259] Engine 000: Avg prompt throughput: 5.3 tokens/s"
    found = witness(f"{mixed}\n{after}", answers(3))
    assert found is not None
    assert found.alone
    first, *_ = read_lines(mixed)
    assert first.process == "APIServer 1312"
    assert not first.may_be_engine


def test_a_line_quoted_in_a_request_is_not_a_step():
    quoted = '(APIServer pid=1) INFO 11-23 17:00:00 [x.py:1] prompt: "' + step(0, 8, 0) + '"'
    assert read_steps(quoted) == ()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 9))
def test_every_admission_adds_up_and_a_token_less_does_not(lengths: list[int], apart: int):
    """Requests that enter ``apart`` steps after one another, each with its own length."""
    widths = []
    for at in range(apart * len(lengths) + 10):
        begun = [at - apart * place for place in range(len(lengths))]
        decodes = sum(0 < age < length for age, length in zip(begun, lengths, strict=True))
        widths.append((sum(age == 0 for age in begun), decodes))
    busy = [pair for pair in widths if sum(pair)]
    found = witness(steps(*busy), answers(*lengths))
    assert found is not None
    assert found.shared == any(sum(pair) > 1 for pair in busy)
    assert witness(steps(*busy), answers(*lengths[:-1], lengths[-1] + 1)) is None


def grown(steps: int, alone: int, tokens: int) -> EngineMetrics:
    return EngineMetrics(steps=steps, one_token_steps=alone, generation_tokens=tokens)


def test_the_metrics_tell_steps_and_sharing_alone():
    solo = metrics_witness(grown(8, 7, 8), answers(8))
    assert solo == Witness(steps=8, shared_decode_share=0.0, source="metrics")
    batch = metrics_witness(grown(10, 1, 24), answers(8, 8, 8))
    assert batch is not None
    assert batch.shared_decode_share == 6 / 7
    assert (batch.shared, batch.alone) == (True, False)


def test_metrics_that_count_another_request_witness_nothing():
    assert metrics_witness(grown(8, 7, 9), answers(8)) is None
    assert metrics_witness(EngineMetrics(), answers(8)) is None


def test_a_prompt_that_takes_two_steps_is_a_split_prefill():
    found = witness(steps((2, 0), (1, 1), (0, 1)), answers(2, 2))
    assert found is not None
    assert found.split_prefills == 1
