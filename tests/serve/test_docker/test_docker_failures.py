"""What the engine says when it refuses, and the GPUs that it has."""

from __future__ import annotations

import pytest

from harness.errors import EnvironmentError_, StartupFailed
from harness.machine import GpuAccess
from harness.serve.docker.engine import cdi_files_name_nvidia, engine_refusal, gpu_access

# Said by engines 20.10 and 26.1, and by nvidia-container-cli.
REFUSALS = [
    (
        "driver failed programming external connectivity on endpoint x (ab): Bind for "
        "127.0.0.1:18000 failed: port is already allocated",
        EnvironmentError_,
        "port 18000",
    ),
    (
        'could not select device driver "" with capabilities: [[gpu]]',
        EnvironmentError_,
        "NVIDIA runtime",
    ),
    (
        "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all: unknown",
        EnvironmentError_,
        "CDI device",
    ),
    (
        "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.9, please "
        "update your driver to a newer version, or use an earlier cuda container: unknown",
        EnvironmentError_,
        "cuda>=12.9",
    ),
    (
        'failed to create shim task: exec: "python3": executable file not found in $PATH: unknown',
        StartupFailed,
        "no program python3",
    ),
    ("exec /usr/bin/python3: exec format error", StartupFailed, "architecture"),
    ("something never seen before", StartupFailed, "refused to start"),
]


@pytest.mark.parametrize(("said", "error", "message"), REFUSALS)
def test_an_engines_refusal_becomes_a_cause_with_a_remedy(said, error, message):
    failure = engine_refusal(said, image="vllm/vllm-openai:v0.19.1", port=18000, program="python3")
    assert type(failure) is error
    assert message in failure.message
    assert failure.hint
    assert failure.detail == (f"Docker: {said}",)


@pytest.mark.parametrize(
    ("info", "in_files", "expected"),
    [
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, False, GpuAccess.RUNTIME),
        ({"Runtimes": {"runc": {}}, "CDISpecDirs": ["/etc/cdi"]}, True, GpuAccess.CDI),
        ({"Runtimes": {"runc": {}}, "CDISpecDirs": []}, True, GpuAccess.NONE),
        ({"Runtimes": {"runc": {}}}, True, GpuAccess.NONE),
        (
            {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]},
            False,
            GpuAccess.CDI,
        ),
        ({"DiscoveredDevices": []}, True, GpuAccess.NONE),
    ],
)
def test_the_way_to_the_gpus_is_read_from_the_engine(info, in_files, expected):
    assert gpu_access(info, nvidia_in_cdi_files=in_files) is expected


def test_a_cdi_file_is_found_by_what_it_names(tmp_path):
    (tmp_path / "other.json").write_text('{"kind": "vendor.com/net"}')
    assert not cdi_files_name_nvidia([tmp_path, tmp_path / "missing"])
    (tmp_path / "nvidia.yaml").write_text("kind: nvidia.com/gpu\n")
    assert cdi_files_name_nvidia([tmp_path])
