"""What makes a run countable: each defect fails its check and says why."""

import json
from hashlib import sha256
from itertools import count

import pytest
from stand_in_server import judged, log_of, proof_of

from harness.analyse.validate import Mend, ModeCounts, validate_run
from harness.cli import main
from harness.words import Mode

MODES = ("standard", "batch_invariant")
REQUIRED = [
    "model",
    "task_name",
    "sample_id",
    "batch_size",
    "dispatch_mode",
    "phase",
    "domain",
    "original_direction",
    "mode",
    "status",
    "solo_score",
    "batch_score",
    "solo_response_hash",
    "batch_response_hash",
]


_TIMES = count()


def _answer(text):
    return {
        "text": text,
        "token_ids": [1, 2],
        "finish_reason": "stop",
        "latency_s": 0.1 + next(_TIMES) / 1000,
        "attempts": 1,
        "score": 1.0,
        "label": "refused",
    }


def _record(number, mode):
    text = sha256(b"I cannot do that.").hexdigest()
    return {
        "schema_version": 1,
        "run_id": "run",
        "record_id": f"{number}-{mode}",
        "model": "m",
        "hf_id": "org/m",
        "task_name": "t",
        "sample_id": f"s{number}",
        "batch_size": 4,
        "dispatch_mode": "synchronized",
        "phase": "phase1",
        "domain": "safety",
        "original_direction": "refuse_to_comply",
        "mode": mode,
        "status": "ok",
        "error": None,
        "prompt_sha256": f"prompt {number}",
        "group": ["t/s0", "t/s1", "t/s2", "t/s3"],
        "target_index": number % 4,
        "solo_score": 1.0,
        "batch_score": 1.0,
        "solo_label": "refused",
        "batch_label": "refused",
        "solo_response_hash": text,
        "batch_response_hash": text,
        "label_flip": False,
        "text_change": False,
        "solo": _answer("I cannot do that."),
        "batched": _answer("I cannot do that."),
        "solo_repeats": [_answer("I cannot do that.")],
        "batched_repeats": [],
        "sampling": {"max_tokens": 256, "temperature": 0.0, "seed": 42},
        "score_profile": "strict",
        "extra": {},
        "witness": {
            "S0": {
                "steps": 2,
                "admitted_first_step": 1,
                "shared_decode_share": 0.0,
                "source": "log",
            },
            "S1": {
                "steps": 2,
                "admitted_first_step": 1,
                "shared_decode_share": 0.0,
                "source": "log",
            },
            "B": {
                "steps": 2,
                "admitted_first_step": 4,
                "shared_decode_share": 1.0,
                "source": "log",
            },
        },
    }


STEPS = "".join(
    f"(EngineCore pid=2) INFO 11-28 00:00:01 [core.py:359] Iteration(0): {begun} context requests, "
    f"{begun} context tokens, {decoding} generation requests, {decoding} generation tokens\n"
    for begun, decoding in ((1, 0), (0, 1), (4, 0), (0, 4))
)
"""Of a prompt alone, and of four in a batch; each has two tokens."""
LOGS = {
    verdict: log_of(mode) + STEPS for verdict, mode in zip(("clean", "active"), MODES, strict=True)
}


def _attempt(verdict, **more):
    """One start; a verdict that proves no mode is told of the standard server."""
    mode, told = MODES[verdict == "active"], {"verdict": verdict}
    log = "active" if mode == "batch_invariant" else "clean"
    attempt = {
        "ready_after_s": 3.0,
        "server": {"docker": {"image_id": "sha256:aaa"}},
        "error": None,
        "log": f"{log}.log",
        "log_sha256": sha256(LOGS[log].encode()).hexdigest(),
        "strangers": [],
        "worker_proof": proof_of(mode),
    }
    return attempt | judged(LOGS[log], mode) | told | more


