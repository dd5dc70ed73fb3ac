"""``runpod_start.sh`` in the CPU engine's image, as a pod runs it: no Docker inside."""

from __future__ import annotations

import csv
import http.server
import json
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from harness.settings import load_spec
from harness.tasks import load_tasks

ROOT = Path(__file__).parents[2]
IMAGE = "harness-vllm-cpu:0.32.0"
TOKEN = "hf_canary_in_a_pod"
KEY = "rpa_canary_in_a_pod"
ROWS = 3

pytestmark = [pytest.mark.docker, pytest.mark.vllm_cpu]


@dataclass
class Api:
    """A stand-in for RunPod's REST API on loopback; what it was asked."""

    url: str
    asked: list[tuple[str, str, str | None]]


@pytest.fixture
def api() -> Iterator[Api]:
    asked: list[tuple[str, str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.command, self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.end_headers()

        do_DELETE = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Api(f"http://127.0.0.1:{server.server_port}", asked)
    server.shutdown()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """What a pod mounts at /workspace, with candidates of the first rows of the population."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    folder.chmod(0o777)  # the image's user is not this one
    model = load_spec("demo-tiny").spec.models[0].name
    prompts = load_tasks(str(ROOT / "candidates/population/tasks")).prompts[:ROWS]
    with (folder / "candidates.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "task_name", "sample_id", "batch_size", "dispatch_mode"])
        for prompt in prompts:
            row = [model, prompt.task.name, prompt.sample.sample_id, 4, "synchronized"]
            writer.writerow(row)
    return folder


@pytest.fixture
def pod(volume: Path, api: Api) -> Iterator[docker.models.containers.Container]:
    """The pod, created; its network is this machine's so that packages and the API are reached."""
    client = docker.from_env(timeout=60)
    if not client.images.list(IMAGE):
        subprocess.run([ROOT / "docker/cpu/build.sh", IMAGE], check=True)
    mounts = {
        str(ROOT): {"bind": "/opt/harness", "mode": "ro"},
        str(volume): {"bind": "/workspace", "mode": "rw"},
    }
    environment = {
        "HARNESS_PROFILE": "demo-tiny",
        "HARNESS_CANDIDATES": "/workspace/candidates.csv",
        "HARNESS_FLAGS": f"--port {_free_port()}",
        "HARNESS_AT_END": "terminate",
        "HARNESS_GPU": "none",
        "HARNESS_RUNPOD_API": api.url,
        "RUNPOD_POD_ID": "pod-1",
        "RUNPOD_API_KEY": KEY,
        "HF_TOKEN": TOKEN,
        "PIP_NO_COMPILE": "0",  # as pip has it: nothing, and Python the few files that it reads
        **{name: os.environ[name] for name in ("PIP_INDEX_URL",) if name in os.environ},
    }
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if bundle:
        mounts[bundle] = {"bind": "/ca.crt", "mode": "ro"}
        environment |= {"PIP_CERT": "/ca.crt", "SSL_CERT_FILE": "/ca.crt"}
    container = client.containers.create(
        IMAGE,
        name=f"harness-test-pod-{secrets.token_hex(3)}",
        entrypoint=["bash"],
        command=["/opt/harness/runpod_start.sh"],
        environment=environment,
        volumes=mounts,
        network_mode="host",
        shm_size="1g",
    )
    yield container
    container.remove(force=True)
    client.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _records(volume: Path) -> list[dict[str, object]]:
    files = [f for f in volume.glob("results/*/vllm_records.jsonl") if "smoke" not in str(f)]
    text = files[0].read_text() if files else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


@pytest.mark.timeout(1900)
def test_a_pod_killed_in_the_middle_and_started_again_leaves_one_complete_validated_run(
    pod, volume, api
):
    pod.start()
    deadline = time.monotonic() + 900
    while len(_records(volume)) < 2:
        pod.reload()
        log = volume / "results/runpod_launch.log"
        assert pod.status in {"created", "running"}, pod.logs().decode()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)
    pod.kill()
    pod.wait(timeout=60)
    assert 0 < len(_records(volume)) < 2 * ROWS

    pod.start()
    status = pod.wait(timeout=900)["StatusCode"]
    log = (volume / "results/runpod_launch.log").read_text()
    assert status == 0, log[-3000:]
    assert (volume / "results/runpod_exit_code").read_text() == "0\n"

    records = _records(volume)
    keys = {(row["record_id"], row["mode"]) for row in records}
    assert len(records) == len(keys) == 2 * ROWS
    assert f"standard: {ROWS} records, 0 errors" in log
    assert f"batch_invariant: {ROWS} records, 0 errors" in log
    assert "the vLLM environment is unchanged" in log
    assert api.asked == [("DELETE", "/pods/pod-1", f"Bearer {KEY}")]

    run = [path for path in (volume / "results").rglob("*") if path.is_file()]
    leaking = [p for p in run if TOKEN in p.read_text("utf-8", "replace") or KEY in p.read_text()]
    assert leaking == []
