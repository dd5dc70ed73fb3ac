"""A run on a Ray cluster: one that is there, or one of its own by KubeRay or Slurm."""

import re
import shlex
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import yaml

from harness import conduct
from harness.errors import EnvironmentError_, UsageError
from harness.jobs.starting import said_of_the_run
from harness.settings import RunSpec
from harness.words import BackendName

_WORK = "/work"
_CLUSTER = re.compile(r"local|auto|(?:ray://)?[^\s:/@]+:\d{1,5}")
_NAME = re.compile(r"[^a-z0-9]+")
_OWN = ("--jobs", "--image", "--setup", "-o", "--out")
_K8S = """\
# Made by: {command}
# A run played by {servers} on Kubernetes, for the KubeRay operator (ray.io/v1).
#
# 1. The image: docker/runpod/Dockerfile, and on top of it Ray in the harness's environment:
#      RUN python3 -m pip --python /opt/harness-venv/bin/python install 'ray>=2.49'
#      ENV PATH=/opt/harness-venv/bin:$PATH
# 2. Apply this file, and copy what the spec names (spec, candidates, tasks) to the claim, which is
#    the working folder of every pod. Models are fetched into it, too.
# 3. The run folder is {work}/results. After a lost head or a job that failed, delete the RayJob and
#    apply it again: the same command goes on where it stopped.
# A token for gated models: kubectl create secret generic {secret} --from-literal=HF_TOKEN=…
"""
_GUARDED = """\
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex())')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 # nobody else's work is taken
"""
_SLURM = """\
#!/usr/bin/env bash
# Made by: {command}
# A run played by {servers} on Slurm, one a node. `sbatch FILE` in the folder from which the spec's
# paths go, which every node has to see. After a time limit or a lost node, `sbatch FILE` again: the
# same command goes on where it stopped.
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
{gpus}#SBATCH --output={name}-%j.log
set -euo pipefail
{setup}
{own}nodes=($(scontrol show hostnames "$SLURM_JOB_NODELIST"))
head=$(getent ahostsv4 "${{nodes[0]}}" | awk '!/^127[.]0[.]1[.]/ {{ print $1; exit }}')
[ -n "$head" ] || head=$(hostname -I | awk '{{ print $1 }}') # /etc/hosts has this node as 127.0.1.1
address=$head:${{HARNESS_RAY_PORT:-6379}}
on() {{ # a node, and what stays up there as long as this job
    srun --overlap --nodes=1 --ntasks=1 --nodelist="$1" "${{@:2}}" &
}}
up() {{ # how many nodes there have to be: one that finds no head gives up
    until said=$(python -c 'import ray, sys
ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
alive = sum(node["Alive"] for node in ray.nodes())
sys.exit(f"{{alive}} of {{sys.argv[2]}} nodes are up" if alive < int(sys.argv[2]) else 0)' \\
        "$address" "$1" 2>&1); do
        if ((SECONDS > ${{HARNESS_RAY_WAIT_S:-600}})); then
            echo "no Ray cluster at $address: $said" | tail -n 5 >&2
            exit 3
        fi
        sleep 2
    done
}}
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
on "${{nodes[0]}}" ray start --head --node-ip-address="$head" --port="${{address##*:}}" \\
    --include-dashboard=false --block
up 1
for node in "${{nodes[@]:1}}"; do on "$node" ray start --address="$address" --block; done
up "${{#nodes[@]}}"
{run} --on "$address"
"""


def placed(servers: int | None, on: str | None) -> str | None:
    """Where worker processes play the servers (`RunOptions.workers`), by ``--jobs`` and ``--on``.

    Raises:
        UsageError: ``on`` is no address, or nothing says how many servers there shall be.
        EnvironmentError_: Ray is not installed.
    """
    if on is None:
        return None if servers is None else conduct.HERE
    if not _CLUSTER.fullmatch(on):
        hint = "local starts one here; else ray://HOST:PORT, HOST:PORT, or auto for this machine's"
        raise UsageError(f"--on: '{on}' is no address of a Ray cluster", hint=hint)
    if servers is None:
        raise UsageError("--on needs --jobs N", hint="N servers play at once")
    if find_spec("ray") is None:
        raise EnvironmentError_(f"--on {on} needs Ray", hint="pip install 'batchflip[ray]'")
    return on


