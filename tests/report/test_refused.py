"""A report that is refused says so where it would have stood, and nothing older is left."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from golden.folders import FOLDERS

from harness.cli.app import main
from harness.errors import IncompleteRun, UsageError
from harness.jobs.report_files import told_if_refused, told_in_json_if_refused
from harness.records import METADATA
from harness.report import FILES, Look

ERROR = IncompleteRun("half a <run>", file="a/b", hint="go on", detail=("it lacks 3 records",))


def refuse(folder: Path | None, look: Look, formats: list[str], *, anew: bool = True) -> None:
    with (
        pytest.raises(IncompleteRun, match="half"),
        told_if_refused(
            look, ["one", "two"][: 1 + (look is Look.COMPARISON)], formats, folder, anew=anew
        ),
    ):
        raise ERROR


@pytest.mark.parametrize("look", Look)
def test_every_format_of_every_report_tells_a_refusal(tmp_path, monkeypatch, look):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    refuse(tmp_path, look, list(FILES[look]))
    assert {path.name for path in tmp_path.iterdir()} == set(FILES[look].values())
    for path in tmp_path.iterdir():
        text = path.read_text("utf-8")
        assert "it lacks 3 records" in text
        assert "<run>" not in text.replace(r"\<run\>", "") or path.suffix == ".json"
        if path.suffix == ".xml":
            assert len([*ElementTree.fromstring(text).iter("failure")]) == 1


def test_what_is_told_anew_is_only_what_was_there(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "junit.xml").write_text("green")
    refuse(tmp_path, Look.RUN, ["md", "junit", "github"], anew=False)
    assert [path.name for path in tmp_path.iterdir()] == ["junit.xml"]
    assert "half a" in (tmp_path / "junit.xml").read_text()


def test_what_succeeds_writes_nothing_of_its_own(tmp_path):
    with told_if_refused(Look.RUN, ["one"], ["md"], tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("there", "anew"), [(True, False), (False, True), (False, False)])
def test_a_result_of_one_json_file_is_not_left_either(tmp_path, there, anew):
    file = tmp_path / "found.json"
    if there:
        file.write_text('{"step": 3}')
    with pytest.raises(UsageError), told_in_json_if_refused(file, anew=anew):
        raise UsageError("no such image")
    assert file.exists() is (there or anew)
    if there or anew:
        assert json.loads(file.read_text())["why"] == "no such image"


def test_a_result_that_nobody_asked_a_file_for_has_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError), told_in_json_if_refused(None):
        raise UsageError("no such image")
    assert not list(tmp_path.iterdir())


def call(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("out", [True, False])
def test_a_run_that_cannot_be_read_leaves_no_green_junit(tmp_path, out):
    run = tmp_path / "run"
    FOLDERS["demo"](run)
    there = tmp_path / "out" if out else run
    flags = ("-o", there) if out else ()
    assert call("report", run, "--format", "junit", *flags) == 0
    (run / METADATA).write_text("{")
    assert call("report", run, "--format", "junit,md", *flags) == 2
    root = ElementTree.parse(there / "junit.xml").getroot()
    assert METADATA in next(root.iter("failure")).text
    assert (there / "report.md").exists() is out


def test_a_certificate_that_is_refused_is_not_the_one_before(tmp_path):
    page = tmp_path / "certificate"
    page.mkdir()
    (page / "certificate.json").write_text('{"verdict": "invariant"}')
    assert call("certify", "--of", tmp_path / "gone", "-o", page) == 2
    assert json.loads((page / "certificate.json").read_text())["kind"] == "refused"
    assert "no such run" in (page / "certificate.json").read_text()
    assert len(list(page.iterdir())) == 1


def test_images_that_cannot_be_read_leave_no_difference_of_others(tmp_path):
    (tmp_path / "image-difference.md").write_text("the same image")
    (tmp_path / "a.json").write_text("{}")
    words = ("images", "diff", tmp_path / "a.json", tmp_path / "a.json")
    assert call(*words, "-o", tmp_path, "--format", "md") == 2
    assert "Refused" in (tmp_path / "image-difference.md").read_text()
