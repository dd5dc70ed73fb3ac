"""The sentence that people quote: rows of one prompt are not counted as independent."""

from pathlib import Path

from msgspec.structs import replace
from report_samples import summary_of
from study_records import study_records

from harness.analyse import Counted, summarise_run
from harness.analyse.tables import rate
from harness.report.standing import headline
from harness.words import Mode

FA3 = Path(__file__).parents[2] / "results" / "reference" / "h100-vllm-0.19.1-schedules-fa3"


def test_the_studys_comparison_is_told_by_prompt_and_by_row_with_one_test():
    rows = [record | {"batch_size": size} for record in study_records() for size in (8, 16)]
    said = headline(summary_of(rows), countable=True)
    assert "22/55 = 40.0% [28.1, 53.2] label flips by prompt (44/110 by row)" in said
    assert "exact McNemar p=4.8e-07 by prompt" in said
    assert "cannot tell a batch from a cache" in said


def test_a_zero_in_the_headline_is_bounded_by_the_unit_that_leads():
    said = headline(summarise_run(FA3.with_name("h100-vllm-0.19.1-schedules-fa2")), countable=True)
    assert (
        "batch-invariant kernels: none of 13 prompts changes its text with the batch "
        "(up to 20.58% may)"
    ) in said


def test_where_labels_lead_the_texts_follow_with_their_own_test():
    summary = summarise_run(FA3)
    flipped = Counted(rate(2, 57), rate(2, 25), None, None)
    table = replace(summary.askings[Mode.STANDARD].effects.batch_effect, label_flips=flipped)
    effects = replace(summary.askings[Mode.STANDARD].effects, batch_effect=table)
    standard = replace(summary.askings[Mode.STANDARD], effects=effects)
    said = headline(
        replace(summary, askings=summary.askings | {Mode.STANDARD: standard}), countable=True
    )
    assert said.startswith("Standard kernels: 2 of 25 prompts (2 of 57 rows) change their label")
    assert said.endswith("texts: 19 of 25 and 6 of 25, p=9.8e-04.")


def test_where_s1_was_asked_the_batch_effect_leads_by_prompt():
    assert headline(summarise_run(FA3), countable=True) == (
        "Standard kernels: 19 of 25 prompts (46 of 57 rows) change their text with the batch; "
        "batch-invariant kernels: 6 of 25 prompts (6 of 57 rows) change their text with the batch; "
        "exact McNemar p=9.8e-04 by prompt."
    )
