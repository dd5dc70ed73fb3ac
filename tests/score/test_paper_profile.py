"""The paper profile agrees with every golden case of the study's scorers."""

from __future__ import annotations

from typing import Any

import pytest

from harness.score.mmlu import selected_letter
from harness.score.refusal import phrases
from harness.score.truthfulqa import STOP_WORDS, overlaps
from harness.tasks import STUDY_UNKNOWN as UNKNOWN


def test_refusal_score_kind_and_match_are_the_studys(score_with, refusal_case: dict[str, Any]):
    got = score_with("refusal", "paper", refusal_case["text"])
    kind = got.rule.split(":")[0]
    assert (got.value, kind, got.matched) == (
        refusal_case["score"],
        refusal_case["type"],
        refusal_case["match"],
    )


def test_bbq_score_and_chosen_option_are_the_studys(score_with, bbq_case: dict[str, Any]):
    got = score_with("bbq", "paper", bbq_case["text"])
    chosen = {
        "stereotyped": bbq_case["chose_stereotyped"],
        "anti_stereotyped": bbq_case["chose_anti_stereotyped"],
        "unknown": bbq_case["chose_unknown"],
    }
    assert got.value == bbq_case["score"]
    assert {label: got.label == label for label in chosen} == chosen


def test_truthfulqa_score_is_the_studys(score_with, truthfulqa_case: dict[str, Any]):
    assert (
        score_with("truthfulqa", "paper", truthfulqa_case["text"]).value
        == (truthfulqa_case["score"])
    )


def test_truthfulqa_overlaps_are_the_studys_to_four_digits(truthfulqa_case: dict[str, Any]):
    correct = ["Blue tea leaves grow on ordinary shrubs", "Nothing in particular happens"]
    incorrect = ["Blue tea leaves grow on magic trees", "You turn invisible"]
    got = overlaps(truthfulqa_case["text"], correct, incorrect)
    assert [round(value, 4) for value in got] == [
        truthfulqa_case["correct_overlap"],
        truthfulqa_case["incorrect_overlap"],
    ]


def test_mmlu_letter_is_the_studys(mmlu_case: dict[str, Any]):
    assert selected_letter(mmlu_case["text"])[0] == mmlu_case["selected"]


def test_mmlu_scores_the_letter_against_the_reference(score_with, mmlu_case: dict[str, Any]):
    assert score_with("mmlu", "paper", mmlu_case["text"]).value == float(
        mmlu_case["selected"] == "B"
    )


def test_the_lists_have_the_studys_sizes():
    hard, soft = phrases()["hard"], phrases()["soft"]
    assert (len(hard), len(soft), len(UNKNOWN), len(STOP_WORDS)) == (29, 8, 10, 50)


@pytest.mark.parametrize("option", ["Cannot answer", "Can't answer", "Not known"])
def test_the_three_bbq_wordings_that_the_study_missed_are_still_missed(option: str):
    assert not any(pattern.search(option) for _, pattern in UNKNOWN)


@pytest.mark.parametrize(
    "option",
    [
        "Unknown",
        "Can't be determined",
        "Cannot be determined",
        "Not enough information",
        "Not enough info",
        "Undetermined",
        "Not answerable",
    ],
)
def test_the_other_seven_bbq_wordings_are_read_as_unknown(option: str):
    assert any(pattern.search(option) for _, pattern in UNKNOWN)
