"""The gate: each condition fails on what it names and passes without it."""

from __future__ import annotations

import pytest
from compared_runs import MadeRun, attempt, says

from harness.compare import RUN_CONDITIONS, compare_runs, judge, read_side
from harness.report import gate_lines
from harness.words import Mode


@pytest.fixture
def runs(tmp_path):
    return MadeRun(tmp_path / "a"), MadeRun(tmp_path / "b")


def failing(runs, **flags) -> set[str]:
    a, b = (read_side(run.write()) for run in runs)
    verdicts = judge(compare_runs(a, b, **flags), list(RUN_CONDITIONS))
    return {verdict.condition for verdict in verdicts if not verdict.ok}


def test_two_equal_runs_pass_every_condition(runs):
    assert failing(runs) == set()


def test_a_new_flip(runs):
    runs[1].flip(0)
    assert failing(runs) == {
        "new-label-flips",
        "label-flips",
        "new-text-changes",
        "batched-changes",
        "batched-label-changes",
    }


def test_a_flip_that_both_have_is_not_new(runs):
    for run in runs:
        run.flip(0)
    assert failing(runs) == {"label-flips"}


def test_a_flip_that_is_gone_is_not_new(runs):
    runs[0].flip(0)
    assert failing(runs) == {"batched-changes", "batched-label-changes"}


def test_an_answer_that_changed_alone(runs):
    for condition in ("solo", "batched"):
        says(runs[1].row(0), condition, "No.", 1.0)
    assert failing(runs) == {"solo-changes", "batched-changes"}


def test_a_label_that_changed_alone(runs):
    says(runs[1].row(0), "solo", "Sure.", 0.0)
    assert "solo-label-changes" in failing(runs)


@pytest.mark.parametrize("side", [0, 1])
def test_a_mode_that_is_not_proven_on_either_side(runs, side):
    runs[side].attempts["standard"] = [attempt("inconclusive")]
    assert failing(runs) == {"mode-not-proven"}


def test_a_mode_that_nothing_proves_is_not_proven(runs):
    a, b = (read_side(run.write_foreign()) for run in runs)
    verdicts = {v.condition: v for v in judge(compare_runs(a, b), list(RUN_CONDITIONS))}
    assert not verdicts["mode-not-proven"].ok
    assert "nothing shows which kernels ran" in verdicts["mode-not-proven"].reason
    assert not verdicts["not-checked"].ok


def test_another_stack(runs):
    runs[1].metadata["versions"]["vllm"] = "0.32.0"
    assert failing(runs) == {"stack-differs"}


def test_another_version_of_the_harness_is_no_other_serving_stack(runs):
    runs[1].metadata["versions"]["harness"] = "9"
    assert failing(runs) == set()


def test_a_subset_is_something_that_was_not_checked(runs):
    runs[1].rows = [row for row in runs[1].rows if row["sample_id"] != "s1"]
    assert failing(runs, allow_subset=True) == {"not-checked"}


@pytest.mark.parametrize(("limit", "ok"), [(0.24, False), (0.25, True)])
def test_the_flip_rate_of_b_may_be_at_most_the_limit(runs, limit, ok):
    runs[1].flip(0)
    a, b = (read_side(run.write()) for run in runs)
    (verdict,) = judge(compare_runs(a, b, mode_a=Mode.STANDARD), [], limit)
    assert verdict.ok is ok
    assert verdict.reason.startswith("1/4 = 25.0% is")


def test_flips_of_a_do_not_count_towards_the_rate(runs):
    runs[0].flip(0)
    a, b = (read_side(run.write()) for run in runs)
    assert all(verdict.ok for verdict in judge(compare_runs(a, b), [], 0.0))


def test_every_mode_is_held_to_the_rate(runs):
    runs[1].flip(0, "batch_invariant")
    a, b = (read_side(run.write()) for run in runs)
    lines = gate_lines(judge(compare_runs(a, b), [], 0.0))
    assert lines == [
        "pass max-flip-rate (standard): 0/4 = 0.0% is at most 0.00% of prompts (rows 0/4); none "
        "leaves room for up to 52.71%, 52.71% of rows (one-sided 95%)",
        "FAIL max-flip-rate (batch_invariant): 1/4 = 25.0% is more than 0.00% of prompts "
        "(rows 1/4)",
    ]


