"""Where B leaves the answer alone: the token, the gap there, and the scorer's evidence."""

from __future__ import annotations

import json

import pytest
from report_samples import report_of
from study_records import study_records

from harness.records import Answer, Closeness, Divergence, Evidence, Likely, diverged, gap_of
from harness.records.record import decode_record
from harness.report import rendered as render

ALONE = (Likely(5, -0.5), Likely(6, -0.51))
BATCHED = (Likely(6, -0.5), Likely(5, -0.52))


def answer(text, ids, likely=None, span=None):
    evidence = Evidence("rule", span, text, "s/1") if span else None
    return Answer(text=text, token_ids=ids, likely=likely, score_evidence=evidence)


def test_the_first_token_that_differs_is_told_with_the_likeliest_on_both_sides():
    one = answer("abc", (1, 5, 7), (ALONE, ALONE, ALONE))
    other = answer("abd", (1, 6, 7), (BATCHED, BATCHED, BATCHED))
    found = diverged(one, other)
    assert (found.token, found.char, found.of) == (1, 2, 3)
    assert (found.alone, found.batched) == (ALONE, BATCHED)
    assert found.gap == pytest.approx(0.01)
    assert found.closeness is Closeness.TIE


def test_a_wide_gap_on_both_sides_is_a_confident_choice():
    sure = (Likely(5, -0.01), Likely(6, -4.0))
    found = Divergence(token=0, char=0, alone=sure, batched=(Likely(6, -0.1), Likely(5, -2.5)))
    assert found.closeness is Closeness.CONFIDENT


def test_without_log_probabilities_on_both_sides_the_gap_is_unknown():
    assert Divergence(token=0, char=0, alone=ALONE).closeness is Closeness.UNKNOWN
    assert gap_of((Likely(1, -0.1),)) is None


def test_equal_answers_diverge_nowhere():
    assert diverged(answer("a", (1,)), answer("a", (1,))) is None


@pytest.mark.parametrize(("span", "after"), [((0, 2), False), ((0, 3), True), (None, None)])
def test_the_scorers_evidence_lies_after_it_or_not(span, after):
    found = diverged(answer("abc", (1, 5), span=span), answer("abd", (1, 6), span=span))
    assert found.evidence_after is after


def test_an_answer_that_ends_first_has_no_choice_there():
    found = diverged(answer("ab", (1,), (ALONE,)), answer("abc", (1, 2), (BATCHED, BATCHED)))
    assert (found.token, found.alone, found.batched) == (1, None, BATCHED)


def test_b_is_set_against_s1_where_it_was_asked():
    row = {
        "schema_version": 2, "model": "m", "task_name": "t", "sample_id": "s", "batch_size": 2,
        "dispatch_mode": "gated", "phase": None, "domain": None, "original_direction": None,
        "mode": "standard", "status": "ok", "solo_score": 1.0, "batch_score": 1.0,
        "solo_response_hash": "a", "batch_response_hash": "b",
        "solo": {"text": "x", "token_ids": [9]}, "batched": {"text": "ab", "token_ids": [1, 2]},
        "askings": {"S1": {"text": "ac", "token_ids": [1, 3]}},
    }  # fmt: skip
    assert decode_record(json.dumps(row).encode()).divergence.token == 1


def test_likely_tokens_are_written_and_read_back_and_left_out_where_not_asked_for():
    row = study_records()[0]
    plain = decode_record(json.dumps(row).encode())
    assert '"likely"' not in plain.line()
    row["solo"]["likely"] = [[[5, -0.5], [6, -0.75]]]
    told = decode_record(json.dumps(row).encode())
    assert decode_record(told.line().encode()).solo.likely == ((Likely(5, -0.5), Likely(6, -0.75)),)


def test_a_report_tells_and_draws_where_answers_diverge():
    records = study_records()
    for record in records:
        for side in ("solo", "batched"):
            record[side]["token_ids"] = list(record[side]["text"].encode())
    page = render(report_of(records), "html")
    assert "Where answers diverge" in page
    assert "first divergent token" in page
    assert "Where answers diverge" in render(report_of(records), "md")
