"""What a stack is taken to be: a default is settled by release and device, or it is not known."""

from __future__ import annotations

import json

import msgspec
import pytest

from harness.cause import Has, Trait, fitting, judge_stack, traits_of, traits_of_run
from harness.cause.model_traits import config_of_class, dtype_of, features_of, quantizations_of
from harness.records import RunFiles, read_run_files
from harness.settings import load_spec
from harness.words import Mode
from tests.cause.test_certify import TRITON
from tests.cause.test_defects import found

DENSE = {"features": ("dense",), "quantization": ("none",)}
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16"}
MLA = {"model_type": "minicpm3", "kv_lora_rank": 256}
NOT_CLEAR = (Has.YES, Has.MAY, Has.UNKNOWN)


def traits(release="0.33.0", capability="9.0", mode=Mode.BATCH_INVARIANT, known=DENSE, **changes):
    # of somebody else's server a flag that says how one of ours is started is refused
    base = {} if changes.get("backend") == "external" else {"server.attention_backend": None}
    spec = load_spec("controlled", base | changes).spec
    return traits_of(spec, mode, release=release, capability=capability, **known)


def given(*words, **changes):
    return traits(**{"server.extra_args": list(words), **changes})


@pytest.mark.parametrize("release", ["0.20.2", "0.25.1", "0.33.0"])
def test_a_hopper_with_no_backend_given_has_the_defect_of_fa3(release):
    stack = traits(release)
    assert stack[Trait.ATTENTION] == {"FLASH_ATTN", "FA3"}
    assert "fa3-mixed-prefill" in found(release, stack)


@pytest.mark.parametrize(
    ("release", "capability", "mode", "attention", "flash"),
    [
        ("0.11.2", "9.0", Mode.BATCH_INVARIANT, {"FLASH_ATTN", "FA3"}, {"3"}),
        ("0.19.1", "9.0", Mode.BATCH_INVARIANT, None, {"3"}),  # it refuses to start
        ("0.19.1", "9.0", Mode.STANDARD, {"FLASH_ATTN", "FA3"}, {"3"}),
        ("0.33.0", "10.0", Mode.BATCH_INVARIANT, {"FLASH_ATTN", "FA2"}, {"2"}),
        ("0.33.0", "10.0", Mode.STANDARD, {"FLASHINFER"}, {"none"}),
        ("0.19.1", "10.0", Mode.STANDARD, None, None),
        ("0.33.0", "12.0", Mode.BATCH_INVARIANT, None, None),
        ("0.33.0", None, Mode.BATCH_INVARIANT, None, None),
        (None, "9.0", Mode.BATCH_INVARIANT, None, {"3"}),
    ],
)
def test_the_default_kernel_is_what_is_known_of_release_and_device(
    release, capability, mode, attention, flash
):
    stack = traits(release, capability, mode)
    assert stack.get(Trait.ATTENTION) == attention
    assert stack.get(Trait.FLASH) == flash
    assert stack[Trait.BACKEND_GIVEN] == {"no"}


def test_a_backend_that_is_not_known_excludes_no_entry():
    stack = traits("0.19.1")
    assert {"fa3-mixed-prefill", "flashinfer-mla"} <= found("0.19.1", stack, Has.UNKNOWN)
    assert "backend-not-given" in found("0.19.1", stack)


@pytest.mark.parametrize(
    ("release", "variable", "attention"),
    [
        ("0.11.2", "FLASHINFER", {"FLASHINFER"}),
        ("0.11.2", "TRITON_ATTN", {"FLASH_ATTN", "FA3"}),  # that release forces another
        ("0.12.0", "FLASH_ATTN", {"FLASH_ATTN", "FA3"}),
        ("0.13.0", "flash_attn_vllm_v1", {"FLASH_ATTN", "FA3"}),
        ("0.20.2", "TRITON_ATTN", None),  # whether it is read is not established
        ("0.20.2", "FLASH_ATTN", {"FLASH_ATTN", "FA3"}),  # either way
        ("0.33.0", "TRITON_ATTN", {"FLASH_ATTN", "FA3"}),  # nobody reads it
    ],
)
def test_a_variable_is_a_backend_where_the_release_reads_it(release, variable, attention):
    stack = traits(release, **{"server.env": {"VLLM_ATTENTION_BACKEND": variable}})
    assert stack.get(Trait.ATTENTION) == attention


