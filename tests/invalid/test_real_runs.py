"""Invalid runs on the real vLLM CPU server: provoked, or planted in what a real run left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from causes import CAUSES
from stand_in_run import read_run

from harness.analyse import summarise_run, validate_run
from harness.serve import free_port

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.vllm_cpu, pytest.mark.timeout(600)]
PLANTED = (
    "vacuous batch",
    "retry in another batch",
    "unequal batch between the modes",
    "aborted companion",
    "swapped modes",
    "one server for two modes",
    "restart in the middle",
    "log appended",
    "edited score of an answer",
    "edited pattern",
    "duplicate record",
    "truncated last line",
    "weights retagged under the same name",
)


def run(results, run_id, *flags):
    command = [
        *(sys.executable, "-m", "harness", "run", "--profile", "demo", "--results", str(results)),
        *("--run-id", run_id, "--port", str(free_port(18300)), *flags),
    ]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=500)
    return results / run_id, done


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A real run of both modes, a few whole batches."""
    folder, done = run(tmp_path_factory.mktemp("real"), "real", "--limit", "8")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_real_run_is_not_refused(real):
    found = validate_run(real)
    assert found.ok, found.failures


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_in_a_real_run_is_refused_by_its_check(name, real, tmp_path):
    changed = read_run(real)
    CAUSES[name].plant(changed, Random(name))
    folder = changed.write(tmp_path / "run")
    assert {f.check for f in validate_run(folder).failures} == {CAUSES[name].check}


def test_one_request_slot_makes_every_batch_vacuous(tmp_path):
    flags = ("--limit", "4", "--modes", "standard", "--extra-arg=--max-num-seqs=1")
    folder, done = run(tmp_path, "one-slot", *flags)
    assert done.returncode == 1, done.stderr
    assert {f.check for f in validate_run(folder).failures} == {"batches_shared_steps"}
    rows = [json.loads(line) for line in (folder / "vllm_records.jsonl").read_text().splitlines()]
    assert all(row["witness"]["B"]["shared_decode_share"] == 0 for row in rows)
    assert not [c for c in summarise_run(folder).claims if c.status == "established"]
