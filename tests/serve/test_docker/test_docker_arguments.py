"""From launch options to the SDK's arguments, and from ``docker inspect`` to a state: pure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.machine import GpuAccess, Host, Owner
from harness.serve import GpuRequest, launch_options
from harness.serve.docker.container import (
    container_arguments,
    container_name,
    container_record,
    container_state,
    device_requests,
    with_secrets,
)
from harness.settings.run_spec import ModelSpec, RunSpec
from harness.words import Mode

OWNER = Owner("gpu-host", 4242, 987654)
HOST = Host(
    name="gpu-host",
    pid=4242,
    working_directory=Path("/work"),
    cache_root=Path("/cache/harness"),
    huggingface_home=Path("/cache/huggingface"),
)
SPEC = RunSpec(
    models=(ModelSpec(name="llama3.2-1b", hf_id="unsloth/Llama-3.2-1B-Instruct"),), tasks="tasks"
)
DIGEST = "vllm/vllm-openai@sha256:" + "ab" * 32


def _options(mode: Mode):
    return launch_options(SPEC, SPEC.models[0], mode, host=HOST, run_id="r1", image=DIGEST)


def test_the_arguments_of_a_study_container_are_these():
    arguments = container_arguments(_options(Mode.BATCH_INVARIANT), name="n", owner=OWNER)
    assert arguments == {
        "image": DIGEST,
        "name": "n",
        "entrypoint": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "command": [
            *("--model", "unsloth/Llama-3.2-1B-Instruct"),
            *("--host", "0.0.0.0", "--port", "18000"),
            *("--max-model-len", "2048", "--dtype", "float16"),
            *("--gpu-memory-utilization", "0.80", "--attention-backend", "FLASH_ATTN"),
            *("--served-model-name", "llama3.2-1b"),
            *("--enable-prompt-tokens-details", "--enable-logging-iteration-details"),
        ],
        "environment": [
            "NO_COLOR=1",
            "VLLM_BATCH_INVARIANT=1",
            "VLLM_LOGGING_COLOR=0",
            "VLLM_NO_USAGE_STATS=1",
            "PYTHONWARNINGS",
            "TORCH_CPP_LOG_LEVEL",
            "VLLM_USE_RUST_FRONTEND",
        ],
        "ports": {"18000/tcp": ("127.0.0.1", 18000)},
        "labels": {
            "harness.run-id": "r1",
            "harness.mode": "batch_invariant",
            "harness.model": "llama3.2-1b",
            "harness.host": "gpu-host",
            "harness.pid": "4242",
            "harness.pid-started": "987654",
        },
        "mounts": [
            {
                "Target": "/root/.cache/huggingface",
                "Source": "/cache/huggingface",
                "Type": "bind",
                "ReadOnly": False,
            },
            {
                "Target": "/root/.cache/vllm",
                "Source": "harness-vllm-cache-batch_invariant",
                "Type": "volume",
                "ReadOnly": False,
            },
        ],
        "device_requests": [
            {
                "Driver": "",
                "Count": -1,
                "DeviceIDs": [],
                "Capabilities": [["gpu"]],
                "Options": {},
            }
        ],
        "ipc_mode": "private",
        "shm_size": "16g",
        "ulimits": [
            {"Name": "nofile", "Soft": 65535, "Hard": 65535},
            {"Name": "memlock", "Soft": -1, "Hard": -1},
            {"Name": "stack", "Soft": 67108864, "Hard": 67108864},
        ],
        "log_config": {"Type": "json-file", "Config": {"max-size": "1024g"}},
        "auto_remove": False,
        "restart_policy": {"Name": "no"},
        "detach": True,
    }


def test_the_two_modes_differ_in_the_variable_the_cache_volume_and_the_label_only():
    standard = container_arguments(_options(Mode.STANDARD), name="n", owner=OWNER)
    invariant = container_arguments(_options(Mode.BATCH_INVARIANT), name="n", owner=OWNER)
    different = {key for key in standard if standard[key] != invariant[key]}
    assert different == {"environment", "mounts", "labels"}
    assert set(standard["environment"]) ^ set(invariant["environment"]) == {
        "VLLM_BATCH_INVARIANT=0",
        "VLLM_BATCH_INVARIANT=1",
    }
    assert standard["mounts"][0] == invariant["mounts"][0]


def test_a_secret_enters_with_its_value_in_the_create_call_only():
    arguments = container_arguments(_options(Mode.STANDARD), name="n", owner=OWNER)
    full = with_secrets(arguments, ("HF_TOKEN", "OTHER_TOKEN"), {"HF_TOKEN": "hf_canary"})
    assert "HF_TOKEN=hf_canary" in full["environment"]
    assert not any(entry.startswith("OTHER_TOKEN") for entry in full["environment"])
    assert "hf_canary" not in str(arguments)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (GpuRequest(GpuAccess.NONE), []),
        (
            GpuRequest(GpuAccess.RUNTIME, ("0", "2")),
            [("", 0, ["0", "2"], [["gpu"]])],
        ),
        (GpuRequest(GpuAccess.CDI), [("cdi", 0, ["nvidia.com/gpu=all"], [])]),
        (
            GpuRequest(GpuAccess.CDI, ("1",)),
            [("cdi", 0, ["nvidia.com/gpu=1"], [])],
        ),
    ],
)
def test_gpus_are_asked_for_the_way_the_engine_has_them(request_, expected):
    asked = [
        (entry["Driver"], entry["Count"], entry["DeviceIDs"], entry["Capabilities"])
        for entry in device_requests(request_)
    ]
    assert asked == expected


def test_a_container_name_holds_only_what_the_engine_allows():
    options = replace(_options(Mode.STANDARD), model="org/model:v1 ä", run_id="r/1")
    assert container_name(options, "abc") == "harness-r-1-standard-org-model-v1--abc"


def test_a_container_that_restarts_does_not_count_as_running():
    state = container_state({"State": {"Status": "running", "Running": True}, "RestartCount": 3})
    assert not state.running
    assert "restarted 3 times" in state.detail


def test_a_paused_container_runs_and_stands_still():
    state = container_state({"Name": "/box", "State": {"Status": "paused", "Running": True}})
    assert (state.running, state.stands_still) == (True, True)
    assert state.detail == "its container box is paused"


def test_a_killed_container_names_its_signal_and_the_memory_limit():
    state = container_state({"State": {"Status": "exited", "ExitCode": 137, "OOMKilled": True}})
    assert (state.running, state.exit_code) == (False, 137)
    assert "SIGKILL" in state.detail
    assert "OOMKilled" in state.detail


def test_what_is_kept_of_inspect_has_no_secrets_value():
    inspected = {
        "Config": {
            "Env": ["HF_TOKEN=hf_canary", "A=1", "SSH_PRIVATE_KEY=key", "U=http://a:pw@h/"],
            "Cmd": ["--max-tokens", "4", "--api-key", "sk"],
            "Labels": {},
        },
        "HostConfig": {},
        "State": {},
    }
    record = container_record(inspected)
    assert record["environment"] == {
        "A": "1",
        "HF_TOKEN": "[redacted]",
        "SSH_PRIVATE_KEY": "[redacted]",
        "U": "http://[redacted]@h/",
    }
    assert record["arguments"] == ["--max-tokens", "4", "--api-key", "[redacted]"]
