"""A run played by worker processes, over the stand-in server: the same records, whoever is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from harness.conduct import workforce
from harness.records import INTERRUPTED, RECORDS
from harness.serve import free_port

ROOT = Path(__file__).parents[2]
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty")
ROWS = "model,task_name,sample_id,batch_size,dispatch_mode\n" + "".join(
    f"tiny,letters,{word},{size},{mode}\n"
    for size in (2, 4)
    for mode in ("gated", "prompt_list")
    for word in WORDS
)
CHANGES = {"mode": "standard", "of": 0.6}
OWN = ("start", "sum", "run_id")
"""What a record says of the server that gave it, and not of the answers."""


@pytest.fixture(autouse=True)
def _ports_of_its_own(place):
    """Workers take several from the first on, and those of other tests begin elsewhere."""
    spec = yaml.safe_load(Path("spec.yaml").read_text())
    spec["server"]["port"] = free_port(23700)
    Path("spec.yaml").write_text(yaml.safe_dump(spec))


def content(run):
    """Each record's line by its id, without the server that gave it and how long it took."""
    found = {}
    for line in (Path("results") / run / RECORDS).read_text().splitlines():
        row = json.loads(line)
        for answer in (row["solo"], row["batched"], *row["askings"].values()):
            if answer:
                answer.pop("latency_s")
        assert row["record_id"] not in found, "a record is doubled"
        found[row["record_id"]] = {k: json.dumps(v) for k, v in row.items() if k not in OWN}
    return found


def insist_equal(one, other, but=()):
    """Every record says the same in both runs, but for some keys."""
    rows, others = content(one), content(other)
    assert rows.keys() == others.keys()
    for name, row in rows.items():
        differing = {key: told for key, told in row.items() if others[name][key] != told}
        assert differing.keys() <= {*but}, (name, differing)
        assert row.keys() == others[name].keys()


def summary(run):
    """A summary's bytes without its run's name, its latencies and what it says of its starts."""
    told = json.loads((Path("results") / run / "summary.json").read_text())
    told.pop("run_id")
    told.pop("latency")
    told["stack"].pop("lifetimes")
    told["threats"] = [one for one in told["threats"] if one["threat"] != "single_lifetime"]
    return json.dumps(told)


def starts(run):
    files = sorted((Path("results") / run).glob("startup_*.json"))
    return [attempt for file in files for attempt in json.loads(file.read_text())["attempts"]]


def test_workers_leave_the_records_and_the_summary_of_one_process(place):
    """Whatever lies in the working folder: none of it is a module of a worker."""
    place.causes(CHANGES)
    for name in ("logging", "select", "harness"):
        Path(f"{name}.py").write_text("raise SystemExit(7)")
    Path("candidates.csv").write_text(ROWS)
    for run, flags in (("one", ()), ("four", ("--jobs", "4"))):
        code, _, err = place.harness("run", "-c", "spec.yaml", "--run-id", run, *flags)
        assert code == 0, err
    insist_equal("one", "four")
    assert summary("one") == summary("four")


def started(*flags):
    command = [
        sys.executable,
        "-P",
        "-m",
        "harness",
        "run",
        "-c",
        "spec.yaml",
        "--run-id",
        "run",
        *flags,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, env=environment, text=True)


