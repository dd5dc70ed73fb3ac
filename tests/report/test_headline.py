"""The sentences that people quote: by prompt, with one p, and what they show and do not show."""

import json
import re
import shutil
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace
from report_samples import report_of, study_report, summary_of
from study_records import study_records

from harness.analyse import MENDS, Counted, RunState, Summary, summarise_run
from harness.analyse.tables import rate
from harness.jobs.run_list import shown
from harness.report import first_changes, load_report, rendered, screen_lines, verdict_box
from harness.report.in_words import headline, sentences, shows
from harness.report.screen import example_lines
from harness.report.sections_summary import threats
from harness.words import Mode

FA3 = Path(__file__).parents[2] / "results" / "reference" / "h100-vllm-0.19.1-schedules-fa3"
FA2 = FA3.with_name("h100-vllm-0.19.1-schedules-fa2")
SMOL = FA3.with_name("h100-vllm-0.19.1-smollm2-135m")
KEPT = (FA3, FA2, SMOL)

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
    assert headline(summary_of(rows)) == (
        "In a batch, the answers to 22 of 55 prompts changed their label. With batch-invariant "
        "kernels, none did (up to 5.3% of prompts may). Unlikely by chance (p=4.8e-07, by "
        "prompt). Compared with the first answer alone (S0), which cannot tell a batch from a "
        "cache."
    )


def test_a_zero_in_the_headline_is_bounded_by_the_unit_that_leads():
    said = headline(_kept(FA2))
    assert "With batch-invariant kernels, none did (up to 20.6% of prompts may)" in said


def test_where_labels_do_not_tell_the_modes_apart_and_texts_do_the_texts_lead():
    summary = _flipped(_kept(FA3), 2, 2)
    said = headline(summary)
    assert said.startswith("In a batch, the answers to 19 of 25 prompts changed their text.")
    assert "Label changes: 2 of 25 and 0 of 25." in shows(summary)