def cluster_file(
    kind: str, spec: RunSpec, words: Sequence[str], servers: int, *, image: str, setup: str
) -> str:
    """The text of a file for ``k8s`` or ``slurm``.

    Args:
        kind: which of them.
        spec: the run; its server's ranks say how many cards of one node each server needs.
        words: the command line that asks for it, behind ``harness``: what it says of the run is
            said to the run.
        servers: how many play at once.
        image: of the pods.
        setup: a line of shell that makes harness and Ray available on a node.

    Raises:
        UsageError: no server can be started there as the spec has it.
    """
    if servers < 1:
        raise UsageError(f"--jobs: {servers} is no number of servers")
    if spec.backend is BackendName.EXTERNAL:
        raise UsageError("servers that someone else runs are not started on a cluster")
    command = shlex.join(["harness", *words])
    if any(one in text for text in (command, setup, image) for one in "\n\r"):
        raise UsageError("a line of the file cannot hold a line break")
    said = shlex.split(said_of_the_run(words[1:], _OWN, ("k8s", "slurm")))
    run = ["harness", "run", *said, "--jobs", str(servers)]
    cards = 0 if spec.server.on_cpu else spec.server.workers
    shown = {"command": command, "servers": "one server" if servers == 1 else f"{servers} servers"}
    name = "harness-" + (_NAME.sub("-", spec.name.lower()).strip("-")[:40] or "run")
    if kind == "slurm":
        gpus = f"#SBATCH --gpus-per-node={cards}\n" if cards else ""
        shown |= {"nodes": str(servers), "gpus": gpus, "setup": setup, "run": shlex.join(run)}
        shown["own"] = _GUARDED
        return _SLURM.format(name=name, **shown)
    if "--backend" not in run:
        run += ["--backend", "native"]
    elif spec.backend is not BackendName.NATIVE:
        raise UsageError("a pod starts no containers", hint="--backend native")
    head = _K8S.format(work=_WORK, secret=f"{name}-secrets", **shown)
    job = _ray_job(name, image, shlex.join([*run, "--on", "auto"]), servers, cards)
    texts = (yaml.safe_dump(one, sort_keys=False, width=1000) for one in (_claim(name), job))
    return head + "---\n".join(texts)


def _claim(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{name}-work"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "100Gi"}},
        },
    }


def _ray_job(name: str, image: str, entrypoint: str, servers: int, cards: int) -> dict[str, Any]:
    head = _pod(name, image, "ray-head", {"cpu": "2", "memory": "8Gi"})
    needs = {"cpu": "8", "memory": "32Gi"} | ({"nvidia.com/gpu": str(cards)} if cards else {})
    group = {
        "groupName": "servers",
        "replicas": servers,
        "minReplicas": servers,
        "maxReplicas": servers,
        "rayStartParams": {},
        "template": _pod(name, image, "ray-worker", needs),
    }
    cluster = {
        "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "template": head},
        "workerGroupSpecs": [group],
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name},
        "spec": {
            "entrypoint": entrypoint,
            "shutdownAfterJobFinishes": True,
            "rayClusterSpec": cluster,
        },
    }


def _pod(name: str, image: str, container: str, needs: dict[str, str]) -> dict[str, Any]:
    """A pod template: what a container needs is its limit and its request."""
    variables = {"HF_HOME": f"{_WORK}/huggingface", "RAY_USAGE_STATS_ENABLED": "0"}
    one = {
        "name": container,
        "image": image,
        "workingDir": _WORK,
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "envFrom": [{"secretRef": {"name": f"{name}-secrets", "optional": True}}],
        "resources": {"limits": needs, "requests": dict(needs)},
        "volumeMounts": [
            {"name": "work", "mountPath": _WORK},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    }
    volumes = [
        {"name": "work", "persistentVolumeClaim": {"claimName": f"{name}-work"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
    ]
    return {"spec": {"containers": [one], "volumes": volumes}}