def test_a_variable_for_the_generation_clears_no_release_that_does_not_read_it():
    two = {"server.env": {"VLLM_FLASH_ATTN_VERSION": "2"}}
    assert traits("0.13.0", **two)[Trait.FLASH] == {"2"}
    assert Trait.FLASH not in traits("0.20.2", **two)
    assert "fa3-mixed-prefill" in found("0.33.0", traits("0.33.0", **two))


def test_a_backend_may_be_given_in_a_group():
    assert given("-ac.backend", "triton_attn")[Trait.ATTENTION] == {"TRITON_ATTN"}
    assert given("--attention_config", '{"flash_attn_version": 2}')[Trait.ATTENTION] == {
        *("FLASH_ATTN", "FA2")
    }
    four = given("--attention-config.flash_attn_version=4", capability="10.0")
    assert four[Trait.FLASH] == {"2"}  # the mode takes 2 in its place


@pytest.mark.parametrize("model", [None, MLA, {"model_type": "qwen3_next"}, {"index_topk": 8}])
def test_a_model_that_needs_another_kernel_or_is_not_known_leaves_the_default_open(model):
    stack = traits(known={"configs": [model], "quantization": ("none",)})
    assert Trait.ATTENTION not in stack
    assert "fa3-mixed-prefill" in found("0.33.0", stack, Has.UNKNOWN)


def test_float32_has_another_kernel_than_the_default():
    assert Trait.ATTENTION not in traits(**{"server.dtype": "float32"})
    assert traits(**{"server.dtype": "half"})[Trait.DTYPE] == {"float16"}


@pytest.mark.parametrize(
    ("words", "compiled", "graphs"),
    [
        ((), {"on"}, {"on"}),
        (("--enforce_eager",), {"off"}, {"off"}),
        (("--no-enforce-eager",), {"on"}, {"on"}),
        (("--enforce-eager", "--no-enforce-eager"), {"on"}, {"on"}),
        (("-O0",), {"off"}, {"off"}),
        (("-O", "0"), {"off"}, {"off"}),
        (("-O2",), {"on"}, {"on"}),
        (("-O.level=0",), {"off"}, None),
        (("--compilation-config", '{"mode": "NONE"}'), {"off"}, None),
        (("--compilation-config", '{"cudagraph_mode":"NONE"}'), {"on"}, {"off"}),
        (("-cc.cudagraph_mode=FULL", "-cc.mode=3"), {"on"}, {"on"}),
        (("--config", "more.yaml"), None, None),
    ],
)
def test_compilation_and_graphs_are_read_in_every_spelling(words, compiled, graphs):
    stack = given(*words)
    assert stack.get(Trait.COMPILED) == compiled
    assert stack.get(Trait.GRAPHS) == graphs


def test_graphs_alone_switched_off_do_not_clear_what_the_compiler_does():
    stack = given("-cc.cudagraph_mode=NONE", release="0.30.0", capability="8.9")
    assert "inductor-out-variants" in found("0.30.0", stack, Has.MAY)
    assert "blackwell-graph-replay" not in found("0.30.0", stack, *NOT_CLEAR)