class Run:
    """A run folder that a test can damage before it is validated."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = [_record(n, mode) for mode in MODES for n in range(4)]
        self.attempts = {"standard": [_attempt("clean")], "batch_invariant": [_attempt("active")]}
        self.metadata = {
            "resolved_spec": {
                "modes": list(MODES),
                "expect": {"rows_per_mode": 4},
                "controls": {"prefix_caching": "server_default"},
            },
            "device": {"kind": "cuda"},
            "sessions": [{"started_at": "t", "ended_at": "t", "exit": 0}],
            "complete": True,
            "mode_parity": {"m": []},
        }
        self.tail = ""

    @property
    def records(self):
        return self.folder / "vllm_records.jsonl"

    def write(self):
        lines = "".join(json.dumps(row) + "\n" for row in self.rows)
        self.records.write_text(lines + self.tail)
        (self.folder / "metadata.json").write_text(json.dumps(self.metadata))
        keys = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
        selected = [{key: _record(n, "standard")[key] for key in keys} for n in range(4)]
        candidates = "".join(json.dumps(row) + "\n" for row in selected)
        (self.folder / "selected_candidates.jsonl").write_text(candidates)
        for verdict, log in LOGS.items():
            (self.folder / f"{verdict}.log").write_text(log)
        for mode, attempts in self.attempts.items():
            startup = {"schema_version": 1, "model": "m", "mode": mode, "attempts": attempts}
            (self.folder / f"startup_{mode}_m.json").write_text(json.dumps(startup))
        return self.folder

    def validate(self, **flags):
        return validate_run(self.write(), **flags)

    def failures(self, **flags):
        return {finding.check: finding.message for finding in self.validate(**flags).failures}

    def statuses(self, **flags):
        return {finding.check: str(finding.status) for finding in self.validate(**flags).findings}


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_a_complete_run_passes_every_check(run):
    # these look at what records of schema 2 hold more: tests/invalid plants faults for them
    newer = {"batch_as_planned", "one_dispatch_a_batch", "every_asking_asked"}
    newer |= {"companions_warmed", "asked_as_specified", "every_record_has_a_lifetime"}
    newer |= {"plan_made_again", "lines_sealed", "ids_are_of_their_candidates"}
    newer |= {"schedules_as_logged"}
    newer |= {"batches_repeat", "companions_keep_their_answers", "same_cache_for_s1_and_b"}
    found = run.statuses()
    assert found.pop("changes_could_be_seen") == "warning"  # without S1 no change is shown
    assert {name for name, status in found.items() if status != "ok"} == newer
    assert {found[name] for name in newer} == {"not_checked"}


def test_the_studys_counts_are_reported(run):
    validation = run.validate()
    assert (validation.n_records, validation.n_ok, validation.startup_error_count) == (8, 8, 0)
    assert validation.by_mode[Mode.STANDARD] == ModeCounts(records=4, ok=4, errors=0)


def test_one_row_more_than_there_is_fails(run):
    assert run.failures(expected_rows_per_mode=5) == {
        "rows_per_mode": "standard has 4 records, not 5; batch_invariant has 4 records, not 5"
    }


def test_the_specs_own_row_count_is_expected_without_flags(run):
    run.metadata["resolved_spec"]["expect"]["rows_per_mode"] = 55
    assert "not 55" in run.failures()["rows_per_mode"]


def test_without_a_row_count_the_number_of_candidates_is_expected(run):
    run.metadata["resolved_spec"]["expect"] = {}
    assert run.validate().expected.rows_per_mode == 4


def test_a_missing_mode_fails(run):
    run.rows = run.rows[:4]
    assert run.failures()["modes_present"] == "no record in mode batch_invariant"


def test_a_removed_line_is_named(run):
    del run.rows[1]
    failed = run.failures()
    assert (
        "m t/s1 batch 4 synchronized has no record in mode standard"
        in (failed["every_candidate_in_both_modes"])
    )
    assert "standard has 3 records" in failed["rows_per_mode"]


def test_a_candidate_missing_from_both_modes_is_named(run):
    run.rows = [row for row in run.rows if row["sample_id"] != "s2"]
    assert "m t/s2" in run.failures()["every_selected_candidate"]


def test_a_candidate_that_nobody_selected_is_named(run):
    run.rows += [_record(9, mode) for mode in MODES]
    assert (
        "m t/s9 batch 4 synchronized was not selected"
        in (run.failures()["every_selected_candidate"])
    )


def test_a_duplicate_is_named_with_both_lines(run):
    run.rows.append(run.rows[2])
    assert "lines 3 and 9" in run.failures()["no_duplicates"]


def test_a_truncated_last_line_is_called_so(run):
    run.tail = json.dumps(run.rows.pop())[:200]
    assert "line 8: the last line is truncated" in run.failures()["last_line_whole"]


def test_a_line_that_is_no_record_is_named(run):
    run.tail = '{"model": "m"}\n'
    assert "line 9: not a record" in run.failures()["records_readable"]


def test_an_empty_file_fails(run):
    run.rows = []
    assert run.failures()["records_readable"] == "the records file is empty"


def test_a_failed_record_is_quoted(run):
    nothing = ("solo_score", "batch_score", "solo_response_hash", "batch_response_hash")
    lost = dict.fromkeys((*nothing, "label_flip", "text_change", "solo", "batched"))
    run.rows[3] |= lost | {"status": "error", "error": "timed out 4 times"}
    assert run.failures()["no_record_errors"] == "1 record failed: line 4: timed out 4 times"


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("prompt_sha256", "another", "prompt"),
        ("group", ["t/s0", "t/s1"], "batch"),
        ("target_index", 3, "batch"),
        ("sampling", {"max_tokens": 8}, "sampling"),
        ("score_profile", "paper", "sampling"),
    ],
)
def test_the_two_modes_must_have_been_asked_the_same(run, key, value, word):
    run.rows[0][key] = value
    assert f"{word} of m t/s0" in run.failures()["same_prompt_batch_and_sampling"]


def test_a_label_flip_must_follow_from_the_scores(run):
    run.rows[5]["label_flip"] = True
    assert "line 6: label_flip" in run.failures()["flags_agree_with_scores_and_hashes"]


def test_a_text_change_must_follow_from_the_hashes(run):
    run.rows[5]["text_change"] = True
    assert "line 6: text_change" in run.failures()["flags_agree_with_scores_and_hashes"]


def test_a_flip_of_the_same_text_is_impossible(run):
    run.rows[0] |= {"batch_score": 0.0, "label_flip": True}
    assert run.failures()["no_flip_without_text_change"] == "the same text has two labels: line 1"


def test_a_text_must_have_its_recorded_hash(run):
    run.rows[0]["solo"]["text"] = "I can do that."
    assert "line 1" in run.failures()["hashes_agree_with_texts"]


def test_an_aborted_answer_fails(run):
    run.rows[0]["batched"]["finish_reason"] = "abort"
    assert "line 1" in run.failures()["answers_finished"]


def test_records_of_two_runs_do_not_mix(run):
    run.rows[0]["run_id"] = "another"
    assert "another; run" in run.failures()["one_run"]


def test_a_batch_that_was_sent_again_is_reported_and_counts(run):
    run.rows[0]["batched"]["attempts"] = 2
    assert run.statuses()["batches_sent_once"] == "warning"


def test_a_repeat_that_changed_is_reported_and_counts(run):
    run.rows[0]["solo_repeats"][0]["text"] = "No."
    assert run.statuses()["noise_floor"] == "warning"


@pytest.mark.parametrize(
    ("mode", "verdict"),
    [
        ("batch_invariant", "inconclusive"),
        ("batch_invariant", "clean"),
        ("standard", "contaminated"),
        ("standard", "active"),
    ],
)
def test_a_mode_that_is_not_proven_fails(run, mode, verdict):
    run.attempts[mode] = [_attempt(verdict)]
    assert f"start 1 is {verdict}" in run.failures()["modes_proven"]


def test_every_start_that_answered_must_be_proven(run):
    died = {"type": "ServerDied", "message": "the server stopped"}
    run.attempts["batch_invariant"].insert(0, _attempt("inconclusive", error=died))
    assert "start 1 is inconclusive" in run.failures()["modes_proven"]


def test_a_start_that_was_given_up_before_any_record_needs_no_proof(run):
    unproven = {"type": "ModeNotProven", "message": "no override line in the log"}
    run.attempts["batch_invariant"].insert(0, _attempt("inconclusive", error=unproven))
    assert run.statuses()["modes_proven"] == "ok"


def test_a_start_that_was_killed_while_it_answered_counts_as_one_that_answered(run):
    run.attempts["standard"] = [_attempt("clean", records=0, ended_at=None)]
    assert run.statuses()["modes_proven"] == "ok"


def test_a_start_that_was_closed_without_a_record_needs_no_proof(run):
    idle = _attempt("inconclusive", records=0, ended_at="t", error={"type": "ServerDied"})
    run.attempts["batch_invariant"].insert(0, idle)
    assert run.statuses()["modes_proven"] == "ok"


def test_a_server_that_did_not_start_is_quoted(run):
    failed = {"type": "StartupFailed", "message": "port 18000 is taken"}
    run.attempts["standard"].append(_attempt("inconclusive", ready_after_s=None, error=failed))
    validation = run.validate()
    assert validation.startup_error_count == 1
    messages = {finding.check: finding.message for finding in validation.failures}
    assert "port 18000 is taken" in messages["no_startup_errors"]


def test_records_without_their_start_up_file_are_not_proven(run):
    del run.attempts["standard"]
    assert "m in mode standard has records and no start-up file" in run.failures()["modes_proven"]


@pytest.mark.parametrize(
    "change",
    [
        {"server": {"docker": {"image_id": "sha256:bbb"}}},
        {"evidence": {"vllm_version": "0.20.2", "device": "cuda"}},
    ],
)
def test_servers_of_two_builds_do_not_make_one_run(run, change):
    run.attempts["batch_invariant"] = [_attempt("active", **change)]
    assert "2 builds" in run.failures()["one_server_build"]


def _parity(**more):
    difference = {"name": "arguments.dtype", "standard": "float16", "invariant": "bfloat16"}
    return {"m": [difference | {"allowed": False, "reason": ""} | more]}


def test_a_setting_that_differs_between_the_modes_fails(run):
    run.metadata["mode_parity"] = _parity()
    assert "m: arguments.dtype is float16 and bfloat16" in run.failures()["mode_parity"]


def test_a_difference_that_the_mode_itself_makes_passes_and_is_named(run):
    run.metadata["mode_parity"] = _parity(allowed=True, reason="the mode turns it off")
    (finding,) = (f for f in run.validate().findings if f.check == "mode_parity")
    assert str(finding.status) == "ok"
    assert "but for arguments.dtype" in finding.message


@pytest.mark.parametrize("parity", [None, {}, "equal"])
def test_without_the_modes_differences_parity_is_not_checked(run, parity):
    run.metadata["mode_parity"] = parity
    for attempts in run.attempts.values():
        attempts[0] |= {"facts": {}, "log": None, "log_sha256": None}
    assert run.statuses()["mode_parity"] == "not_checked"


@pytest.mark.parametrize(("modes", "status"), [(MODES[:1], "ok"), (MODES, "not_checked")])
def test_the_differences_are_due_of_a_model_that_both_modes_were_asked_of(run, modes, status):
    """A run that is interrupted before another model's second server goes on."""
    run.rows += [_record(0, mode) | {"model": "later", "record_id": mode} for mode in modes]
    assert run.statuses()["mode_parity"] == status
    # its servers' start-up files are gone: they are asked again, and compared then
    assert (
        "later in mode standard has records and no start-up file" in run.failures()["modes_proven"]
    )


