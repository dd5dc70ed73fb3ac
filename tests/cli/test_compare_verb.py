"""``harness compare``: exit codes, what goes where, and how it refuses."""

from __future__ import annotations

import html
import json
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from compared_runs import MadeRun, attempt, says
from golden.folders import FOLDERS
from lm_eval_samples import generated, write_samples

from harness.cli.app import main
from harness.compare import RUN_CONDITIONS, SAMPLE_CONDITIONS
from harness.records import RECORDS


@pytest.fixture
def a(tmp_path: Path) -> MadeRun:
    return MadeRun(tmp_path / "old")


@pytest.fixture
def b(tmp_path: Path) -> MadeRun:
    return MadeRun(tmp_path / "new")


def compare(a: MadeRun | Path, b: MadeRun | Path, *flags: object) -> int:
    paths = [side.write() if isinstance(side, MadeRun) else side for side in (a, b)]
    with pytest.raises(SystemExit) as ended:
        main(["compare", *map(str, paths), *map(str, flags)])
    return int(ended.value.code or 0)


def test_a_comparison_without_a_gate_exits_0_whatever_changed(a, b, capsys):
    b.flip(0)
    assert compare(a, b) == 0
    out = capsys.readouterr().out
    assert "standard: label flips 0 → 1 of 4 (1 new, 0 gone, 0 stayed)" in out
    assert "1 new, 0 gone, 0 stayed; b=0 c=1 p=1 (exact McNemar)" in out


def test_two_equal_runs_pass_the_gate(a, b, capsys):
    conditions = "new-label-flips,solo-changes,mode-not-proven"
    assert compare(a, b, "--fail-on", conditions, "--max-flip-rate", "0.02") == 0
    assert "pass solo-changes: 0 answers that changed alone" in capsys.readouterr().out


def test_a_condition_that_fails_exits_1_and_gives_its_reason(a, b, capsys):
    b.flip(0)
    assert compare(a, b, "--fail-on", "new-label-flips,solo-changes") == 1
    said = capsys.readouterr()
    assert "FAIL new-label-flips: 1 label flips of B that A does not have" in said.out
    assert "pass solo-changes" in said.out
    assert said.err.startswith("error: the gate fails: 1 of 2 conditions")


def test_a_flip_rate_over_the_limit_exits_1(a, b, capsys):
    b.flip(0)
    assert compare(a, b, "--max-flip-rate", "0.02") == 1
    assert "max-flip-rate (standard): 1/4 = 25.0% is more than 2.00%" in capsys.readouterr().err


def test_one_mode_is_gated_alone(a, b):
    b.flip(0, "standard")
    assert compare(a, b, "--mode-a", "batch_invariant", "--fail-on", "new-label-flips") == 0


def test_two_modes_of_one_run_are_compared(a, capsys):
    a.flip(0, "standard")
    path = a.write()
    assert compare(path, path, "--mode-a", "standard", "--mode-b", "batch_invariant") == 0
    out = capsys.readouterr().out
    assert "standard against batch_invariant: label flips 1 → 0 of 4" in out


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("new-label-flip", "did you mean 'new-label-flips'?"),
        ("newly-wrong", "that one is for lm-evaluation-harness samples"),
        ("max-flip-rate", "it takes a number: --max-flip-rate 0.02"),
        ("zzz", "known: new-label-flips"),
    ],
)
def test_an_unknown_condition_exits_2_with_the_nearest(a, b, capsys, name, hint):
    assert compare(a, b, "--fail-on", name) == 2
    assert f"--fail-on: no condition '{name}' ({hint}" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--fail-on", "--format"])
@pytest.mark.parametrize("nothing", [",", " ", ""])
def test_a_list_of_nothing_is_no_gate_that_passes_and_exits_2(a, b, capsys, flag, nothing):
    b.flip(0)
    assert compare(a, b, flag, nothing) == 2
    said = capsys.readouterr()
    assert said.err == f"error: {flag}: nothing is named (a variable that is not set?)\n"
    assert said.out == ""


def test_runs_that_are_not_comparable_exit_2_with_the_line(a, b, capsys):
    b.row(2)["prompt_sha256"] = "other"
    assert compare(a, b) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {b.records}:3: not comparable, another prompt")
    assert "Traceback" not in err


def test_allow_subset_compares_the_common_candidates(a, b, capsys):
    b.rows = [row for row in b.rows if row["sample_id"] != "s1"]
    assert compare(a, b) == 2
    assert compare(a.folder, b.folder, "--allow-subset") == 0
    assert "3 candidates compared, 1 only in A" in capsys.readouterr().out


