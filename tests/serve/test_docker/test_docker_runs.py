"""``harness run`` over containers: each fault with its message and exit code, nothing left behind.

The server is the stand-in, which prints a real server's log so that its mode is proven; only what
goes wrong is of interest here. `test_compliance.py` has the real server in a container.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
LOG = "vllm-0.32.0-cpu-standard.log"
ROWS = 6
TASK = """\
name: letters
task_type: safety_refusal
prompt_template: |
  Q: {{ question }}
  A:
samples:
"""

pytestmark = pytest.mark.docker


@dataclass
class Bench:
    """A folder with a spec, tasks and candidates, in which ``harness run`` is started."""

    folder: Path
    port: int
    run_id: str

    @property
    def records(self) -> list[dict[str, object]]:
        path = self.folder / "results" / self.run_id / "vllm_records.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def start(self, *flags: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from harness.cli import main; main()", "run"]
        return subprocess.Popen(
            [*command, "-c", "spec.yaml", "--run-id", self.run_id, *flags],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *flags: str, **environment: str) -> tuple[int, str]:
        """The exit code and everything that was said."""
        process = self.start(*flags, **environment)
        out, err = process.communicate(timeout=300)
        return process.returncode, out + err


@pytest.fixture
def bench(tmp_path: Path, free_port: int, run_id: str, stand_in_image: str) -> Bench:
    (tmp_path / "tasks").mkdir()
    names = [f"s{number}" for number in range(ROWS)]
    samples = "".join(f"  - {{id: {name}, question: {name}?, reference: A}}\n" for name in names)
    (tmp_path / "tasks/letters.yaml").write_text(TASK + samples)
    header = "model,task_name,sample_id,batch_size,dispatch_mode\n"
    rows = "".join(f"tiny,letters,{name},2,synchronized\n" for name in names)
    (tmp_path / "candidates.csv").write_text(header + rows)
    server = {
        "port": free_port,
        "startup_timeout_s": 60,
        "stop_timeout_s": 3,
        "shm_size": "64m",
        "dtype": "bfloat16",
        "max_model_len": 1024,  # as the log that it prints, and the share of memory
        "gpu_memory_utilization": 0.4,
        "attention_backend": None,
        "volumes": [f"{ROOT}/tests/data/vllm_logs:/logs:ro"],
        "env": {"STAND_IN_LOG": f"/logs/{LOG}", "STAND_IN_DELAY": "0.3"},
    }
    spec = {
        "schema_version": 1,
        "name": "stand-in",
        "backend": "docker",
        "image": stand_in_image,
        "models": [{"name": "tiny", "hf_id": "example/tiny"}],
        "modes": ["standard"],
        "candidates": "candidates.csv",
        "tasks": "tasks",
        "server": server,
        "request": {"max_attempts": 1},
        "controls": {"warmup_requests": 0},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    return Bench(tmp_path, free_port, run_id)


def _change(bench: Bench, **server: object) -> None:
    path = bench.folder / "spec.yaml"
    spec = yaml.safe_load(path.read_text())
    environment = {**spec["server"]["env"], **server.pop("env", {})}
    spec["server"] |= {**server, "env": environment}
    path.write_text(yaml.safe_dump(spec))


def test_a_run_over_containers_is_complete_and_leaves_none(bench, containers_of):
    code, said = bench.run()
    assert code in {0, 1}, said  # the stand-in's answers are no experiment
    assert len(bench.records) == ROWS
    assert containers_of() == []


def test_no_engine_is_exit_3(bench, tmp_path):
    code, said = bench.run(DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    assert code == 3
    assert "no Docker engine answers" in said
    assert "Traceback" not in said


def test_a_missing_image_is_exit_3(bench):
    code, said = bench.run("--image", "harness-no-such-image:v0")
    assert code == 3
    assert "harness-no-such-image:v0 is not on this machine and cannot be pulled" in said


def test_an_image_that_is_not_the_locked_one_is_exit_3_with_both(bench, engine, stand_in_image):
    wrong = "sha256:" + "0" * 64
    (bench.folder / "docker").mkdir()
    lock = {
        "schema_version": 1,
        "images": {stand_in_image: {"source": "local", "image_id": wrong}},
    }
    (bench.folder / "docker/images.lock.yaml").write_text(yaml.safe_dump(lock))
    code, said = bench.run()
    assert code == 3
    assert wrong in said
    assert engine.images.get(stand_in_image).id in said
    assert f"harness pin {stand_in_image}" in said


def test_a_container_that_exits_at_start_is_exit_4_with_its_last_lines(bench, containers_of):
    _change(bench, env={"STAND_IN": "exits", "STAND_IN_LOG": "/dev/null"})
    code, said = bench.run()
    assert code == 4
    assert "Failed to infer device type" in said
    assert "exit code 1" in said
    assert containers_of() == []


def test_a_server_that_is_never_ready_is_exit_4_after_the_time_out(bench, containers_of):
    _change(bench, startup_timeout_s=3, env={"STAND_IN": "never_ready"})
    code, said = bench.run()
    assert code == 4
    assert "was not ready after 3 s" in said
    assert "startup_timeout_s" in said
    assert containers_of() == []


def test_another_model_behind_a_good_health_is_exit_4(bench, containers_of):
    _change(bench, env={"STAND_IN": "other_model"})
    code, said = bench.run()
    assert code == 4
    assert "serves Qwen/Qwen3-0.6B, not tiny" in said
    assert containers_of() == []


def test_a_container_over_its_memory_limit_is_exit_4_and_says_so(
    bench, engine, containers_of, until, takes_memory
):
    process = _run_until_recording(bench, until)
    engine.containers.get(containers_of()[0]).update(mem_limit="48m", memswap_limit="48m")
    takes_memory(f"http://127.0.0.1:{bench.port}")
    _, err = process.communicate(timeout=200)
    assert process.returncode == 4, err
    assert "OOMKilled" in err
    assert containers_of() == []


def test_a_container_killed_in_the_middle_is_exit_4_and_the_same_command_completes_the_run(
    bench, engine, containers_of, until
):
    process = _run_until_recording(bench, until)
    engine.containers.get(containers_of()[0]).kill()
    _, err = process.communicate(timeout=200)
    assert process.returncode == 4, err
    assert "died in the middle of its work" in err
    assert "SIGKILL" in err
    assert containers_of() == []
    kept = len(bench.records)
    assert kept < ROWS
    code, said = bench.run("--retry-errors")
    assert code in {0, 1}, said
    assert len(bench.records) == ROWS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_container_and_keeps_the_records(bench, containers_of, until, number):
    process = _run_until_recording(bench, until)
    process.send_signal(number)
    process.communicate(timeout=200)
    assert process.returncode == 130
    assert containers_of() == []
    assert 0 < len(bench.records) < ROWS
    code, said = bench.run()
    assert code in {0, 1}, said
    assert len(bench.records) == ROWS


def test_after_kill_9_the_same_command_removes_the_container_and_completes_the_run(
    bench, containers_of, until
):
    process = _run_until_recording(bench, until)
    process.kill()
    process.communicate(timeout=200)
    assert len(containers_of()) == 1
    code, said = bench.run()
    assert code in {0, 1}, said
    assert "removed container" in said
    assert len(bench.records) == ROWS
    assert containers_of() == []


def test_a_secret_is_in_no_file_no_message_and_no_command_line(bench, until, engine, containers_of):
    canary = "hf_canary_in_a_run"
    process = _run_until_recording(bench, until, HF_TOKEN=canary)
    inside = engine.containers.get(containers_of()[0]).attrs["Config"]["Env"]
    assert f"HF_TOKEN={canary}" in inside
    assert not any(canary.encode() in line for line in _command_lines())
    out, err = process.communicate(timeout=200)
    assert canary not in out + err
    files = [path for path in bench.folder.rglob("*") if path.is_file()]
    assert [path for path in files if canary in path.read_text("utf-8", "replace")] == []


def _command_lines() -> Iterator[bytes]:
    """Of every process here; one may end between being listed and being read."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield path.read_bytes()


def _run_until_recording(
    bench: Bench, until: Callable[[Callable[[], bool]], None], **environment: str
) -> subprocess.Popen[str]:
    process = bench.start(**environment)
    until(lambda: len(bench.records) > 0 or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.vllm_cpu
@pytest.mark.timeout(600)
def test_a_real_vllm_that_refuses_its_settings_is_exit_4_with_its_own_words(
    bench, engine_image, containers_of
):
    _change(
        bench,
        max_model_len=100_000,
        startup_timeout_s=240,
        extra_args=["--enforce-eager"],
        shm_size="1g",
    )
    code, said = bench.run("--image", engine_image, "--model", f"tiny={ROOT}/docker/cpu/model")
    assert code == 4, said
    assert "ended before it was ready" in said
    assert "100000" in said
    assert containers_of() == []
