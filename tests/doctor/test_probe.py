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


@pytest.mark.parametrize("rows", ["", "No devices were found", "0, x, [N/A], [N/A], [N/A], y, z"])
def test_what_is_no_gpu_is_none(rows):
    assert parse_gpus(rows, "") == ()


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