def test_a_run_that_ended_badly_fails(run):
    run.metadata["complete"] = False
    run.metadata["sessions"].append({"exit": 4, "error": "the server stopped"})
    assert "exit code 4: the server stopped" in run.failures()["run_finished"]


def test_a_run_may_validate_itself_before_its_session_ends(run):
    run.metadata["complete"] = False
    run.metadata["sessions"] = [{"exit": None}]
    assert run.statuses()["run_finished"] == "ok"


def under(run, policy, counters=None, **found):
    """The run under a policy; ``found`` is what an asking took: tokens, and of an earlier one."""
    run.metadata["resolved_spec"]["controls"] = {"prefix_caching": policy}
    for attempts in run.attempts.values():
        attempts[0]["metrics"] = counters or {"prefix_cache_queries": 9.0, "prefix_cache_hits": 0.0}
    for number, row in enumerate(run.rows):
        row["schema_version"] = 2
        row |= {"solo_repeats": None, "batched_repeats": None}
        row["askings"] = {name: _answer("I cannot do that.") for name in ("S1", "S2")}
        answers = {"S0": row["solo"], "B": row["batched"], **row["askings"]}
        for asking, answer in answers.items():
            cached, earlier = found.get(asking, (0, 0)) if number == 2 else (0, 0)
            answer |= {"cached_tokens": cached, "cached_earlier": earlier}
    (finding,) = [f for f in run.validate().findings if f.check == "cache_policy_kept"]
    return str(finding.status), finding.message