def test_a_rate_of_no_rows_does_not_pass(runs):
    for row in runs[1].rows:
        row.update(status="error", error="timeout")
    a, b = (read_side(run.write()) for run in runs)
    assert not any(verdict.ok for verdict in judge(compare_runs(a, b), [], 1.0))


ON_LABELS = {"new-label-flips", "label-flips", "solo-label-changes", "batched-label-changes"}


def unread(run, rows, *conditions, text="Blub."):
    for row in run.rows:
        if row["sample_id"] in {f"s{number}" for number in range(rows)}:
            for condition in conditions:
                says(row, condition, text, None)


@pytest.mark.parametrize(
    ("conditions", "broken"),
    [
        (("solo", "batched"), ON_LABELS),
        (("solo",), ON_LABELS - {"batched-label-changes"}),
        (("batched",), ON_LABELS - {"solo-label-changes"}),
    ],
)
def test_labels_that_nobody_could_read_hold_no_condition(runs, conditions, broken):
    for run in runs:
        unread(run, 3, *conditions)  # of four
    a, b = (read_side(run.write()) for run in runs)
    verdicts = judge(compare_runs(a, b), list(RUN_CONDITIONS), 1.0)
    failed = {v.condition.partition(" ")[0] for v in verdicts if not v.ok}
    assert broken <= failed
    assert failed <= broken | {"label-flips", "new-label-flips", "max-flip-rate"}
    assert "max-flip-rate" in failed
    told = {v.reason.rpartition("; ")[2] for v in verdicts if not v.ok}
    assert all("3 of 4 answers" in one and "have no score in" in one for one in told), told


def test_labels_of_which_half_could_be_read_hold(runs):
    for run in runs:
        unread(run, 2, "solo", "batched")
    assert failing(runs) == set()


def test_of_the_base_only_what_is_set_against_it_has_to_be_read(runs):
    unread(runs[0], 3, "solo", "batched", text="Blab.")
    assert failing(runs) >= {"solo-label-changes", "batched-label-changes"}
    assert failing(runs).isdisjoint({"new-label-flips", "label-flips"})


def test_a_comparison_of_no_answers_holds_no_condition(runs):
    for row in runs[1].rows:
        row.update(status="error", error="timeout")
    assert failing(runs) >= ON_LABELS | {"new-text-changes", "solo-changes", "batched-changes"}


def test_a_reason_names_the_first_places_and_counts_the_rest(runs):
    for number in range(4):
        runs[1].flip(number)
    a, b = (read_side(run.write()) for run in runs)
    (verdict,) = judge(compare_runs(a, b, mode_a=Mode.STANDARD), ["new-label-flips"])
    assert verdict.count == 4
    assert "m t/s0 batch 4 synchronized" in verdict.reason
    assert verdict.reason.endswith("and 1 more")
    assert len(verdict.places) == 4


def test_the_rate_is_held_by_prompt_and_the_rows_stand_beside_it(runs):
    for run in runs:  # one prompt in all four rows, which are one unit
        for number, row in enumerate(run.rows):
            row.update(model="m", task_name="t", sample_id="s0", prompt_sha256="0" * 64)
            row["batch_size"] = 4 * (number + 2)
    runs[1].flip(0)
    a, b = (read_side(run.write()) for run in runs)
    rate, flips = judge(compare_runs(a, b, mode_a=Mode.STANDARD), ["label-flips"], 0.5)[::-1]
    assert not rate.ok
    assert (rate.prompts, rate.count) == (1, 1)
    assert rate.reason == "1/1 = 100.0% is more than 50.00% of prompts (rows 1/4)"
    assert flips.reason.startswith("1 label flips of B (by prompt of 1; 1 row): m t/s0 batch ")
