"""The one reader of vLLM's arguments: its spellings, and who else must see what it sees."""

from __future__ import annotations

import pytest

from harness.analyse import stack_differences
from harness.analyse.stack import tokens_a_step
from harness.doctor.memory import shape_of
from harness.errors import UsageError
from harness.records import RunFiles
from harness.serve.server_arguments import cascade
from harness.settings import load_spec
from harness.vllm_arguments import (
    each_argument,
    kept_arguments,
    number_of,
    of_command,
    read_arguments,
)

LLAMA = {
    **{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100},
    **{"num_attention_heads": 4, "intermediate_size": 128},
}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--max-num-seqs", "64"], {"max_num_seqs": "64"}),
        (["--max-num-seqs=64"], {"max_num_seqs": "64"}),
        (["--max_num_seqs=64"], {"max_num_seqs": "64"}),
        (["--max_num_seqs", "64", "--max-num-seqs=8"], {"max_num_seqs": "8"}),
        (["--tensor_parallel_size=4"], {"tensor_parallel_size": "4"}),
        (["-tp", "4"], {"tensor_parallel_size": "4"}),
        (["-tp=4", "-dp", "2"], {"tensor_parallel_size": "4", "data_parallel_size": "2"}),
        (["--data_parallel_size", "2"], {"data_parallel_size": "2"}),
        (["--tensor-par", "4"], {"tensor_parallel_size": "4"}),
        (["-qfp8"], {"quantization": "fp8"}),
        (["--enforce_eager"], {"enforce_eager": True}),
        (["--enforce", "positional"], {"enforce_eager": True}),
        (["--enforce-eager", "--no-enforce-eager"], {"enforce_eager": False}),
        (["--no_enable_prefix_caching"], {"enable_prefix_caching": False}),
        (["-O0"], {"optimization_level": "0"}),
        (["-O", "3"], {"optimization_level": "3"}),
        (["-O=1"], {"optimization_level": "1"}),
        (["-O.level", "0"], {"compilation_config": {"level": 0}}),
        (["-O.level=0"], {"compilation_config": {"level": 0}}),
        (["-O", '{"level": 3}'], {"compilation_config": {"level": 3}}),
        (
            ["--compilation-config", '{"cudagraph_mode":"NONE"}'],
            {"compilation_config": {"cudagraph_mode": "NONE"}},
        ),
        (
            ['-cc={"mode": 0}', "--compilation_config.cudagraph_mode=NONE", "-cc.mode", "3"],
            {"compilation_config": {"cudagraph_mode": "NONE", "mode": 3}},
        ),
        (["-ac.flash_attn_version=2"], {"attention_config": {"flash_attn_version": 2}}),
        (
            ['--speculative-config={"method":"ngram"}'],
            {"speculative_config": {"method": "ngram"}},
        ),
        (["--seed", "-1", "--trust-remote-code"], {"seed": "-1", "trust_remote_code": True}),
        (["--compilation-config", "{broken"], {"compilation_config": "{broken"}),
        (["model", "--max-num-seqs"], {"max_num_seqs": True}),
    ],
)
def test_an_argument_is_read_as_vllm_reads_it(words, found):
    assert read_arguments(words) == found


@pytest.mark.parametrize(
    ("text", "number"), [("64", 64), ("2k", 2000), ("2K", 2048), ("1.5k", 1500), ("auto", None)]
)
def test_a_number_may_have_a_scale(text, number):
    assert number_of({"max_num_batched_tokens": text}, "max_num_batched_tokens") == number


def test_an_argument_is_named_as_its_flag_is_written_out():
    flags = [one.flag for one in each_argument(["--max_model=9", "--no_async_sched", "-tp", "2"])]
    assert flags == ["--max-model-len", "--no-async-scheduling", "--tensor-parallel-size"]


def test_of_a_command_what_stands_behind_vllms_module_is_vllms():
    words = ("python", "-O", "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager")
    assert of_command(words) == ("--enforce-eager",)
    assert of_command(("vllm", "serve", "-tp", "2")) == ("-tp", "2")
    assert of_command(("bash", "mine.sh")) is None


@pytest.mark.parametrize("flag", ["--max_model_len=9", "--max-model", "--no_enable_prefix_cach"])
def test_a_spec_refuses_what_has_a_key_of_its_own_in_any_spelling(flag):
    with pytest.raises(UsageError, match="has a key of its own"):
        load_spec("controlled", {"server.extra_args": [flag]})


@pytest.mark.parametrize("size", [["-tp", "2"], ["--pipeline_parallel_size=2"], ["-pp=2"]])
def test_a_size_is_not_said_twice_in_any_spelling(size):
    changes = {"server.tensor_parallel": 2, "controls.worker_proof": True}
    with pytest.raises(UsageError, match="is said twice"):
        load_spec("controlled", {**changes, "server.extra_args": size})


def test_two_spellings_of_one_argument_are_no_difference_of_two_stacks():
    def of(*given):
        kept = {"resolved_spec": {"server": {"extra_args": [*given]}}}
        return RunFiles(records_path=None, folder=None, metadata=kept)

    base = of("--max-num-seqs", "8")
    assert not stack_differences(base, of("--max_num_seqs=8"), [])
    (found,) = stack_differences(base, of("--max_num_seqs=9"), [])
    assert found.name == "server.extra_args"


def test_who_else_asks_what_a_server_was_given_sees_other_spellings_too():
    assert shape_of(LLAMA, "float16", ["--max_num_seqs", "4"])
    assert shape_of(LLAMA, "float16", ["--kv_cache_dtype=fp8"]) is None
    assert shape_of(LLAMA, "float16", ["-dp=2"]) is None
    spec = load_spec("controlled", {"server.extra_args": ["--disable_cascade_attn"]}).spec
    assert not cascade(spec, "0.19.1").off_by_flag
    assert not kept_arguments({"server": {"extra_args": 3}})
    given = {"server": {"extra_args": ["-sc", '{"num_speculative_tokens": 3}']}}
    files = RunFiles(records_path=None, folder=None, metadata={"resolved_spec": given})
    assert tokens_a_step(files) == float("inf")
