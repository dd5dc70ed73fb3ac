"""What a model needs of each GPU is told from its configuration, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from doctor.test_judge import FACTS, GPU, MODEL, SPEC

from harness.doctor import judge
from harness.doctor.memory import need_of, shape_of, ways_to_fit
from harness.errors import UsageError
from harness.findings import Status
from harness.settings import load_spec
from harness.settings.run_spec import ServerSettings

GIB = 2**30


def config(hidden, layers, heads, kv_heads, inner, words, **more):
    """As transformers write it."""
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    names += ("intermediate_size", "vocab_size")
    told = dict(zip(names, (hidden, layers, heads, kv_heads, inner, words), strict=True))
    return {"model_type": "llama", "torch_dtype": "bfloat16", **told, **more}


LLAMA_1B = config(2048, 16, 32, 8, 8192, 128256, head_dim=64, tie_word_embeddings=True)
QWEN_15B = config(1536, 28, 12, 2, 8960, 151936, tie_word_embeddings=True)
LLAMA_70B = config(8192, 80, 64, 8, 28672, 128256)
LLAMA_8B = config(4096, 32, 32, 8, 14336, 128256)
MIXTRAL = config(4096, 32, 32, 8, 14336, 32000, num_local_experts=8, model_type="mixtral")
QWEN3_MOE = config(2048, 48, 32, 4, 6144, 151936, head_dim=128, model_type="qwen3_moe")
QWEN3_MOE |= {"num_experts": 128, "moe_intermediate_size": 768, "decoder_sparse_step": 1}
# as Gemma's own are: no word of the embedding that is the output too
GEMMA2_9B = config(3584, 42, 16, 8, 14336, 256000, head_dim=256, model_type="gemma2")
GEMMA_7B = config(3072, 28, 16, 16, 24576, 256000, head_dim=256, model_type="gemma")
DEEPSEEK_16B = config(2048, 28, 16, 16, 10944, 102400, model_type="deepseek")
DEEPSEEK_16B |= {"n_routed_experts": 64, "n_shared_experts": 2, "moe_intermediate_size": 1408}


@pytest.mark.parametrize(
    ("of", "parameters"),
    [
        (LLAMA_1B, 1_235_814_400),
        (QWEN_15B, 1_543_714_304),
        (LLAMA_70B, 70_553_706_496),
        (MIXTRAL, 46_702_792_704),
        (LLAMA_8B, 8_030_261_248),
        (QWEN3_MOE, 30_532_122_624),
        (GEMMA2_9B, 9_241_705_984),
        (GEMMA_7B, 8_537_680_896),
    ],
)
def test_parameters_are_those_that_the_model_has(of, parameters):
    shape = shape_of(of, "auto")
    assert shape is not None
    assert shape.parameters == pytest.approx(parameters, rel=1e-3)


def test_the_cache_is_of_the_heads_that_a_gpu_has():
    shape = shape_of(LLAMA_70B, "float16")
    assert shape is not None
    assert need_of(shape, 1).sequence == 327_680
    assert need_of(shape, 1, tensor=4).sequence == 327_680 // 4
    assert need_of(shape, 1, tensor=16).sequence == 327_680 // 8  # a head is never cut
    assert need_of(shape, 1, tensor=2, pipeline=2).sequence == 327_680 // 4


def test_weights_are_shared_by_tensor_and_by_pipeline():
    shape = shape_of(LLAMA_70B, "float16")
    assert shape is not None
    whole = need_of(shape, 1).weights
    assert whole == pytest.approx(141.1e9, rel=1e-3)
    assert need_of(shape, 1, tensor=4).weights == pytest.approx(whole / 4, rel=1e-6)
    assert need_of(shape, 1, pipeline=2).weights == pytest.approx(whole / 2, rel=1e-6)
    wide = shape_of(LLAMA_70B, "float32")
    assert wide is not None
    assert need_of(wide, 1).weights == 2 * whole


def test_both_ends_of_a_pipeline_hold_an_embedding_that_is_the_output_too():
    shape = shape_of(GEMMA2_9B, "auto")
    assert shape is not None
    assert need_of(shape, 1, pipeline=2).weights == 2 * (21 * shape.layer + 256000 * 3584)


def test_numbers_of_32_bits_are_halved_by_the_server_that_chooses_itself():
    shape = shape_of({**LLAMA_8B, "torch_dtype": "float32"}, "auto")
    assert shape is not None
    assert shape.bytes == 2


@pytest.mark.parametrize(
    "more",
    [
        {"model_type": "deepseek_v2"},
        {"model_type": "gpt_neox"},
        {"model_type": "qwen3_next"},
        {"model_type": None},
        {"model_type": ["llama"]},
        {"n_routed_experts": 64},
        {"compression_config": {"format": "int-quantized"}},
        {"num_key_value_heads": -8},
        {"num_key_value_heads": 0},
        {"num_attention_heads": 8192 * 2},
        {"head_dim": -1},
        {"head_dim": True},
        {"hidden_size": 10**400},
        {"num_local_experts": -4},
        {"quantization_config": {"quant_method": "awq"}},
        {"kv_lora_rank": 512},
        {"vision_config": {"x": 1}},
        {"num_hidden_layers": "80"},
        {"intermediate_size": None},
        {"torch_dtype": "float8"},
    ],
)
def test_a_configuration_that_is_not_understood_gives_no_estimate(more):
    assert shape_of({**LLAMA_70B, **more}, "auto") is None


def test_an_older_model_of_other_experts_gives_no_estimate():
    assert shape_of(DEEPSEEK_16B, "auto") is None


@pytest.mark.parametrize("arg", ["--quantization", "--kv-cache-dtype=fp8", "--kv_cache_dtype"])
def test_weights_that_the_server_holds_in_another_form_give_no_estimate(arg):
    assert shape_of(LLAMA_70B, "auto", (arg, "fp8")) is None


def said(of, gpus, **server):
    """Status, message and remedy of the line on memory."""
    spec = SPEC.model_copy(
        update={"server": ServerSettings(attention_backend="TRITON_ATTN", **server)}
    )
    facts = replace(FACTS, gpus=gpus, models=(replace(MODEL, config=of),))
    (line,) = (line for line in judge(facts, spec) if line.check.startswith("memory for"))
    return line.status, line.message, line.remedy


EIGHT = tuple(replace(GPU, index=n) for n in range(8))


def test_a_model_that_does_not_fit_is_refused_with_the_size_that_would():
    status, message, remedy = said(LLAMA_70B, EIGHT)
    assert status is Status.FAILED
    assert "about 134.0 GiB on each GPU (131.4 of weights" in message
    assert "64.0 may be used" in message
    assert "--tensor-parallel 4 would fit" in remedy
    assert said(LLAMA_70B, EIGHT, tensor_parallel=4)[0] is Status.OK
    assert said(LLAMA_70B, EIGHT, tensor_parallel=2, pipeline_parallel=2)[0] is Status.OK


@pytest.mark.parametrize(
    ("gpus", "server", "message"),
    [
        (
            EIGHT,
            {"tensor_parallel": 3},
            "64 attention heads, 8 of keys and values, cannot be shared",
        ),
        (EIGHT, {"pipeline_parallel": 81}, "80 layers cannot be shared by 81 groups"),
        (EIGHT[:2], {"tensor_parallel": 4}, "4 GPUs are asked for, 2 can be used"),
    ],
)
def test_a_division_that_vllm_refuses_is_refused_before_it(gpus, server, message):
    status, told, _ = said(LLAMA_70B, gpus, **server)
    assert (status, message in told) == (Status.FAILED, True), told


def test_heads_of_keys_and_values_are_shared_evenly_or_each_by_several():
    shape = shape_of(config(3584, 28, 28, 4, 18944, 152064, model_type="qwen2"), "auto")
    assert shape is not None
    assert list(ways_to_fit(shape, 8192, 80 * GIB)) == [1, 2, 4]  # 7 and 14 do not share 4


def test_a_small_model_is_said_to_have_room_for_many_requests():
    status, message, _ = said(LLAMA_1B, (GPU,))
    assert status is Status.OK
    assert "2.3 GiB of weights" in message
    assert "room for about 955 requests of 2048 tokens" in message


def test_what_is_not_known_is_said_and_no_number_with_it():
    status, message, _ = said(None, (GPU,))
    assert (status, "not known" in message) == (Status.WARNING, True)


def test_without_a_gpu_here_the_need_is_told_all_the_same():
    _, message, _ = said(LLAMA_70B, (), tensor_parallel=4)
    assert "about 35.0 GiB on each of 4 GPU(s)" in message


def test_several_ranks_are_refused_without_the_proof_of_each():
    with pytest.raises(UsageError, match="2 ranks run the model, and each has to say") as refused:
        load_spec("controlled", {"server.tensor_parallel": 2, "controls.worker_proof": False})
    assert refused.value.hint == "--worker-proof on"
    asked = {"server.tensor_parallel": 2, "controls.worker_proof": True}
    assert load_spec("controlled", asked).spec.server.workers == 2
    one = load_spec("controlled").spec.model_dump(mode="json")["server"]
    assert "tensor_parallel" not in one  # so that a run from before is still taken up
    with pytest.raises(UsageError, match="is said twice"):
        load_spec("controlled", {**asked, "server.extra_args": ["--tensor-parallel-size", "2"]})