def test_where_s1_was_asked_the_batch_effect_leads_by_prompt():
    assert headline(_kept(FA3)) == (
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


def _of_standard(both: Summary) -> Summary:
    """The summary as if standard mode alone had been asked."""
    only = Mode.STANDARD
    by_mode, askings = {only: both.by_mode[only]}, {only: both.askings[only]}
    return replace(both, by_mode=by_mode, askings=askings)


def test_one_mode_shows_which_prompts_change_only_where_the_batch_changed_one() -> None:
    nothing, which = "Shows: these counts and nothing more.", "Shows: which of these prompts change"
    study = [record for record in study_records() if record["mode"] == "standard"]
    assert nothing in shows(summary_of(study))  # S0 cannot tell the batch from a cache
    changed = _of_standard(_kept(FA3))
    assert any(said.startswith(which) for said in shows(changed))
    unproven = replace(changed, stack=replace(changed.stack, unproven=("start 1 is unproven",)))
    assert nothing in shows(unproven)
    assert any(said.startswith("Unproven: ") for said in shows(unproven))
    assert nothing in shows(_of_standard(_kept(SMOL)))  # changed with the cache alone


def test_of_a_mode_that_was_not_asked_of_every_prompt_it_is_said_of_how_many(
    tmp_path: Path,
) -> None:
    run = tmp_path / "cut"
    shutil.copytree(FA2, run, copy_function=shutil.copyfile)
    rows = (run / "vllm_records.jsonl").read_text("utf-8").splitlines(keepends=True)
    whole = [row for row in rows if json.loads(row)["mode"] == "standard"]
    other = [row for row in rows if json.loads(row)["mode"] != "standard"]
    (run / "vllm_records.jsonl").write_text("".join([*whole, other[0]]), "utf-8")
    (run / "summary.json").unlink()
    said = "With batch-invariant kernels, none of the 1 prompt asked so far did (up to 95.0% of"
    for form in ("md", "html"):
        page = rendered(load_report(run, summarise_run(run)), form).split("What is established")[0]
        assert said in " ".join(page.split())
        assert "p=" not in page
        assert "Nothing tells the two apart" not in page
    box = " ".join(" ".join(line[2:-2] for line in verdict_box(summarise_run(run))[0]).split())
    assert said in box


def test_a_terminal_of_80_columns_holds_the_first_screen():
    examples = study_report().examples
    lines = screen_lines(_kept(FA3), examples)
    assert len(examples) == 3
    assert max(map(len, lines)) <= 80


def test_a_run_that_does_not_count_says_so_before_anything_else():
    box, _ = verdict_box(summary_of(study_records()), state=RunState.DOES_NOT_COUNT)
    assert "NOT COUNTABLE" in box[1]


@pytest.mark.parametrize("width", [80, 130])
@pytest.mark.parametrize("state", RunState)
@pytest.mark.parametrize("run", KEPT)
def test_the_box_has_five_lines_and_what_goes_out_of_it_stands_below(
    run: Path, state: RunState, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    box, rest = verdict_box(_kept(run), state=state)
    assert len(box) - 2 <= 5
    assert max(map(len, [*box, *rest])) <= min(width, 120)
    told = " ".join(" ".join([*(line[2:-2] for line in box[1:-1]), *rest]).split())
    for said in (*sentences(_kept(run)), *shows(_kept(run))):
        assert said in told


def test_the_first_screen_says_what_it_was_measured_on() -> None:
    text = " ".join(" ".join(map(str, shown(FA3, None).lines)).split())
    assert "Measured on GPU: NVIDIA H100 80GB HBM3 · vLLM 0.19.1" in text


@pytest.mark.parametrize("width", [80, 130])
@pytest.mark.parametrize("run", KEPT)
def test_an_excerpt_holds_the_first_difference_marked_and_fits_the_terminal(
    run: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = list(example_lines(first_changes(run)))
    assert 70 < max(map(len, lines)) <= min(width, 120)
    answers = "\n".join(lines).split("   alone ")[1:]
    assert len(answers) == 3
    for pair in answers:
        sides = pair.split("   in its batch ")
        assert [("⟪" in side, "⟫" in side) for side in sides] == [(True, True)] * 2


@pytest.mark.parametrize("run", KEPT)
def test_a_change_has_one_number_on_the_screen_in_the_reports_and_for_flip(run: Path) -> None:
    page, text = (rendered(load_report(run), form) for form in ("html", "md"))
    for example in first_changes(run):
        number, where = example.number, f"{example.heading} · {example.where}"
        screen = " ".join("\n".join(example_lines([example])).split())
        assert screen.startswith(f"{number} {where}"[:60])
        told = " ".join(str(line) for line in shown(run, number).lines)
        assert told.startswith(f"{number} of ")
        assert all(part in told for part in where.split(" · "))
        assert f'id="change-{number}"' in page
        assert f'<summary><span class="quiet">{number}</span> ' in page
        assert f"Change {number}: " in text


def test_both_excerpts_are_cut_from_one_place() -> None:
    lines = [line for line in example_lines(first_changes(SMOL)) if "nβ = nβeq." in line]
    assert len(lines) == 2


def test_cells_of_a_hundred_per_cent_do_not_grow_together() -> None:
    lines = screen_lines(_kept(SMOL))
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if re.search(r"\](?=\d)", line)]


def test_no_name_of_a_check_and_no_name_of_an_asking_stands_on_the_first_screens() -> None:
    for run in KEPT:
        page = rendered(load_report(run), "md").split("What the askings show")[0]
        text = " ".join(re.sub(r"```.*?```|`[^`]*`", "", page, flags=re.DOTALL).split())
        assert not re.findall(r"\b(?:S0|S1|S2)\b|dispatches|a compared token", text)
        ids = {*MENDS, *(threat.threat for threat in _kept(run).threats)}
        assert not [name for name in ids if "_" in name and name in text.replace("\\", "")]


def test_a_threat_stands_in_one_row_with_all_that_leaves_it_open_and_in_plain_words() -> None:
    summary = _kept(FA3.with_name("h100-vllm-0.19.1-random-1b"))
    table = threats(summary).tables[0]
    heads = [row[0].text for row in table.rows]
    assert len(heads) == len(set(heads)) < len(summary.threats)
    told = " ".join(row[1].text for row in table.rows)
    assert [one.text for one in summary.threats if one.text not in told] == []
    assert "the kernels differ alone too" in heads
    assert "baseline differs" not in "\n".join(screen_lines(summary))


def test_a_hostile_name_cannot_act_in_a_terminal():
    rows = study_records()
    for row in rows:
        row["task_name"] = "\x1b[2J\u202e"
    lines = screen_lines(summary_of(rows), report_of(rows).examples)
    assert "\x1b" not in "".join(lines)
