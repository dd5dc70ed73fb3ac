"""The sentences that people quote: by prompt, with one p, and what they show and do not show."""

from functools import cache
from pathlib import Path

from msgspec.structs import replace
from report_samples import report_of, study_report, summary_of
from study_records import study_records

from harness.analyse import Counted, Summary, summarise_run
from harness.analyse.tables import rate
from harness.report import rendered, screen_lines, verdict_box
from harness.report.in_words import headline, shows
from harness.words import Mode

FA3 = Path(__file__).parents[2] / "results" / "reference" / "h100-vllm-0.19.1-schedules-fa3"
FA2 = FA3.with_name("h100-vllm-0.19.1-schedules-fa2")

_kept = cache(summarise_run)


def _flipped(summary: Summary, prompts: int, rows: int) -> Summary:
    """The summary with so many label flips in standard mode."""
    of = summary.askings[Mode.STANDARD]
    labels = of.effects.batch_effect.label_flips
    flipped = Counted(rate(rows, labels.rows.n), rate(prompts, labels.prompts.n), None, None)
    table = replace(of.effects.batch_effect, label_flips=flipped)
    standard = replace(of, effects=replace(of.effects, batch_effect=table))
    return replace(summary, askings=summary.askings | {Mode.STANDARD: standard})


def test_the_studys_comparison_is_told_by_prompt_and_says_what_it_cannot_tell():
    rows = [record | {"batch_size": size} for record in study_records() for size in (8, 16)]
    assert headline(summary_of(rows), countable=True) == (
        "In a batch, the answers to 22 of 55 prompts changed their label. With batch-invariant "
        "kernels, none did (up to 5.3% may). Unlikely by chance (p=4.8e-07, by prompt). Compared "
        "with the first answer alone (S0), which cannot tell a batch from a cache."
    )


def test_a_zero_in_the_headline_is_bounded_by_the_unit_that_leads():
    said = headline(_kept(FA2), countable=True)
    assert "With batch-invariant kernels, none did (up to 20.6% may)" in said


def test_where_labels_do_not_tell_the_modes_apart_and_texts_do_the_texts_lead():
    summary = _flipped(_kept(FA3), 2, 2)
    said = headline(summary, countable=True)
    assert said.startswith("In a batch, the answers to 19 of 25 prompts changed their text.")
    assert "Label changes: 2 of 25 and 0 of 25." in shows(summary)


def test_where_s1_was_asked_the_batch_effect_leads_by_prompt():
    assert headline(_kept(FA3), countable=True) == (
        "In a batch, the answers to 19 of 25 prompts changed their text. With batch-invariant "
        "kernels, 6 did. Unlikely by chance (p=9.8e-04, by prompt)."
    )


def test_there_is_one_p_on_the_first_screen():
    for form in ("md", "html"):
        assert rendered(study_report(), form).split("What is established")[0].count("p=") == 1
    assert "\n".join(screen_lines(_kept(FA3))).count("p=") == 1


def test_texts_may_be_resolved_where_labels_are_not():
    said = shows(_kept(FA2))
    assert "Shows: on this stack the text depends on the kernel path" in said[0]
    assert said[1] == "For the label this is not resolved."


def test_kernels_that_do_not_remove_the_change_are_not_said_to():
    assert "batch-invariant kernels do not remove it" in shows(_kept(FA3))[0]


def test_one_mode_shows_nothing_about_kernels():
    one = [record for record in study_records() if record["mode"] == "standard"]
    assert shows(summary_of(one))[-1].startswith("Does not show: whether the kernels")


def test_a_terminal_of_80_columns_holds_the_first_screen():
    examples = study_report().examples
    lines = screen_lines(_kept(FA3), examples)
    assert len(examples) == 3
    assert max(map(len, lines)) <= 80


def test_a_run_that_does_not_count_says_so_before_anything_else():
    box = verdict_box(summary_of(study_records()), countable=False)
    assert "NOT COUNTABLE" in box[1]


def test_a_hostile_name_cannot_act_in_a_terminal():
    rows = study_records()
    for row in rows:
        row["task_name"] = "\x1b[2J\u202e"
    lines = screen_lines(summary_of(rows), report_of(rows).examples)
    assert "\x1b" not in "".join(lines)
