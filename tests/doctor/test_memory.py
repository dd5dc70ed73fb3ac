"""What a model needs of each GPU is told from its configuration, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from doctor.test_judge import FACTS, GPU, MODEL, SPEC

from harness.doctor import judge
from harness.doctor.memory import need_of, shape_of
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
    return {"torch_dtype": "bfloat16", **told, **more}


LLAMA_1B = config(2048, 16, 32, 8, 8192, 128256, head_dim=64, tie_word_embeddings=True)
QWEN_15B = config(1536, 28, 12, 2, 8960, 151936, tie_word_embeddings=True)
LLAMA_70B = config(8192, 80, 64, 8, 28672, 128256)
MIXTRAL = config(4096, 32, 32, 8, 14336, 32000, num_local_experts=8)


@pytest.mark.parametrize(
    ("of", "parameters"),
    [
        (LLAMA_1B, 1_235_814_400),
        (QWEN_15B, 1_543_714_304),
        (LLAMA_70B, 70_553_706_496),
        (MIXTRAL, 46_702_792_704),
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


@pytest.mark.parametrize(
    "more",
    [
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
        (EIGHT, {"tensor_parallel": 3}, "64 attention heads cannot be shared by 3 GPUs"),
        (EIGHT, {"pipeline_parallel": 81}, "80 layers cannot be shared by 81 groups"),
        (EIGHT[:2], {"tensor_parallel": 4}, "4 GPUs are asked for, 2 can be used"),
    ],
)
def test_a_division_that_vllm_refuses_is_refused_before_it(gpus, server, message):
    status, told, _ = said(LLAMA_70B, gpus, **server)
    assert (status, message in told) == (Status.FAILED, True), told


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
