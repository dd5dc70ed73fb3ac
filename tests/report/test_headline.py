"""The sentence that people quote: rows of one prompt are not counted as independent."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from report_samples import summary_of
from study_records import study_records

from harness.analyse import summarise_run
from harness.report.standing import headline

FA3 = Path(__file__).parents[2] / "results" / "reference" / "h100-vllm-0.19.1-schedules-fa3"


@pytest.mark.parametrize(
    ("largest", "words"),
    [(1, "exact McNemar p = 4.8e-07"), (2, "exact sign-flip p = 0.5 over 2 prompts")],
)
def test_the_test_is_by_prompt_where_rows_share_one(largest, words):
    summary = summary_of(study_records())
    test = replace(summary.clusters.label_flips, p_two_sided=0.5)
    clusters = replace(summary.clusters, largest=largest, n_clusters=2, label_flips=test)
    assert words in headline(replace(summary, clusters=clusters), countable=True)


def test_where_s1_was_asked_the_batch_effect_leads_by_prompt():
    assert headline(summarise_run(FA3), countable=True) == (
        "Standard kernels: 19 of 25 prompts (46 of 57 rows) change their text with the batch; "
        "batch-invariant kernels: 6 of 25 prompts (6 of 57 rows) change their text with the batch; "
        "exact McNemar p = 9.8e-04 by prompt."
    )