@pytest.mark.parametrize(
    ("words", "trait", "value"),
    [
        (("--tensor_parallel_size=4",), Trait.TENSOR_PARALLEL, {"4", "many"}),
        (("-tp", "2", "-tp=4"), Trait.TENSOR_PARALLEL, {"4", "many"}),
        (("--data_parallel_size", "8"), Trait.DATA_PARALLEL, {"8", "many"}),
        (("-tp", "auto"), Trait.TENSOR_PARALLEL, None),
        (("-q", "awq_marlin"), Trait.QUANTIZATION, {"awq"}),
        (("--speculative_config.method=ngram",), Trait.SPECULATIVE, {"on"}),
        (("--speculative-config", '{"method": "ngram"}'), Trait.SPECULATIVE, {"on"}),
        ((), Trait.SPECULATIVE, {"off"}),
        (("--config", "more.yaml"), Trait.TENSOR_PARALLEL, None),
        (("--config", "more.yaml"), Trait.SPECULATIVE, None),
        (("--config", "more.yaml", "-tp", "2"), Trait.TENSOR_PARALLEL, {"2", "many"}),
        ((), Trait.ALLREDUCE_FUSION, {"default"}),
        (("-cc.pass_config.fuse_allreduce_rms=false",), Trait.ALLREDUCE_FUSION, {"off"}),
        (("-cc", '{"pass_config": {"fuse_allreduce_rms": true}}'), Trait.ALLREDUCE_FUSION, {"on"}),
        (("-cc", '{"pass_config": {"enable_sp": true}}'), Trait.ALLREDUCE_FUSION, {"default"}),
        (("-cc", '{"pass_config": {"enable_sp": true}}'), Trait.SEQUENCE_PARALLEL, {"on"}),
        (("-cc", "{not JSON"), Trait.SEQUENCE_PARALLEL, None),
        (("--enforce-eager", "-tp", "2"), Trait.ALLREDUCE_FUSION, {"off"}),
        (("--config", "more.yaml"), Trait.ALLREDUCE_FUSION, None),
    ],
)
def test_what_was_given_is_read_in_every_spelling(words, trait, value):
    known = {"features": ("dense",)}
    assert given(*words, known=known).get(trait) == value


def test_speculation_is_settled_by_the_arguments_alone():
    stack = given("--speculative-config", '{"method": "ngram"}', known={})
    assert Trait.FEATURE not in stack
    assert "speculative-decoding" in found("0.33.0", stack, Has.MAY)
    assert "speculative-decoding" not in found("0.33.0", traits(known={}), *NOT_CLEAR)


def test_of_somebody_elses_server_no_default_is_known():
    theirs = {
        "backend": "external",
        "external": {m: {"url": "http://127.0.0.1:1"} for m in ("standard", "batch_invariant")},
    }
    stack = traits(**theirs)
    told = {Trait.MODE, Trait.PLATFORM, Trait.CAPABILITY, Trait.FEATURE, Trait.QUANTIZATION}
    assert set(stack) == told | {Trait.WARM_UP}
    assert not {one.has for one in judge_stack("0.33.0", stack)} & {Has.MAY}


def test_a_command_of_ones_own_may_give_more_than_the_spec():
    own = {"backend": "native", "server.native_command": "bash mine.sh"}
    assert Trait.TENSOR_PARALLEL not in traits(**own)
    own["server.native_command"] = "vllm serve -tp 2 --enforce-eager"
    assert traits(**own)[Trait.TENSOR_PARALLEL] == {"2", "many"}
    assert traits(**own)[Trait.GRAPHS] == {"off"}


@pytest.mark.parametrize(
    ("config", "features", "method"),
    [
        (LLAMA, {"dense"}, "none"),
        ({"architectures": ["Qwen3MoeForCausalLM"]}, {"moe"}, "none"),
        ({"model_type": "llama4", "text_config": {"num_local_experts": 8}}, {"moe"}, "none"),
        ({"vision_config": {}, "text_config": {"model_type": "llama"}}, {"vision"}, "none"),
        ({"index_topk": 2048}, {"sparse-mla"}, "none"),
        ({"quantization_config": {"quant_method": "gptq_marlin"}}, {"dense"}, "gptq"),
        ({"quantization_config": {"quant_method": "fbgemm-fp8"}}, {"dense"}, "fp8"),
        ({"quantization_config": {"quant_method": "quark"}}, {"dense"}, None),
        ({"quantization_config": "?"}, {"dense"}, None),
        (
            {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}},
            {"dense"},
            "nvfp4",
        ),
        (
            {"quantization_config": {"quant_method": "compressed-tensors",
                                     "format": "nvfp4-pack-quantized",
                                     "weights": {"num_bits": 4, "type": "float"}}},
            {"dense"},
            "nvfp4",
        ),
        (
            {"quantization_config": {"quant_method": "compressed-tensors",
                                     "weights": {"num_bits": 4, "type": "int"}}},
            {"dense"},
            "compressed-tensors-int4",
        ),
        (
            {"quantization_config": {"quant_method": "compressed-tensors",
                                     "format": "int-quantized",
                                     "weights": {"num_bits": 8, "type": "int"}}},
            {"dense"},
            None,
        ),
        (
            {"text_config": {"quantization_config": {"quant_method": "awq"}}, "vision_config": {}},
            {"vision"},
            "awq",
        ),
    ],
)  # fmt: skip
def test_a_models_configuration_in_the_registers_words(config, features, method):
    assert features_of([config]) == features
    assert quantizations_of([config]) == (None if method is None else {method})