FORBIDDING = ["off", "salted", "reset"]
OFF = {"prefix_cache_queries": 0.0, "prefix_cache_hits": 0.0}


@pytest.mark.parametrize("policy", FORBIDDING)
def test_a_policy_under_which_nothing_came_from_an_earlier_asking_was_kept(run, policy):
    status, message = under(run, policy, OFF)
    assert (status, message) == ("ok", f"{policy}: no token of an earlier asking in 32 askings")


@pytest.mark.parametrize("policy", FORBIDDING)
def test_a_policy_that_was_not_kept_is_told_with_record_asking_and_tokens(run, policy):
    status, message = under(run, policy, OFF, S1=(32, 32), B=(48, 16))
    assert status == "failed"
    assert (
        f"the policy {policy} was not kept: line 3, m t/s2 batch 4 synchronized, S1: 32" in message
    )
    assert "B: 16 tokens" in message


def test_what_a_batch_took_from_itself_is_counted_and_breaks_no_policy(run):
    for row in run.rows:
        row["dispatch_mode"] = "prompt_list"
    status, message = under(run, "salted", {"prefix_cache_hits": 48.0}, B=(48, 0))
    assert status == "ok"
    assert "1 took 48 tokens that their own batch had left" in message


def test_under_the_servers_default_the_askings_that_found_something_are_counted(run):
    status, message = under(run, "server_default", S1=(32, 32))
    assert (status, message) == (
        "ok",
        "server_default: 1 of 32 askings took tokens of an earlier asking",
    )


