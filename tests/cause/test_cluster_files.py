"""What `harness template` writes: checked as Kubernetes would, and played by a real Slurm."""

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from cause.test_workers import CHANGES, ROOT, ROWS, insist_equal

from harness.records import RECORDS
from harness.serve import free_port

RELEASE = "1.33"
RAY_JOB = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text())
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


def insist_valid(text):
    """Every object of a file is one that Kubernetes, or KubeRay, takes."""
    claim, job = yaml.safe_load_all(text)
    kubernetes_validate.validate(claim, RELEASE, strict=True)
    jsonschema.validate(job, RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        kubernetes_validate.validate(pod, RELEASE, strict=True)
    return claim, job


@pytest.fixture
def made(place, monkeypatch):
    """What the command prints; of its words it takes what says what the run is."""

    def template(*words):
        monkeypatch.setattr(sys, "argv", ["harness", "template", *words])
        return place.harness("template", *words)

    return template


def text(done):
    code, out, err = done
    assert code == 0, err
    return out


def test_a_job_for_kubernetes_has_a_node_with_its_cards_for_each_server(made):
    flags = ("--profile", "study-d", "--tensor-parallel=2", "--worker-proof", "on")
    claim, job = insist_valid(text(made("k8s", *flags, "--jobs", "8", "--image=you/it:1")))
    spec = job["spec"]
    run = "harness run --profile study-d --tensor-parallel 2 --worker-proof on"
    assert spec["entrypoint"] == f"{run} --jobs 8 --backend native --on auto"
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    (pod,) = group["template"]["spec"]["containers"]
    assert (group["replicas"], pod["resources"]["limits"]["nvidia.com/gpu"]) == (8, "2")
    assert pod["image"] == "you/it:1"
    volumes = group["template"]["spec"]["volumes"]
    named = [one["persistentVolumeClaim"]["claimName"] for one in volumes if one["name"] == "work"]
    assert named == [claim["metadata"]["name"]]


def test_no_card_is_asked_for_where_servers_run_on_cpus(made):
    _, job = insist_valid(text(made("k8s", "-c", "spec.yaml")))
    assert "nvidia.com/gpu" not in json.dumps(job)
    assert "gpus" not in text(made("slurm", "-c", "spec.yaml"))


BROKEN = {
    "a container without an image's key": lambda job: _container(job).update(Image="x"),
    "a mount without a path": lambda job: _container(job)["volumeMounts"][0].pop("mountPath"),
    "a number for an amount's text": lambda job: _container(job)["env"][0].update(value=1),
    "a group without its least": lambda job: _group(job).pop("minReplicas"),
    "a key that KubeRay has not": lambda job: job["spec"].update(entryPoint="x"),
    "a start parameter that is no text": lambda job: _head(job)["rayStartParams"].update(n=0),
    "a name with a capital": lambda job: job["metadata"].update(name="Harness"),
}


def _head(job):
    return job["spec"]["rayClusterSpec"]["headGroupSpec"]


def _group(job):
    return job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]


def _container(job):
    return _group(job)["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_template_fails_the_check(made, fault):
    claim, job = insist_valid(text(made("k8s", "-c", "spec.yaml")))
    broken = copy.deepcopy(job)
    BROKEN[fault](broken)
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        insist_valid(yaml.safe_dump_all([claim, broken]))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("k8s", "-c", "spec.yaml", "--jobs", "0"), "0 is no number of servers"),
        (("k8s", "--profile", "study-d", "--backend", "docker"), "a pod starts no containers"),
        (("slurm", "--url", "http://127.0.0.1:9"), "servers that someone else runs"),
        (("slurm", "-c", "spec.yaml", "--setup", "true\nfalse"), "cannot hold a line break"),
        (("lsf", "-c", "spec.yaml"), "'lsf'"),
    ],
)
def test_what_no_cluster_could_play_is_refused(made, words, told):
    code, _, err = made(*words)
    assert code == 2
    assert told in err


@pytest.fixture
def slurm(tmp_path_factory, monkeypatch):
    """A Slurm of one node, on 127.0.0.1."""
    if shutil.which("slurmctld") is None:
        if os.environ.get("CI"):
            pytest.fail("CI installs slurm-wlm")
        pytest.skip("no slurmctld: apt-get install slurm-wlm")
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
        for process in reversed(started):
            process.terminate()
            process.wait(30)


@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0, reason="slurmctld of this test runs as root")
@pytest.mark.usefixtures("slurm")
def test_slurm_plays_the_run_and_the_same_command_goes_on(place, made, monkeypatch):
    """Its one node is head and server; the first job is cancelled as a time limit does."""
    place.causes(CHANGES)
    Path("candidates.csv").write_text(ROWS)
    assert place.harness("run", "-c", "spec.yaml", "--run-id", "one")[0] == 0
    flags = ("-c", "spec.yaml", "--jobs", "1")
    bin_ = Path(sys.executable).parent
    setup = f"export PATH={bin_}:$PATH PYTHONPATH={ROOT}"
    words = ("slurm", *flags, "--setup", setup, "-o", "job.sh")
    text(made(*words))
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # its ports bind to 127.0.0.1
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "180000")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "180")
    monkeypatch.setenv("HARNESS_RAY_PORT", str(free_port(25800)))
    number = job("--parsable").strip()
    there = lambda: [*Path("results").glob(f"[!o]*/{RECORDS}")]  # noqa: E731
    deadline = time.monotonic() + 250
    while not (there() and there()[0].read_bytes().count(b"\n") > 9):
        assert time.monotonic() < deadline, Path(f"harness-stack-{number}.log").read_text()
        time.sleep(0.1)
    kept = there()[0].read_bytes()
    subprocess.run(["scancel", "--full", number], check=True)
    job("--wait")
    (records,) = there()
    assert 9 < kept.count(b"\n") < 80
    assert records.read_bytes().startswith(kept.rpartition(b"\n")[0])
    insist_equal("one", records.parent.name, but=["warmed"])


def job(*flags):
    """Submit it; what was said."""
    command = ["sbatch", *flags, "job.sh"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    said = "".join(path.read_text() for path in Path().glob("harness-stack-*.log"))
    assert done.returncode == 0, done.stderr + said
    return done.stdout
