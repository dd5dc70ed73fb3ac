"""Both modes' servers of a run up at once: the same records, and each failure where it belongs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cause.conftest import STAND_IN

from harness.conduct import asking
from harness.records import INTERRUPTED, RECORDS, iter_records
from harness.settings import load_spec

ROOT = Path(__file__).parents[2]
SLEEPERS = """
import asyncio, os, signal, sys, time
from functools import partial
from pathlib import Path
from harness.errors import Interrupted, ServerDied
from harness.jobs.together import Turns, side_by_side
place, how = Path(sys.argv[1]), sys.argv[2]
turns = Turns(3)
def work(number, _):
    (place / f"{number}.part").write_text(str(os.getpid()))
    (place / f"{number}.part").rename(place / f"{number}.pid")  # whole, whenever this is killed
    if how == "one dies":
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            asyncio.run(turns.wait(number))
        except ServerDied:
            (place / f"{number}.told").touch()
            raise
        turns.over(number)
    else:
        time.sleep(600)
if how == "at once":  # before any of them may have said what it does on a signal
    os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
try:
    side_by_side([partial(work, number) for number in range(3)], 3, turns.fail)
except Interrupted:
    sys.exit(130)
"""
ROWS = "model,task_name,sample_id,batch_size,dispatch_mode\n" + "".join(
    f"tiny,letters,{word},4,{mode}\n"
    for mode in ("synchronized", "staggered")
    for word in ("amber", "birch", "cedar", "delta")
)
CHANGES = {"mode": "standard", "of": 0.6}


def answers(run):
    """What each record says, without when."""
    told = {}
    for _, one in iter_records(Path("results") / run / RECORDS):
        told[one.record_id] = (one.mode, one.ok, one.text_change, one.label_flip, one.start)
    return told


def starts(run):
    """The attempts of both modes' servers."""
    files = sorted((Path("results") / run).glob("startup_*.json"))
    return [attempt for file in files for attempt in json.loads(file.read_text())["attempts"]]


def test_two_servers_at_once_leave_the_records_that_one_after_the_other_do(place, slow):
    place.causes(CHANGES)
    Path("candidates.csv").write_text(ROWS)
    for run, flags in (("one", ()), ("both", ("--overlap", "2"))):
        code, _, err = place.harness("run", "-c", "spec.yaml", "--run-id", run, *slow, *flags)
        assert code == 0, err
    assert answers("one") == answers("both")
    assert len(answers("both")) == 16
    both = starts("both")
    assert len({one["server"]["port"] for one in both}) == 2
    assert max(one["started_at"] for one in both) < min(one["ended_at"] for one in both)
    assert [one["records"] for one in starts("both")] == [8, 8]
    assert place.harness("validate", "results/both")[0] == 0


def test_the_run_goes_on_with_the_other_number_of_servers(place):
    place.causes(CHANGES)
    Path("candidates.csv").write_text(ROWS)
    command = Path(".venv-cpu/bin/python")
    whole = command.read_text()
    command.write_text(
        whole.replace("exec ", '[ "$VLLM_BATCH_INVARIANT" = 1 ] && exit 3\nexec ', 2)
    )
    flags = ("run", "-c", "spec.yaml", "--run-id", "both")
    code, _, err = place.harness(*flags, "--overlap", "2")
    assert code == 4
    assert "tiny / batch_invariant" in err
    by_mode = {one["server"]["port"]: one["error"]["type"] for one in starts("both")}
    assert sorted(by_mode.values()) == sorted([INTERRUPTED, "StartupFailed"])
    command.write_text(whole)
    code, _, err = place.harness(*flags)
    assert code == 0, err
    assert len(answers("both")) == 16
    assert place.harness("validate", "results/both")[0] == 0


def test_no_more_servers_are_started_than_the_memory_holds(place, monkeypatch):
    place.causes(CHANGES)
    Path("candidates.csv").write_text(ROWS)
    monkeypatch.setattr(asking, "free_memory", lambda: 5 << 30)
    code, _, err = place.harness("run", "-c", "spec.yaml", "--run-id", "one", "--overlap", "2")
    assert code == 0
    assert "servers at once: 1 of 2, 5.37 GB of memory are free" in err
    first, second = sorted(starts("one"), key=lambda one: one["started_at"])
    assert first["ended_at"] <= second["started_at"]


