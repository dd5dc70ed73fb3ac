"""``harness certify``: on kept GPU runs, and on a stand-in server whose causes are scripted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.cause import CertificateVerdict, certify, read_lifetime
from harness.cli import main
from harness.records import RECORDS, iter_records
from harness.words import DispatchMode

KEPT = Path(__file__).parents[2] / "results/reference"
STANDARD = {"mode": "standard"}
SMALL = ("--widths", "2,8", "--prompts", "8", "--lifetimes", "1", "--quiet")


@pytest.mark.parametrize(
    "run", ["h100-vllm-0.19.1-schedules-fa3", "h200-vllm-0.19.1-unselected-fa3"]
)
def test_on_a_gpu_the_fa3_defect_is_found_blind_and_named(run):
    found = certify([read_lifetime(KEPT / run)])
    assert found.verdict is CertificateVerdict.NOT_INVARIANT
    (known,) = found.known
    assert known.threads[0] == "vllm-project/vllm#51902"


@pytest.mark.parametrize(
    "run", ["h100-vllm-0.19.1-schedules-triton", "h200-vllm-0.19.1-unselected-fa2"]
)
def test_on_a_gpu_another_kernel_is_invariant_within_a_bound_and_no_defect_is_named(run):
    found = certify([read_lifetime(KEPT / run)])
    assert found.verdict is CertificateVerdict.INVARIANT
    assert 0 < found.bounds.by_prompt < 0.3
    assert not found.known


def test_the_prefix_cache_alone_is_no_proof_of_anything_and_is_named_apart():
    found = certify([read_lifetime(KEPT / "h100-vllm-0.19.1-smollm2-135m")])
    assert found.verdict is CertificateVerdict.VACUOUS
    assert [one.id for one in found.known] == ["fa3-cached-prefix"]


def test_several_runs_are_several_lifetimes_and_their_tokens_add_up():
    runs = [read_lifetime(KEPT / f"h200-vllm-0.19.1-unselected-{one}") for one in ("fa2", "triton")]
    one, both = certify(runs[:1]), certify(runs)
    assert both.lifetimes == 2
    assert both.bounds.tokens == 2 * one.bounds.tokens
    assert both.bounds.prompts == one.bounds.prompts  # the same prompts say nothing more
    assert any(both.between_lifetimes.values())  # two kernels: another text alone
    assert both.verdict is CertificateVerdict.NOT_PROVEN


def test_a_stack_whose_standard_mode_alone_changes_is_certified(place):
    place.causes(STANDARD)
    code, out, err = place.harness("certify", "-c", "spec.yaml", *SMALL, "-o", "certificate")
    assert code == 0, err
    assert out.startswith("invariant within")
    told = json.loads(Path("certificate/certificate.json").read_text())
    assert {cell["schedule"] for cell in told["seen"]} == {
        *("synchronized", "gated", "staggered", "wide")
    }
    page = Path("certificate/certificate.md").read_text()
    assert "batch invariance: invariant within" in page
    assert "positive control: standard mode changes 8 of 8 prompts" in page
    # the same command again asks nothing and says the same
    assert (
        place.harness("certify", "-c", "spec.yaml", *SMALL)[1].splitlines()[0]
        == (out.splitlines()[0])
    )


def test_a_mode_that_changes_is_refused_and_one_without_a_control_is_vacuous(place):
    place.causes(STANDARD, {"mode": "batch_invariant", "mixed": True, "of": 0.6})
    code, out, err = place.harness("certify", "-c", "spec.yaml", *SMALL, "--json", "--fresh")
    assert code == 1
    told = json.loads(out)
    assert told["verdict"] == "not invariant"
    assert told["ties"] > 0  # the stand-in's gap is 0.01
    assert "error: not invariant" in err
    place.causes()
    code, out, _ = place.harness("certify", "-c", "spec.yaml", *SMALL, "--fresh")
    assert (code, out.partition(":")[0]) == (1, "vacuous")


def test_a_schedule_that_is_none_is_named_with_the_nearest(place):
    code, _, err = place.harness("certify", "-c", "spec.yaml", "--schedules", "stagered")
    assert code == 2
    assert "did you mean 'staggered'?" in err


def test_lifetimes_that_run_at_once_leave_what_those_one_after_the_other_do(place):
    place.causes(STANDARD)
    slow = ("--env", "STAND_IN_STEP_S=0.03")  # four servers at once: a batch is late to meet itself
    flags = ("--widths", "2,8", "--prompts", "6", "--lifetimes", "2", "--overlap", "4", *slow)
    code, _, err = place.harness(
        "certify", "-c", "spec.yaml", *flags, "--quiet", "-o", "certificate"
    )
    assert code == 0, err
    told = json.loads(Path("certificate/certificate.json").read_text())
    assert (told["verdict"], told["lifetimes"]) == ("invariant", 2)
    assert len(told["runs"]) == len(set(told["runs"])) == 2
    assert {one["lifetime"] for one in told["proofs"]} == {1, 2}
    # a gated batch's prompts do not fit the second lifetime's steps
    runs = sorted(Path("results").glob("stack-certify-*-[12]"), key=lambda run: run.name[-1])
    one, two = ({r.dispatch_mode for _, r in iter_records(run / RECORDS)} for run in runs)
    assert one - two == {DispatchMode.GATED}


def test_servers_that_would_take_each_others_memory_are_not_started_at_once(place):
    flags = ("--profile", "controlled", "--tasks", "tasks", "--overlap", "3")
    code, _, err = place.harness("certify", *flags)
    assert code == 2
    assert "--kv-cache-memory-bytes" in err


def test_a_run_given_twice_is_not_two_lifetimes(tmp_path, capsys):
    run = KEPT / "h200-vllm-0.19.1-unselected-triton"
    with pytest.raises(SystemExit) as ended:
        main(["certify", "--of", str(run), "--of", str(run), "-o", str(tmp_path / "c")])
    assert ended.value.code == 2
    assert "is given twice" in capsys.readouterr().err


def test_records_that_were_taken_out_are_missed_whatever_lies_beside_them(tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(KEPT / "h200-vllm-0.19.1-unselected-triton", run)
    lines = (run / "vllm_records.jsonl").read_text().splitlines(keepends=True)
    (run / "vllm_records.jsonl").write_text("".join(lines[: len(lines) * 3 // 4]))
    with pytest.raises(SystemExit):
        main(["certify", "--of", str(run), "-o", str(tmp_path / "c")])
    assert capsys.readouterr().out.startswith("not proven")
