"""``runpod_start.sh`` without an engine: the GPU comes first, and what is launched is fetched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from runpod_stand_in import KEY, RunPod, account

from harness.cli import main
from harness.runpod import TOKEN
from harness.serve import free_port

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "runpod_start.sh"


@pytest.fixture
def pod(tmp_path: Path) -> dict[str, str]:
    """What a pod's environment is, with programs that note how they were called.

    The harness in the pod is a stand-in that leaves a record and fails, and the real one for
    `runpod serve`.
    """
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python3").write_text(
        f'#!/bin/bash\necho "python3 $*" >> {tmp_path}/calls\nexec {sys.executable} "$@"\n'
    )
    venv = tmp_path / "venv/bin"
    venv.mkdir(parents=True)
    (venv / "harness").write_text(
        f"""#!/bin/bash
echo "harness $1 token=${{{TOKEN}:-none}} key=${{RUNPOD_API_KEY:-none}}" >> {tmp_path}/calls
serve=(-P -m harness "$@" --host 127.0.0.1 --port $PORT)
if [ "$1" = runpod ]; then exec {sys.executable} "${{serve[@]}}"; fi
mkdir -p "$HARNESS_VOLUME/results/run-1"
echo '{{}}' > "$HARNESS_VOLUME/results/run-1/vllm_records.jsonl"
exit 4
"""
    )
    for program in (programs / "python3", venv / "harness"):
        program.chmod(0o755)
    return {
        "PATH": f"{programs}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HARNESS_VOLUME": str(tmp_path / "volume"),
        "RUNPOD_POD_ID": "pod0",
        "RUNPOD_API_KEY": KEY,
    }


def calls(tmp_path: Path) -> list[str]:
    found = tmp_path / "calls"
    return found.read_text().splitlines() if found.exists() else []


def smi(pod: dict[str, str], says: str, code: int) -> None:
    program = Path(pod["PATH"].split(":")[0], "nvidia-smi")
    program.write_text(f"#!/bin/bash\necho '{says}'\nexit {code}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("says", "code"), [(None, 0), ("No devices were found", 0), ("Driver mismatch", 9)]
)
def test_without_a_gpu_nothing_is_installed(tmp_path, pod, says, code):
    if says:
        smi(pod, says, code)
    done = subprocess.run(["bash", SCRIPT], env=pod, capture_output=True, text=True, timeout=30)
    assert done.returncode == 3, done.stdout
    assert "error: no GPU here" in done.stdout
    assert "HARNESS_GPU=none" in done.stdout
    assert calls(tmp_path) == ["python3 -V"]
    assert (tmp_path / "volume/results/runpod_exit_code").read_text() == "3\n"
    assert not list((tmp_path / "volume").glob("harness-venv*"))


@pytest.fixture
def runpod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunPod]:
    with account(tmp_path / "volume/results") as made:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("RUNPOD_API_KEY", KEY)
        monkeypatch.setenv("HARNESS_RUNPOD_API", made.url)
        monkeypatch.setenv("HARNESS_RUNPOD_PROXY", f"{made.url}/door")
        yield made


def test_a_launched_script_that_fails_is_fetched_and_its_pod_ended(
    tmp_path, pod, runpod, monkeypatch, capsys
):
    """From `harness runpod launch` to the script of the pod and back; only RunPod stands in."""
    smi(pod, "GPU 0: NVIDIA H100 80GB HBM3", 0)
    (tmp_path / "csv.py").write_text("raise SystemExit(7)")  # no module of a listing of packages
    port, running = free_port(18900), []
    runpod.inner = f"http://127.0.0.1:{port}"
    nap = time.sleep
    monkeypatch.setattr(time, "sleep", lambda _: nap(0.2))

    def start(body: dict[str, object]) -> None:
        own = {"PORT": str(port), "HARNESS_VENV": str(tmp_path / "venv"), **body["env"]}
        running.append(subprocess.Popen(["bash", SCRIPT], env={**pod, **own}, cwd=tmp_path))

    runpod.started = start
    with pytest.raises(SystemExit) as left:
        main(["runpod", "launch", "--image", "a/b:1", "--yes"])
    said = capsys.readouterr()
    running[0].terminate()
    running[0].wait(20)
    assert left.value.code == 4, said.err
    assert "ended with exit code 4" in said.err
    assert runpod.pods["pod0"]["status"] == "EXITED"
    fetched = tmp_path / "results/runpod-pod0"
    assert (fetched / "run-1/vllm_records.jsonl").read_text() == "{}\n"
    log = (fetched / "runpod_launch.log").read_text()
    assert "ended with exit code 4" in log
    token = runpod.bodies[0]["env"][TOKEN]
    assert calls(tmp_path).count(f"harness runpod token={token} key=none") == 1
    assert "harness ablation token=none key=none" in calls(tmp_path)
    assert token not in log + said.out + said.err
    assert KEY not in log + said.out + said.err


def test_a_pod_that_nobody_fetches_from_stops_itself(tmp_path, pod, runpod):
    smi(pod, "GPU 0: NVIDIA H100 80GB HBM3", 0)
    runpod.add()
    own = {
        "PORT": str(free_port(18900)),
        "HARNESS_VENV": str(tmp_path / "venv"),
        "HARNESS_AT_END": "stop",
        "HARNESS_SERVE_MINUTES": "0.01",
        "HARNESS_RUNPOD_API": runpod.url,
        TOKEN: "t" * 32,
    }
    done = subprocess.run(
        ["bash", SCRIPT], env={**pod, **own}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 4, done.stdout
    assert runpod.pods["pod0"]["status"] == "EXITED"
    assert ("POST", "/pods/pod0/action") in runpod.asked
    assert shutil.which("nvidia-smi", path=os.defpath) or "HTTP 200" in done.stdout


def test_a_script_that_hangs_ends_its_pod_all_the_same(tmp_path, pod, runpod):
    smi(pod, "GPU 0: NVIDIA H100 80GB HBM3", 0)
    runpod.add()
    hangs = tmp_path / "venv/bin/harness"
    hangs.write_text("#!/bin/bash\ntrap '' TERM\nsleep 6 &\nwait\n")
    own = {
        "HARNESS_VENV": str(tmp_path / "venv"),
        "HARNESS_AT_END": "stop",
        "HARNESS_RUNPOD_API": runpod.url,
        "HARNESS_MAX_HOURS": "0.0001",
        "HARNESS_SERVE_MINUTES": "0.001",
        "HARNESS_GRACE_MINUTES": "0.02",
    }
    script = subprocess.Popen(
        ["bash", SCRIPT], env={**pod, **own}, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 20
        while runpod.pods["pod0"]["status"] != "EXITED":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(script.pid, signal.SIGKILL)
        script.communicate()


def test_the_image_of_a_pod_is_built_with_all_that_its_wheel_takes_in():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    taken = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    lines = (ROOT / "docker/runpod/Dockerfile.dockerignore").read_text().splitlines()
    let_in = [line.removeprefix("!") for line in lines if line.startswith("!")]
    left_out = [t for t in taken if not any(t == one or t.startswith(f"{one}/") for one in let_in)]
    assert left_out == []
    assert all((ROOT / path).exists() for path in taken)