def test_several_gpus_are_shared_out_to_servers_at_once():
    ranks = {"server.tensor_parallel": 2, "controls.worker_proof": True}
    spec = load_spec("controlled", {"server.gpu_device_ids": ["0", "1", "2", "3"], **ranks}).spec
    shares = [spec.at_place(run, place).server for run, place in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert [one.gpu_device_ids for one in shares] == [
        ("0", "1"),
        ("2", "3"),
        ("2", "3"),
        ("0", "1"),
    ]
    assert len({one.port for one in shares}) == 4
    alone = load_spec("controlled", {"server.gpu_device_ids": ["3"]}).spec
    assert alone.at_place(2, 1).server.gpu_device_ids == ("3",)
    assert "overlap" not in alone.model_dump()["server"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--profile", "controlled"), "--kv-cache-memory-bytes"),
        (
            (
                "--profile",
                "demo-tiny",
                "--backend",
                "external",
                "--external",
                "standard=http://127.0.0.1:1",
            ),
            "someone else",
        ),
    ],
)
def test_servers_that_cannot_share_are_not_started_at_once(place, flags, said):
    code, _, err = place.harness("plan", *flags, "--tasks", "tasks", "--overlap", "2")
    assert code == 2
    assert said in err


def _gone(place: Path) -> bool:
    pids = [int(path.read_text()) for path in place.glob("*.pid")]
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def _sleepers(place: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SLEEPERS, str(place), how]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("how", ["at once", "SIGTERM", "SIGKILL", "one dies"])
def test_runs_side_by_side_end_with_whoever_started_them_and_none_waits_for_a_dead_one(
    tmp_path, how
):
    parent = _sleepers(tmp_path, how)
    deadline = time.monotonic() + 60
    while how.startswith("SIG") and len(list(tmp_path.glob("*.pid"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if how.startswith("SIG"):
        os.kill(parent.pid, signal.Signals[how])
    _, err = parent.communicate(timeout=60)
    code = {"SIGKILL": -signal.SIGKILL, "one dies": 0}
    assert (parent.returncode, "Traceback" in err) == (code.setdefault(how, 130), False), err
    while not _gone(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if how == "one dies":
        assert {"0.told", "2.told"} <= {path.name for path in tmp_path.iterdir()}


def played(place, run, changed):
    """A run whose stand-in begins as these lines have it; its exit code and what it said."""
    script = STAND_IN.read_text().replace(
        "import stand_in_vllm as base", f"import stand_in_vllm as base\n{changed}"
    )
    own = STAND_IN.with_name(f"changed_{os.getpid()}.py")  # beside what it imports
    own.write_text(script)
    try:
        place.causes(CHANGES)
        Path("candidates.csv").write_text(ROWS)
        command = f".venv-cpu/bin/python {own}"
        words = ("run", "-c", "spec.yaml", "--run-id", run, "--native-command", command)
        code, _, err = place.harness(*words)
    finally:
        own.unlink()
    return code, err


def test_a_server_of_which_nobody_could_tell_that_it_answered_is_asked_nothing(place):
    silent = "told = base.metrics\nbase.metrics = lambda: told().partition(b'total')[2]"
    code, err = played(place, "one", silent)
    assert code == 4
    assert "its /metrics do not tell which process answers" in err
    assert not Path("results/one", RECORDS).exists()


DIES = """
told = base.metrics
def last():
    mode = "batch_invariant" if base.INVARIANT else "standard"
    lines = Path({records!r}).read_text().splitlines() if {when} else []
    if sum(json.loads(line)["mode"] == mode for line in lines) == 8:
        os._exit(9)
    return told()
base.metrics = last
"""


def test_a_server_that_dies_after_its_last_answer_leaves_a_run_that_counts(place):
    records = place.folder / "results/one" / RECORDS
    when = f"os.path.exists({str(records)!r})"
    code, err = played(place, "one", DIES.format(records=str(records), when=when))
    assert code == 0, err
    ends = [start["error"]["message"].partition(":")[0] for start in starts("one")]
    assert ends == ["died after its last answer"] * 2
    assert place.harness("validate", "results/one")[0] == 0
