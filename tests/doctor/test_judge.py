"""The doctor's judgement over facts: pure."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from harness.doctor import (
    EngineFacts,
    Facts,
    ImageFacts,
    ModelFacts,
    NativeFacts,
    capability_finding,
    judge,
)
from harness.errors import EnvironmentError_
from harness.findings import Status
from harness.machine import Gpu
from harness.settings.run_spec import ModelSpec, RunSpec, ServerSettings
from harness.words import BackendName

GIB = 2**30
GPU = Gpu(0, "NVIDIA H100", "580.82.07", (9, 0), 80 * GIB, 79 * GIB, "13.0")
IMAGE = ImageFacts("vllm/vllm-openai:v0.19.1", "pinned", here=True, vllm="0.19.1", cuda="12.9")
LLAMA_1B = {
    "model_type": "llama",
    "hidden_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "intermediate_size": 8192,
    "vocab_size": 128256,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}
MODEL = ModelFacts(
    "llama3.2-1b", "unsloth/Llama-3.2-1B-Instruct", local=False, cached=True, config=LLAMA_1B
)
FACTS = Facts(
    engine=EngineFacts(version="28.2.2", gpu_access="runtime", free_bytes=100 * GIB),
    image=IMAGE,
    native=None,
    gpus=(GPU,),
    models=(MODEL,),
    weights_folder=Path("/cache/huggingface"),
    weights_free_bytes=100 * GIB,
    has_token=False,
    port=18000,
    port_problem=None,
    leftovers=(),
)
SPEC = RunSpec(
    models=(ModelSpec(name="llama3.2-1b", hf_id="unsloth/Llama-3.2-1B-Instruct"),),
    tasks="tasks",
    server=ServerSettings(attention_backend="TRITON_ATTN"),
)
CPU_ENGINE = NativeFacts(
    ".venv-cpu/bin/python", found=True, vllm="0.32.0", torch="2.13.0+cpu", is_cpu_engine=True
)


def _levels(facts: Facts, spec: RunSpec = SPEC) -> dict[str, Status]:
    worst: dict[str, Status] = {}
    order = [Status.OK, Status.WARNING, Status.FAILED]
    for check in judge(facts, spec):
        worst[check.check] = max(worst.get(check.check, Status.OK), check.status, key=order.index)
    return worst


def test_a_good_machine_has_nothing_but_ok():
    assert set(_levels(FACTS).values()) == {Status.OK}


FAULTS = [
    ("Docker engine", {"engine": EngineFacts(error="no Docker engine answers", remedy="start it")}),
    ("GPU in containers", {"engine": EngineFacts(version="28.2.2", free_bytes=100 * GIB)}),
    ("GPU", {"gpus": ()}),
    ("driver", {"gpus": (replace(GPU, driver_cuda="11.8"),)}),
    ("GPU memory", {"gpus": (replace(GPU, memory_free=10 * GIB),)}),
    ("compute capability", {"gpus": (replace(GPU, capability=(7, 5)),)}),
    ("image", {"image": replace(IMAGE, other=True)}),
    (
        "disk for the image",
        {
            "image": replace(IMAGE, here=False),
            "engine": EngineFacts(version="28.2.2", gpu_access="cdi", free_bytes=GIB),
        },
    ),
    ("disk for the image", {"image": replace(IMAGE, here=False, status="local")}),
    ("port", {"port_problem": "port 18000 is in use by nginx (pid 7)"}),
    ("model llama3.2-1b", {"models": (replace(MODEL, cached=False, gated=True),)}),
    (
        "disk for weights",
        {
            "models": (replace(MODEL, cached=False, gated=False, weight_bytes=2 * 10**9),),
            "weights_free_bytes": 10**9,
        },
    ),
]


@pytest.mark.parametrize(("name", "change"), FAULTS)
def test_each_fault_fails_its_own_check_and_has_a_remedy(name, change):
    facts = replace(FACTS, **change)
    assert _levels(facts)[name] is Status.FAILED
    assert all(c.remedy for c in judge(facts, SPEC) if c.status is not Status.OK)


WARNINGS = [
    ("image", {"image": replace(IMAGE, status="unpinned")}),
    ("driver", {"gpus": (replace(GPU, driver_cuda="12.4"),)}),
    ("leftovers", {"leftovers": ("remove container harness-x",)}),
    ("model llama3.2-1b", {"models": (replace(MODEL, cached=False, weight_bytes=1),)}),
    ("compute capability", {"gpus": (replace(GPU, capability=(12, 0)),)}),
]


@pytest.mark.parametrize(("name", "change"), WARNINGS)
def test_what_may_spoil_a_run_is_a_warning(name, change):
    assert _levels(replace(FACTS, **change))[name] is Status.WARNING


def test_a_token_opens_a_gated_model():
    facts = replace(FACTS, models=(replace(MODEL, cached=False, gated=True, weight_bytes=1),))
    assert _levels(replace(facts, has_token=True))["model llama3.2-1b"] is Status.OK


def test_flash_attention_on_hopper_is_warned_about_with_the_upstream_issue():
    spec = SPEC.model_copy(update={"server": ServerSettings(attention_backend="FLASH_ATTN")})
    assert _levels(FACTS, spec)["attention backend"] is Status.WARNING


def test_a_release_that_refuses_the_mode_without_an_attention_backend_fails():
    spec = SPEC.model_copy(update={"server": ServerSettings(attention_backend=None)})
    assert _levels(FACTS, spec)["attention backend"] is Status.FAILED


def test_the_cpu_engine_needs_no_gpu_and_no_docker():
    spec = SPEC.model_copy(update={"backend": BackendName.NATIVE})
    facts = replace(FACTS, engine=None, image=None, native=CPU_ENGINE, gpus=())
    assert set(_levels(facts, spec).values()) == {Status.OK}


@pytest.mark.parametrize(
    "native", [replace(CPU_ENGINE, found=False), replace(CPU_ENGINE, vllm=None)]
)
def test_a_cpu_engine_that_is_not_installed_names_make_engine(native):
    facts = replace(FACTS, engine=None, image=None, native=native, gpus=())
    bad = [check for check in judge(facts, SPEC) if check.status is Status.FAILED]
    assert [check.remedy for check in bad] == ["install the CPU engine: harness engine"]


@pytest.mark.parametrize(
    ("capability", "vllm", "eager", "level"),
    [
        ((9, 0), "0.11.0", False, Status.FAILED),
        ((9, 0), "0.11.1", False, Status.OK),
        ((9, 0), "0.19.1", False, Status.OK),
        ((8, 0), "0.12.0", True, Status.FAILED),
        ((8, 0), "0.19.1", False, Status.FAILED),
        ((8, 0), "0.19.1", True, Status.OK),
        ((8, 0), "0.21.0", False, Status.OK),
        ((8, 6), "0.19.1", True, Status.FAILED),
        ((8, 6), "0.20.2", True, Status.OK),
        ((10, 3), "0.12.0", False, Status.FAILED),
        ((10, 0), "0.19.1", False, Status.OK),
        ((12, 0), "0.32.0", False, Status.WARNING),
        ((7, 5), "0.32.0", True, Status.FAILED),
        ((9, 0), "0.33.0", False, Status.OK),
        ((10, 3), "0.28.0", False, Status.OK),
        ((12, 1), "0.33.0", False, Status.WARNING),
        ((9, 0), "0.34.0", False, Status.WARNING),
        ((7, 5), "0.34.0", False, Status.FAILED),
        ((9, 0), None, False, Status.WARNING),
    ],
)
def test_a_gpu_is_judged_by_the_release_that_made_the_mode_invariant(
    capability, vllm, eager, level
):
    assert capability_finding(capability, vllm, enforce_eager=eager).status is level


def test_a_release_that_was_not_read_is_said_to_be_unknown():
    finding = capability_finding((9, 0), "0.34.0", enforce_eager=False)
    assert "newer than 0.33" in finding.message
    assert "not known" in finding.message


@pytest.mark.parametrize("capability", [(12, 0), (12, 1)])
def test_a_gpu_with_tuned_kernels_outside_every_list_is_told_so(capability):
    old, new = (
        capability_finding(capability, vllm, enforce_eager=False).message
        for vllm in ("0.31.0", "0.33.0")
    )
    assert "Hopper's kernels" in old
    assert "tuned kernels" in new


@pytest.mark.parametrize(
    ("extra_args", "env", "status"),
    [
        ((), {}, Status.WARNING),
        (("--attention-config", '{"flash_attn_version": 2}'), {}, Status.OK),
        (("-ac", '{"flash_attn_version": 3}'), {}, Status.WARNING),
        (("--attention-config.flash_attn_version=2",), {}, Status.OK),
        (("--attention-config.flash_attn_version", "2"), {}, Status.OK),
        ((), {"VLLM_FLASH_ATTN_VERSION": "2"}, Status.OK),
    ],
)
def test_the_flash_attention_that_was_asked_for_decides_on_hopper(extra_args, env, status):
    server = SPEC.server.model_copy(
        update={"attention_backend": "FLASH_ATTN", "extra_args": extra_args, "env": env}
    )
    spec = SPEC.model_copy(update={"server": server})
    found = {finding.check: finding.status for finding in judge(FACTS, spec)}
    assert found["attention backend"] is status


@pytest.mark.parametrize(
    ("vllm", "args", "env", "status"),
    [
        ("0.13.0", (), {}, Status.FAILED),
        ("0.13.0", (), {"VLLM_ATTENTION_BACKEND": "TRITON_ATTN"}, Status.OK),
        ("0.13.0", ("--attention-config.backend=TRITON_ATTN",), {}, Status.OK),
        ("0.19.1", (), {"VLLM_ATTENTION_BACKEND": "TRITON_ATTN"}, Status.FAILED),
        ("0.33.0", ("-ac.backend=FLASH_ATTN",), {"VLLM_FLASH_ATTN_VERSION": "2"}, Status.WARNING),
    ],
)
def test_a_backend_counts_where_the_release_reads_it(vllm, args, env, status):
    server = SPEC.server.model_copy(
        update={"attention_backend": None, "extra_args": args, "env": env}
    )
    facts = replace(FACTS, image=replace(IMAGE, vllm=vllm))
    found = _said(facts, "attention backend", SPEC.model_copy(update={"server": server}))
    assert [one[0] for one in found] == [status]


def test_eager_is_eager_in_every_spelling():
    ada = replace(FACTS, gpus=(replace(GPU, capability=(8, 9)),))
    said = [
        _said(ada, "compute capability", SPEC.model_copy(update={"server": server}))
        for args in (["--enforce-eager"], ["--enforce_eager"], ["-O0"], [])
        for server in [SPEC.server.model_copy(update={"extra_args": args})]
    ]
    assert said[0] == said[1] == said[2] != said[3]


@pytest.mark.parametrize(
    ("capability", "vllm"),
    [((8, 0), "0.21.0"), ((8, 9), "0.21.0"), ((10, 0), "0.19.1"), ((12, 0), "0.32.0")],
)
def test_a_gpu_that_no_kept_run_is_of_is_judged_from_sources_and_says_so(capability, vllm):
    facts = replace(FACTS, gpus=(replace(GPU, capability=capability),))
    facts = replace(facts, image=replace(IMAGE, vllm=vllm))
    ((status, told),) = _said(facts, "compute capability")
    assert status is not Status.FAILED
    assert "nothing was run on one here" in told
    hopper = _said(replace(FACTS, image=replace(IMAGE, vllm=vllm)), "compute capability")
    assert hopper == [(Status.OK, f"9.0 is supported by vLLM {vllm}")]


def test_every_worded_case_is_one_that_the_judge_tells_apart():
    room = files("harness.doctor")
    words = yaml.safe_load(room.joinpath("findings.yaml").read_text("utf-8"))
    told = set(re.findall(r'"(\w+)": ', room.joinpath("judge.py").read_text("utf-8")))
    assert {case for cases in words.values() for case in cases} - {"ok"} <= told


def _said(facts: Facts, check: str, spec: RunSpec = SPEC) -> list[tuple[Status, str]]:
    return [(one.status, one.message) for one in judge(facts, spec) if one.check == check]


def test_a_gpu_whose_memory_is_not_reported_is_there_with_a_warning():
    gpu = replace(GPU, name="NVIDIA GB10", capability=(12, 1), memory_total=None, memory_free=None)
    facts = replace(FACTS, gpus=(gpu,))
    assert Status.FAILED not in _levels(facts).values()
    assert _said(facts, "GPU") == [(Status.OK, "0: NVIDIA GB10, driver 580.82.07")]
    assert _said(facts, "GPU memory") == [(Status.WARNING, "0: not reported (NVIDIA GB10)")]


def test_a_gpu_whose_capability_is_not_reported_cannot_be_judged():
    facts = replace(FACTS, gpus=(replace(GPU, capability=None),))
    assert _levels(facts)["compute capability"] is Status.WARNING


@pytest.mark.parametrize(
    ("said", "gpus", "status"),
    [
        ("Failed to initialize NVML: Unknown Error", (), Status.WARNING),
        ("Unable to determine the device handle for GPU 1", (GPU,), Status.WARNING),
        ("Failed to initialize NVML: Driver/library version mismatch", (), Status.FAILED),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", (),
         Status.FAILED),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_in_the_words_of_nvidia_smi(said, gpus, status):
    facts = replace(FACTS, gpus=gpus, gpu_trouble=(said,))
    assert _levels(facts)["GPU"] is status
    assert said in _said(facts, "GPU")[-1][1]


OTHER = replace(GPU, index=1, uuid="GPU-7c1f-22")


def test_a_busy_gpu_that_the_server_does_not_use_stops_nothing():
    facts = replace(FACTS, gpus=(GPU, replace(OTHER, memory_free=GIB)))
    assert _levels(facts)["GPU memory"] is Status.WARNING
    wide = ServerSettings(attention_backend="X", extra_args=("--tensor-parallel-size", "2"))
    assert _levels(facts, SPEC.model_copy(update={"server": wide}))["GPU memory"] is Status.FAILED


@pytest.mark.parametrize(
    ("ids", "visible", "level"),
    [
        (("GPU-7c1f",), None, Status.OK),
        (("1",), None, Status.OK),
        (None, ("1",), Status.OK),
        (("7",), None, Status.FAILED),
        (None, (), Status.FAILED),
    ],
)
def test_gpus_are_chosen_by_number_identifier_or_the_shells_variable(ids, visible, level):
    facts = replace(FACTS, gpus=(replace(GPU, memory_free=0), OTHER), visible=visible)
    server = ServerSettings(attention_backend="TRITON_ATTN", gpu_device_ids=ids)
    assert _levels(facts, SPEC.model_copy(update={"server": server}))["GPU"] is level


def test_a_model_that_the_hub_does_not_know_is_not_called_gated():
    unknown = replace(MODEL, cached=False, unknown=True)
    name = f"model {MODEL.name}"
    (said,) = _said(replace(FACTS, models=(unknown,)), name)
    assert said == (Status.FAILED, f"the hub knows no public model {MODEL.hf_id}")
    (said,) = _said(replace(FACTS, models=(unknown,), has_token=True), name)
    assert said[0] is Status.WARNING


def test_a_server_command_that_is_no_python_is_not_said_to_have_no_vllm():
    native = NativeFacts("vllm", found=True, is_python=False)
    spec = SPEC.model_copy(update={"backend": BackendName.NATIVE})
    levels = _levels(replace(FACTS, engine=None, image=None, native=native), spec)
    assert levels["server command"] is Status.WARNING


def test_what_an_external_server_refuses_is_said_in_its_words():
    refusal = EnvironmentError_("the standard server refuses /v1/models: HTTP 401", hint="a key")
    spec = SPEC.model_copy(update={"backend": BackendName.EXTERNAL})
    said = _said(
        replace(FACTS, engine=None, image=None, refusals=(refusal,)), "external server", spec
    )
    assert said == [(Status.FAILED, refusal.message)]


def test_a_podman_that_ignores_gpus_is_named_and_its_release_is_no_old_docker():
    engine = replace(FACTS.engine, version="4.9.3", podman="4.9.3", gpu_access="none")
    facts = replace(FACTS, engine=replace(engine, ignores_gpus=True))
    ((status, message),) = _said(facts, "GPU in containers")
    assert status is Status.FAILED
    assert message.startswith("Podman 4.9.3 ignores the GPUs")
    assert _levels(facts)["Docker engine"] is Status.OK
