"""What `harness template` writes, checked as Kubernetes and bash would."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

RELEASE = "1.33"
RAY_JOB = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text())


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


def test_a_script_for_slurm_is_one_that_bash_reads_and_names_its_nodes(made):
    flags = ("--profile", "study-d", "--jobs", "3")
    script = text(made("slurm", *flags))
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "#SBATCH --nodes=3\n" in script
    assert "#SBATCH --gpus-per-node=1\n" in script
    assert script.endswith('\nharness run --profile study-d --jobs 3 --on "$address"\n')


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
