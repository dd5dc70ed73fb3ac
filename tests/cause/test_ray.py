"""Workers on a real Ray cluster of this machine, over the stand-in server."""

import json
import os
import random
import signal
import time
import traceback
from pathlib import Path

import pytest
import ray
import yaml
from cause.test_workers import CHANGES, ROWS, content, insist_equal, started, starts, summary
from ray.cluster_utils import Cluster

from harness.conduct.ray_workers import _room, _why
from harness.records import RECORDS
from harness.serve import RUN_MARK, free_port

pytestmark = pytest.mark.timeout(600)  # a cluster takes half a minute on a busy machine
RUN = f"ray-{os.getpid()}"
HELD = {"num_cpus": 1, "memory": 4 << 30, "object_store_memory": 80 << 20}


@pytest.fixture(autouse=True)
def _small(place, monkeypatch):
    """Ports that no other test begins with, on 127.0.0.1 only, and time for a busy machine."""
    spec = yaml.safe_load(Path("spec.yaml").read_text())
    spec["server"]["port"] = free_port(24700)
    Path("spec.yaml").write_text(yaml.safe_dump(spec))
    Path("candidates.csv").write_text(ROWS)
    place.causes(CHANGES)
    for name in ("RAY_raylet_start_wait_time_s", "RAY_gcs_server_request_timeout_seconds"):
        monkeypatch.setenv(name, "180")
    monkeypatch.setenv("RAY_agent_register_timeout_ms", "180000")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


def processes(word, mark=""):
    """Every process with a word in its command line and a mark in its environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "cmdline").read_bytes()
            if word.encode() in said and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def slow_head(folder, *, failures):
    """Stands in for a busy head node: where it is on the path, the first clients' starts fail."""
    folder.mkdir()
    said = folder / "tried"
    (folder / "sitecustomize.py").write_text(f"""
import sys

if "ray.util.client.server" in sys.orig_argv and "--mode=proxy" in sys.orig_argv:
    from ray.util.client.server.proxier import ProxyManager

    start = ProxyManager.start_specific_server

    def fails_at_first(self, *args):
        with open({str(said)!r}, "a+") as tried:
            tried.write("x")
        with open({str(said)!r}) as tried:
            if len(tried.read()) <= {failures}:
                raise TimeoutError("the head node is busy")
        return start(self, *args)

    ProxyManager.start_specific_server = fails_at_first
""")
    return said


def head_with_a_door(port):
    """A cluster of one node, which ``ray://`` reaches on a port."""
    door = {"ray_client_server_port": port, "include_dashboard": False}
    return Cluster(initialize_head=True, head_node_args={**HELD, "num_cpus": 2, **door})


def of_run(word):
    return processes(word, f"{RUN_MARK}={RUN}")


def records():
    there = Path("results", RUN) / RECORDS
    return there.read_bytes().count(b"\n") if there.exists() else 0


def wait_for(what, driver=None, within_s=240.0):
    deadline = time.monotonic() + within_s
    while not what():
        ended = driver is not None and driver.poll() is not None
        assert not ended, driver.communicate()
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_on_four_nodes_a_lost_worker_actor_and_node_lose_and_double_nothing(place):
    """A head that plays nothing and four nodes; `ray start` makes the same processes."""
    assert place.harness("run", "-c", "spec.yaml", "--run-id", "one")[0] == 0
    cluster = Cluster(
        initialize_head=True, head_node_args={**HELD, "num_cpus": 0, "include_dashboard": False}
    )
    try:
        nodes = [cluster.add_node(wait=False, **HELD) for _ in range(4)]
        cluster.wait_for_nodes(timeout=240)
        driver = started("--run-id", RUN, "--jobs", "4", "--on", cluster.address, "--json")
        chosen = random.Random(18)
        for count, of in ((3, "worker"), (8, "actor"), (14, "node")):
            there = lambda count=count: records() >= count and of_run("harness.conduct.worker")  # noqa: E731
            wait_for(there, driver)
            worker = chosen.choice(of_run("harness.conduct.worker"))
            actor = parent(worker)
            raylet = parent(actor)
            os.kill({"worker": worker, "actor": actor, "node": raylet}[of], signal.SIGKILL)
        said, err = driver.communicate(timeout=400)
        assert driver.returncode == 0, err
        assert len(nodes) == 4
    finally:
        cluster.shutdown()
    json.loads(said)  # and nothing of Ray's beside it
    # whoever was hit last may have had nothing left to ask
    assert err.count("its worker was lost") >= 2
    assert "Traceback" not in err
    insist_equal("one", RUN, but=["warmed"])
    assert summary("one") == summary(RUN)
    assert len([one for one in starts(RUN) if one["ended_at"] is None]) >= 2
    assert place.harness("validate", f"results/{RUN}")[0] == 0
    wait_for(lambda: not of_run(""), within_s=60)


