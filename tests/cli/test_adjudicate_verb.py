"""``harness adjudicate``: out blinded, back checked, never overwritten."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from harness.cli.app import main
from harness.locks import one_writer
from harness.records import sealed


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


@pytest.fixture
def judged(sheets: Path) -> Path:
    """The judgements of one rater, taken in."""
    assert _import(sheets, _fill(sheets, "ann")) == 0
    return sheets / "adjudications.jsonl"


def _import(sheets: Path, *words: object) -> int:
    return _harness("adjudicate", "import", *words, "--key", sheets / "key.json")


def _rows(judged: Path) -> list[dict]:
    return [json.loads(line) for line in judged.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("sealed", [True, False], ids=["checksum", "older version"])
def test_an_import_after_a_line_without_its_end_begins_a_line_of_its_own(judged, sealed) -> None:
    sheets, count = judged.parent, len(_rows(judged))
    if not sealed:
        rows = ({name: row[name] for name in row if name != "sum"} for row in _rows(judged))
        judged.write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged.write_bytes(judged.read_bytes().rstrip(b"\n"))
    assert _import(sheets, _fill(sheets, "bob")) == 0
    assert len(_rows(judged)) == 2 * count
    assert _import(sheets) == 0


def test_half_a_judgement_is_set_aside_and_its_sheet_imported_again(judged, capsys) -> None:
    whole, sheets = judged.read_bytes(), judged.parent
    judged.write_bytes(whole[:-40])
    assert _import(sheets, sheets / "ann.csv") == 0
    assert "a half-written judgement (" in capsys.readouterr().err
    assert judged.read_bytes() == whole
    assert (sheets / "adjudications.torn").read_bytes() in whole[:-40] + b"\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"yes"', b'"no"'),
        lambda line: line.replace(b'"ann"', b'"anm"'),
        lambda line: line.replace(b'"desired"', b'"undesired"'),
        lambda line: line.split(b', "sum"')[0] + b"}",
        lambda line: line + line,
        lambda line: line[:-30],
        lambda line: b"\xff",
    ],
)
def test_a_line_that_is_not_as_it_was_taken_in_is_named_and_can_be_set_aside(
    judged, change, capsys
) -> None:
    sheets, lines = judged.parent, judged.read_bytes().splitlines()
    changed = [lines[0], change(lines[1]), *lines[2:]]
    judged.write_bytes(b"\n".join(changed))  # nor has the last line its end
    before = judged.read_bytes(), (sheets / "adjudication.json").read_bytes()
    assert _import(sheets, sheets / "ann.csv") == 2
    said = capsys.readouterr().err
    assert "adjudications.jsonl:2: no judgement as it was taken in" in said
    assert "--set-aside" in said
    assert (judged.read_bytes(), (sheets / "adjudication.json").read_bytes()) == before
    assert _import(sheets, sheets / "ann.csv", "--set-aside") == 0
    assert sorted(judged.read_bytes().splitlines()) == sorted(lines)
    assert (sheets / "superseded_adjudications.jsonl").read_bytes() == changed[1] + b"\n"
    assert _import(sheets) == 0


@pytest.mark.parametrize("cut", [1, 3], ids=["the first line", "but the last two"])
def test_lines_stripped_of_their_checksums_are_of_no_older_version(judged, cut, capsys) -> None:
    lines = judged.read_bytes().splitlines(keepends=True)
    bare = [line.split(b', "sum"')[0] + b"}\n" for line in lines[:cut]]
    judged.write_bytes(b"".join([*bare, *lines[cut:]]).replace(b'"yes"', b'"no"', 1))
    assert _import(judged.parent) == 2
    said = capsys.readouterr().err
    assert "adjudications.jsonl:1: no judgement as it was taken in: it has no checksum" in said
    assert _import(judged.parent, judged.parent / "ann.csv", "--set-aside") == 0
    assert sorted(judged.read_bytes().splitlines(keepends=True)) == sorted(lines)


def test_judgements_of_an_older_version_get_a_checksum_when_more_are_added(judged) -> None:
    sheets, whole = judged.parent, judged.read_bytes()
    bare = [line.split(b', "sum"')[0] + b"}\n" for line in whole.splitlines()]
    judged.write_bytes(b"".join(bare))
    assert _import(sheets, _fill(sheets, "bob")) == 0
    assert judged.read_bytes().startswith(whole)
    assert all("sum" in row for row in _rows(judged))
    assert (sheets / "superseded_adjudications.jsonl").read_bytes() == b"".join(bare)
    assert _import(sheets) == 0


@pytest.mark.parametrize(("old", "new"), [('"yes"', '"yer"'), ('"desired"', '"desire"')])
def test_a_judgement_of_an_older_version_has_known_labels(judged, old, new, capsys) -> None:
    rows = ({name: row[name] for name in row if name != "sum"} for row in _rows(judged))
    judged.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert _import(judged.parent) == 0
    assert "without a checksum, of an older version" in capsys.readouterr().err
    judged.write_text(judged.read_text().replace(old, new))
    assert _import(judged.parent) == 2
    assert f"'{new[1:-1]}' is not one of" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["no", "yes"], ids=["another", "the same"])
def test_two_judgements_of_one_item_by_one_rater_are_refused(judged, change, capsys) -> None:
    first, whole = _rows(judged)[0], judged.read_bytes()
    with judged.open("a") as stream:
        stream.write(json.dumps(sealed(first | {"behavioural_change": change})) + "\n")
    assert _import(judged.parent) == 2
    assert f"ann has judged {first['item_id']} on a line before it" in capsys.readouterr().err
    assert _import(judged.parent, "--set-aside") == 0
    assert judged.read_bytes() == whole


def test_an_import_into_a_copy_leaves_the_original_as_it_was(judged: Path) -> None:
    copy = judged.with_name("copy.jsonl")
    copy.hardlink_to(judged)
    before = copy.read_bytes()
    assert _import(judged.parent, _fill(judged.parent, "bob")) == 0
    assert copy.read_bytes() == before != judged.read_bytes()


def test_the_outcome_is_the_same_whoever_was_taken_in_first(judged: Path) -> None:
    sheets, outcome = judged.parent, judged.with_name("adjudication.json")
    bob = _fill(sheets, "bob", change="no")
    assert _import(sheets, bob) == 0
    before = outcome.read_bytes()
    judged.unlink()
    assert _import(sheets, bob, sheets / "ann.csv") == 0
    assert outcome.read_bytes() == before


def test_two_imports_do_not_write_at_once(judged, capsys) -> None:
    before = judged.read_bytes()
    with one_writer(judged.parent):
        assert _import(judged.parent, _fill(judged.parent, "bob")) == 3
    assert "in use by process" in capsys.readouterr().err
    assert judged.read_bytes() == before
    assert _import(judged.parent, judged.parent / "bob.csv") == 0


def test_a_key_that_was_changed_is_refused(sheets: Path, run: Path, tmp_path, capsys) -> None:
    key = sheets / "key.json"
    whole = key.read_text(encoding="utf-8")
    key.write_text(whole.replace('"solo_side": "A"', '"solo_side": "B"', 1), encoding="utf-8")
    assert key.read_text(encoding="utf-8") != whole
    assert _import(sheets, _fill(sheets, "ann")) == 2
    assert "the key was changed after the export" in capsys.readouterr().err
    assert _harness("adjudicate", "export", run, "-o", tmp_path / "again") == 0
    assert (tmp_path / "again" / "key.json").read_text(encoding="utf-8") == whole


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
