"""A line is whole or refused: damage, what is no JSON, and one verdict from every reader."""

from __future__ import annotations

import json
from random import Random

import pytest
from study_records import study_records

from harness.errors import HarnessError, UsageError
from harness.records import (
    Answer,
    Record,
    RunFolder,
    iter_records,
    iter_values,
    read_records,
    records_at,
    scan_records,
    sealed,
)
from harness.records.lines import sealed_line
from harness.words import Mode, Status


def record(n, text="yes"):
    key = {"model": "m", "task_name": "t", "sample_id": str(n), "batch_size": 2}
    scores = {"solo_score": 1.0, "batch_score": 1.0}
    return Record(
        **key,
        **scores,
        record_id=f"r{n}",
        dispatch_mode="synchronized",
        phase=None,
        domain="safety",
        original_direction=None,
        mode=Mode.STANDARD,
        status=Status.OK,
        solo_response_hash="a",
        batch_response_hash="a",
        solo=Answer(text=text),
    )


OWN = record(1, text="half a pair: \ud83d").line().encode()
PLAIN = json.dumps(study_records()[0]).encode() + b"\n"


def verdicts(path, line=1):
    """What each reader says of a file; ``None`` where it reads it."""
    readers = {
        "each": lambda: list(iter_records(path)),
        "values": lambda: list(iter_values(path)),
        "some": lambda: records_at(path, {line}),
        "frame": lambda: read_records(path),
    }
    said = {}
    for name, read in readers.items():
        try:
            read()
            said[name] = None
        except UsageError as error:
            said[name] = (error.line, error.message)
    found = [(p.line, p.message) for p in scan_records(path).problems]
    said["scan"] = found[0] if found else None
    return said


def one_verdict(path, line=1):
    said = verdicts(path, line)
    assert len(set(said.values())) == 1, said
    return next(iter(said.values()))


def test_every_single_flip_of_a_record_is_refused_by_every_reader(tmp_path):
    path, rng = tmp_path / "vllm_records.jsonl", Random(12)
    for at in rng.sample(range(len(OWN) - 1), 150):
        data = bytearray(OWN)
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(OWN + bytes(data) + OWN)
        line, message = one_verdict(path, 2)
        assert line == 2, (at, message)


def test_a_checksum_cannot_be_left_out_of_a_record_of_today(tmp_path):
    row = json.loads(OWN)
    del row["sum"]
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert one_verdict(path) == (1, "damaged: the line has lost its checksum")


def test_a_record_without_a_checksum_from_elsewhere_is_read_and_said_to_be_so(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(PLAIN)
    assert one_verdict(path) is None
    assert scan_records(path).checks.sealed == 0


def test_half_a_surrogate_pair_is_read_back_as_it_was_stored(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(OWN)
    assert one_verdict(path) is None
    assert next(iter_records(path))[1].solo.text == "half a pair: \ud83d"


def put(what: bytes) -> bytes:
    return PLAIN.replace(b'"model"', b'"x": ' + what + b', "model"')


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (put(b'"\xff"'), "not UTF-8: byte 0xff"),
        (put(b'"\xed\xa0\xbd"'), "not UTF-8: byte 0xed"),
        (put(b'"\x00"'), "not JSON: Invalid control character at"),
        (put(b"\x00"), "not JSON: Expecting value"),
        (put(b"Infinity"), "Infinity is no number"),
        (put(b"-Infinity"), "-Infinity is no number"),
        (put(b"1e999"), "a number out of range"),
        (put(b"1" * 5000), "a number of 5000 digits"),
        (put(b"[" * 2000 + b"]" * 2000), "nested too deeply"),
        (put(b"[" * 100 + b"]" * 100), "nested too deeply"),
        (put(b'{"a": 1, "a": 2}'), "the key 'a' stands there twice"),
        (put(b'1, "x": 2'), "the key 'x' stands there twice"),
        (PLAIN[:-1] + b"\r" + PLAIN, "not JSON: Extra data"),
        (PLAIN[:-1] + b" " + PLAIN, "not JSON: Extra data"),
        (PLAIN[:-2] + b"\r\n", "not JSON: Expecting ',' delimiter"),
        (b"\xef\xbb\xbf" + PLAIN, "not JSON"),
        (b"[]\n", "not a record: Expected `object`, got `array`"),
        (b"7\n", "not a record: Expected `object`, got `int`"),
        (PLAIN.replace(b'"span": null', b'"span": 7', 1), "not a record: Expected `array"),
    ],
    ids=range(19),
)
@pytest.mark.parametrize("before", [PLAIN, OWN])
def test_what_is_no_line_is_named_by_every_reader_alike(tmp_path, line, message, before):
    path = tmp_path / "r.jsonl"
    path.write_bytes(before + line + before)
    where, said = one_verdict(path, 2)
    assert where == 2
    assert said.startswith(message)


