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
