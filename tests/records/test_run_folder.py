"""The run folder: what is on disk after a crash, and who may write."""

import json

import pytest

from harness.errors import EnvironmentError_, UsageError
from harness.files import write_json
from harness.records import Answer, Record, RunFolder, find_unfinished, iter_records
from harness.words import Mode, Status


def record(n, text="yes", status=Status.OK):
    return Record(
        record_id=f"r{n}",
        model="m",
        task_name="t",
        sample_id=str(n),
        batch_size=2,
        dispatch_mode="synchronized",
        phase=None,
        domain="safety",
        original_direction=None,
        mode=Mode.STANDARD,
        status=status,
        solo_score=1.0,
        batch_score=1.0,
        solo_response_hash="a",
        batch_response_hash="a",
        solo=Answer(text=text),
    )


def test_a_record_is_one_line_and_is_read_back(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        folder.append_record(record(1, text="two\nlines ‘quoted’"))
        folder.append_record(record(2))
        assert [r.record_id for r in folder.records()] == ["r1", "r2"]
    lines = (tmp_path / "run/vllm_records.jsonl").read_text().splitlines()
    assert len(lines) == 2


def test_a_torn_last_line_is_set_aside_and_the_next_record_has_a_line_of_its_own(tmp_path):
    path = tmp_path / "run"
    with RunFolder(path) as folder:
        folder.append_record(record(1))
    with (path / "vllm_records.jsonl").open("a") as stream:
        stream.write('{"record_id": "r2", "sta')
    with RunFolder(path) as folder:
        torn = folder.mend_tail()
        folder.append_record(record(2))
        assert [r.record_id for r in folder.records()] == ["r1", "r2"]
    assert torn is not None
    assert torn.kept_in.read_text() == '{"record_id": "r2", "sta\n'


def test_a_whole_file_has_no_torn_tail(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        folder.append_record(record(1))
        assert folder.mend_tail() is None


@pytest.mark.parametrize(
    "name",
    [
        *("vllm_records.jsonl", "vllm_records.torn", "superseded_records.jsonl", "harness.jsonl"),
        *("summary.json", "validation.json", "report.md", "report.html"),
    ],
)
def test_a_folder_where_a_file_of_the_run_is_to_be_is_refused_before_it_is_owned(name, tmp_path):
    (tmp_path / "run" / name).mkdir(parents=True)
    with pytest.raises(UsageError, match="is a folder, and a file is to be written there") as found:
        RunFolder(tmp_path / "run")
    assert found.value.file == str(tmp_path / "run" / name)
    assert not (tmp_path / "run/.lock").exists()
    (tmp_path / "run" / name).rmdir()
    RunFolder(tmp_path / "run").close()


def test_a_second_owner_is_refused_and_told_who_has_it(tmp_path):
    with (
        RunFolder(tmp_path / "run"),
        pytest.raises(EnvironmentError_, match="in use by process"),
    ):
        RunFolder(tmp_path / "run")


def test_failed_records_are_set_aside_and_the_good_ones_stay_in_order(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        for row in (record(1), record(2, status=Status.ERROR), record(3)):
            folder.append_record(row)
        assert folder.set_aside({2}) == 1
        assert [r.record_id for r in folder.records()] == ["r1", "r3"]
    aside = (tmp_path / "run/superseded_records.jsonl").read_text()
    assert json.loads(aside)["record_id"] == "r2"


@pytest.mark.parametrize("begun", [0, 1, 40, -1, None])
def test_lines_that_a_kill_interrupted_on_their_way_aside_are_there_once(tmp_path, begun):
    """The call that was killed had written so much of the two lines; nothing, or all of it."""
    path = tmp_path / "run"
    with RunFolder(path) as folder:
        for n in (1, 2, 3):
            folder.append_record(record(n))
        lines = folder.records_path.read_bytes().splitlines(keepends=True)
        before, aside = record(9).line().encode(), lines[0] + lines[2]
        (path / "superseded_records.jsonl").write_bytes(before + aside[:begun])
        assert folder.set_aside({1, 3}) == 2
        assert [r.record_id for r in folder.records()] == ["r2"]
    assert (path / "superseded_records.jsonl").read_bytes() == before + aside


def test_what_is_left_of_another_line_set_aside_stays_and_glues_to_none(tmp_path):
    path = tmp_path / "run"
    with RunFolder(path) as folder:
        folder.append_record(record(1))
        line = folder.records_path.read_bytes()
        (path / "superseded_records.jsonl").write_bytes(b'{"record_id": "r7", "sta')
        folder.set_aside({1})
    found = (path / "superseded_records.jsonl").read_bytes()
    assert found == b'{"record_id": "r7", "sta\n' + line


def test_a_torn_line_that_was_kept_before_a_kill_is_kept_once(tmp_path):
    path, half = tmp_path / "run", b'{"record_id": "r2", "sta'
    for _ in range(2):  # the second time as if killed before the line was cut
        with RunFolder(path) as folder:
            folder.records_path.write_bytes(half)
            folder.mend_tail()
    assert (path / "vllm_records.torn").read_bytes() == half + b"\n"


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "results").symlink_to(tmp_path / "gone")
    with pytest.raises(EnvironmentError_) as found:
        RunFolder(tmp_path / "results/run")
    assert f"the link {tmp_path}/results leads to {tmp_path}/gone, which is not" in str(found.value)


def unfinished(folder, run_id, fingerprint, **told):
    folder.mkdir()
    own = {"run_id": run_id, "kind": "run", "fingerprint": fingerprint, **told}
    write_json(folder / "metadata.json", own)


def test_only_an_unfinished_run_of_the_same_questions_is_found(tmp_path):
    for name, fingerprint, complete in (("a", "x", True), ("b", "x", False), ("c", "y", False)):
        unfinished(tmp_path / name, name, fingerprint, complete=complete)
    (tmp_path / "a/report.html").touch()
    assert find_unfinished(tmp_path, "x", "run") == "b"
    assert find_unfinished(tmp_path, "z", "run") is None


def test_a_copy_of_a_run_or_a_run_of_another_verb_is_not_taken_up(tmp_path):
    unfinished(tmp_path / "a", "a", "x")
    unfinished(tmp_path / "a-backup", "a", "x")
    unfinished(tmp_path / "s", "s", "x", kind="scan")
    assert find_unfinished(tmp_path, "x", "run") == "a"
    assert find_unfinished(tmp_path, "x", "scan") == "s"
    assert find_unfinished(tmp_path, "x", "bench") is None


def test_what_a_run_adds_is_not_added_to_a_copy_that_shares_its_files(tmp_path):
    with RunFolder(tmp_path / "a") as folder:
        folder.append_record(record(1))
    (tmp_path / "b").mkdir()
    (tmp_path / "b/vllm_records.jsonl").hardlink_to(tmp_path / "a/vllm_records.jsonl")
    before = (tmp_path / "b/vllm_records.jsonl").read_bytes()
    with RunFolder(tmp_path / "a") as folder:
        folder.append_record(record(2))
        assert [r.record_id for r in folder.records()] == ["r1", "r2"]
    assert (tmp_path / "b/vllm_records.jsonl").read_bytes() == before


def test_a_bad_row_is_named_by_file_and_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{record(1).line()}{{"a": \n')
    with pytest.raises(UsageError, match=r"rows\.jsonl:2"):
        list(iter_records(path))


def test_an_answer_that_utf_8_cannot_hold_is_kept_as_it_was(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        folder.append_record(record(1, text="half a pair: \ud83d"))
        assert next(folder.records()).solo.text == "half a pair: \ud83d"


def test_a_folder_that_cannot_be_made_is_named_with_a_way_out(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentError_, match=r"cannot make the run folder.*--results"):
        RunFolder(tmp_path / "file" / "run")