def test_a_cache_that_was_to_be_off_and_is_looked_up_is_on(run):
    status, message = under(run, "off")
    assert status == "failed"
    assert "9 prompt tokens were looked up in a cache that was to be off" in message
    assert "--no-enable-prefix-caching" in message


def test_a_server_that_counts_hits_of_salted_prompts_breaks_the_policy(run):
    counters = {"prefix_cache_queries": 9.0, "prefix_cache_hits": 5.0}
    assert under(run, "salted", counters)[0] == "failed"
    run.metadata["resolved_spec"]["backend"] = "external"  # others may be asking too
    assert under(run, "salted", counters)[0] == "ok"


@pytest.mark.parametrize(
    ("policy", "counters", "ended", "status"),
    [
        ("off", OFF, "t", "ok"),
        ("off", {"prefix_cache_hits": None}, "t", "not_checked"),
        ("off", {"prefix_cache_hits": None}, None, "ok"),  # killed, and its log tells of no cache
        ("salted", OFF, "t", "not_checked"),
        ("reset", OFF, "t", "not_checked"),
    ],
)
def test_what_is_not_known_keeps_no_policy_unless_the_server_shows_it(
    run, policy, counters, ended, status
):
    for attempts in run.attempts.values():
        attempts[0]["ended_at"] = ended
    assert under(run, policy, counters, S0=(None, None))[0] == status