@pytest.mark.parametrize(
    "line",
    [
        PLAIN.replace(b"\n", b"\r\n"),
        put(b"NaN"),
        put(b'"\\ud83d"'),
        put(b'"a \\":b"'),
        PLAIN.replace(b'": ', b'" : '),
        b"\xef\xbb\xbf" + PLAIN,
    ],
    ids=range(6),
)
def test_what_other_writers_do_is_read_by_every_reader_alike(tmp_path, line):
    path = tmp_path / "r.jsonl"
    path.write_bytes(line + PLAIN)
    assert one_verdict(path) is None


def test_a_sealed_row_is_written_with_its_checksum_last():
    row = sealed({"a": 1, "sum": "old"})
    assert list(row) == ["a", "sum"]
    assert row == sealed(row)


def test_a_whole_record_that_lost_its_line_end_stays(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        folder.append_record(record(1))
        folder.records_path.write_bytes(folder.records_path.read_bytes().rstrip(b"\n"))
        assert folder.mend_tail() is None
        folder.append_record(record(2))
        assert [r.record_id for r in folder.records()] == ["r1", "r2"]


def test_lines_are_set_aside_by_line_ends_and_not_by_a_bare_carriage_return(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        folder.records_path.write_bytes(PLAIN[:-1] + b"\r{}\n" + OWN)
        assert folder.set_aside({1}) == 1
        assert folder.records_path.read_bytes() == OWN


@pytest.mark.parametrize("cut_at", range(0, len(OWN), 97))
def test_a_record_cut_anywhere_is_asked_again(tmp_path, cut_at):
    with RunFolder(tmp_path / "run") as folder:
        folder.records_path.write_bytes(OWN + OWN[:cut_at])
        folder.mend_tail()
        try:
            there = len(list(folder.records()))
        except HarnessError as error:
            raise AssertionError(cut_at) from error
        assert there == 1


def told_in_full():
    """A record of ours with everything in it that a frame does not hold."""
    row = json.loads(record(1).line())
    evidence = {"rule": "head", "span": [0, 3], "matched": "yes", "scorer": "r/1"}
    said = {"text": "yes", "token_ids": [1, 2], "finish_reason": "stop", "score_evidence": evidence}
    one = {"key": "t/2", "response_hash": "b", "finish_reason": "stop", "cached_tokens": 0}
    answers = {"solo": said, "batched": said, "askings": {"S1": said, "S2": said, "B2": None}}
    batch = {"group": ["t/1", "t/2"], "target_index": 0, "companions": [one], "warmed": 1}
    sampling = {"max_tokens": 4, "temperature": 0.0, "seed": 1}
    return json.loads(json.dumps(row | answers | batch | {"sampling": sampling}))


OTHERWISE = [3.5, {}, [], True, "x", "\ud800", [[1]], [3.5], {"S0": 1}]
SKIPPED = [
    *(("askings", "S2", "score_evidence", name) for name in ("rule", "span", "matched", "scorer")),
    *((side, name) for side in ("solo", "batched") for name in ("text", "token_ids", "likely")),
    *(("solo", "score_evidence"), ("companions",), ("companions", 0), ("group",), ("group", 1)),
    *(("companions", 0, name) for name in ("key", "response_hash", "cached_tokens", "degenerate")),
    *(("sampling",), ("sampling", "seed"), ("askings",), ("askings", "S1")),
]


@pytest.mark.parametrize("value", OTHERWISE, ids=ascii)
@pytest.mark.parametrize("path", SKIPPED, ids=str)
def test_a_line_is_a_record_to_the_validation_where_it_is_one_to_every_reader(
    tmp_path, path, value
):
    row = told_in_full()
    inner = row
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file = tmp_path / "records.jsonl"
    file.write_text(f"{record(2).line()}{sealed_line(row)}")
    assert len({fault is None for fault in verdicts(file, line=2).values()}) == 1


def test_a_score_of_another_type_makes_a_line_no_record_that_counts(tmp_path):
    row = told_in_full()
    row["askings"]["S2"]["score_evidence"]["scorer"] = 3.5
    file = tmp_path / "records.jsonl"
    file.write_text(sealed_line(row))
    (problem,) = scan_records(file).problems
    assert "Expected `str | null`, got `float` - at `$.askings.S2.score_evidence.scorer`" in (
        problem.message
    )
    with pytest.raises(UsageError, match="not a record"):
        read_records(file)
