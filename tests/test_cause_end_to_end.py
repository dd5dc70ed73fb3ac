"""From a change to its cause on real vLLM CPU servers: certified, and a planted one as a case.

The planted server is the batch-invariant plugin without its linear layers
(``VLLM_CPU_BATCH_INVARIANT_PARTS=no-linear``): its log proves the mode, and its answers change.
"""

import contextlib
import io
import json
import os
import subprocess
import sys

import pytest
from real_servers import ROOT, SLOTS, at, external, staggered

from harness.cli import main
from harness.serve import free_port, launch_options, make_backend, wait_until_ready
from harness.settings import load_spec
from harness.words import DispatchMode, Mode

pytestmark = [pytest.mark.vllm_cpu, pytest.mark.timeout(1200)]
FEW = ("--max-tokens", "24", "--prefix-caching", "salted", "--quiet")


def harness(*words):
    """Exit code, output and messages."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(list(map(str, words)))
        except SystemExit as ended:
            code = ended.code or 0
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A server that says it is batch-invariant, proves it by its log, and is not."""
    spec = load_spec("demo-tiny").spec
    environment = {**spec.server.env, "VLLM_CPU_BATCH_INVARIANT_PARTS": "no-linear"}
    changes = {"server.port": free_port(18480), "server.env": environment}
    spec = load_spec("demo-tiny", changes).spec
    options = launch_options(
        spec, spec.models[0], Mode.BATCH_INVARIANT, schedules={DispatchMode.GATED}
    )
    server = make_backend(spec).start(options, tmp_path_factory.mktemp("planted"))
    try:
        wait_until_ready(server, timeout_s=900, served_model=options.served_model_name)
        yield server
    finally:
        server.stop()


def test_with_all_parts_on_the_stack_is_certified_within_a_bound(servers, tmp_path):
    named = {mode.value: at(server) for mode, server in servers.items()}
    one_each = ("--widths", SLOTS, "--max-tokens", 64, "--lifetimes", "1")
    asked = (*one_each, *staggered(servers[Mode.STANDARD], 3))
    where = ("--results", tmp_path / "results", "-o", tmp_path / "certificate")
    stack = ("certify", "--profile", "demo-tiny", *external(**named), *FEW, *asked, *where)
    # some processors' standard kernels change an eighth of these answers, and a control needs six
    for prompts in (5 * SLOTS, 12 * SLOTS):
        code, out, err = harness(*stack, "--prompts", prompts)
        if "error: not proven" not in err:
            break
    assert code == 0, f"{out}{err}"
    told = json.loads((tmp_path / "certificate/certificate.json").read_text())
    assert told["verdict"] == "invariant"
    assert {one["schedule"] for one in told["seen"]} >= {"synchronized", "gated", "staggered"}
    assert told["control"][0] > 0
    assert told["bounds"]["by_token"] < 0.02


def test_a_planted_defect_is_detected_shrunk_and_replays_in_a_fresh_process(planted, tmp_path):
    results = ("--results", tmp_path / "results")
    there = external(batch_invariant=at(planted))
    scan = ("--batch-sizes", "8", "--dispatch-modes", "staggered", "--limit", 6 * SLOTS)
    code, out, err = harness(
        "scan", "--profile", "demo-tiny", *there, *FEW, *scan, *staggered(planted, 3), *results,
        "--run-id", "planted",
        "--select", "text_change",
    )  # fmt: skip
    assert code == 0, f"{out}{err}"
    lines = (tmp_path / "results/planted/vllm_records.jsonl").read_text().splitlines()
    changed = [one for one in map(json.loads, lines) if one["pattern"] == "batch"]
    assert changed, "the planted defect changed no answer"
    case = tmp_path / "case.json"
    code, out, err = harness(
        "shrink", tmp_path / "results/planted", changed[0]["record_id"], *results, "-o", case,
        "--quiet", "--trust",
    )  # fmt: skip
    assert code == 0, f"{out}{err}"
    told = json.loads(case.read_text())
    assert 2 <= len(told["prompts"]) <= 8
    assert told["divergence"]["token"] > 0  # a prefill of several rows sums alike in any batch
    assert harness("replay", case, "--check")[0] == 0
    fresh = subprocess.run(
        [
            sys.executable, "-m", "harness", "replay", str(case), "--trust", "--quiet",
            *map(str, results),
        ],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert fresh.returncode == 0, fresh.stdout + fresh.stderr
    assert fresh.stdout.startswith("reproduces")