@pytest.fixture
def foreign(run, tmp_path):
    """A file with the required columns only, and nothing beside it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    path = folder / "their_records.jsonl"
    rows = [{key: row[key] for key in REQUIRED} for row in run.rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_foreign_file_passes_and_says_what_was_not_checked(foreign):
    validation = validate_run(
        foreign, require_modes=[Mode(mode) for mode in MODES], expected_rows_per_mode=4
    )
    assert validation.ok
    skipped = {f.check: f.message for f in validation.findings if f.status == "not_checked"}
    assert "not proven" in skipped["modes_proven"]
    assert "startup" in skipped["no_startup_errors"]
    assert {"hashes_agree_with_texts", "answers_finished", "batches_sent_once"} <= set(skipped)


def test_without_expectations_the_row_count_is_not_checked(foreign):
    statuses = {f.check: str(f.status) for f in validate_run(foreign).findings}
    assert statuses["rows_per_mode"] == "not_checked"
    assert statuses["modes_present"] == "not_checked"


def _exit_code(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, arguments)))
    return caught.value.code or 0


FLAGS = ("--require-modes", "standard,batch_invariant", "--expected-rows-per-mode")


def test_the_studys_command_exits_0_and_writes_its_findings(run, capsys):
    assert _exit_code("validate", run.write(), *FLAGS, 4) == 0
    written = json.loads((run.folder / "validation.json").read_text())
    assert written["ok"] is True
    said = capsys.readouterr().out
    assert said.startswith("8 records, 8 ok, 0 start-up errors\n")
    assert "this run counts: no check failed, " in said[said.rindex("\nok ") :]


def test_the_studys_command_exits_1_and_gives_the_reason(run, capsys):
    assert _exit_code("validate", run.write(), *FLAGS, 5) == 1
    said = capsys.readouterr().err
    assert "standard has 4 records, not 5" in said
    assert "goes on with it" not in said
    assert "not kept: the run's own settings ask for 4 records a mode, not 5" in said


def test_what_was_asked_otherwise_than_the_run_says_is_not_kept_as_its_own(run):
    _exit_code("validate", run.write())
    own = (run.folder / "validation.json").read_bytes()
    _exit_code("validate", run.folder, *FLAGS, 5)
    _exit_code("validate", run.folder, "--require-modes", "standard")
    assert (run.folder / "validation.json").read_bytes() == own
    _exit_code("validate", run.folder, *FLAGS, 4)
    assert json.loads((run.folder / "validation.json").read_text())["ok"] is True


def test_json_goes_to_stdout_alone(run, capsys):
    _exit_code("validate", run.write(), "--json")
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_an_unknown_mode_is_a_usage_error(run, capsys):
    assert _exit_code("validate", run.write(), "--require-modes", "turbo") == 2
    assert "standard, batch_invariant" in capsys.readouterr().err


def test_no_run_is_a_usage_error(tmp_path):
    assert _exit_code("validate", tmp_path / "nothing") == 2


def test_a_folder_without_a_run_is_a_usage_error(tmp_path, capsys):
    assert _exit_code("validate", tmp_path) == 2
    assert "vllm_records.jsonl" in capsys.readouterr().err


def test_summarize_writes_its_summary_beside_a_foreign_file(foreign, capsys):
    assert _exit_code("summarize", foreign) == 0
    summary = json.loads((foreign.parent / "summary.json").read_text())
    assert summary["n_records"] == 8
    assert "0/4  (up to" in capsys.readouterr().out


def test_summarize_refuses_a_truncated_file_and_writes_nothing(run, capsys):
    run.tail = json.dumps(run.rows.pop())[:200]
    assert _exit_code("summarize", run.write()) == 2
    assert "vllm_records.jsonl:8: the last line is truncated" in capsys.readouterr().err
    assert not (run.folder / "summary.json").exists()


def test_summarize_takes_another_place_for_its_output(run, tmp_path):
    assert _exit_code("summarize", run.write(), "-o", tmp_path / "numbers.json", "--json") == 0
    assert (tmp_path / "numbers.json").exists()


def test_a_run_whose_proof_was_removed_fails(run):
    folder = run.write()
    for path in folder.glob("startup_*.json"):
        path.unlink()
    (failure,) = validate_run(folder).failures
    assert failure.check == "modes_proven"
    assert "m in mode standard has records and no start-up file" in failure.message


def test_a_run_whose_candidates_were_removed_is_still_counted(run):
    del run.metadata["resolved_spec"]["expect"]
    run.metadata["candidates"] = {"rows": 5}
    (run.write() / "selected_candidates.jsonl").unlink()
    counted, gone = validate_run(run.folder).failures
    assert counted.message == "standard has 4 records, not 5; batch_invariant has 4 records, not 5"
    assert (gone.check, gone.remedy) == ("run_finished", Mend.GO_ON.remedy)
    assert gone.message.startswith("missing, and every run writes it before it asks: selected_cand")


def test_a_score_that_is_not_its_answers_fails(run):
    run.rows[2]["batch_score"], run.rows[2]["label_flip"] = 0.0, True
    run.rows[2]["batch_response_hash"] = run.rows[2]["solo_response_hash"]
    assert "line 3" in run.failures()["scores_agree_with_answers"]


def test_a_label_that_is_not_its_answers_fails(run):
    run.rows[0]["solo_label"] = "complied"
    assert "line 1" in run.failures()["scores_agree_with_answers"]


def test_a_server_log_that_was_changed_or_removed_fails(run):
    folder = run.write()
    (folder / "active.log").write_text("another log")
    (folder / "clean.log").unlink()
    found = {f.check: f.message for f in validate_run(folder).failures}
    assert "active.log" in found["logs_unchanged"]
    assert "clean.log" in found["logs_unchanged"]


STRANGER = "python (pid 7) listens on port 18000 too and does not belong to this server"


@pytest.mark.parametrize("mode", MODES)
def test_a_stranger_on_the_port_fails(run, mode):
    run.attempts[mode][0]["strangers"] = [STRANGER]
    message = f"another may have answered: startup_{mode}_m.json: start 1: {STRANGER}"
    assert run.failures() == {"own_server": message}


def process(started, before, after):
    return {"started": started, "cpu_s_before": before, "cpu_s_after": after}


DIED = {"type": "ServerDied", "message": "exit code -9"}
NOTHING = "its process did nothing while it answered"
UNTOLD = "what its process did until its end is not told"


@pytest.mark.parametrize(
    ("after", "error", "records", "why"),
    [
        (9.0, None, 10, NOTHING),
        (9.0, DIED, 10, NOTHING),
        (9.0, None, 9, None),
        (None, DIED, 10, None),
        (None, None, 1, UNTOLD),
    ],
)
def test_a_process_that_died_cannot_be_asked_what_it_did(run, after, error, records, why):
    told = {"process": process(17.5, 9.0, after), "records": records, "error": error}
    told["ended_at"] = "t"
    run.attempts["standard"][0] |= told
    found = run.failures().get("own_server")
    assert found == (why and f"another may have answered: startup_standard_m.json: {why}")


def test_one_process_for_both_modes_fails(run):
    run.attempts["standard"][0] |= {"started_at": "1", "process": process(17.5, 9.0, 12.0)}
    run.attempts["batch_invariant"][0] |= {"started_at": "2", "process": process(17.5, 12.0, 15.0)}
    assert (
        "standard and batch_invariant were answered by one process"
        in (run.failures()["own_server"])
    )


@pytest.mark.parametrize("other", [process(17.6, 12.0, 15.0), process(17.5, 8.0, 11.0)])
def test_two_processes_are_two_servers(run, other):
    run.attempts["standard"][0] |= {"started_at": "1", "process": process(17.5, 9.0, 12.0)}
    run.attempts["batch_invariant"][0] |= {"started_at": "2", "process": other}
    assert run.failures() == {}


@pytest.mark.parametrize(("began", "failed"), [("10:00:05", False), ("10:00:20", True)])
def test_servers_that_began_in_one_hundredth_of_a_second_are_two_where_both_lived(
    run, began, failed
):
    """The first was ended early, before the second was ready: its work tells nothing."""
    for mode, port, start, end, told in (
        ("standard", 18000, "10:00:05", "10:00:12", process(17.5, 9.0, None)),
        ("batch_invariant", 18001, began, "10:00:40", process(17.5, 9.5, 15.0)),
    ):
        times = {f"{of}_at": f"2026-11-29T{at}" for of, at in (("started", start), ("ended", end))}
        died = DIED if mode == "standard" else None
        run.attempts[mode][0] |= {**times, "process": told, "error": died}
        run.attempts[mode][0]["server"]["port"] = port
    found = run.failures().get("own_server", "")
    assert ("were answered by one process" in found) is failed


@pytest.mark.parametrize(("other_port", "failed"), [(18001, False), (18000, True), (None, True)])
def test_two_servers_that_were_killed_at_once_are_two_by_their_ports(run, other_port, failed):
    """Nobody wrote down when they ended, and both had worked as long when they were ready."""
    for mode, port in (("standard", 18000), ("batch_invariant", other_port)):
        told = {"started_at": "2026-11-29T10:00:05", "ended_at": None, "records": 2}
        run.attempts[mode][0] |= {**told, "process": process(17.5, 9.0, None), "error": DIED}
        run.attempts[mode][0]["server"]["port"] = port
    found = run.failures().get("own_server", "")
    assert ("were answered by one process" in found) is failed


def test_a_run_of_an_earlier_form_says_nothing_of_strangers(run):
    for attempts in run.attempts.values():
        del attempts[0]["strangers"]
    assert run.statuses()["own_server"] == "not_checked"


@pytest.mark.parametrize("verdict", ["contaminated", "inconclusive", "clean"])
def test_workers_that_deny_the_mode_fail(run, verdict):
    run.attempts["batch_invariant"][0]["worker_proof"]["verdict"] = verdict
    assert f"the workers say {verdict}" in run.failures()["workers_agree"]


def test_workers_that_were_asked_of_one_mode_only_fail(run):
    run.attempts["standard"][0]["worker_proof"] = None
    assert "the workers say nothing" in run.failures()["workers_agree"]


@pytest.mark.parametrize(
    ("controls", "backend", "status"),
    [
        ({}, "native", "not_checked"),
        ({"worker_proof": False}, "native", "ok"),
        ({"worker_proof": True}, "native", "failed"),
        ({"worker_proof": True}, "external", "not_checked"),
    ],
)
def test_a_proof_that_was_asked_for_may_not_be_missing(run, controls, backend, status):
    for attempts in run.attempts.values():
        attempts[0]["worker_proof"] = None
    run.metadata["resolved_spec"] |= {"controls": controls, "backend": backend}
    assert run.statuses()["workers_agree"] == status