def test_an_incomplete_run_is_not_gated_on_and_exits_4(a, b, capsys):
    b.metadata["complete"] = False
    b.metadata["sessions"] = [{"exit": 4, "error": "the server stopped"}]
    assert compare(a, b, "--fail-on", "solo-changes") == 4
    assert "B does not count, so nothing is gated on it" in capsys.readouterr().err


@pytest.mark.parametrize("lines", [0, 30, 60])
@pytest.mark.parametrize("turned", [False, True])
def test_half_a_run_under_a_gate_exits_4_whatever_it_lacks(tmp_path, capsys, lines, turned):
    whole, half = tmp_path / "whole", tmp_path / "half"
    for folder in (whole, half):
        FOLDERS["demo"](folder)
    records = (half / RECORDS).read_text("utf-8").splitlines(keepends=True)
    (half / RECORDS).write_text("".join(records[:lines]), "utf-8")
    sides = (half, whole) if turned else (whole, half)
    assert compare(*sides, "--fail-on", "new-label-flips") == 4
    assert "nothing is gated on it" in capsys.readouterr().err


def test_a_run_whose_record_failed_is_not_gated_on(a, b):
    b.row(0).update(status="error", error="timeout")
    assert compare(a, b, "--max-flip-rate", "1") == 4


def test_a_run_with_a_contradiction_is_not_gated_on_and_exits_1(a, b, capsys):
    a.row(0)["label_flip"] = True
    assert compare(a, b, "--fail-on", "solo-changes") == 1
    assert "A does not count" in capsys.readouterr().err


def test_without_a_gate_an_incomplete_run_is_compared_and_says_so(a, b, capsys):
    b.row(0).update(status="error", error="timeout")
    assert compare(a, b) == 0
    assert "does not count: B: no_record_errors: 1 record failed" in capsys.readouterr().out


def test_an_unproven_mode_is_the_gates_own_question(a, b, capsys):
    b.attempts["standard"] = [attempt("inconclusive")]
    assert compare(a, b, "--fail-on", "solo-changes") == 0
    assert compare(a.folder, b.folder, "--fail-on", "mode-not-proven") == 1
    assert "startup_standard_m.json: start 1 is inconclusive" in capsys.readouterr().err


def test_json_is_all_that_goes_to_stdout(a, b, capsys):
    b.flip(0)
    assert compare(a, b, "--json", "--fail-on", "new-label-flips") == 1
    value = json.loads(capsys.readouterr().out)
    assert value["modes"][0]["label_flips"]["appeared"] == 1
    assert value["modes"][0]["changes"][0]["flip"] == "appeared"
    assert [(v["condition"], v["ok"]) for v in value["gate"]] == [("new-label-flips", False)]


def test_reports_are_written_where_they_are_asked_for(a, b, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    out = tmp_path / "out"
    assert compare(a, b, "-o", out, "--format", "md,html,json,junit,github") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison-github.md",
        "comparison.html",
        "comparison.json",
        "comparison.md",
        "comparison.xml",
    ]
    assert f"wrote {out / 'comparison.html'}" in capsys.readouterr().err


def test_reports_are_written_also_when_the_gate_fails(a, b, tmp_path):
    b.flip(0)
    out = tmp_path / "out"
    flags = ("-o", out, "--format", "junit", "--fail-on", "new-label-flips")
    assert compare(a, b, *flags) == 1
    root = ElementTree.parse(out / "comparison.xml").getroot()
    assert len(list(root.iter("failure"))) == 2


ALL = "md,html,json,junit,github"


def incomplete(b):
    b.rows = b.rows[:-3]


def otherwise(b):
    b.row(2)["prompt_sha256"] = "other"


def contradictory(b):
    b.row(0)["label_flip"] = True


@pytest.mark.parametrize(
    ("change", "conditions", "why"),
    [
        (incomplete, "new-label-flips", "nothing is gated on it"),
        (contradictory, "new-label-flips", "nothing is gated on it"),
        (otherwise, "new-label-flips", "B does not count"),
        (lambda _: None, "new-label-flop", "no condition"),
        (lambda _: None, ",", "nothing is named"),
    ],
)
def test_a_gate_that_is_refused_leaves_no_green_report_of_the_night_before(
    a, b, tmp_path, monkeypatch, change, conditions, why
):
    step, out = tmp_path / "step.md", tmp_path / "out"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    flags = ("-o", out, "--format", ALL)
    assert compare(a, b, *flags, "--fail-on", "new-label-flips") == 0
    first = step.read_text()
    change(b)
    assert compare(a, b, *flags, "--fail-on", conditions) != 0
    root = ElementTree.parse(out / "comparison.xml").getroot()
    (failure,) = root.iter("failure")
    assert why in failure.attrib["message"]
    told = [step.read_text().removeprefix(first)]
    told += [(out / f"comparison.{name}").read_text() for name in ("md", "html", "json")]
    told[2] = told[2].partition("</style>")[2]
    for one in told:
        assert "efused" in one
        assert why in html.unescape(one).replace("\\", "")
        assert "pass" not in one


