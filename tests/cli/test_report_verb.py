"""``harness report``: which files it writes, from which numbers, and how it fails."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.cli.app import main

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
