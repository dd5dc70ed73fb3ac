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


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--vllm", "banana"), "--vllm: 'banana' is no release (for example 0.19.1)"),
        (("--vllm", ""), "--vllm: '' is no release"),
        (("--vllm", "0.19.1banana"), "is no release"),
        (("--vllm", "0.1.0"), "is older than the mode (0.11.1 is the first"),
        (("--vllm", "0.19"), "is no release"),
        (("--capability", ""), "--capability: '' is none"),
        (("--capability", "nine"), "--capability: 'nine' is none"),
        (("--features", ""), "--features: ''"),
        (("--features", "moe,"), "--features: ''"),
        (("--features", "dense,moe"), "'dense' is said alone"),
        (("--quantization", ""), "--quantization: ''"),
        (("--quantization", "none,fp8"), "'none' is said alone"),
        (("--quantization", "fp8," + "9" * 5000), "known words"),
    ],
)
def test_a_stated_word_that_means_nothing_is_one_short_error(capsys, flags, said):
    code, out, err = ask(capsys, *flags)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err) < 600


def test_a_release_newer_than_the_register_is_unknown_and_not_clear(capsys):
    flags = ("--vllm", "0.34.0", "--attention-backend", "TRITON_ATTN", "--prefix-caching", "off")
    code, out, err = ask(capsys, *flags, "--json")
    assert code == 4
    assert not json.loads(out)["ok"]
    assert "not judged: 0.34.0 is newer than 0.33.0, the last release that was looked at" in err


def test_a_candidate_in_an_images_tag_is_not_taken_for_the_release(capsys):
    flags = ("--image", "vllm/vllm-openai:v0.27.0rc1", "--attention-backend", "TRITON_ATTN")
    told = json.loads(ask(capsys, *flags, "--prefix-caching", "off", "--json")[1])
    assert told["release"] == "0.27.0rc1"
    assert {"rmsnorm-256-tokens": "may have"}.items() <= {
        d["id"]: d["has"] for d in told["defects"]
    }.items()


def test_what_states_a_stack_is_no_silent_word_of_the_plain_doctor(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--vllm", "0.19.1"])
    assert ended.value.code == 2
    assert "add --invariant" in capsys.readouterr().err


def test_what_is_not_known_makes_no_stack_clear_and_names_the_flags_that_state_it(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--invariant", "--image", "vllm/vllm-openai:v0.19.1", "--json"])
    said = capsys.readouterr()
    assert ended.value.code == 4
    told = json.loads(said.out)
    assert not told["ok"]
    unknown = [one for one in told["defects"] if one["has"] == "not known"]
    assert f"not judged: {len(unknown)} of {len(told['defects'])} known defects" in said.err
    assert "state it: --capability, --features, --quantization, --prefix-caching" in said.err
