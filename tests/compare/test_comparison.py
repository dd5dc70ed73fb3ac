"""Run against run: what counts as a change, which runs are comparable, what differs beside them."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import pytest
from compared_runs import MODES, MadeRun, attempt, says
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple
from study_records import study_records

from harness.analyse import summarise_run
from harness.compare import FlipChange, compare_runs, read_side
from harness.errors import IncompleteRun, UsageError
from harness.report import comparison_lines
from harness.words import Endpoint, Mode

STANDARD, INVARIANT = Mode.STANDARD, Mode.BATCH_INVARIANT


@pytest.fixture
def a(tmp_path: Path) -> MadeRun:
    return MadeRun(tmp_path / "a")


@pytest.fixture
def b(tmp_path: Path) -> MadeRun:
    return MadeRun(tmp_path / "b")


def compare(a: MadeRun, b: MadeRun, **flags):
    return compare_runs(read_side(a.write()), read_side(b.write()), **flags)


def refused(a: MadeRun, b: MadeRun, **flags) -> str:
    with pytest.raises(UsageError) as refusal:
        compare(a, b, **flags)
    return str(refusal.value)


# what is counted


def test_equal_runs_show_no_change(a, b):
    comparison = compare(a, b)
    assert [mode.title for mode in comparison.modes] == list(MODES)
    for mode in comparison.modes:
        assert mode.n == 4
        assert mode.changes == ()
        assert mode.solo.text_changes.count == 0


def test_a_flip_is_new_gone_or_stayed(a, b):
    for run, numbers in ((a, (0, 1)), (b, (1, 2))):
        for number in numbers:
            run.flip(number)
    flips = compare(a, b).modes[0].label_flips
    assert (flips.stayed, flips.vanished, flips.appeared) == (1, 1, 1)
    assert (flips.a.count, flips.b.count) == (2, 2)


def test_each_changed_candidate_is_listed_with_its_fate(a, b):
    a.flip(0)
    b.flip(1)
    fates = {change.key[2]: change.flip for change in compare(a, b).modes[0].changes}
    assert fates == {"s0": FlipChange.VANISHED, "s1": FlipChange.APPEARED}


def test_an_answer_that_changed_alone_is_no_flip(a, b):
    for condition in ("solo", "batched"):
        says(b.row(2), condition, "No.", 1.0)
    mode = compare(a, b).modes[0]
    assert mode.solo.text_changes.count == 1
    assert mode.solo.label_changes.count == 0
    assert mode.label_flips.b.count == 0
    assert mode.text_changes.b.count == 0


def test_a_batched_answer_that_changed_is_counted_apart_from_the_solo_one(a, b):
    says(b.row(2), "batched", "Sure.", 0.0)
    mode = compare(a, b).modes[0]
    assert mode.solo.text_changes.count == 0
    assert mode.batched.text_changes.count == 1
    assert (mode.batched.up, mode.batched.down) == (0, 1)


def test_a_state_without_a_score_is_another_label(a, b):
    says(b.row(0), "solo", "?", None)
    assert compare(a, b).modes[0].solo.label_changes.count == 1


def test_one_prompt_in_two_batches_is_one_prompt_that_changed_alone(a, b):
    for run in (a, b):
        for mode in MODES:
            run.row(0, mode)["prompt_sha256"] = run.row(1, mode)["prompt_sha256"]
            run.row(0, mode).update(sample_id="s1", batch_size=8)
    for row in b.rows[:2]:
        says(row, "solo", "No.", 1.0)
    mode = compare(a, b).modes[0]
    assert mode.solo.text_changes.count == 2
    assert mode.prompts.solo_text_changes.count == 1


def test_records_are_matched_by_candidate_and_not_by_line(a, b):
    b.flip(3)
    random.Random(0).shuffle(b.rows)
    (change,) = compare(a, b).modes[0].changes
    assert change.key[2] == "s3"
    assert json.loads(b.records.read_text().splitlines()[change.line_b - 1])["sample_id"] == "s3"


def test_a_record_that_failed_on_one_side_is_not_counted(a, b):
    b.row(0).update(status="error", error="timeout", solo_score=None, batch_score=None)
    mode = compare(a, b).modes[0]
    assert (mode.candidates, mode.n, mode.errors_a, mode.errors_b) == (4, 3, 0, 1)


def test_what_asking_again_changed_stands_beside_what_changed(a, b):
    b.row(0)["solo_repeats"][0]["text"] = "something else"
    mode = compare(a, b).modes[0]
    assert mode.noise_floor.a.solo.text_changes.count == 0
    assert mode.noise_floor.b.solo.text_changes.count == 1


def test_breakdowns_add_up_to_the_whole(a, b):
    b.flip(0)
    b.flip(1)
    b.row(1)["model"] = a.row(1)["model"] = "other"
    for run in (a, b):
        run.row(1, "batch_invariant")["model"] = "other"
    mode = compare(a, b).modes[0]
    assert {e.value: e.appeared for e in mode.breakdowns.model} == {"m": 1, "other": 1}


# one mode against another of one run


def test_two_modes_of_one_run_give_the_summarys_paired_table(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in study_records()))
    side = read_side(path)
    (mode,) = compare_runs(side, side, mode_a=STANDARD, mode_b=INVARIANT).modes
    summary = summarise_run(path).paired
    for endpoint in Endpoint:
        assert astuple(mode.of(endpoint).paired) == astuple(summary.of(endpoint))[:-1]
    assert mode.label_flips.paired.p_two_sided == 2 * 0.5**22


OUTCOMES = st.lists(st.tuples(*[st.booleans()] * 4), min_size=1, max_size=12)


@settings(max_examples=15)  # each writes two runs
@given(OUTCOMES)
def test_any_two_modes_give_the_summarys_paired_table(outcomes):
    with tempfile.TemporaryDirectory() as folder:
        run = MadeRun(Path(folder) / "run", candidates=len(outcomes))
        for number, flips in enumerate(outcomes):
            for mode, flipped in zip(MODES, flips, strict=False):
                if flipped:
                    run.flip(number, mode)
        path = run.write()
        side = read_side(path)
        (mode,) = compare_runs(side, side, mode_a=STANDARD, mode_b=INVARIANT).modes
        summary = summarise_run(path)
    for endpoint in Endpoint:
        assert astuple(mode.of(endpoint).paired) == astuple(summary.paired.of(endpoint))[:-1]
    assert mode.solo.text_changes.count == 0


@settings(max_examples=15)  # each writes two runs
@given(OUTCOMES)
def test_exchanging_the_sides_exchanges_new_and_gone(outcomes):
    with tempfile.TemporaryDirectory() as folder:
        runs = [MadeRun(Path(folder) / name, candidates=len(outcomes)) for name in "ab"]
        for number, flips in enumerate(outcomes):
            for (run, mode), flipped in zip(
                [(run, mode) for run in runs for mode in MODES], flips, strict=True
            ):
                if flipped:
                    run.flip(number, mode)
        one, other = (read_side(run.write()) for run in runs)
        there, back = compare_runs(one, other), compare_runs(other, one)
    for mode, again in zip(there.modes, back.modes, strict=True):
        forth, reverse = mode.label_flips, again.label_flips
        assert (forth.appeared, forth.vanished) == (reverse.vanished, reverse.appeared)
        assert forth.stayed == reverse.stayed
        assert forth.paired.p_two_sided == reverse.paired.p_two_sided


def test_one_run_against_itself_is_refused_because_it_would_always_pass(a):
    side = read_side(a.write())
    with pytest.raises(UsageError, match="set against itself"):
        compare_runs(side, side)


def test_one_mode_chosen_is_that_mode_on_both_sides(a, b):
    assert [mode.title for mode in compare(a, b, mode_b=INVARIANT).modes] == ["batch_invariant"]


# what is refused


def test_other_candidates_are_refused_with_the_first_and_the_way_out(a, b):
    b.rows = [row for row in b.rows if row["sample_id"] != "s1"]
    message = refused(a, b)
    assert message.startswith(f"{a.records}:2: other candidates: 1 are only in A and 0 only in B")
    assert "m t/s1 batch 4 synchronized" in message
    assert "--allow-subset compares only what both have, here 3" in message


def test_a_subset_is_compared_when_it_is_allowed_and_says_how_many(a, b):
    b.rows = [row for row in b.rows if row["sample_id"] != "s1"]
    comparison = compare(a, b, allow_subset=True)
    assert comparison.modes[0].candidates == 3
    assert "standard: 3 candidates compared, 1 only in A, 0 only in B" in comparison.left_out


def test_runs_without_a_common_candidate_have_no_subset(a, b):
    for row in b.rows:
        row["model"] = "another"
    assert "runs of other candidates" in refused(a, b, allow_subset=True)


def test_a_mode_that_one_run_lacks_is_refused(a, tmp_path):
    b = MadeRun(tmp_path / "b", modes=("standard",))
    assert "no record in mode batch_invariant" in refused(a, b)
    comparison = compare(a, b, allow_subset=True)
    assert comparison.left_out == ("mode batch_invariant is only in A",)


def test_runs_without_a_common_mode_say_how_to_set_one_against_the_other(tmp_path):
    a = MadeRun(tmp_path / "a", modes=("standard",))
    b = MadeRun(tmp_path / "b", modes=("batch_invariant",))
    assert "--mode-a M --mode-b M" in refused(a, b)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("prompt_sha256", "other", "another prompt"),
        ("group", ["t/s9", "t/s1", "t/s2", "t/s3"], "another batch"),
        ("target_index", 3, "another batch"),
        ("sampling", {"max_tokens": 65, "temperature": 0.0, "seed": 42}, "another sampling"),
        ("score_profile", "paper", "another score profile"),
    ],
)
def test_records_that_were_asked_or_scored_otherwise_are_refused(a, b, key, value, words):
    b.row(2)[key] = value
    message = refused(a, b)
    assert message.startswith(f"{b.records}:3: not comparable, {words}: m t/s2 batch 4")
    assert f"in {a.records}:3; 1 of 4 candidates differ" in message


def test_the_same_text_with_another_score_is_refused_as_another_scorer(a, b):
    row = b.row(1)
    row["solo_score"], row["solo_label"] = 0.5, "partial"
    assert "another score for the same text" in refused(a, b)


def test_a_batch_that_is_only_written_otherwise_is_the_same(a, b):
    a.write(), b.write()
    rows = [json.loads(line) for line in b.records.read_text().splitlines()]
    spaced = [json.dumps(row, separators=(" , ", " : ")) for row in rows]
    b.records.write_text("\n".join(spaced) + "\n")
    comparison = compare_runs(read_side(a.folder), read_side(b.folder))
    assert comparison.not_checked == ()


def test_a_run_that_was_cut_is_incomplete(a):
    a.write()
    a.records.write_text(a.records.read_text()[:-20])
    with pytest.raises(IncompleteRun, match="truncated"):
        read_side(a.folder)


def test_a_candidate_that_is_recorded_twice_is_refused(a):
    a.rows.append(dict(a.rows[0]))
    with pytest.raises(UsageError, match="already recorded"):
        read_side(a.write())


# files from elsewhere


def test_files_with_the_required_columns_are_compared_and_say_what_was_not_checked(a, b):
    b.flip(0)
    comparison = compare_runs(read_side(a.write_foreign()), read_side(b.write_foreign()))
    assert comparison.modes[0].label_flips.appeared == 1
    assert [note.split(":")[0] for note in comparison.not_checked] == [
        "prompts (prompt_sha256)",
        "batches (group, target_index)",
        "sampling",
        "score profile",
        "stack and settings",
        "which kernels ran",
    ]


# the stacks


def differences(comparison) -> dict[str, tuple[str, str]]:
    return {f"{d.part} {d.name}": (d.a, d.b) for d in comparison.stack}


def test_equal_stacks_have_no_difference(a, b):
    b.metadata["resolved_spec"]["server"]["port"] = 9000
    b.metadata["resolved_spec"]["name"] = "other"
    assert compare(a, b).stack == ()


def test_versions_image_device_and_settings_that_differ_are_named(a, b):
    b.metadata["versions"] |= {"vllm": "0.32.0", "torch": "2.11.0"}
    a.metadata["image"] = {"requested": "vllm:0.30", "digest": "sha256:a"}
    b.metadata["image"] = {"requested": "vllm:0.32", "digest": "sha256:b"}
    b.metadata["device"]["name"] = "NVIDIA H200"
    b.metadata["resolved_spec"]["controls"]["prefix_caching"] = "on"
    comparison = compare(a, b)
    assert differences(comparison) == {
        "versions vllm": ("0.30.0", "0.32.0"),
        "versions torch": ("2.10.0", "2.11.0"),
        "image requested": ("vllm:0.30", "vllm:0.32"),
        "image digest": ("sha256:a", "sha256:b"),
        "device device.name": ("NVIDIA H100 80GB HBM3", "NVIDIA H200"),
        "settings controls.prefix_caching": ("off", "on"),
    }
    assert "vllm 0.30.0 → 0.32.0, torch 2.10.0 → 2.11.0" in comparison_lines(comparison)


def test_a_setting_that_is_empty_is_as_good_as_one_that_is_not_there(a, b):
    b.metadata["resolved_spec"]["server"]["volumes"] = []
    assert compare(a, b).stack == ()


def test_a_file_without_metadata_differs_in_nothing_that_could_be_compared(a, b):
    comparison = compare_runs(read_side(a.write()), read_side(b.write_foreign()))
    assert comparison.stack == ()
    assert "stack and settings: no metadata.json beside B" in comparison.not_checked


def test_what_one_server_was_given_otherwise_is_named_with_that_server(a, b):
    facts = {"arguments": {"dtype": "bfloat16", "port": 8001}}
    b.attempts["standard"] = [attempt("clean", facts=facts)]
    (difference,) = compare(a, b).stack
    assert (difference.name, difference.where) == ("arguments.dtype", "m, standard")


def test_the_mode_itself_is_no_difference_between_modes(a):
    side = read_side(a.write())
    assert compare_runs(side, side, mode_a=STANDARD, mode_b=INVARIANT).stack == ()


def test_of_a_long_setting_only_what_differs_is_shown(a, b):
    for run, level in ((a, 1), (b, 2)):
        long = ", ".join(f"'key_{n}': {n}" for n in range(100)) + f", 'level': {level}"
        for attempts in run.attempts.values():
            attempts[0]["facts"]["compilation"] = long
    (difference,) = compare(a, b).stack
    assert (difference.a, difference.b) == ("… 'level': 1 …", "… 'level': 2 …")


# proof


def test_a_server_whose_mode_is_not_proven_is_named(a, b):
    b.attempts["standard"] = [attempt("inconclusive")]
    assert compare(a, b).b.unproven == ("b: startup_standard_m.json: start 1 is inconclusive",)


def test_a_mode_that_is_not_compared_needs_no_proof(a, b):
    b.attempts["standard"] = [attempt("inconclusive")]
    assert compare(a, b, mode_a=INVARIANT).b.unproven == ()


def test_records_without_a_start_are_not_proven(a, b):
    del b.attempts["standard"]
    (unproven,) = compare(a, b).b.unproven
    assert "m in mode standard has no start that gave its records" in unproven
