"""For every check a command that mends what it refuses, or a reason that none could mend."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest
from causes import CAUSES
from sealing import seal
from stand_in_run import stand_in

from harness.analyse import MENDS, Mend, standing, validate_run
from harness.analyse.checks import OF_RECORDS
from harness.analyse.evidence_checks import OF_EVIDENCE
from harness.analyse.file_checks import OF_FILES
from harness.analyse.log_checks import OF_LOGS
from harness.analyse.run_checks import OF_RUNS
from harness.conduct import RunProgress, conductor
from harness.conduct.startups import parity_of_modes, seal_logs, supersede
from harness.errors import UsageError
from harness.files import sha256_of
from harness.plan import Plan
from harness.prove import read_facts
from harness.records import RunFolder, read_run_files
from harness.records.run_files import RUN_FIELDS, SUPERSEDED

DOCS = Path(__file__).parents[2] / "docs/records.md"
CHECKS = {*OF_RECORDS, *OF_RUNS, *OF_EVIDENCE, *OF_FILES, *OF_LOGS}
REFUSED = {Mend.ASK_AGAIN, Mend.START_ANEW}


def told():
    """The table of the page: a check and what mends it."""
    text = DOCS.read_text("utf-8").partition("## What mends a run")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+) \| `(\w+)`", text, re.MULTILINE)
    return {name: mend for names, mend in rows for name in re.findall(r"`(\w+)`", names)}


def test_the_page_tells_of_every_check_what_mends_it():
    assert told() == {name: str(mend) for name, mend in MENDS.items()}
    assert set(told()) == CHECKS


def test_the_page_tells_of_every_check_where_it_fails():
    text = DOCS.read_text("utf-8").partition("## The checks of a run")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", text)) >= CHECKS


def test_every_check_that_may_fail_is_seen_to_fail():
    may_fail = {name for name, mend in MENDS.items() if mend is not Mend.FAILS_NEVER}
    assert {cause.check for cause in CAUSES.values() if not cause.claims} == may_fail


def test_every_check_that_may_fail_names_a_command():
    for name, mend in MENDS.items():
        assert bool(mend.remedy) is (mend is not Mend.FAILS_NEVER), name


ONE_OF_EACH = {c.check: name for name, c in reversed(CAUSES.items()) if not c.claims}


@pytest.mark.parametrize("name", sorted(ONE_OF_EACH.values()))
def test_what_a_check_refuses_is_mended_by_the_command_that_is_named(name, tmp_path):
    cause = CAUSES[name]
    run = stand_in(**cause.shape)
    cause.plant(run, Random(name))
    if cause.check not in ("plan_as_recorded", "plan_made_again"):
        run.replan()
    path = run.write(tmp_path / "run")
    mend, before = MENDS[cause.check], standing(path)
    told = {one.check: one.remedy for one in validate_run(path).failures}
    failing = set(told)
    assert cause.check in failing
    hopeless = {one.check for one in before.hopeless}
    if Mend.GO_ON in (mend, *(kind for kind in Mend if kind.remedy == told[cause.check])):
        assert cause.check not in hopeless
        return
    if cause.check in hopeless:  # refused at once, and no command is named in vain
        assert {one.remedy for one in before.hopeless} == {Mend.START_ANEW.remedy}
        return
    assert mend is Mend.ASK_AGAIN
    with RunFolder(path) as folder:
        conductor._set_aside(Plan(()), folder)
    still = {one.check for one in validate_run(path).failures}
    assert cause.check not in still
    empty = {"records_readable"} if not (path / "vllm_records.jsonl").stat().st_size else set()
    assert {MENDS[check] for check in still - failing - empty} <= {Mend.GO_ON}


def test_a_check_that_no_command_mends_is_never_said_to_be_mended():
    anew = {cause.check for cause in CAUSES.values() if MENDS[cause.check] is Mend.START_ANEW}
    assert anew == {
        "asked_apart",
        "asked_as_logged",
        "asked_as_specified",
        "facts_as_logged",
        "mode_parity",
        "one_run",
        "one_server_build",
        "plan_as_recorded",
        "plan_made_again",
        "same_prompt_batch_and_sampling",
        "schedules_as_logged",
        "schemas_known",
        "servers_as_logged",
        "servers_compute",
        "settings_as_served",
        "settings_recorded",
        "still_counts",
    }


@pytest.mark.parametrize("kept", [True, False], ids=["emptied", "removed"])
def test_a_run_whose_records_are_all_gone_is_refused_before_anything_is_asked(kept, tmp_path):
    path = stand_in().write(tmp_path / "planted")
    records = path / "vllm_records.jsonl"
    records.write_bytes(b"") if kept else records.unlink()
    with RunFolder(path) as folder, pytest.raises(UsageError) as refused:
        conductor._insist_on_hope(folder, RunProgress(), retry_errors=True)
    assert ("asked_as_logged" if kept else "vllm_records.jsonl") in str(refused.value)


@pytest.mark.parametrize("gave", [1, 0])
def test_only_a_run_that_was_cut_before_its_first_record_goes_on(gave, tmp_path):
    path = stand_in().write(tmp_path / "planted")
    (path / "vllm_records.jsonl").unlink()
    for name in path.glob("startup_*.json"):
        starts = json.loads(name.read_bytes())
        for one in starts["attempts"]:
            one["records"] = gave
        seal(name, starts)
    refusal = pytest.raises(UsageError, match=r"vllm_records\.jsonl") if gave else nullcontext()
    with RunFolder(path) as folder, refusal:
        conductor._insist_on_hope(folder, RunProgress(), retry_errors=False)


def test_records_that_one_server_gave_are_not_made_up_for_by_lines_of_another(tmp_path):
    path = stand_in().write(tmp_path / "run")
    records = path / "vllm_records.jsonl"
    lines = records.read_bytes().splitlines(keepends=True)
    records.write_bytes(b"")
    (path / SUPERSEDED).write_bytes(b"".join(lines[:-1]))
    assert "asked_as_logged" in {one.check for one in standing(path).hopeless}
    (path / SUPERSEDED).write_bytes(b"".join(lines))
    assert "asked_as_logged" not in {one.check for one in standing(path).hopeless}


@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_server_that_counted_an_answer_forbids_no_mend_of_its_damaged_line(
    damage, which, tmp_path
):
    run = stand_in()
    run.log_steps()
    path = run.write(tmp_path / "run")
    records = path / "vllm_records.jsonl"
    lines = records.read_bytes().splitlines(keepends=True)
    end = b"" if which else b"\n"
    left = {"changed": lines[which].replace(b'"ok"', b'"oj"'), "cut": lines[which][:-9] + end}
    lines[which] = left.get(damage, b"")
    records.write_bytes(b"".join(lines))
    with RunFolder(path) as folder:
        for _ in ("before it is set aside", "and after"):
            hopeless = {one.check for one in standing(path).hopeless}
            assert hopeless == ({"asked_as_logged"} if damage == "gone" else set())
            folder.mend_tail()
            conductor._set_aside(Plan(()), folder)


def test_a_check_that_names_neither_line_nor_server_is_said_to_be_mended_by_nothing(tmp_path):
    run = stand_in()
    started = run.starts("standard")[0]["process"]["started"]
    run.starts("batch_invariant")[0]["process"]["started"] = started
    path = run.write(tmp_path / "run")
    told = {one.check: one for one in validate_run(path).failures}
    assert "were answered by one process" in told["own_server"].message
    assert told["own_server"].remedy == Mend.START_ANEW.remedy
    assert "own_server" in {one.check for one in standing(path).hopeless}


def test_a_new_run_is_the_first_step_where_a_check_has_no_other(tmp_path):
    run = stand_in()
    run.rows[0]["status"], run.rows[0]["error"] = "error", "the request failed"
    run.metadata["does_not_count"] = "the image was moved"
    reasons = validate_run(run.write(tmp_path / "run")).reasons
    assert len(reasons) > 1
    assert reasons[0].startswith("still_counts: ")
    assert Mend.START_ANEW.remedy in reasons[0]
    named = [mend for mend in (Mend.ASK_AGAIN, Mend.GO_ON) if mend.remedy in " ".join(reasons)]
    assert not named
    del run.metadata["does_not_count"]
    again = " ".join(validate_run(run.write(tmp_path / "again")).reasons)
    assert Mend.ASK_AGAIN.remedy in again
    assert Mend.START_ANEW.remedy not in again


@pytest.mark.parametrize(("schedules", "told"), [(("staggered",), True), (("gated",), False)])
def test_a_batch_that_never_met_without_a_gate_is_told_with_what_has_it_meet(
    schedules, told, tmp_path
):
    run = stand_in(schedules=schedules)
    for row in run.of("standard"):
        row["witness"]["B"] |= {"admitted_first_step": 1, "shared_decode_share": 0.0}
        row["witness"]["B"]["mixed_steps"] = 0
    found = {one.check: one.message for one in validate_run(run.write(tmp_path / "r")).failures}
    said = found["batches_shared_steps"]
    assert ("a shorter --stagger-ms or longer answers, in a new run" in said) is told


DAMAGED = {
    "prompt_hashes.jsonl": Mend.GO_ON.remedy,
    "selected_candidates.jsonl": "the same `harness run` writes it anew",
    "startup_standard_llama.json": "with --retry-errors asks its server's records again",
    "metadata.json": "no command makes it anew",
}


@pytest.mark.parametrize("name", ["prompt_hashes.jsonl", "selected_candidates.jsonl"])
@pytest.mark.parametrize("how", ["doubled", "in another order", "left out"])
def test_lines_of_the_plan_that_were_changed_are_written_anew_and_refuse_no_run(
    name, how, tmp_path
):
    path = stand_in().write(tmp_path / "planted")
    first, *rest = (path / name).read_bytes().splitlines(keepends=True)
    lines = {"doubled": [first, first], "in another order": [], "left out": []}[how] + rest
    lines += [first] if how == "in another order" else []
    (path / name).write_bytes(b"".join(lines))
    told = {one.check: one.remedy for one in validate_run(path).failures}
    assert told
    assert set(told.values()) == {Mend.GO_ON.remedy}
    assert not standing(path).hopeless


@pytest.mark.parametrize("data", [b'{"half', b'{"\xff": 1}\n'])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_of_a_run_is_told_with_what_mends_it(name, data, tmp_path):
    path = stand_in().write(tmp_path / "planted")
    (path / name).write_bytes(data)
    try:
        (failure,) = validate_run(path).failures
        assert name in failure.message
        said = failure.remedy
    except UsageError as error:
        said = str(error)
    assert DAMAGED[name] in said
    assert "plan_made_again" not in {one.check for one in hopeless(path)}


@pytest.mark.parametrize("kind", ["folder", "circle"])
@pytest.mark.parametrize("name", [*DAMAGED, "vllm_records.jsonl"])
def test_what_is_in_the_place_of_a_file_of_a_run_is_to_be_moved_before_anything(
    name, kind, tmp_path
):
    path = stand_in().write(tmp_path / "planted")
    (path / name).unlink()
    (path / name).mkdir() if kind == "folder" else (path / name).symlink_to(name)
    try:
        said = " ".join(validate_run(path).reasons)
    except UsageError as error:
        said = str(error)
    assert name in said
    step = {"folder": "a folder is in the way: move it", "circle": "remove the one in the way"}
    assert step[kind] in said or "move it away, and the same" in said
    assert DAMAGED.get(name, "") in said
    assert "disk" not in said


def hopeless(path):
    """What no command mends; nothing where the run cannot be read at all."""
    with suppress(UsageError):
        return standing(path).hopeless
    return ()


def test_a_server_whose_start_up_file_is_gone_has_its_records_asked_again(tmp_path):
    path = stand_in().write(tmp_path / "planted")
    (path / "startup_standard_llama.json").unlink()
    assert not standing(path).hopeless
    with RunFolder(path) as folder:
        conductor._set_aside(Plan(()), folder)
        assert {record.mode for record in folder.records()} == {"batch_invariant"}


@pytest.mark.parametrize("told", [{}, [], {"attempts": [1]}, {"schema_version": 1}])
def test_a_start_up_file_that_no_session_goes_on_with_is_kept_aside(told, tmp_path):
    path = stand_in().write(tmp_path / "planted")
    name = "startup_standard_llama.json"
    (path / name).write_text(json.dumps(told))
    with RunFolder(path) as folder:
        seal_logs(folder)  # which is no place to refuse it
        supersede(folder, name)
    assert json.loads((path / f"{name}.damaged").read_text()) == told
    assert not (path / name).exists()


def test_a_copy_of_a_start_up_file_is_read_by_nobody(tmp_path):
    path = stand_in().write(tmp_path / "planted")
    name = "startup_standard_llama.json"
    told = json.loads((path / name).read_text())
    before, judged = standing(path), read_run_files(path).judged_files()
    open_ = {**told["attempts"][-1], "ended_at": None, "log_sha256": None}
    copy = path / "startup_standard_llama.old.json"
    copy.write_text(json.dumps({**told, "attempts": [{**open_, "verdict": "contaminated"}]}))
    as_copied = copy.read_bytes()
    assert standing(path) == before
    assert read_run_files(path).judged_files() == judged
    with RunFolder(path) as folder:
        seal_logs(folder)
    assert copy.read_bytes() == as_copied


def test_a_start_up_file_of_another_model_is_kept_aside_and_its_records_are_asked_again(tmp_path):
    path = stand_in().write(tmp_path / "planted")
    name = "startup_standard_llama.json"
    told = json.loads((path / name).read_text())
    seal(path / name, {**told, "model": "lama"})
    with RunFolder(path) as folder:
        conductor._set_aside(Plan(()), folder)
        assert {record.mode for record in folder.records()} == {"batch_invariant"}
    assert json.loads((path / f"{name}.damaged").read_text())["model"] == "lama"
    assert not (path / name).exists()


def test_the_modes_are_compared_by_logs_that_are_what_their_servers_wrote(tmp_path):
    path = stand_in().write(tmp_path / "planted")
    file = path / "startup_standard_llama.json"
    starts = json.loads(file.read_text())
    log = path / starts["attempts"][-1]["log"]
    starts["attempts"][-1]["log_sha256"] = sha256_of(log)
    starts["attempts"][-1]["facts"] = asdict(read_facts(log.read_text()))
    seal(file, starts)
    with RunFolder(path) as folder:
        before = parity_of_modes(folder, ["llama"])
        assert set(before) == {"llama"}
        for harm in ("[" * 2000, "", log.read_text()[:99]):
            log.write_text(harm)
            assert parity_of_modes(folder, ["llama"]) == before
        log.unlink()
        assert parity_of_modes(folder, ["llama"]) == before


@pytest.mark.parametrize("name", sorted(RUN_FIELDS))
def test_metadata_that_lost_a_field_are_damaged_before_the_same_command_says_so(name, tmp_path):
    path = stand_in().write(tmp_path / "planted")
    told = json.loads((path / "metadata.json").read_text())
    damaged = {key + "_" * (key == name): value for key, value in told.items()}
    seal(path / "metadata.json", damaged)
    with pytest.raises(UsageError, match=f"damaged: a run of this form tells {name}") as refused:
        validate_run(path)
    assert "--fresh" in str(refused.value)