def workers_of(driver):
    """The worker processes of a harness that runs."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = (stat.parent / "cmdline").read_bytes().split(b"\0")
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == driver.pid and b"harness.conduct.worker" in words:
            found.append(int(stat.parent.name))
    return found


def killed_after(records, driver):
    """Kill a worker with -9 as soon as so many records are there; whether there was one."""
    there = Path("results/run") / RECORDS
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and driver.poll() is None:
        count = there.read_bytes().count(b"\n") if there.exists() else -1
        if count >= records and (victims := workers_of(driver)):
            os.kill(victims[records % len(victims)], signal.SIGKILL)
            return True
        time.sleep(0.02)
    return False


def test_workers_killed_in_the_middle_lose_and_double_nothing(place):
    place.causes(CHANGES)
    Path("candidates.csv").write_text(ROWS)
    assert place.harness("run", "-c", "spec.yaml", "--run-id", "one")[0] == 0
    driver = started("--jobs", "3")
    killed = [killed_after(records, driver) for records in (5, 25, 45)]
    _, err = driver.communicate(timeout=200)
    assert driver.returncode == 0, err
    assert killed == [True] * 3
    # a server that goes on for a lost one has not asked alone what that one had
    insist_equal("one", "run", but=["warmed"])
    assert summary("one") == summary("run")
    lost = [one for one in starts("run") if one["ended_at"] is None]
    assert len(lost) == 3
    assert {one["records"] for one in lost} == {0}
    assert {one["error"]["type"] for one in lost} == {INTERRUPTED}
    for one in lost:  # nobody listens again where a server may still be dying
        port = one["server"]["port"]
        again = [other for other in starts("run") if other["server"]["port"] == port]
        assert max(other["started_at"] for other in again) == one["started_at"]
    assert place.harness("validate", "results/run")[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_same_command_goes_on_after_its_driver_was_ended(place, number):
    place.causes(CHANGES)
    Path("candidates.csv").write_text(ROWS)
    driver = started("--jobs", "2")
    there = Path("results/run") / RECORDS
    while driver.poll() is None and not (there.exists() and there.read_bytes().count(b"\n") > 9):
        time.sleep(0.02)
    children = workers_of(driver)
    driver.send_signal(number)
    driver.communicate(timeout=60)
    assert driver.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    deadline = time.monotonic() + 30
    while any(Path("/proc", str(pid)).exists() for pid in children):
        assert time.monotonic() < deadline, "a worker outlives its driver"
        time.sleep(0.05)
    before = there.read_bytes()
    code, _, err = place.harness("run", "-c", "spec.yaml", "--run-id", "run", "--jobs", "3")
    assert code == 0, err
    assert there.read_bytes().startswith(before.rpartition(b"\n")[0])
    assert len(content("run")) == 80
    assert place.harness("validate", "results/run")[0] == 0


def test_what_a_workers_server_failed_of_is_told_as_ever(place):
    place.causes(CHANGES)
    Path("candidates.csv").write_text(ROWS)
    command = Path(".venv-cpu/bin/python")
    whole = command.read_text()
    command.write_text(
        whole.replace("\nexec ", '\n[ "$VLLM_BATCH_INVARIANT" = 1 ] && exit 3\nexec ')
    )
    code, _, err = place.harness("run", "-c", "spec.yaml", "--run-id", "run", "--jobs", "2")
    assert code == 4
    assert "tiny / batch_invariant" in err
    assert "Traceback" not in err
    assert str(Path("results/run/native_batch_invariant_tiny.log")) in err
    told = [one["error"]["type"] for one in starts("run")]
    assert told.count("StartupFailed") == 1  # the other may not have begun by then
    assert {*told} <= {INTERRUPTED, "StartupFailed"}
    command.write_text(whole)
    code, _, err = place.harness("run", "-c", "spec.yaml", "--run-id", "run")
    assert code == 0, err
    assert len(content("run")) == 80


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_servers_of_somebody_else_have_no_workers(place, jobs):
    Path("candidates.csv").write_text(ROWS)
    flags = ("--backend", "external", "--external", "standard=http://127.0.0.1:9")
    modes = ("--modes", "standard")
    code, _, err = place.harness("run", "-c", "spec.yaml", *flags, *modes, "--jobs", jobs)
    assert code == 2
    assert "servers that someone else runs are not started here" in err
    assert not Path("results").exists()


def test_jobs_and_overlap_are_one_number(place):
    Path("candidates.csv").write_text(ROWS)
    code, _, err = place.harness("run", "-c", "spec.yaml", "--jobs", "2", "--overlap", "3")
    assert code == 2
    assert "--jobs and --overlap exclude each other" in err
    assert not Path("results").exists()


def test_a_signal_when_a_workers_end_was_just_heard_leaves_nobody_waiting(place, monkeypatch):
    """It came between the two for hours of trials; here it comes from what is done between them."""
    place.causes(CHANGES)
    Path("candidates.csv").write_text(ROWS)
    left = []

    class Heard(workforce.queue.SimpleQueue):
        def get(self, *args, **kwargs):
            part, frame = super().get(*args, **kwargs)
            if frame is None and not left:
                left.append(part)
                raise KeyboardInterrupt
            return part, frame

    monkeypatch.setattr(workforce.queue, "SimpleQueue", Heard)
    words = ("run", "-c", "spec.yaml", "--run-id", "run", "--jobs", "2")
    assert place.harness(*words)[0] == 130
    assert left
    assert place.harness(*words)[0] == 0