def test_of_several_models_each_is_looked_at_and_one_unknown_leaves_it_open():
    moe = {"model_type": "mixtral", "torch_dtype": "float16"}
    assert features_of([LLAMA, moe]) == {"dense", "moe"}
    assert features_of([LLAMA, None]) is None
    assert quantizations_of([LLAMA, None]) is None
    assert dtype_of("auto", [LLAMA]) == "bfloat16"
    assert dtype_of("auto", [LLAMA, moe]) is None
    assert dtype_of("auto", [{"torch_dtype": "float32"}]) is None
    assert dtype_of("auto", [None]) is None


def _with(files: RunFiles, engine=None, **metadata) -> RunFiles:
    """The run with words of its engines' and of its metadata replaced."""
    startups = []
    for one in files.startups:
        starts = [
            msgspec.structs.replace(
                start,
                facts={**start.facts, "engine": {**start.facts.get("engine", {}), **engine}},
            )
            for start in one.starts
        ]
        startups.append(one.__class__(one.file, one.model, one.mode, one.attempts, tuple(starts)))
    return RunFiles(
        files.records_path, files.folder, {**files.metadata, **metadata}, tuple(startups)
    )


def test_a_run_is_judged_by_what_its_servers_said_and_by_the_model_that_it_kept():
    files = read_run_files(TRITON)
    name = files.spec["models"][0]["name"]
    own = traits_of_run(files, Mode.BATCH_INVARIANT)
    assert own[Trait.ATTENTION] == {"TRITON_ATTN"}
    assert own[Trait.FEATURE] == {"dense"}  # by its log: it kept no configuration
    said = {
        "tensor_parallel_size": "2",
        "enforce_eager": "True",
        "quantization": "fp8",
        "dtype": "torch.bfloat16",
        "speculative_config": "SpeculativeConfig(method='ngram')",
    }
    config = {"architectures": ["MixtralForCausalLM"]}
    copied = json.loads(json.dumps({name: config}))
    stack = traits_of_run(_with(files, said, model_configs=copied), Mode.BATCH_INVARIANT)
    assert stack[Trait.FEATURE] == {"moe"}
    assert stack[Trait.QUANTIZATION] == {"fp8"}
    assert stack[Trait.DTYPE] == {"bfloat16"}
    assert stack[Trait.TENSOR_PARALLEL] == {"2", "many"}
    assert stack[Trait.GRAPHS] == stack[Trait.COMPILED] == {"off"}
    assert stack[Trait.SPECULATIVE] == {"on"}
    assert {"fp8-moe-online", "moe-no-guard"} <= found("0.19.1", stack)
    judged = judge_stack("0.19.1", stack)
    assert {"fp8-moe-online", "moe-no-guard"} <= {one.id for one in fitting(judged, {"batch"})}
    for broken in ("?", {name: 3}, {}):
        odd = _with(files, {}, model_configs=broken)
        assert traits_of_run(odd, Mode.BATCH_INVARIANT)[Trait.FEATURE] == {"dense"}


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("LlamaForCausalLM", {"dense"}),
        ("Qwen3MoeForCausalLM", {"moe"}),
        ("DeepseekV32ForCausalLM", {"moe", "sparse-mla"}),
        ("Qwen2_5_VLForConditionalGeneration", {"vision"}),
        ("DbrxForCausalLM", None),  # it has experts, and its name does not say so
        (None, None),
    ],
)
def test_a_class_alone_settles_what_its_name_tells(name, features):
    assert features_of([config_of_class(name)]) == features