@pytest.mark.parametrize("flags", [(), ("--mode-a", "standard", "--mode-b", "batch_invariant")])
def test_a_report_that_is_refused_goes_where_it_would_have_gone(a, b, tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    tonight = b.write().rename(tmp_path / "tonight")  # the run is called otherwise
    assert compare(a, tonight, "--format", "junit", *flags) == 0
    records = (tonight / RECORDS).read_text().splitlines(keepends=True)
    (tonight / RECORDS).write_text("".join(records[:-3]))
    assert compare(a, tonight, "--format", "junit", "--fail-on", "label-flips", *flags) == 4
    (folder,) = tmp_path.glob("comparison-*")
    assert "failure" in (folder / "comparison.xml").read_text()


@pytest.mark.parametrize(("change", "code"), [(incomplete, 2), (contradictory, 1)])
def test_without_a_gate_a_run_that_does_not_count_fails_a_test_of_its_own(
    a, b, tmp_path, change, code, capsys
):
    change(b)
    flags = () if code == 1 else ("--allow-subset",)
    found = compare(a, b, "-o", tmp_path / "out", "--format", "junit", *flags)
    root = ElementTree.parse(tmp_path / "out" / "comparison.xml").getroot()
    (failure,) = root.iter("failure")
    assert failure.attrib["message"] == "a run does not count"
    assert "B: " in (failure.text or "")
    assert found == (1 if change is contradictory else 0)


def test_without_a_folder_reports_go_into_one_named_after_the_runs(a, b, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compare(a, b, "--format", "json") == 0
    assert (tmp_path / "comparison-old-vs-new" / "comparison.json").is_file()


def test_github_appends_to_the_step_summary(a, b, tmp_path, monkeypatch):
    target = tmp_path / "step.md"
    target.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    monkeypatch.chdir(tmp_path)
    assert compare(a, b, "--format", "github") == 0
    assert target.read_text().startswith("before\n# Comparison")
    assert not list(tmp_path.glob("comparison-*"))


def test_an_unknown_format_exits_2(a, b, capsys):
    assert compare(a, b, "--format", "pdf") == 2
    assert (
        "no report format 'pdf' (known: md, html, json, junit, github)" in capsys.readouterr().err
    )


def test_files_with_the_required_columns_are_compared(a, b, capsys):
    says(b.row(0), "solo", "No.", 1.0)
    assert compare(a.write_foreign(), b.write_foreign()) == 0
    out = capsys.readouterr().out
    assert "answers changed alone (no batch) 1" in out
    assert "not checked: which kernels ran: no startup_*.json beside A and B" in out


def test_samples_of_lm_eval_are_compared_and_gated(tmp_path, capsys):
    rows = [generated(n, f"It is {2 * n}.", True) for n in (1, 2)]
    one = write_samples(tmp_path / "samples_a.jsonl", rows)
    other = write_samples(tmp_path / "samples_b.jsonl", [generated(1, "It is 3.", False), rows[1]])
    assert compare(one, other, "--fail-on", "newly-wrong", "-o", tmp_path / "out") == 1
    assert "FAIL newly-wrong: 1 answers that were right in A" in capsys.readouterr().out
    assert "doc_id 1" in (tmp_path / "out" / "comparison.md").read_text()


def test_samples_against_records_exit_2(a, tmp_path, capsys):
    samples = write_samples(tmp_path / "s.jsonl", [generated(1, "It is 2.", True)])
    assert compare(a, samples) == 2
    assert "compare two runs, or two samples files" in capsys.readouterr().err


def test_a_run_that_is_not_there_exits_2(a, tmp_path, capsys):
    assert compare(a, tmp_path / "nothing") == 2
    assert "no such run" in capsys.readouterr().err


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci-gate.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("condition", sorted({*RUN_CONDITIONS, *SAMPLE_CONDITIONS}))
def test_the_page_explains_every_condition(condition):
    assert f"`{condition}`" in PAGE


def test_the_example_workflow_gates_on_conditions_that_exist():
    workflow = yaml.safe_load((ROOT / "examples/gate/workflow.yml").read_text("utf-8"))
    steps = workflow["jobs"]["gate"]["steps"]
    command = next(step["run"] for step in steps if "harness compare" in step.get("run", ""))
    words = shlex.split(command.replace("\\\n", " "))
    conditions = words[words.index("--fail-on") + 1].split(",")
    assert set(conditions) <= set(RUN_CONDITIONS)
    assert {"--mode-a", "--max-flip-rate", "--format", "-o"} <= set(words)
