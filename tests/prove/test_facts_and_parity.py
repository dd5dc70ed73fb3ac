"""A server's own account of itself, and what two modes' accounts have in common."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.prove import mode_parity, read_facts

LOGS = Path(__file__).parent.parent / "data" / "vllm_logs"


def log(name: str) -> str:
    return (LOGS / f"vllm-{name}.log").read_text(encoding="utf-8", errors="replace")


def test_the_facts_of_a_gpu_server():
    facts = read_facts(log("0.19.1-h200-batch_invariant"))
    assert facts.vllm_version == "0.19.1"
    assert facts.device == "cuda"
    assert facts.dtype == "float16"
    assert facts.attention_backend == "FLASH_ATTN"
    assert facts.flash_attention_version == 3
    assert facts.prefix_caching is True
    assert facts.chunked_prefill is True
    assert facts.max_num_batched_tokens == 8192
    assert facts.max_model_len == 2048
    assert facts.async_scheduling is True
    assert facts.enforce_eager is False
    assert facts.compile_cache == "52a143824f"
    assert facts.arguments["gpu_memory_utilization"] == 0.5


def test_the_facts_of_a_cpu_server():
    facts = read_facts(log("0.32.0-cpu-docker-standard-gated"))
    assert facts.vllm_version == "0.32.0"
    assert facts.device == "cpu"
    assert facts.dtype == "bfloat16"
    assert facts.prefix_caching is False
    assert facts.enforce_eager is True
    assert facts.async_scheduling is None
    assert facts.arguments["enable_logging_iteration_details"] is True


def test_async_scheduling_switched_off_is_read_from_the_arguments():
    text = log("0.32.0-cpu-standard").replace(
        "non-default args: {", "non-default args: {'async_scheduling': False, "
    )
    assert read_facts(text).async_scheduling is False


def test_an_argument_that_is_no_literal_is_kept_as_its_name():
    text = log("0.32.0-cpu-standard").replace(
        "non-default args: {", "non-default args: {'mode': <CompilationMode.NONE: 0>, "
    )
    assert read_facts(text).arguments["mode"] == "CompilationMode.NONE"


@pytest.mark.parametrize("path", sorted(LOGS.glob("*.log")), ids=lambda path: path.name)
def test_the_facts_of_any_log_are_json(path: Path):
    json.dumps(read_facts(path.read_text(errors="replace")).to_json())


def test_facts_do_not_come_from_what_requests_bring():
    text = log("0.32.0-cpu-standard") + (
        "\nINFO 11-23 17:00:00 [x.py:1] Using FlashAttention version 2\n"
    )
    assert read_facts(text).flash_attention_version is None


@pytest.mark.parametrize("release", ["0.19.1-h200", "0.20.2-h200"])
def test_two_real_modes_differ_in_custom_all_reduce_only(release: str):
    (difference,) = mode_parity(
        read_facts(log(f"{release}-standard")), read_facts(log(f"{release}-batch_invariant"))
    )
    assert difference.name == "engine.disable_custom_all_reduce"
    assert (difference.standard, difference.invariant) == ("False", "True")
    assert difference.allowed


def test_the_two_modes_of_a_cpu_server_do_not_differ_at_all():
    standard, invariant = (
        read_facts(log(f"0.32.0-cpu-plugin-{mode}")) for mode in ("standard", "batch_invariant")
    )
    assert mode_parity(standard, invariant) == ()


def test_equal_servers_do_not_differ():
    facts = read_facts(log("0.20.2-h200-standard"))
    assert mode_parity(facts, facts) == ()


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("enable_prefix_caching=True", "enable_prefix_caching=False", "enable_prefix_caching"),
        ("Using FlashAttention version 3", "Using FlashAttention version 2", "flash_attention"),
        ("Using FlashAttention version 3", "Using V2 Model Runner", "v2_model_runner"),
        ("'dtype': 'float16'", "'dtype': 'bfloat16'", "arguments.dtype"),
        ("'combo_kernels': True", "'combo_kernels': False", "combo_kernels"),
        ("kv_cache_metrics=False", "kv_cache_metrics=True", "observability_config.kv_cache"),
        ("'cudagraph_num_of_warmups': 1", "'cudagraph_num_of_warmups': 2", "cudagraph"),
    ],
)
def test_any_other_difference_is_named_and_not_allowed(old: str, new: str, name: str):
    standard = log("0.20.2-h200-standard")
    assert old in standard
    found = mode_parity(read_facts(standard), read_facts(standard.replace(old, new)))
    assert any(name in difference.name for difference in found)
    assert not any(difference.allowed for difference in found)


def test_cuda_graphs_may_differ_where_the_mode_switched_them_by_itself():
    standard = log("0.20.2-h200-standard")
    switched = standard.replace(
        "'cudagraph_num_of_warmups': 1", "'cudagraph_num_of_warmups': 2"
    ).replace(
        "(EngineCore",
        "(EngineCore pid=1) INFO 11-23 16:00:00 [vllm.py:1] VLLM_BATCH_INVARIANT=1: "
        "auto-enabling VLLM_USE_BREAKABLE_CUDAGRAPH=1\n(EngineCore",
        1,
    )
    (difference,) = mode_parity(read_facts(standard), read_facts(switched))
    assert difference.allowed


def test_the_all_reduce_difference_is_not_excused_from_0_32_on():
    standard = log("0.20.2-h200-standard").replace("(v0.20.2)", "(v0.32.0)")
    invariant = standard.replace(
        "disable_custom_all_reduce=False", "disable_custom_all_reduce=True"
    )
    (difference,) = mode_parity(read_facts(standard), read_facts(invariant))
    assert not difference.allowed


DEFAULTS = (
    "(APIServer pid=1) WARNING 11-23 16:00:00 [model.py:1894] Default vLLM sampling parameters "
    "have been overridden by the model's `generation_config.json`: "
    "`{'repetition_penalty': 1.1, 'temperature': 0.7, 'top_k': 20}`. If this is not intended, "
    "please relaunch vLLM instance with `--generation-config vllm`.\n"
)
OLDER_DEFAULTS = (
    "WARNING 11-23 16:00:00 [config.py:1] Default sampling parameters have been overridden by the "
    "model's Hugging Face generation config recommended from the model creator.\n"
)


def test_what_the_models_own_file_sets_for_every_request_is_a_fact():
    facts = read_facts(
        log("0.20.2-h200-standard").replace("(EngineCore", DEFAULTS + "(EngineCore", 1)
    )
    assert facts.sampling_defaults_overridden
    assert facts.sampling_defaults == {"repetition_penalty": 1.1, "temperature": 0.7, "top_k": 20}


def test_an_older_release_says_that_they_are_set_and_not_what():
    text = log("0.20.2-h200-standard").replace("(EngineCore", OLDER_DEFAULTS + "(EngineCore", 1)
    facts = read_facts(text)
    assert facts.sampling_defaults_overridden
    assert facts.sampling_defaults == {}


def test_sampling_defaults_of_one_mode_alone_are_a_difference():
    text = log("0.20.2-h200-standard")
    changed = text.replace("(EngineCore", DEFAULTS + "(EngineCore", 1)
    names = {d.name for d in mode_parity(read_facts(text), read_facts(changed)) if not d.allowed}
    assert names == {"sampling_defaults", "sampling_defaults_overridden"}


def test_the_nonce_of_a_lifetime_is_no_difference():
    text = log("0.32.0-cpu-plugin-standard")
    one, other = (
        read_facts(
            text.replace("['demo-llama']", f"['demo-llama@{nonce}']").replace(
                "served_model_name=demo-llama", f"served_model_name=demo-llama@{nonce}"
            )
        )
        for nonce in ("0a1b2c3d", "4e5f6a7b")
    )
    assert mode_parity(one, other) == ()
    assert one.arguments["served_model_name"] == ["demo-llama"]
    assert one.engine["served_model_name"] == "demo-llama"


def info(**changed: object) -> dict[str, object]:
    """The parts of a real ``/server_info`` that differ between two real servers, and some more."""
    return {
        "vllm_config": {
            "instance_id": changed.pop("instance_id", "1795831150989976451"),
            "model_config": {"served_model_name": "m@0a1b2c3d", "seed": changed.pop("seed", 0)},
            "parallel_config": {
                "data_parallel_rpc_port": changed.pop("rpc_port", 29550),
                "disable_custom_all_reduce": changed.pop("all_reduce", False),
            },
        },
        "vllm_env": {
            "VLLM_BATCH_INVARIANT": False,
            "VLLM_CACHE_ROOT": "/cache/standard",
            "VLLM_ASSETS_CACHE": "/cache/standard/assets",
            "VLLM_OBJECT_STORAGE_SHM_BUFFER_NAME": "vllm_mm_p8cbNwGX",
            "VLLM_USE_V2_MODEL_RUNNER": None,
            **changed,
        },
        "system_env": {"torch_version": "2.11.0", "env_vars": "VLLM_BATCH_INVARIANT=0\n"},
    }


def differences(**changed: object) -> dict[str, bool]:
    facts = read_facts(log("0.20.2-h200-standard"))
    return {d.name: d.allowed for d in mode_parity(facts, facts, (info(), info(**changed)))}


def test_what_every_server_has_of_its_own_is_no_difference():
    own = {
        "VLLM_CACHE_ROOT": "/cache/batch_invariant",
        "VLLM_ASSETS_CACHE": "/cache/batch_invariant/assets",
        "VLLM_OBJECT_STORAGE_SHM_BUFFER_NAME": "vllm_mm_234eMM4i",
    }
    assert differences(instance_id="1795831218750443617", rpc_port=29600, **own) == {}


def test_what_the_mode_changes_is_an_allowed_difference():
    found = differences(VLLM_BATCH_INVARIANT=True, all_reduce=True)
    assert found == {
        "server_info.vllm_env.VLLM_BATCH_INVARIANT": True,
        "server_info.vllm_config.parallel_config.disable_custom_all_reduce": True,
    }


def test_room_for_the_cache_is_measured_anew_by_each_server():
    facts = read_facts(log("0.20.2-h200-standard"))
    one, other = ({"vllm_config": {"cache_config": {"num_gpu_blocks": n}}} for n in (900, 905))
    (difference,) = mode_parity(facts, facts, (one, other))
    assert difference.allowed


def test_any_other_difference_of_server_info_is_not_allowed():
    assert differences(seed=1, VLLM_USE_V2_MODEL_RUNNER=True) == {
        "server_info.vllm_config.model_config.seed": False,
        "server_info.vllm_env.VLLM_USE_V2_MODEL_RUNNER": False,
    }
