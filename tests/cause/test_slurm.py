"""A job of `harness template slurm`, played by a real Slurm of one node."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.records import RECORDS
from harness.serve import free_port
from tests.cause.test_workers import CHANGES, ROWS, insist_equal

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.geteuid() != 0 and "CI" not in os.environ, reason="slurmctld of this test runs as root"
    ),
]
SLURM = """\
ClusterName=harness
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={first}
SlurmdPort={second}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
MpiDefault=none
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=500 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture
def _slurm(tmp_path_factory, monkeypatch):
    """A Slurm of one node, on 127.0.0.1."""
    if shutil.which("slurmctld") is None:
        if os.environ.get("CI"):
            pytest.fail("CI installs slurmctld and slurmd")
        pytest.skip("no slurmctld: apt-get install slurmctld slurmd")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    first = free_port(25700)
    ports = {"first": first, "second": free_port(first + 1), "cpus": os.cpu_count()}
    (folder / "slurm.conf").write_text(SLURM.format(folder=folder, **ports))
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    started = []
    try:
        for words in (("slurmctld",), ("slurmd", "-N", "localhost")):
            log = (folder / f"{words[0]}.out").open("w")
            started.append(subprocess.Popen([*words, "-D"], stdout=log, stderr=log))
        deadline = time.monotonic() + 60
        while b"idle" not in subprocess.run(["sinfo"], capture_output=True, check=False).stdout:
            assert time.monotonic() < deadline, (folder / "slurmctld.out").read_text()
            time.sleep(0.2)
        yield folder
    finally:
        subprocess.run(["scancel", "--full", "--me"], check=False)  # of a test that failed
        deadline = time.monotonic() + 60
        while subprocess.run(["squeue", "-h"], capture_output=True, check=False).stdout:
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def _job(*flags):
    """Submit it; what was said."""
    command = ["sbatch", *flags, "job.sh"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    said = "".join(path.read_text() for path in Path().glob("harness-stack-*.log"))
    assert done.returncode == 0, done.stderr + said
    return done.stdout


@pytest.mark.usefixtures("_slurm")
def test_slurm_plays_the_run_and_the_same_command_goes_on(place, monkeypatch):
    """Its one node is head and server; the first job is cancelled as a time limit does."""
    place.causes(CHANGES)
    Path("candidates.csv").write_text(ROWS)
    assert place.harness("run", "-c", "spec.yaml", "--run-id", "one")[0] == 0
    setup = f"export PATH={Path(sys.executable).parent}:$PATH PYTHONPATH={ROOT}"
    words = ("template", "slurm", "-c", "spec.yaml", "--jobs", "1", "--setup", setup)
    monkeypatch.setattr(sys, "argv", ["harness", *words, "-o", "job.sh"])
    assert place.harness(*words, "-o", "job.sh")[0] == 0
    for name in ("RAY_raylet_start_wait_time_s", "RAY_gcs_server_request_timeout_seconds"):
        monkeypatch.setenv(name, "180")
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "180000")
    monkeypatch.setenv("HARNESS_RAY_PORT", str(free_port(25800)))
    number = _job("--parsable").strip()
    there = lambda: [*Path("results").glob(f"[!o]*/{RECORDS}")]  # noqa: E731
    deadline = time.monotonic() + 400
    while not (there() and there()[0].read_bytes().count(b"\n") > 9):
        assert time.monotonic() < deadline, Path(f"harness-stack-{number}.log").read_text()
        time.sleep(0.1)
    kept = there()[0].read_bytes()
    subprocess.run(["scancel", "--full", number], check=True)
    _job("--wait")
    (records,) = there()
    assert 9 < kept.count(b"\n") < 80
    assert records.read_bytes().startswith(kept.rpartition(b"\n")[0])
    insist_equal("one", records.parent.name, but=["warmed"])
