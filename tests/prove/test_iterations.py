"""Engine steps witness how a batch was really computed."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness.prove import batch_witness, read_steps

LOGS = Path(__file__).parent.parent / "data" / "vllm_logs"


def log(name: str) -> str:
    return (LOGS / f"vllm-{name}.log").read_text(encoding="utf-8", errors="replace")


def step(number: int, context: int, generation: int, prefix: str = "Engine 000: ") -> str:
    return (
        f"(APIServer pid=1) INFO 11-23 17:00:00 [loggers.py:1] {prefix}Iteration({number}): "
        f"{context} context requests, {context * 8} context tokens, {generation} generation "
        f"requests, {generation} generation tokens, iteration elapsed time: 1.00 ms"
    )


def test_both_forms_of_the_line_are_read():
    old = read_steps(log("0.19.1-h200-docker-standard-gated"))
    new = read_steps(log("0.32.0-cpu-docker-standard-gated"))
    assert old[0].context_requests == new[0].context_requests == 8
    assert old[0].context_tokens == 64
    assert old[1].generation_requests == 8


def test_a_gated_batch_of_eight_was_admitted_in_one_step():
    for name in ("0.19.1-h200-docker-batch_invariant-gated", "0.32.0-cpu-docker-standard-gated"):
        witness = batch_witness(log(name), 8)
        assert witness.admitted_together
        assert witness.all_met
        assert witness.prefill_steps == 1


def test_the_same_log_does_not_witness_another_number_of_requests():
    text = log("0.32.0-cpu-docker-standard-gated")
    for expected in (7, 9):
        witness = batch_witness(text, expected)
        assert not witness.admitted_together
        assert not witness.all_met


def test_three_concurrent_requests_met_but_were_not_admitted_together():
    witness = batch_witness(log("0.32.0-cpu-standard"), 3)
    assert witness.all_met
    assert not witness.admitted_together
    assert witness.first_width == 1


def test_a_solo_request_is_alone():
    witness = batch_witness("\n".join([step(0, 1, 0), step(1, 0, 1), step(2, 0, 1)]), 1)
    assert witness.alone
    assert witness.admitted_together


def test_a_solo_request_that_met_another_is_not_alone():
    assert not batch_witness("\n".join([step(0, 1, 0), step(1, 1, 1)]), 1).alone


def test_requests_sent_one_after_another_do_not_share_a_step():
    lines = [line for i in range(4) for line in (step(2 * i, 1, 0), step(2 * i + 1, 0, 1))]
    witness = batch_witness("\n".join(lines), 4)
    assert witness.shared_steps == 0
    assert not witness.all_met


def test_without_lines_nothing_is_witnessed():
    witness = batch_witness("INFO nothing here\n", 1)
    assert not witness.seen
    assert not witness.alone
    assert not witness.admitted_together
    assert not witness.all_met


def test_a_line_quoted_in_a_request_is_not_a_step():
    quoted = '(APIServer pid=1) INFO 11-23 17:00:00 [x.py:1] prompt: "' + step(0, 8, 0) + '"'
    assert read_steps(quoted) == ()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20), st.integers(1, 9))
def test_a_witness_never_claims_more_than_the_steps_hold(steps: list[tuple[int, int]], sent: int):
    text = "\n".join(step(i, *widths) for i, widths in enumerate(steps))
    witness = batch_witness(text, sent)
    widths = [a + b for a, b in steps if a + b]
    assert witness.steps == len(widths)
    assert witness.max_width == max(widths, default=0)
    assert witness.all_met == (bool(widths) and max(widths) == sent)
    assert witness.alone == (bool(widths) and set(widths) == {1})
    assert witness.full_steps <= witness.steps
