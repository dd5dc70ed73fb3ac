"""The sentence that people quote: rows of one prompt are not counted as independent."""

from pathlib import Path

from report_samples import summary_of
from study_records import study_records

from harness.analyse import summarise_run
from harness.report.standing import headline

FA3 = Path(__file__).parents[2] / "results" / "reference" / "h100-vllm-0.19.1-schedules-fa3"


def test_the_studys_comparison_is_told_by_prompt_and_by_row_with_one_test():
    rows = [record | {"batch_size": size} for record in study_records() for size in (8, 16)]
    said = headline(summary_of(rows), countable=True)
    assert "22/55 = 40.0% [28.1, 53.2] label flips by prompt (44/110 by row)" in said
    assert "exact McNemar p=4.8e-07 by prompt" in said
    assert "cannot tell a batch from a cache" in said


def test_a_zero_in_the_headline_is_bounded_by_every_unit():
    said = headline(summarise_run(FA3.with_name("h100-vllm-0.19.1-schedules-fa2")), countable=True)
    assert (
        "0 of 13 prompts (0 of 19 rows) change their text with the batch (none: up to 20.58% of "
        "prompts, 14.59% of rows, 52.71% of dispatches, 0.0012 a compared token of 2,432)"
    ) in said


def test_where_s1_was_asked_the_batch_effect_leads_by_prompt():
    assert headline(summarise_run(FA3), countable=True) == (
        "Standard kernels: 19 of 25 prompts (46 of 57 rows) change their text with the batch; "
        "batch-invariant kernels: 6 of 25 prompts (6 of 57 rows) change their text with the batch; "
        "exact McNemar p=9.8e-04 by prompt."
    )
