from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from harness.cli.app import main

TASK = """\
name: knowledge
task_type: classification
prompt_template: |
  {{ question }}
samples:
  - {id: k0, question: "One?", reference: A}
  - {id: k1, question: "Two?", reference: B}
  - {id: k2, question: "Three?", reference: C}
"""
CANDIDATES = """\
model,task_name,sample_id,batch_size,dispatch_mode
llama3.2-1b,knowledge,k2,2,synchronized
qwen2.5-1.5b,knowledge,k0,3,prompt_list
"""


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Flags that name a task folder and a candidate file in the current folder."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/knowledge.yaml").write_text(TASK)
    (tmp_path / "c.csv").write_text(CANDIDATES)
    monkeypatch.chdir(tmp_path)
    return ["--tasks", "tasks", "--candidates", "c.csv"]


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


def test_plan_json_prints_one_line_a_candidate_and_mode(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("plan", *inputs, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["model"], line["mode"]) for line in lines] == [
        ("llama3.2-1b", "standard"),
        ("llama3.2-1b", "batch_invariant"),
        ("qwen2.5-1.5b", "standard"),
        ("qwen2.5-1.5b", "batch_invariant"),
    ]
    first = lines[0]
    assert first["group"] == ["knowledge/k2", "knowledge/k0"]
    assert first["target_index"] == 0
    assert first["prompt_sha256"] == hashlib.sha256(b"Three?\n").hexdigest()
    key = ("task_name", "sample_id", "batch_size", "dispatch_mode")
    assert [first[name] for name in key] == ["knowledge", "k2", 2, "synchronized"]


def test_plan_for_people_shows_lifetimes_requests_and_a_rough_time(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("plan", *inputs) == 0
    out = capsys.readouterr().out
    assert "study-d (profile): 4 records in 4 server lifetimes" in out
    assert "24 requests for 28 answers, batches cut from 3 prompts" in out
    assert "roughly 6 min" in out


def test_plan_says_what_it_can_detect_and_which_claim_is_out_of_reach(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("plan", *inputs, "--askings", "S0,B", "--dispatch-modes", "synchronized") == 0
    out = capsys.readouterr().out
    assert "2 prompts, 2 rows, 2 dispatches in each mode; the prompt is the unit" in out
    assert "detectable at 80% power between the modes, by prompt: nothing (rows nothing" in out
    assert "a zero would leave room for 77.6% of prompts, 77.6% of rows, 77.6% of dis" in out
    for warning in ("2 prompts cannot", "one schedule only", "no schedule in", "S1 is", "S2 is"):
        assert f"warning: {warning}" in out


def test_plan_of_one_mode_or_without_a_witness_says_what_cannot_be_claimed(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--modes", "standard", "--dispatch-modes", "staggered", "--iteration-log", "off"]
    assert _run("plan", *inputs, *more) == 0
    out = capsys.readouterr().out
    assert "warning: one mode only" in out
    assert "warning: the engine's steps are not logged" in out
    assert "warning: 2 prompts are sent so that a prefill joins running decodes" in out


def test_plan_of_a_wrong_candidate_is_one_line_and_exit_2(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c.csv").write_text(CANDIDATES.replace("k2,2", "k2,1"))
    assert _run("plan", *inputs) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "error: c.csv:2: column batch_size: must be 2 or more, not 1 (1 would be the solo request)"
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rows-per-mode", "99"], "the candidates make 2 rows in each mode"),
        (["--dispatch-modes", "pipelined"], "pipelined"),
        (["--candidates", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--model", "other=org/other"], "unknown model 'llama3.2-1b'"),
    ],
)
def test_plan_refuses_what_run_refuses_in_the_same_words(
    inputs: list[str], capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert _run("plan", *inputs, *flags) == 2
    planned = capsys.readouterr()
    assert _run("run", *inputs, *flags) == 2
    assert planned.err == capsys.readouterr().err
    assert message in planned.err
    assert planned.out == ""


def test_run_takes_candidates_of_ones_own_whatever_rows_the_profile_expects_of_its_own(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = "http://127.0.0.1:9"
    urls = [f"--external=standard={nobody}", "--external=batch_invariant=http://127.0.0.1:10"]
    assert _run("run", *inputs, "--backend", "external", *urls, "--startup-timeout-s", "1") == 3
    assert f"nothing answers at {nobody}" in capsys.readouterr().err


def test_candidates_check_counts_by_slice_and_names_the_hash(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("candidates", "check", "c.csv", "--tasks", "tasks", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["candidates"] == 2
    assert content["files"] == {"c.csv": hashlib.sha256(CANDIDATES.encode()).hexdigest()}
    assert content["slices"]["model"] == {"llama3.2-1b": 1, "qwen2.5-1.5b": 1}
    assert content["slices"]["domain"] == {"capability": 2}


def test_candidates_check_for_people_shows_the_same_counts(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("candidates", "check", "c.csv", "--tasks", "tasks") == 0
    out = capsys.readouterr().out
    assert "2 candidates" in out
    assert "prompt_list 1, synchronized 1" in out


def test_candidates_check_knows_only_the_models_of_a_named_spec(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("candidates", "check", "c.csv", "--tasks", "tasks", "-p", "demo-tiny") == 2
    assert "c.csv:2: column model: unknown model 'llama3.2-1b'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_dispatch_mode_that_cannot_be_sent_is_refused_by_name(
    inputs: list[str], capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert _run(verb, *inputs, "--dispatch-modes", "pipelined") == 2
    assert (
        "must be 'original' or a list of original, synchronized, prompt_list"
        in capsys.readouterr().err
    )
