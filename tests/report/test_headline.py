"""The sentence that people quote: rows of one prompt are not counted as independent."""

import pytest
from msgspec.structs import replace
from report_samples import summary_of
from study_records import study_records

from harness.report.standing import headline


@pytest.mark.parametrize(
    ("largest", "words"),
    [(1, "exact McNemar p = 4.8e-07"), (2, "exact sign-flip p = 0.5 over 2 prompts")],
)
def test_the_test_is_by_prompt_where_rows_share_one(largest, words):
    summary = summary_of(study_records())
    test = replace(summary.clusters.label_flips, p_two_sided=0.5)
    clusters = replace(summary.clusters, largest=largest, n_clusters=2, label_flips=test)
    assert words in headline(replace(summary, clusters=clusters), countable=True)
