"""A run has one state, and every verb tells it: by what its files hold, never by their times."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from harness import open_run
from harness.cli import main
from harness.jobs.run_list import listed
from harness.records import RunFolder
from harness.report import load_report

ROOT = Path(__file__).parents[1]
COUNTS = "h200-vllm-0.19.1-unselected-fa3"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of a run that counts, its files of any age and in no order."""
    folder = tmp_path / "runs" / "copied"
    shutil.copytree(ROOT / "results" / "reference" / COUNTS, folder, copy_function=shutil.copyfile)
    for age, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        os.utime(path, (1_700_000_000 + age, 1_700_000_000 + age))
    return folder


@pytest.fixture
def unfinished(run: Path) -> Path:
    """The run as it was when some of its records were there."""
    rows = (run / "vllm_records.jsonl").read_bytes().splitlines(keepends=True)
    (run / "vllm_records.jsonl").write_bytes(b"".join(rows[: len(rows) // 2 + 1]))
    (run / "validation.json").unlink()
    return run


def states(run: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """What each face says of the run."""
    with pytest.raises(SystemExit):
        main(["show", str(run)])
    shown = capsys.readouterr().out
    (row,) = listed(run.parent).value
    return {
        "runs": row["state"],
        "show": "Not validated" not in shown and "NOT COUNTABLE" not in shown,
        "open_run": open_run(run).countable,
        "report": "not validated" not in load_report(run).banner.title,
    }


VALIDATED = {"runs": "counts", "show": True, "open_run": True, "report": True}
NOT = {"runs": "not validated", "show": False, "open_run": None, "report": False}


def test_a_copied_run_is_validated_whatever_the_times_of_its_files(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert states(run, capsys) == VALIDATED


@pytest.mark.parametrize(
    "name", ["vllm_records.jsonl", "metadata.json", "startup_*.json", "*.log.gz"]
)
def test_one_byte_that_another_stands_for_is_never_listed_as_counting(
    run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(run.glob(name))
    before, data = path.stat(), bytearray(path.read_bytes())
    at = data.find(b"the ") if not name.endswith("gz") else len(data) // 2
    at = at if at > 0 else data.rfind(b"0")
    data[at] = ord("T") if data[at] == ord("t") else data[at] ^ 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert states(run, capsys) == NOT


def test_a_run_that_is_being_written_is_listed_as_running(unfinished: Path) -> None:
    with RunFolder(unfinished):
        assert listed(unfinished.parent).value[0]["state"] == "running"
    assert listed(unfinished.parent).value[0]["state"] == "unfinished"


@pytest.mark.parametrize("judged", [False, True])
def test_an_unfinished_run_is_unfinished_everywhere_and_stays_so_when_it_is_validated(
    unfinished: Path, judged: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ["validate", "report"] if judged else ["summarize"]:
        with pytest.raises(SystemExit):
            main([verb, str(unfinished)])
    said = "".join(capsys.readouterr())
    assert not judged or "this run is unfinished" in said
    assert not judged or "rows_per_mode" in said
    with pytest.raises(SystemExit):
        main(["show", str(unfinished)])
    shown = capsys.readouterr().out
    assert "│ Unfinished: " in shown
    assert " planned records are there" in shown
    assert "Not validated" not in shown
    assert listed(unfinished.parent).value[0]["state"] == "unfinished"
    document = load_report(unfinished)
    assert document.banner.title.startswith("Unfinished: ")
    assert document.headline[0].startswith("Unfinished: ")
    opened = open_run(unfinished)
    assert (opened.state, opened.countable) == ("unfinished", False)
    assert "Unfinished: " in opened.to_html()


def test_a_server_log_that_came_or_went_is_another_run(run: Path) -> None:
    (run / "native_standard_other.log").write_text("INFO\n")
    assert listed(run.parent).value[0]["state"] == "not validated"
    (run / "native_standard_other.log").unlink()
    assert listed(run.parent).value[0]["state"] == "counts"
    next(run.glob("startup_*.json")).unlink()
    assert listed(run.parent).value[0]["state"] == "not validated"


def test_what_is_too_large_to_be_hashed_for_a_list_is_said_to_be_of_an_earlier_time(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.jobs.run_list.MOST_HASHED", 10_000)
    assert listed(run.parent).value[0]["state"] == "counted when validated"
    with (run / "vllm_records.jsonl").open("ab") as stream:
        stream.write(b"\n")
    assert listed(run.parent).value[0]["state"] == "not validated"


@pytest.mark.parametrize("verb", ["validate", "report"])
def test_who_judges_a_changed_run_anew_tells_every_other_face(
    run: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run / "vllm_records.jsonl"
    rows.write_text(rows.read_text("utf-8").replace('"solo_score":', '"solo_score" :', 1), "utf-8")
    with pytest.raises(SystemExit):
        main([verb, str(run)])
    capsys.readouterr()
    found = states(run, capsys)
    assert found["runs"] in ("counts", "does not count")
    assert found["open_run"] is (found["runs"] == "counts")
    assert found["show"] is (found["runs"] == "counts")


def test_a_summary_of_other_records_is_not_shown(run: Path) -> None:
    summary = run / "summary.json"
    summary.write_text(summary.read_text("utf-8").replace('"n_ok": ', '"n_ok": 1', 1), "utf-8")
    assert open_run(run).summary.n_ok == open_run(run).summary.n_records


def test_a_validation_that_cannot_be_read_is_written_anew(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "validation.json").write_text("{")
    assert listed(run.parent).value[0]["state"] == "unreadable"
    with pytest.raises(SystemExit):
        main(["validate", str(run)])
    capsys.readouterr()
    assert listed(run.parent).value[0]["state"] == "counts"


HALF = {
    "metadata.json": '{"spec": "\\ud800", "resolved_spec": {"a\\ud800": 1}}',
    "startup_standard_*.json": '{"model": "m", "mode": "standard", "attempts": '
    '[{"records": "\\ud800"}]}',
}


@pytest.mark.parametrize("verb", ["show", "validate", "report", "compare"])
@pytest.mark.parametrize("name", HALF)
def test_half_of_a_surrogate_pair_where_something_else_is_due_is_one_message(
    run: Path, capsys: pytest.CaptureFixture[str], verb: str, name: str
) -> None:
    """To name it was an error of its own, and hid every other run of the folder."""
    path = next(run.glob(name))
    path.write_text(HALF[name])
    modes = ("--mode-a", "standard", "--mode-b", "batch_invariant")
    with pytest.raises(SystemExit) as ended:
        main([verb, str(run), *((str(run), *modes) if verb == "compare" else ())])
    assert ended.value.code == 2
    assert f"{path}: not a " in capsys.readouterr().err
    if name == "metadata.json":
        assert listed(run.parent).value[0]["state"] == "unreadable"


def test_a_run_that_ended_before_its_first_record_is_listed_and_named(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "vllm_records.jsonl").unlink()
    (row,) = listed(run.parent).value
    planned = load_planned(run)
    assert (row["run"], row["state"], row["records"]) == ("copied", "unfinished", f"0/{planned}")
    for verb in ("show", "summarize", "validate"):
        with pytest.raises(SystemExit):
            main([verb, str(run)])
        said = capsys.readouterr().err
        assert "vllm_records.jsonl: no record is there (a run that has given none goes on" in said


def load_planned(run: Path) -> int:
    return int(json.loads((run / "metadata.json").read_text())["planned_records"])
