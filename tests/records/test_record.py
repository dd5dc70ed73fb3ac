"""A record: the line that it is written as, and what follows from its fields."""

from __future__ import annotations

import json
from zlib import crc32

import pytest
from study_records import study_records

from harness.errors import UsageError
from harness.records import (
    Askings,
    FirstDifference,
    Record,
    iter_records,
    records_at,
    sealed,
)
from harness.records.record import decode_record

LINE = """\
{"schema_version": 3, "run_id": "r", "record_id": "r-1", "model": "m", "hf_id": "o/m", \
"task_name": "t", "sample_id": "s1", "batch_size": 2, "dispatch_mode": "synchronized", \
"phase": null, "domain": "safety", "original_direction": "refuse_to_comply", \
"original_solo_score": 1.0, "original_batch_score": null, "mode": "standard", \
"prompt_sha256": "ab", "group": ["t/s1", "t/s2"], "target_index": 0, \
"sampling": {"max_tokens": 8, "temperature": 0.0, "seed": null}, "score_profile": "strict", \
"extra": {"note": "\\u00e4"}, "status": "ok", "error": null, "solo_score": 1.0, \
"batch_score": null, "solo_label": "refused", "batch_label": "unparsed", \
"solo_response_hash": "a", "batch_response_hash": "b", "label_flip": true, "text_change": true, \
"pattern": null, "solo": {"text": "half \\ud83d", "token_ids": [1, 2], "finish_reason": "stop", \
"latency_s": 0.25, "attempts": 1, "prompt_tokens": 9, "cached_tokens": null, \
"cached_earlier": null, "score": 1.0, "label": "refused", \
"score_evidence": {"rule": "head", "span": [0, 4], "matched": "half", \
"scorer": "refusal/strict/2"}}, \
"batched": {"text": "half", "token_ids": null, "finish_reason": null, "latency_s": 1.5, \
"attempts": 2, "prompt_tokens": null, "cached_tokens": 7, "cached_earlier": 0, \
"score": null, "label": "unparsed", \
"score_evidence": {"rule": "none", "span": null, "matched": "", "scorer": "refusal/strict/2"}}, \
"askings": {"S1": null, "S2": null, "B2": null}, "companions": [{"key": "t/s2", \
"response_hash": "c", "finish_reason": "length", "cached_tokens": null, "degenerate": false}], \
"warmed": 1, "witness": null, "start": 1, "sum": "%08x"}
"""
LINE %= crc32(LINE.replace(', "sum": "%08x"', "").rstrip("\n").encode())
REQUIRED = [
    "model", "task_name", "sample_id", "batch_size", "dispatch_mode", "phase", "domain",
    "original_direction", "mode", "status", "solo_score", "batch_score", "solo_response_hash",
    "batch_response_hash",
]  # fmt: skip


def test_a_record_is_written_as_the_line_that_it_was_read_from():
    assert decode_record(LINE.encode()).line() == LINE


def test_the_required_columns_alone_make_a_record():
    row = {name: value for name, value in json.loads(LINE).items() if name in REQUIRED}
    record = decode_record(json.dumps(row).encode())
    assert record.key == ("m", "t", "s1", 2, "synchronized")
    assert (record.solo, record.askings, record.first_difference) == (None, Askings(), None)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_column_that_is_missing_is_named(tmp_path, name):
    row = json.loads(LINE)
    del row[name]
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(sealed(row)) + "\n")
    with pytest.raises(UsageError, match=rf"r\.jsonl:1: .*{name}"):
        list(iter_records(path))


def altered(**changes) -> Record:
    return decode_record(json.dumps(sealed({**json.loads(LINE), **changes})).encode())


@pytest.mark.parametrize(
    ("changes", "flip"),
    [
        ({"batch_score": 0.0}, True),
        ({"batch_score": 1.0}, False),
        ({"solo_score": None, "solo_label": "unparsed"}, False),
        ({"solo_score": None, "solo_label": "empty"}, True),
        ({"batch_score": 0.0, "status": "error"}, False),
        ({"solo_score": float("nan"), "solo_label": "unparsed"}, False),
    ],
)
@pytest.mark.parametrize("stated", [True, False, None])
def test_a_flip_follows_from_scores_and_labels_whatever_the_file_states(changes, flip, stated):
    record = altered(**changes, label_flip=stated)
    assert record.label_flip is flip
    assert json.loads(record.line())["label_flip"] is (flip if record.ok else None)


@pytest.mark.parametrize(("digest", "changed"), [("a", False), ("c", True)])
def test_a_text_change_follows_from_the_hashes(digest, changed):
    record = altered(batch_response_hash=digest, text_change=not changed)
    assert record.text_change is changed
    assert json.loads(record.line())["text_change"] is changed


def test_the_answers_part_at_a_character_and_at_a_token():
    batched = {"text": "half a", "token_ids": [1, 3]}
    assert altered(batched=batched).first_difference == FirstDifference(char=5, token=1)
    assert altered(batched=json.loads(LINE)["solo"]).first_difference is None


def test_a_sample_id_is_text_even_where_a_data_frame_wrote_a_number():
    record = altered(sample_id=17, phase=2, batch_size=8.0)
    assert (record.sample_id, record.phase, record.batch_size) == ("17", "2", 8)


def test_records_are_found_by_their_lines_and_no_other_is_read(tmp_path):
    path = tmp_path / "r.jsonl"
    rows = [json.dumps(row) for row in study_records()[:3]]
    path.write_text("\n".join([rows[0], "", "{oops}", rows[2]]) + "\n")
    found = records_at(path, {1, 4})
    assert {line: record.sample_id for line, record in found.items()} == {1: "s000", 4: "s002"}
    with pytest.raises(UsageError, match=r"r\.jsonl:3: not JSON"):
        records_at(path, {3})
