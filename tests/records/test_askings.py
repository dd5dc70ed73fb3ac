"""What the askings of a row say together, and how the records of schema 1 are read."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analyse import validate_run
from harness.records import iter_records, read_records, scan_records, text_hash
from harness.records.record import decode_record
from harness.words import Asking, Effect, Pattern, pattern_of

ROOT = Path(__file__).resolve().parents[2]
OLD = [
    *sorted(ROOT.glob("tests/golden/runs/*/vllm_records.jsonl")),
    *sorted(ROOT.glob("results/reference/*-random-1b/vllm_records.jsonl")),
]
SAID = {
    (True, True): Pattern.SAME,
    (True, False): Pattern.BATCH,
    (False, True): Pattern.CACHE,
}
"""Of a stable row, by whether S0 equals S1 and S1 equals B."""


@pytest.mark.parametrize("texts", [*product("abcde", repeat=4)])
def test_four_texts_have_the_one_pattern_that_their_equalities_name(texts):
    s0, s1, b, s2 = texts
    found = pattern_of(*texts)
    if s1 != s2:
        assert found is Pattern.UNSTABLE
    elif s0 != s1 and s1 != b:
        assert found is (Pattern.MASKED if s0 == b else Pattern.BOTH)
    else:
        assert found is SAID[s0 == s1, s1 == b]


def answer(text, score=None, label=None):
    return None if text is None else {"text": text, "score": score, "label": label}


def row(s0="a", s1="a", b="a", s2="a", b2=None, **changes):
    return {
        "model": "m",
        "task_name": "t",
        "sample_id": "s",
        "batch_size": 2,
        "dispatch_mode": "synchronized",
        "phase": None,
        "domain": None,
        "original_direction": None,
        "mode": "standard",
        "status": "ok",
        "solo_score": None,
        "batch_score": None,
        "solo_response_hash": text_hash(s0),
        "batch_response_hash": text_hash(b),
        "solo": answer(s0),
        "batched": answer(b),
        "askings": {"S1": answer(s1), "S2": answer(s2), "B2": answer(b2)},
    } | changes


def record(**asked):
    return decode_record(json.dumps(row(**asked)).encode())


def frame(tmp_path, *rows):
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return read_records(path)


TEXT = st.sampled_from(["a", "b", "half \ud83d", "\u00e4", '"quoted"'])
SOME = st.none() | TEXT


@settings(deadline=None, max_examples=60)
@given(s0=TEXT, s1=SOME, b=TEXT, s2=SOME, b2=SOME, held=st.booleans())
def test_the_frame_finds_what_each_record_says_also_where_only_hashes_are_there(
    tmp_path_factory, s0, s1, b, s2, b2, held
):
    given_row = row(s0, s1, b, s2, b2) | ({} if held else {"solo": None, "batched": None})
    one = decode_record(json.dumps(given_row).encode())
    columns = frame(tmp_path_factory.mktemp("f"), given_row).frame.iloc[0]
    assert one.pattern == (columns["pattern"] if isinstance(columns["pattern"], str) else None)
    assert (one.pattern is None) == (None in (s1, s2))
    for effect in Effect:
        found = one.effect(effect)
        told = columns[f"{effect}_text"], columns[f"{effect}_flip"]
        assert told == ((-1, -1) if found is None else found)
    assert columns["solo_repeats"] == (None not in (s1, s2))
    assert columns["batch_repeats"] == (held and b2 is not None)


def test_each_effect_compares_its_own_two_askings_by_text_and_by_label():
    one = record(s0="x", s1="y", b="z", s2="y")
    assert [one.effect(effect) for effect in Effect] == [
        (True, False),
        (True, False),
        (False, False),
    ]
    judged = record(
        solo_score=1.0,
        batch_score=0.0,
        askings={"S1": answer("a", 0.0, "no"), "S2": answer("a", 1.0, "yes")},
    )
    assert [judged.effect(effect) for effect in Effect] == [
        (False, False),
        (False, True),
        (False, True),
    ]


@pytest.mark.parametrize("missing", ["s1", "s2"])
def test_without_all_four_askings_there_is_no_pattern(missing):
    assert record(**{missing: None}).pattern is None


def test_a_record_in_error_shows_nothing(tmp_path):
    failed = row(status="error")
    one = decode_record(json.dumps(failed).encode())
    assert (one.pattern, one.effect(Effect.NOISE)) == (None, None)
    assert frame(tmp_path, failed).frame["noise_text"].tolist() == [-1]


def test_a_stated_pattern_is_never_believed_and_a_wrong_one_is_found(tmp_path):
    assert record(b="b", pattern="same").pattern is Pattern.BATCH
    assert json.loads(record(b="b", pattern="same").line())["pattern"] == "batch"
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(row(b="b", pattern="same")) + "\n")
    checks = {check.check: check for check in validate_run(path).findings}
    wrong = checks["flags_agree_with_scores_and_hashes"]
    assert (wrong.status, "line 1: pattern" in wrong.message) == ("failed", True)


def test_a_companion_that_was_given_up_is_found_by_validation(tmp_path):
    companion = {"key": "t/u", "response_hash": "a", "finish_reason": "abort"}
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in (row(), row(companions=[companion]))))
    assert scan_records(path).checks.unfinished == [2]


OLD_ROW = row() | {
    "schema_version": 1,
    "solo_repeats": [answer("b", 1.0, "yes"), answer("a")],
    "batched_repeats": [answer("c")],
}
del OLD_ROW["askings"]


def test_the_first_repeats_of_schema_1_are_s1_asked_after_the_batch_and_b2():
    old = decode_record(json.dumps(OLD_ROW).encode())
    assert [old.askings.S1.text, old.askings.S2, old.askings.B2.text] == ["b", None, "c"]
    assert old.s1_after_batch
    assert not record().s1_after_batch
    assert (old.pattern, old.effect(Effect.NOISE)) == (None, None)
    assert old.differs(Asking.S0, Asking.S1) == (True, True)


def test_the_frame_counts_all_repeats_of_schema_1_against_the_first_answer(tmp_path):
    found = frame(tmp_path, OLD_ROW).frame.iloc[0]
    assert found[["solo_repeats", "solo_repeat_changes", "solo_repeat_flips"]].tolist() == [2, 1, 1]
    assert found[["batch_repeats", "batch_repeat_changes"]].tolist() == [1, 1]
    assert found[["cache_effect_text", "noise_text"]].tolist() == [1, -1]
    assert found["s1_after_batch"]


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.parent.name)
def test_the_runs_of_schema_1_stay_readable(path):
    old = [json.loads(line) for line in path.read_text().splitlines()]
    read = [one for _, one in iter_records(path)]
    assert [one.s1_after_batch for one in read] == [True] * len(old)
    for before, after in zip(old, read, strict=True):
        repeats = before["solo_repeats"]
        assert (after.askings.S1.text if repeats else None) == (
            repeats[0]["text"] if repeats else None
        )
        assert (after.label_flip, after.text_change) == (
            bool(before["label_flip"]),
            bool(before["text_change"]),
        )
