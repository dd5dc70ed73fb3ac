"""``harness doctor --invariant``: a stack judged from the register alone."""

from __future__ import annotations

import json
import time

import pytest

from harness.cli import main

HOPPER = ["--image", "vllm/vllm-openai:v0.19.1", "--capability", "9.0", "--features", "dense"]


def ask(capsys, *flags):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--invariant", *HOPPER, "--quantization", "none", *flags])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_a_hopper_stack_with_fa3_fails_and_names_the_thread(capsys):
    began = time.monotonic()
    code, out, err = ask(capsys)
    assert time.monotonic() - began < 5
    assert code == 1
    assert "fa3-mixed-prefill" in out
    assert "vllm#51902" in err


def test_another_attention_kernel_and_no_cache_pass(capsys):
    flags = ("--attention-backend", "TRITON_ATTN", "--prefix-caching", "off", "--json")
    code, out, _ = ask(capsys, *flags)
    assert code == 0
    told = json.loads(out)
    assert told["ok"]
    assert told["stack"]["attention"] == ["TRITON_ATTN"]
    assert len(told["defects"]) >= 25


def test_a_word_that_the_register_lacks_is_an_error_with_the_nearest_one(capsys):
    code, _, err = ask(capsys, "--quantization", "gtpq")
    assert code == 2
    assert "did you mean 'gptq'?" in err
