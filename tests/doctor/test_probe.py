"""Reading what other programs print, and the verb itself."""

from __future__ import annotations

import json
import socket

import pytest

from harness.cli import main
from harness.doctor import weight_bytes
from harness.machine import parse_gpus

BANNER = "| NVIDIA-SMI 580.82.07   Driver Version: 580.82.07   CUDA Version: 13.0  |"

ROW = "0, NVIDIA H200, 9.0, 143771 MiB, 142994 MiB, 580.82.07, GPU-7c1f\n"


def test_a_gpu_is_read_from_nvidia_smi():
    (gpu,) = parse_gpus(ROW, BANNER)
    assert (gpu.name, gpu.capability, gpu.driver_cuda) == ("NVIDIA H200", (9, 0), "13.0")
    assert gpu.memory_total == 143771 * 2**20


@pytest.mark.parametrize("rows", ["", "No devices were found", "WARNING: infoROM is corrupted, 1"])
def test_what_is_no_gpu_is_none(rows):
    assert parse_gpus(rows, "") == ()


UNIFIED = "0, NVIDIA GB10, 12.1, [N/A], [N/A], 580.126.09, GPU-5f2e"


@pytest.mark.parametrize(
    ("row", "capability", "total", "free"),
    [
        (UNIFIED, (12, 1), None, None),
        ("0, NVIDIA GB10, 580.126.09, 12.1, [N/A], [N/A]", (12, 1), None, None),
        ("3, NVIDIA Thor, 11.0, [N/A], [N/A], [N/A], [N/A]", (11, 0), None, None),
        (
            "0, NVIDIA A100-SXM4-80GB MIG 1g.10gb, 8.0, [Insufficient Permissions], "
            "[Insufficient Permissions], 570.86.15, MIG-1d-2e",
            (8, 0), None, None,
        ),
        ("1, NVIDIA H100, 9.0, 81559 MiB, [Unknown Error], 580.82.07, GPU-1", (9, 0), 81559, None),
        ("1, NVIDIA H100, 9.0, [N/A], 81079 MiB, 580.82.07, GPU-1", (9, 0), None, 81079),
        ("1, [Unknown Error], [Unknown Error], ERR!, ERR!, ERR!, GPU-2", None, None, None),
        ("0, Tesla T4, 15109 MiB, 14900 MiB, 470.57.02, GPU-4", None, 15109, 14900),
    ],
)  # fmt: skip
def test_what_a_gpu_does_not_report_is_not_known_and_the_gpu_is_there(row, capability, total, free):
    (gpu,) = parse_gpus(row, BANNER)
    assert gpu.capability == capability
    found = [size and size // 2**20 for size in (gpu.memory_total, gpu.memory_free)]
    assert found == [total, free]


@pytest.mark.parametrize(
    ("hf_id", "size"),
    [
        ("unsloth/Llama-3.2-1B-Instruct", 2e9),
        ("Qwen/Qwen2.5-1.5B-Instruct", 3e9),
        ("meta-llama/Llama-3.1-70B", 140e9),
        ("example/tiny", None),
    ],
)
def test_the_size_of_weights_is_read_from_the_name(hf_id, size):
    assert weight_bytes(hf_id) == size


def test_a_failed_check_is_exit_3_and_one_json_object(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--profile", "smoke", "--json", "--results", str(tmp_path)])
    out, err = capsys.readouterr()
    assert caught.value.code == 3
    said = json.loads(out)
    assert said["ok"] is False
    engine = next(check for check in said["checks"] if check["name"] == "Docker engine")
    assert engine["level"] == "failed"
    assert "start it" in engine["remedy"]
    assert err.startswith("error:")


def test_a_taken_port_names_who_holds_it(capsys, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SystemExit):
            main(
                [
                    "doctor",
                    "--profile",
                    "demo-tiny",
                    "--port",
                    str(port),
                    "--results",
                    str(tmp_path),
                ]
            )
    assert f"failed   port: port {port} is in use by" in capsys.readouterr().out
