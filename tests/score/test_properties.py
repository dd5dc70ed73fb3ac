"""What holds for every scorer and every text."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import families
from harness.score import SCORERS, score
from harness.score.folding import fold, raw_span
from harness.score.plain import PLAIN
from harness.tasks.task import Sample, Task
from harness.words import Domain

FIELDS = {
    "choices": ["The baker", "Cannot be determined", "The tailor"],
    "biased_idx": 0,
    "correct_answers": ["Blue tea leaves grow on ordinary shrubs", "Nothing happens"],
    "incorrect_answers": ["Blue tea leaves grow on magic trees"],
    "reference": "B",
}
PIECES = st.sampled_from(
    [
        "I can’t help with that.",
        "I'm sorry, but no.",
        "“I cannot do that”",
        "Here is the plan:",
        "Step 1: mix.",
        "The baker",
        "Can’t be determined",
        "Ｂ)",
        " 7 ",
        "1e999",
        "-3,1",
        "The answer is Ｂ",
        "**A**",
        "Blue tea leaves grow on magic trees.",
        "ﬁne…",
        "cafe\u0301",
        "\u1100\u1161\u11a8",
        "\u200b",
        "\u00bd",
        "\nUser: please",
        "<think>",
        "</think>",
        "assistant\n",
        "\u00b4",
        "I can`t help",
        "A, B",
        "\n\n",
        "\r\n",
        " ",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=8).map("".join)
ALL = sorted(pair for pair in SCORERS if pair[0] not in PLAIN or pair[1] == "strict")
STRICT = [(name, profile) for name, profile in ALL if profile == "strict" and name not in PLAIN]
"""Those that read a meaning; a scorer of one's own prompts takes the characters as they are."""


def scored(scorer, profile, text):
    task = Task(scorer, scorer, scorer, Domain.SAFETY, "{{ q }}\n", (), "made.yaml")
    fields = FIELDS | {"reference": "7"} if scorer == families.NUMBER.name else FIELDS
    return score(task, Sample("s", fields, 1), text, profile)


def judged(scorer, profile, text):
    got = scored(scorer, profile, text)
    return got.value, got.label, got.rule


@pytest.mark.parametrize(("scorer", "profile"), ALL)
@given(first=TEXTS, second=TEXTS)
def test_a_label_flip_implies_a_text_change(scorer, profile, first, second):
    copy = "".join(list(first))
    flipped = judged(scorer, profile, first)[:2] != judged(scorer, profile, second)[:2]
    assert scored(scorer, profile, first) == scored(scorer, profile, copy)
    assert not flipped or first != second


@pytest.mark.parametrize(("scorer", "profile"), ALL)
@given(text=TEXTS)
def test_the_span_is_the_matched_text_of_the_raw_answer(scorer, profile, text):
    got = scored(scorer, profile, text)
    if got.span is None:
        assert got.matched in {"", "<empty_response>"}
    else:
        assert got.matched == text[slice(*got.span)] != ""


@pytest.mark.parametrize(("scorer", "profile"), ALL)
@given(text=TEXTS)
def test_scores_come_from_a_small_set(scorer, profile, text):
    got = scored(scorer, profile, text)
    always = profile == "paper" and scorer not in PLAIN
    assert got.value in {0.0, 0.5, 1.0, *(() if always else (None,))}
    assert got.scorer.startswith(f"{scorer}/{profile}/")


@pytest.mark.parametrize(("scorer", "profile"), STRICT)
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@given(text=TEXTS)
def test_strict_scores_do_not_change_under_nfkc_equal_text(scorer, profile, form, text):
    same = unicodedata.normalize(form, text)
    assert judged(scorer, profile, text) == judged(scorer, profile, same)


@pytest.mark.parametrize(("scorer", "profile"), STRICT)
@given(text=TEXTS, tail=st.text(" \n\t\r", max_size=5))
def test_strict_scores_do_not_change_with_trailing_whitespace(scorer, profile, text, tail):
    assert judged(scorer, profile, text) == judged(scorer, profile, text + tail)


@pytest.mark.parametrize(("scorer", "profile"), STRICT)
@given(text=TEXTS.map(lambda text: text.replace("\r", "")))
def test_strict_scores_do_not_change_with_crlf_newlines(scorer, profile, text):
    assert judged(scorer, profile, text) == judged(scorer, profile, text.replace("\n", "\r\n"))


@given(text=TEXTS, data=st.data())
def test_a_folded_span_folds_back_to_what_it_covers(text, data):
    folded = fold(text)
    start, end = sorted(
        data.draw(st.tuples(st.integers(0, len(folded)), st.integers(0, len(folded))))
    )
    if start < end:
        raw_start, raw_end = raw_span(text, start, end)
        assert folded[start:end] in fold(text[raw_start:raw_end])


HOSTILE = {
    "newlines": "\n" * 50_000,
    "objects": '{"answer": "x' * 4000,
    "thinking fences": "```think\n" * 6000,
    "spaces": "answer:" + " " * 50_000,
    "stops": "!" * 50_000 + "x",
    "spaced stops": "! " * 25_000,
    "numbered lines": "1. x\n" * 10_000,
    "quotes": '"' * 49_999,
    "combining marks": "a" + "\u0301" * 50_000,
    "ideographs": "我不能" * 17_000,
    "open brackets": "(" * 50_000,
    "recommend": "I cannot recommend " * 2_500,
    "letters": "A" * 50_000,
    "joiners": "I can\u200bnot " * 6_000,
    "backticks": "I can’t help ```" * 3_000,
    "open thinking": "<think>" * 7_000,
    "closed thinking": "</think>" * 6_000,
    "thinking": "<think>a</think>" * 3_000,
    "letters with commas": "A, " * 16_000,
    "stated letters": "the answer is " * 3_500 + "B",
    "encouraged": "I'd encourage you " * 2_700,
    "emphasis": "*a_" * 16_000,
    "firsts": "first, " * 7_000,
    "bullets": "- a" * 16_000,
    "german": "ich kann " * 5_500,
    "turkish": "yap" * 16_000,
    "assistants": "assistant\n" * 5_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(("scorer", "profile"), ALL)
def test_a_50_kb_answer_made_to_be_slow_is_scored_in_a_second(scorer, profile, name):
    took = []
    while len(took) < 3 and min(took, default=1.0) >= 1.0:  # another program may take the cache
        started = time.process_time()
        scored(scorer, profile, HOSTILE[name])
        took.append(time.process_time() - started)
    assert min(took) < 1.0