def test_through_a_client_a_lost_worker_loses_and_doubles_nothing(place, tmp_path, monkeypatch):
    """As from a laptop that is no node of the cluster: ``ray://`` is another protocol.

    Its head is busy: the process of the first client that comes does not start.
    """
    assert place.harness("run", "-c", "spec.yaml", "--run-id", "one")[0] == 0
    tried = slow_head(tmp_path / "slow", failures=1)
    with monkeypatch.context() as of_the_head:
        of_the_head.setenv("PYTHONPATH", str(tried.parent), prepend=os.pathsep)
        cluster = head_with_a_door(door := free_port(25600))
    try:
        address = f"ray://127.0.0.1:{door}"
        driver = started("--run-id", RUN, "--jobs", "2", "--on", address, "--json")
        wait_for(lambda: records() >= 3 and of_run("harness.conduct.worker"), driver)
        os.kill(random.Random(18).choice(of_run("harness.conduct.worker")), signal.SIGKILL)
        said, err = driver.communicate(timeout=400)
    finally:
        cluster.shutdown()
    assert driver.returncode == 0, err
    assert len(tried.read_text()) > 1  # the first was refused
    json.loads(said)
    assert "Traceback" not in err
    insist_equal("one", RUN, but=["warmed"])
    assert summary("one") == summary(RUN)
    assert place.harness("validate", f"results/{RUN}")[0] == 0
    wait_for(lambda: not of_run(""), within_s=60)


def test_what_fails_on_the_head_is_told_without_its_frames():
    try:
        raise TimeoutError("the head node\nis busy")
    except TimeoutError:
        said = f"Initialization failure from server:\n{traceback.format_exc()}"
    assert _why(ConnectionAbortedError(said)) == "TimeoutError: the head node is busy"
    assert _why(ConnectionError("no\nanswer")) == "no answer"


def test_a_cluster_of_this_machine_ends_with_the_run_that_is_stopped_and_goes_on_without(place):
    """Nothing that lies in the working folder is a module of it, and nothing of it stays."""
    for name in ("logging", "select", "harness", "ray"):
        Path(f"{name}.py").write_text("raise SystemExit(7)")
    driver = started("--run-id", RUN, "--jobs", "2", "--on", "local")
    wait_for(lambda: of_run("harness.conduct.worker"), driver)
    listening = {word for pid in processes("raylet/raylet") for word in listens(pid)}
    wait_for(lambda: records() >= 4, driver)
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=200)
    assert driver.returncode == 130, err
    assert listening
    assert {address for address, _ in listening} == {"127.0.0.1"}
    wait_for(lambda: not of_run(""), within_s=60)
    code, _, err = place.harness("run", "-c", "spec.yaml", "--run-id", RUN, "--jobs", "2")
    assert code == 0, err
    assert len(content(RUN)) == 80
    assert place.harness("validate", f"results/{RUN}")[0] == 0


def test_what_a_killed_driver_leaves_of_its_cluster_is_ended_by_clean(place):
    """Two of Ray's processes would stay for a minute: they try to tell of their end."""
    driver = started("--run-id", RUN, "--jobs", "2", "--on", "local")
    wait_for(lambda: records() >= 2, driver)
    driver.kill()
    driver.communicate(timeout=60)
    assert of_run("ray::DashboardAgent")
    code, said, _ = place.harness("clean")
    assert code == 0
    assert f"what run {RUN} started and no owner file names" in said
    wait_for(lambda: not of_run(""), within_s=10)


def listens(pid):
    """Addresses and ports at which a process listens."""
    inodes = set()
    for one in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            inodes.add(str(one.readlink()))
        except OSError:
            continue
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                address, _, port = words[1].partition(":")
                ours = address in ("0100007F", "0000000000000000FFFF00000100007F")
                yield ("127.0.0.1" if ours else address), int(port, 16)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--on", "locla", "--jobs", "2"), "'locla' is no address of a Ray cluster"),
        (("--on", "ray://somewhere", "--jobs", "2"), "is no address of a Ray cluster"),
        (("--on", "http://127.0.0.1:8265", "--jobs", "2"), "is no address of a Ray cluster"),
        (("--on", "local"), "--on needs --jobs N"),
    ],
)
def test_a_wrong_place_is_refused_before_anything_is_started(place, flags, told):
    code, _, err = place.harness("run", "-c", "spec.yaml", *flags)
    assert code == 2
    assert told in err
    assert not Path("results").exists()


def test_without_ray_it_says_what_to_install(place, monkeypatch):
    """A stand-in for an environment without the package."""
    monkeypatch.setattr("harness.jobs.clusters.find_spec", lambda name: None)
    code, _, err = place.harness("run", "-c", "spec.yaml", "--on", "local", "--jobs", "2")
    assert code == 3
    assert "pip install 'batchflip[ray]'" in err
    assert not Path("results").exists()


def test_a_cluster_that_does_not_answer_is_one_message(place):
    code, _, err = place.harness(
        "run", "-c", "spec.yaml", "--run-id", RUN, "--on", "127.0.0.1:9", "--jobs", "2"
    )
    assert code == 3
    assert "no Ray cluster at 127.0.0.1:9" in err
    assert "Traceback" not in err
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("resources", "needs", "room"),
    [
        ([{"CPU": 4, "GPU": 4}], {"num_cpus": 1, "num_gpus": 2}, 2),
        ([{"CPU": 4, "GPU": 3}, {"CPU": 2}], {"num_cpus": 1, "num_gpus": 2}, 1),
        ([{"CPU": 1, "GPU": 8}], {"num_cpus": 1, "num_gpus": 1}, 1),
        ([{"CPU": 8, "memory": 15e9}] * 2, {"num_cpus": 1, "memory": 3.75e9}, 8),
        ([{"CPU": 64}], {"num_cpus": 1, "num_gpus": 1}, 0),
        ([], {"num_cpus": 1}, 0),
    ],
)
def test_a_server_has_all_that_it_needs_of_one_node(resources, needs, room):
    nodes = [{"Alive": True, "Resources": one} for one in resources]
    dead = {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 99.0, "memory": 1e12}}
    assert _room([*nodes, dead], needs) == room
