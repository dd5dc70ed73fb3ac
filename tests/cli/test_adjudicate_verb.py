"""``harness adjudicate``: out blinded, back checked, never overwritten."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from harness.cli.app import main


def _record(number: int, score: float) -> dict:
    answers = {"solo": "I can't help with that.", "batched": f"Sure, here it is {number}."}
    if score:
        answers["batched"] = answers["solo"]
    return {
        "run_id": "r",
        "record_id": f"r{number}",
        "model": "m",
        "task_name": "t",
        "sample_id": f"s{number}",
        "batch_size": 8,
        "dispatch_mode": "synchronized",
        "phase": None,
        "domain": "safety",
        "original_direction": None,
        "mode": "standard",
        "status": "ok",
        "solo_score": 1.0,
        "batch_score": score,
        "solo_response_hash": "a" * 64,
        "batch_response_hash": ("a" if score else "b") * 64,
        **{condition: {"text": text} for condition, text in answers.items()},
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rows = [_record(n, float(n >= 4)) for n in range(8)]
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def sheets(run: Path, tmp_path: Path) -> Path:
    assert _harness("adjudicate", "export", run, "-o", tmp_path / "sheets") == 0
    return tmp_path / "sheets"


def _harness(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def _fill(sheets: Path, rater: str, change: str = "yes") -> Path:
    source = sheets / "for_raters" / "sheet.csv"
    with source.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row |= {"label_A": "desired", "label_B": "undesired", "rater": rater}
        row["behavioural_change"] = change
    target = sheets / f"{rater}.csv"
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_the_key_lies_outside_the_folder_for_raters(sheets: Path) -> None:
    names = {path.name for path in (sheets / "for_raters").iterdir()}
    assert names == {
        "sheet.csv",
        "label_studio_tasks.json",
        "label_studio_config.xml",
        "rubric.md",
    }
    assert (sheets / "key.json").is_file()


def test_an_export_does_not_overwrite_another(run: Path, sheets: Path) -> None:
    before = (sheets / "key.json").read_bytes()
    assert _harness("adjudicate", "export", run, "-o", sheets, "--seed", 9) == 2
    assert (sheets / "key.json").read_bytes() == before


def test_judgements_are_added_and_summed_up(sheets: Path, capsys) -> None:
    key = sheets / "key.json"
    assert _harness("adjudicate", "import", _fill(sheets, "ann"), "--key", key) == 0
    assert _harness("adjudicate", "import", _fill(sheets, "bob"), "--key", key) == 0
    assert "genuine flips: 4/4 = 100.0%" in capsys.readouterr().out
    lines = (sheets / "adjudications.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["rater"] for line in lines} == {"ann", "bob"}
    outcome = json.loads((sheets / "adjudication.json").read_text(encoding="utf-8"))
    assert outcome["raters"] == ["ann", "bob"]


def test_a_sheet_that_is_filled_otherwise_is_refused_and_nothing_is_added(sheets: Path) -> None:
    command = ("adjudicate", "import", _fill(sheets, "ann"), "--key", sheets / "key.json")
    assert _harness(*command) == 0
    before = (sheets / "adjudications.jsonl").read_bytes()
    _fill(sheets, "ann", change="no")
    assert _harness(*command) == 2
    assert (sheets / "adjudications.jsonl").read_bytes() == before


def test_an_import_that_was_cut_is_completed_by_the_same_command(sheets: Path) -> None:
    command = ("adjudicate", "import", _fill(sheets, "ann"), "--key", sheets / "key.json")
    assert _harness(*command) == 0
    outcome = sheets / "adjudication.json"
    before = (sheets / "adjudications.jsonl").read_bytes(), outcome.read_bytes()
    outcome.unlink()
    assert _harness(*command) == 0
    assert ((sheets / "adjudications.jsonl").read_bytes(), outcome.read_bytes()) == before


@pytest.mark.parametrize("last", ["key.json", "for_raters/rubric.md"])
def test_an_export_that_was_cut_is_completed_by_the_same_command(run, sheets, last) -> None:
    whole = (sheets / last).read_bytes()
    (sheets / "key.json").unlink()
    (sheets / last).unlink(missing_ok=True)
    assert _harness("adjudicate", "export", run, "-o", sheets) == 0
    assert (sheets / last).read_bytes() == whole
    assert (sheets / "key.json").exists()


def test_judgements_of_one_run_are_not_added_to_another(
    sheets: Path, tmp_path: Path, capsys
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "metadata.json").write_text(json.dumps({"schema_version": 1, "run_id": "other"}))
    command = ("adjudicate", "import", _fill(sheets, "ann"), "--key", sheets / "key.json")
    assert _harness(*command, "--run", other) == 2
    assert "and the folder is run other" in capsys.readouterr().err
    assert [path.name for path in other.iterdir()] == ["metadata.json"]


def test_a_judgement_that_was_changed_by_hand_is_refused_with_its_line(
    sheets: Path, capsys
) -> None:
    (sheets / "adjudications.jsonl").write_text('{"item_id": ["x"]}\n')
    assert _harness("adjudicate", "import", "--key", sheets / "key.json") == 2
    assert "adjudications.jsonl:1: no judgement" in capsys.readouterr().err


def test_one_bad_file_keeps_a_good_one_out(sheets: Path) -> None:
    good, bad = _fill(sheets, "ann"), _fill(sheets, "bob", change="perhaps")
    assert _harness("adjudicate", "import", good, bad, "--key", sheets / "key.json") == 2
    assert not (sheets / "adjudications.jsonl").exists()


def test_a_bad_row_is_named_by_file_and_line(sheets: Path, capsys) -> None:
    bad = _fill(sheets, "bob", change="perhaps")
    _harness("adjudicate", "import", bad, "--key", sheets / "key.json")
    assert f"{bad}:2: behavioural_change: 'perhaps'" in capsys.readouterr().err


def test_a_missing_key_is_an_input_error(sheets: Path) -> None:
    assert _harness("adjudicate", "import", _fill(sheets, "ann"), "--key", sheets / "no") == 2
