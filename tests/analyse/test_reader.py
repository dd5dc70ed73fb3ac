"""What the reader accepts, and what it says about a line that is no record."""

import json
from dataclasses import fields

import pytest

from harness.errors import UsageError
from harness.records.reader import read_records, scan_records


@pytest.fixture
def rows(study_rows):
    return study_rows[:4]


def test_a_missing_required_column_is_named_with_file_and_line(rows, write):
    del rows[2]["original_direction"]
    path = write(rows)
    with pytest.raises(UsageError, match=r"original_direction") as caught:
        read_records(path)
    assert str(caught.value).startswith(f"{path}:3: ")


def test_a_score_that_is_no_number_is_named(rows, write):
    rows[1]["solo_score"] = "high"
    with pytest.raises(UsageError, match=r":2: .*solo_score"):
        read_records(write(rows))


def test_an_unknown_mode_is_named(rows, write):
    rows[0]["mode"] = "turbo"
    with pytest.raises(UsageError, match=r":1: .*turbo.*mode"):
        read_records(write(rows))


def test_a_line_that_is_no_json_is_named(rows, write):
    with pytest.raises(UsageError, match=r":5: not JSON"):
        read_records(write([*rows, "{oops}"]))


def test_an_ok_record_without_a_hash_is_refused(rows, write):
    rows[3]["batch_response_hash"] = None
    with pytest.raises(UsageError, match=r":4: .*batch_response_hash is null"):
        read_records(write(rows))


def test_a_truncated_last_line_is_called_truncated(rows, write):
    path = write(rows)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UsageError, match=r":4: the last line is truncated.*resume"):
        read_records(path)


def test_a_whole_last_line_without_a_newline_is_read(rows, write):
    path = write(rows)
    path.write_bytes(path.read_bytes().rstrip())
    assert len(read_records(path)) == 4


def test_an_empty_file_is_refused(write):
    with pytest.raises(UsageError, match="empty"):
        read_records(write([]))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_records(tmp_path / "none.jsonl")


def test_the_lenient_reader_keeps_the_good_lines_and_lists_the_others(rows, write):
    path = write([rows[0], "{oops}", rows[1], json.dumps(rows[2])[:-30]])
    path.write_bytes(path.read_bytes().rstrip())
    records = scan_records(path)
    assert records.frame["line"].tolist() == [1, 3]
    assert [(p.line, p.truncated) for p in records.problems] == [(2, False), (4, True)]


def test_blank_lines_are_stepped_over_and_line_numbers_kept(rows, write):
    records = read_records(write([rows[0], "", rows[1]]))
    assert records.frame["line"].tolist() == [1, 3]


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(rows, write):
    path = write(rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_records(path)) == 4


def test_numbers_as_a_data_frame_writes_them_are_accepted(rows, write):
    line = json.dumps(rows[0] | {"batch_size": 8.0, "sample_id": 17, "solo_score": float("nan")})
    records = read_records(write([line]))
    assert records.keys[0][2:4] == ("17", 8)


def test_half_a_surrogate_pair_in_an_answer_does_no_harm(rows, write):
    rows[0]["solo"] = {"text": "\ud83d half"}
    assert len(read_records(write(rows))) == 4


def test_the_same_sample_id_as_number_and_text_is_one_candidate(rows, write):
    one, other = rows[0] | {"sample_id": 5}, rows[0] | {"sample_id": "5", "mode": "batch_invariant"}
    assert len(read_records(write([one, other])).keys) == 1


def test_no_answer_text_is_kept(rows, write):
    for row in rows:
        row["solo"] = row["batched"] = {"text": "a secret recipe"}
    records = read_records(write(rows))
    kept = {field.name: getattr(records, field.name) for field in fields(records)}
    frames = "".join(kept.pop(name).to_csv() for name in ("frame", "candidates"))
    assert "secret" not in frames + repr(kept)


@pytest.mark.parametrize(
    ("solo", "batched", "char"),
    [("abcd", "abXd", 2), ("abc", "abcdef", 3), ("", "x", 0), ("äöü€", "äöü$", 3)],
)
def test_the_first_difference_is_a_character_index(rows, write, solo, batched, char):
    row = rows[0] | {"solo": {"text": solo}, "batched": {"text": batched}}
    assert read_records(write([row])).changes[0].char == char


def test_the_first_different_token_is_found(rows, write):
    answers = {"solo": {"token_ids": [5, 6, 7]}, "batched": {"token_ids": [5, 9, 7]}}
    assert read_records(write([rows[0] | answers])).changes[0].token == 1


def test_a_chunk_boundary_loses_nothing(study_rows, write, monkeypatch):
    monkeypatch.setattr("harness.records.reader._CHUNK_BYTES", 1000)
    records = read_records(write(study_rows))
    assert records.frame["line"].tolist() == list(range(1, 111))
