"""The sentence that people quote: rows of one prompt are not counted as independent."""

import copy

import pytest

from harness.report.sections_run import headline

RATE = {"n": 4, "rate": 1.0, "wilson95": [0.51, 1.0]}
SUMMARY = {
    "by_mode": {
        "standard": {"label_flips": {"count": 4, **RATE}, "text_changes": {"count": 4, **RATE}},
        "batch_invariant": {
            "label_flips": {"count": 0, **RATE, "rate": 0.0, "wilson95": [0.0, 0.49]},
            "text_changes": {"count": 0, **RATE, "rate": 0.0, "wilson95": [0.0, 0.49]},
        },
    },
    "paired": {"label_flips": {"standard_only": 4, "invariant_only": 0, "p_two_sided": 0.125}},
}


@pytest.mark.parametrize(
    ("largest", "words"),
    [(1, "exact McNemar p = 0.12"), (2, "exact sign-flip p = 0.5 over 2 prompts")],
)
def test_the_test_is_by_prompt_where_rows_share_one(largest, words):
    summary = copy.deepcopy(SUMMARY)
    summary["clusters"] = {"largest": largest, "n_clusters": 2, "label_flips": {"p_two_sided": 0.5}}
    assert words in headline(summary, countable=True)
