"""``harness report``: which files it writes, from which numbers, and how it fails."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.cli.app import main
from harness.records import sealed

ROOT = Path(__file__).parents[2]
ROW = {
    "model": "m",
    "task_name": "t",
    "batch_size": 8,
    "dispatch_mode": "synchronized",
    "phase": "p",
    "domain": "safety",
    "original_direction": None,
    "status": "ok",
    "solo_score": 1.0,
    "solo_response_hash": "a" * 64,
    "run_id": "r",
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rows = [
        ROW
        | {"mode": mode, "sample_id": f"s{n}"}
        | {"batch_score": 1.0 - flip, "batch_response_hash": ("b" if flip else "a") * 64}
        for mode in ("standard", "batch_invariant")
        for n in range(3)
        for flip in [float(mode == "standard" and n == 0)]
    ]
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _harness(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_it_writes_markdown_and_html_beside_the_records(run: Path, capsys) -> None:
    assert _harness("report", run) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [str(run.parent / "report.md"), str(run.parent / "report.html")]
    assert "1/3 = 33.3%" in (run.parent / "report.md").read_text(encoding="utf-8")


def test_it_writes_where_it_is_told(run: Path, tmp_path: Path) -> None:
    assert _harness("report", run, "--format", "junit", "-o", tmp_path / "out") == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["junit.xml"]


def test_a_summary_older_than_the_records_is_not_believed(run: Path) -> None:
    stale = run.parent / "summary.json"
    stale.write_text('{"schema_version": 1, "by_mode": {}}', encoding="utf-8")
    os.utime(stale, (0, 0))
    assert _harness("report", run, "--format", "md") == 0
    assert "1/3 = 33.3%" in (run.parent / "report.md").read_text(encoding="utf-8")


def test_github_appends_to_the_step_summary(run: Path, tmp_path: Path, monkeypatch) -> None:
    target = tmp_path / "step.md"
    target.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    assert _harness("report", run, "--format", "github") == 0
    text = target.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert "1/3 = 33.3%" in text


def test_github_outside_ci_prints(run: Path, capsys, monkeypatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert _harness("report", run, "--format", "github") == 0
    assert "1/3 = 33.3%" in capsys.readouterr().out


def test_an_unknown_format_is_named_with_the_known_ones(run: Path, capsys) -> None:
    assert _harness("report", run, "--format", "pdf") == 2
    assert "no report format 'pdf' (known: md, html, junit, github)" in capsys.readouterr().err


def test_a_run_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    assert _harness("report", tmp_path / "nothing") == 2


def test_numbers_that_cannot_be_kept_are_told_all_the_same(run: Path, capsys) -> None:
    for verb, file, says in (
        ("validate", "validation.json", "6 records, "),
        ("summarize", "summary.json", "1 of 3"),
    ):
        (run.parent / file).mkdir()  # as where a run lies on a read-only disk
        code = _harness(verb, run)
        out, err = capsys.readouterr()
        assert says in out
        assert f"{file}: cannot be written" in err
        assert code == (3 if verb == "summarize" else "FAILED" in out)  # a verdict is a verdict


@pytest.mark.parametrize(
    ("change", "place"),
    [({"batch_size": 2**70}, "$.batch_size"), ({"batch_size": -(2**70)}, "$.batch_size")],
)
def test_a_number_that_no_column_holds_is_told_with_its_line(run: Path, capsys, change, place):
    lines = run.read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | change)
    run.write_text("\n".join(lines) + "\n")
    assert _harness("summarize", run) == 2
    said = capsys.readouterr().err
    assert f"{run}:3: not a record" in said
    assert place in said
    assert _harness("validate", run) == 1
    assert "line 3: not a record" in capsys.readouterr().err


def test_a_batch_that_is_no_list_is_told_with_its_line(run: Path, capsys):
    kept = ROOT / "results/reference/h200-vllm-0.19.1-unselected-triton/vllm_records.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()[:4]]
    rows[2] = sealed({k: v for k, v in rows[2].items() if k != "sum"} | {"group": "all of them"})
    run.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert _harness("validate", run) == 1
    said = capsys.readouterr().err
    assert "line 3: not a record" in said
    assert "$.group" in said


def test_numbers_beside_a_records_file_may_be_of_another_and_are_not_taken(run: Path) -> None:
    other = run.with_name("other.jsonl")
    other.write_text("".join(run.read_text().splitlines(keepends=True)[1:]), encoding="utf-8")
    os.utime(other, (0, 0))
    assert _harness("summarize", run) == 0
    assert _harness("report", other, "--format", "md") == 0
    assert "1/3 = 33.3%" not in (run.parent / "report.md").read_text(encoding="utf-8")


def test_a_file_that_cannot_be_read_is_one_line(run: Path, capsys, monkeypatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied", "their.jsonl")

    monkeypatch.setattr("harness.jobs.run_numbers.read_run_files", refuse)
    assert _harness("report", run) == 3
    assert capsys.readouterr().err == "error: their.jsonl: Permission denied\n"


@pytest.fixture
def folder(run: Path) -> Path:
    """A run folder with its numbers and reports."""
    run.rename(run.with_name("vllm_records.jsonl"))
    (run.parent / "metadata.json").write_text('{"run_id": "r"}')
    for verb in ("summarize", "validate", "report"):
        assert _harness(verb, run.parent) == 0
    return run.parent


@pytest.mark.parametrize("verb", ["summarize", "validate", "report"])
@pytest.mark.parametrize(
    "name", ["harness.jsonl", "metadata.json", "summary.json", "report.html", "README.md"]
)
def test_what_is_not_the_records_of_a_run_folder_leaves_its_numbers_alone(
    folder: Path, verb: str, name: str, capsys
) -> None:
    for other in ("harness.jsonl", "README.md"):
        (folder / other).write_text('{"event": "started"}\n')
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert _harness(verb, folder / name) == 2
    assert f"{name}: not the records of the run in its folder" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


def test_the_records_of_a_run_folder_are_the_folder(folder: Path) -> None:
    assert _harness("validate", folder / "vllm_records.jsonl") == 0


def test_a_validation_of_other_records_is_not_believed(folder: Path) -> None:
    path = folder / "validation.json"
    found = json.loads(path.read_text())
    found |= {"ok": False, "n_records": 0, "n_ok": 0, "by_mode": {}}
    found["findings"][0] |= {"status": "failed", "message": "of quite another file"}
    path.write_text(json.dumps(found))
    assert _harness("report", folder, "--format", "md") == 0
    assert "of quite another file" not in (folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["metadata.json", "selected_candidates.jsonl", "startup_a_m.json"])
@pytest.mark.parametrize("kind", ["directory", "pipe", "loop"])
@pytest.mark.parametrize(
    "verb",
    [
        ("summarize",),
        ("validate",),
        ("report",),
        ("score",),
        ("candidates", "export", "-o", "x.csv"),
    ],
)
def test_what_lies_in_a_run_folder_and_is_no_file_is_not_called_missing(
    folder: Path, verb: tuple[str, ...], kind: str, name: str, capsys
) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    make = {"directory": path.mkdir, "pipe": lambda: os.mkfifo(path)}
    make.get(kind, lambda: path.symlink_to(path.name))()
    assert _harness(*verb, folder) == 2
    words = "not a regular file" if kind == "pipe" else "cannot be read: "
    assert f"{name}: {words}" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["vllm_records.jsonl", "."])
def test_records_that_are_a_pipe_are_refused_by_name(folder: Path, file: str, capsys) -> None:
    (folder / "vllm_records.jsonl").unlink()
    os.mkfifo(folder / "vllm_records.jsonl")
    assert _harness("validate", folder / file) == 2
    assert "vllm_records.jsonl: not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "verb",
    [
        ("summarize",),
        ("score",),
        ("candidates", "export", "-o", "x.csv"),
        ("adjudicate", "export", "-o", "sheets"),
    ],
)
@pytest.mark.parametrize(
    ("text", "said"), [("", "the records file is empty"), ("# Title\n", "not JSON")]
)
def test_a_file_without_records_is_told_so_by_every_verb(
    tmp_path: Path, verb: tuple[str, ...], text: str, said: str, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.csv").write_text(text)
    assert _harness(*verb, "file.csv") == 2
    assert said in capsys.readouterr().err
