"""The whole ablation against the real vLLM CPU server, and what happens when things die in it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.serve import free_port

ROOT = Path(__file__).resolve().parent.parent
HARNESS = (sys.executable, "-m", "harness")
pytestmark = [pytest.mark.vllm_cpu, pytest.mark.timeout(1200)]


class Run:
    """One run folder and the command that works on it."""

    def __init__(self, results, *flags):
        self.folder = results / "run"
        self.killed_with = []
        self.command = [
            *HARNESS, "run", "--profile", "demo-tiny", "--results", str(results), "--run-id", "run",
            "--port", str(free_port(18100)), *flags,
        ]  # fmt: skip

    def start(self):
        return subprocess.Popen(
            self.command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def complete(self):
        process = self.start()
        out, err = process.communicate(timeout=900)
        return process.returncode, out, err

    def records(self):
        path = self.folder / "vllm_records.jsonl"
        if not path.exists():
            return []
        return [
            json.loads(line)
            for line in path.read_text().splitlines(keepends=True)
            if line[-1] == "\n"
        ]

    def wait_for_records(self, count, process):
        while len(self.records()) < count:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)

    def servers(self):
        """Process ids of living servers of this run, by the marker in their environment."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if (
                "vllm.entrypoints" in line
                and self.command[self.command.index("--port") + 1] in line
            ):
                found.append(int(path.parent.name))
        return found

    def wait_for_no_server(self):
        deadline = time.monotonic() + 60
        while self.servers():
            assert time.monotonic() < deadline, "a server is still running"
            time.sleep(0.1)

    def ids(self):
        return sorted(record["record_id"] for record in self.records())


def cli(*arguments):
    return subprocess.run([*HARNESS, *arguments], cwd=ROOT, text=True, capture_output=True)


def planned(*flags):
    done = cli("plan", "--profile", "demo-tiny", "--json", *flags)
    assert done.returncode == 0, done.stderr
    return len(done.stdout.splitlines())


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The whole demo, with the harness killed in the middle and the same command given again."""
    run = Run(tmp_path_factory.mktemp("demo"))
    process = run.start()
    run.wait_for_records(8, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run.wait_for_no_server()
    run.killed_with = run.ids()
    code, out, err = run.complete()
    assert code == 0, err
    return run, out


def test_a_copied_run_gives_the_same_report_elsewhere_and_can_be_scored(demo, tmp_path):
    run, _ = demo
    copy = shutil.copytree(run.folder, tmp_path / "elsewhere/run")
    for name in ("report.md", "report.html"):
        (copy / name).unlink()
    for verb in (("report", "run"), ("score", "run", "--profile", "paper")):
        done = subprocess.run([*HARNESS, *verb], cwd=copy.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for name in ("report.md", "report.html"):
        assert (copy / name).read_bytes() == (run.folder / name).read_bytes()


def test_after_kill_9_no_server_is_left_and_the_same_command_completes_the_run(demo):
    run, _ = demo
    assert 8 <= len(run.killed_with) < planned()
    assert set(run.killed_with) <= set(run.ids())
    assert len(run.ids()) == len(set(run.ids())) == planned()
    assert not run.servers()


def test_the_demo_is_complete_proven_and_valid(demo):
    run, _ = demo
    half = len(run.records()) // 2
    done = cli(
        "validate", str(run.folder), "--require-modes", "standard,batch_invariant",
        "--expected-rows-per-mode", str(half),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = {
        json.loads(path.read_text())["mode"]: json.loads(path.read_text())["verdict"]
        for path in run.folder.glob("startup_*.json")
    }
    assert verdicts == {"standard": "clean", "batch_invariant": "active"}


def test_the_invariant_path_changes_nothing_and_every_answer_alone_is_the_same(demo):
    run, _ = demo
    for record in run.records():
        if record["mode"] == "batch_invariant":
            assert not record["text_change"]
            assert record["pattern"] == "same"
        assert record["pattern"] in ("same", "batch")  # the demo has no prefix cache
        asked = (record["solo"], record["askings"]["S1"], record["askings"]["S2"])
        assert len({answer["text"] for answer in asked}) == 1


def test_each_record_tells_its_companions_and_that_no_answer_was_given_up(demo):
    run, _ = demo
    for record in run.records():
        others = [key for n, key in enumerate(record["group"]) if n != record["target_index"]]
        assert [one["key"] for one in record["companions"]] == others
        reasons = {one["finish_reason"] for one in record["companions"]}
        assert reasons <= {"stop", "length"}
        assert record["schema_version"] == 3
        assert record["askings"]["S1"]["attempts"] == 1


def test_the_standard_path_changes_answers_or_the_demo_says_inconclusive(demo):
    run, out = demo
    # how many rows change depends on the processor: its vector units choose the order of the sums
    standard = [record for record in run.records() if record["mode"] == "standard"]
    changes = sum(record["text_change"] for record in standard)
    flips = sum(record["label_flip"] for record in standard)
    if changes:
        n = len(standard)
        counted = out[out.index("the study's count") :]
        for what, count in (("label flips", flips), ("text changes", changes)):
            assert re.search(rf"{what} +prompts .*\n +rows +{count}/{n} ", counted)
    else:
        assert "inconclusive on this CPU" in out


def test_the_demo_ends_with_what_cpu_numbers_can_show(demo):
    _, out = demo
    assert "say nothing about a GPU" in out
    assert "report.html" in out


def test_a_row_more_than_there_are_fails_validation(demo):
    run, _ = demo
    more = len(run.records()) // 2 + 1
    done = cli("validate", str(run.folder), "--expected-rows-per-mode", str(more))
    assert done.returncode == 1
    assert str(more) in done.stdout + done.stderr


def test_a_server_killed_in_the_middle_is_reported_and_the_run_completes_later(tmp_path):
    run = Run(tmp_path, "--limit", "14", "--modes", "standard")
    process = run.start()
    run.wait_for_records(10, process)
    for pid in run.servers():
        os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 4, err
    assert "died" in err
    assert "Traceback" not in err
    kept = run.ids()
    assert len(kept) >= 10
    assert not (run.folder / "summary.json").exists()
    code, _, err = run.complete()
    assert code == 0, err
    assert set(kept) <= set(run.ids())
    assert len(run.ids()) == len(set(run.ids())) == 14


def test_sigterm_stops_the_server_and_keeps_the_records(tmp_path):
    run = Run(tmp_path, "--limit", "6", "--modes", "standard")
    process = run.start()
    run.wait_for_records(1, process)
    process.terminate()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not run.servers()
    assert run.records()


def test_the_variable_without_the_plugin_names_the_dead_engine_and_claims_nothing(tmp_path):
    run = Run(tmp_path, "--limit", "2", "--modes", "batch_invariant", "--env", "VLLM_PLUGINS=none")
    code, out, err = run.complete()
    assert code == 4, err
    assert "the engine died at its first request" in err
    assert "docker/cpu/plugin" in err
    quoted = [line.strip() for line in err.splitlines() if line.startswith("    ")]
    log = next(run.folder.glob("native_*.log")).read_text()
    assert quoted[0] in log
    assert "Error" in quoted[0]
    assert not run.records()
    assert not (run.folder / "summary.json").exists()
    assert "flips" not in out
    assert not run.servers()
