"""Valid runs of many kinds: none of them is refused, and none of their checks fails."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from stand_in_run import asked, asking, digest, failed, relog, restate, say, stand_in, tokens_of

from harness.analyse import Mend, validate_run

LIST = {"schedules": ("prompt_list",)}
ALL = {"askings": ("S0", "S1", "B", "B2", "S2")}
SHAPES = {
    **{f"batches of {size}": {"size": size, "prompts": 24} for size in (2, 3, 4, 6, 8, 12, 24)},
    **{f"{n} rows": {"prompts": n} for n in (4, 5, 9, 13, 40)},
    **{
        f"{schedule} alone": {"schedules": (schedule,)}
        for schedule in ("synchronized", "gated", "staggered", "wide", "prompt_list")
    },
    "every schedule": {
        "schedules": ("synchronized", "gated", "staggered", "wide", "prompt_list"),
        "prompts": 20,
    },
    **{
        f"cache {policy}": {"policy": policy}
        for policy in ("off", "on", "salted", "reset", "server_default")
    },
    **{
        f"lists that do not tell cached tokens, cache {policy}": {**LIST, "policy": policy}
        for policy in ("off", "salted", "reset", "server_default")
    },
    "lists that tell cached tokens": {**LIST, "list_tokens": True, "policy": "salted"},
    "two models": {"models": ("llama", "qwen")},
    "three models, two lifetimes": {"models": ("llama", "qwen", "smol"), "lifetimes": 2},
    "two batches a row": ALL,
    "two batches a row, cache on": {**ALL, "policy": "on"},
    "the study's two askings": {"askings": ("S0", "B")},
    "no second solo answer": {"askings": ("S0", "S1", "B")},
    "four ranks": {"ranks": 4},
    "eight ranks, two lifetimes": {"ranks": 8, "lifetimes": 2},
    "no worker proof": {"proof": False},
    "resumed once": {"lifetimes": 2},
    "resumed four times": {"lifetimes": 5},
    "containers": {"backend": "docker"},
    "witness of the metrics": {"source": "metrics"},
    "nothing changes": {"changed": lambda _: False},
    "everything changes": {"changed": lambda _: True},
    "last slice filled up": {"prompts": 10, "size": 4},
    "batch as large as the population": {"prompts": 7, "size": 7},
}


def error_replaced_later(run):
    run.rows.insert(3, failed(run.rows[3], "B: HTTP 503"))


def killed_in_the_middle(run):
    first = run.starts("standard")[0]
    first |= {"records": 0, "ended_at": None, "log_sha256": None}
    first["error"] = None


def killed_after_the_last_records(run):
    for (start,) in map(run.starts, ("standard", "batch_invariant")):
        start |= {"records": 0, "ended_at": None, "metrics": {}}  # the next session seals the log


def clock_set_while_the_run_worked(run, by=-900.0):
    """Between the two servers, as a time service does; the session saw it."""
    (first,), (second,) = run.starts("standard"), run.starts("batch_invariant")
    times = {"started_at": first["started_at"], "ended_at": second["ended_at"], "exit": 0}
    run.metadata["sessions"] = [{**times, "clock_moved_s": abs(by)}]
    for end in ("started_at", "ended_at"):
        then = datetime.fromisoformat(second[end]) + timedelta(seconds=by)
        second[end] = then.isoformat()
    second["process"]["started"] += by


def clock_set_back_before_a_server_that_outlived_the_first(run):
    """By their own times the first one lived while the second did."""
    clock_set_while_the_run_worked(run)
    (second,) = run.starts("batch_invariant")
    second["ended_at"] = (
        datetime.fromisoformat(second["ended_at"]) + timedelta(hours=2)
    ).isoformat()


def clock_set_by_an_hour_while_a_server_started(run):
    """As at a boot: its process counts from the clock as it is by then."""
    clock_set_while_the_run_worked(run, 0.0)
    run.metadata["sessions"][0]["clock_moved_s"] = 3600.0
    for start in run.starts():
        start["process"]["started"] += 3600.0


def start_that_never_became_ready(run):
    startup = run.startups["startup_standard_llama.json"]
    dead = {"log": "dead.log", "verdict": "inconclusive", "records": 0, "ready_after_s": None}
    error = {"type": "StartupFailed", "message": "the GPU was busy"}
    startup["attempts"].insert(0, {**dead, "ended_at": "t", "error": error})
    for row in run.of("standard"):
        row["start"] = 2


def batch_sent_again_whole(run):
    run.rows[2]["batched"]["attempts"] = 3


def noise_between_two_solo_askings(run):
    for row in run.of("standard")[:3]:
        say(run, row, f"I cannot help, said otherwise {row['sample_id']}", ("S2",))


def cache_effect(run):
    for row in run.of("standard")[:5]:
        say(run, row, f"I cannot help, the first time {row['sample_id']}", ("S0",))


def one_list_that_took_as_long_in_both_modes_by_chance(run):
    for row in run.rows[:6]:
        for one in (row, run.partner(row)):
            one["batched"]["latency_s"] = 0.071503


def answer_at_its_greatest_length(run):
    for row in run.rows[::3]:
        row["solo"]["finish_reason"] = row["companions"][0]["finish_reason"] = "length"
        row["sampling"]["max_tokens"] = len(row["solo"]["token_ids"])
        run.partner(row)["sampling"]["max_tokens"] = row["sampling"]["max_tokens"]
    run.metadata["resolved_spec"]["request"]["max_tokens"] = None


def answer_that_filled_the_context(run):
    for row in run.rows[::3]:
        for _, found in asked(row):
            found["prompt_tokens"] = 2048 - 10
        row["batched"]["finish_reason"] = "length"


def one_empty_answer(run):
    say(run, run.rows[0], "", token_ids=[])


def no_score_but_a_label(run):
    for row in run.rows[::2]:
        for name in ("S0", "S1", "B", "S2"):
            asking(row, name).update(score=None, label="unparsed")
        restate(row)


def no_witness_in_some_records(run):
    for row in run.rows[::4]:
        row["witness"]["S1"] = {"source": None}


def records_in_another_order(run):
    run.rows.reverse()


def external_server_that_nobody_could_look_at(run):
    run.metadata["resolved_spec"]["backend"] = "external"
    for start in run.starts():
        start |= {"strangers": None, "worker_proof": None, "log_sha256": None, "process": None}
        start["server"] = {"backend": "external", "served_model_name": "llama"}
        start["log"] = start["log"].replace("native", "external")
    run.metadata["mode_parity"], run.logs = {}, {}


def log_that_an_external_server_appended_to(run):
    for start in run.starts():
        start["evidence"]["starts"] = 3


def candidate_list_in_another_order(run):
    run.candidates.reverse()


def text_that_utf8_cannot_hold(run):
    found = run.rows[0]["solo"]
    found["text"] += "\N{SNOWMAN}\n\0"
    run.rows[0]["solo_response_hash"] = digest(found["text"])
    for name in ("S1", "S2"):
        run.rows[0]["askings"][name]["text"] = found["text"]
    run.rows[0]["text_change"] = found["text"] != run.rows[0]["batched"]["text"]
    restate(run.rows[0])


def settings_without_expectations(run):
    run.metadata["resolved_spec"]["expect"] = {"rows_per_mode": None}


def several_tokens_a_step(run):
    config = "SpeculativeConfig(method='ngram', model=None, num_spec_tokens=4)"
    for start in run.starts():
        relog(run, start, speculation=config)
    for row in run.rows:
        for found in filter(None, row["witness"].values()):
            found["steps"] = 4


def short_answers_staggered(run):
    for row in run.rows:
        text = f"{row['sample_id'][2:]}" if row["mode"] == "standard" else row["sample_id"]
        say(run, row, text, token_ids=[int(row["sample_id"][2:]), 2, 3])
        row["witness"]["B"] |= {"steps": 14, "shared_decode_share": 0.25}


def long_tail_of_one_companion(run):
    for row in run.rows:
        row["witness"]["B"] |= {"steps": 200, "shared_decode_share": 0.06}


def a_few_loops_in_both_modes(run):
    for row in run.rows:
        if row["sample_id"] in ("r_01", "r_05", "r_07"):
            say(run, row, "and " * 30, token_ids=[7] * 30)
            for seen in filter(None, row["witness"].values()):
                seen["steps"] = 33


def one_refusal_for_half_of_the_prompts(run):
    for row in run.rows:
        if int(row["sample_id"][2:]) % 2:
            say(run, row, "I cannot help with that, and I am sorry.")


def second_batch_otherwise_in_standard_mode(run):
    for row in run.of("standard")[:4]:
        row["askings"]["B2"]["text"] += " otherwise"
        row["askings"]["B2"]["token_ids"] = tokens_of(row["askings"]["B2"]["text"])


def first_asking_after_a_restart_finds_nothing(run):
    for row in run.of("standard"):
        row["solo"] |= {"cached_tokens": 16, "cached_earlier": 16}


VARIANTS = {
    several_tokens_a_step: {},
    short_answers_staggered: {"schedules": ("staggered",)},
    long_tail_of_one_companion: {},
    a_few_loops_in_both_modes: {},
    one_refusal_for_half_of_the_prompts: {},
    second_batch_otherwise_in_standard_mode: ALL,
    first_asking_after_a_restart_finds_nothing: {"policy": "server_default"},
    error_replaced_later: {},
    clock_set_while_the_run_worked: {},
    clock_set_back_before_a_server_that_outlived_the_first: {},
    clock_set_by_an_hour_while_a_server_started: {},
    killed_in_the_middle: {"lifetimes": 2},
    killed_after_the_last_records: {**LIST, "policy": "off"},
    start_that_never_became_ready: {},
    batch_sent_again_whole: {},
    noise_between_two_solo_askings: {},
    one_list_that_took_as_long_in_both_modes_by_chance: {**LIST, "size": 6, "prompts": 12},
    cache_effect: {"policy": "server_default"},
    answer_at_its_greatest_length: {},
    answer_that_filled_the_context: {},
    one_empty_answer: {},
    no_score_but_a_label: {},
    no_witness_in_some_records: {},
    records_in_another_order: {},
    external_server_that_nobody_could_look_at: {},
    log_that_an_external_server_appended_to: {},
    candidate_list_in_another_order: {},
    text_that_utf8_cannot_hold: {},
    settings_without_expectations: {},
}


def test_there_are_at_least_forty_five_variants_and_they_differ():
    runs = [stand_in(**shape) for shape in SHAPES.values()]
    assert len({json.dumps([r.rows, r.startups, r.metadata]) for r in runs}) >= len(SHAPES) - 4
    assert len(SHAPES) + len(VARIANTS) >= 45


@pytest.mark.parametrize("name", SHAPES)
def test_a_valid_shape_is_not_refused(name, tmp_path):
    found = validate_run(stand_in(**SHAPES[name]).write(tmp_path / "run"))
    assert found.ok, found.failures


@pytest.mark.parametrize("change", VARIANTS, ids=lambda change: change.__name__)
def test_a_valid_variant_is_not_refused(change, tmp_path):
    run = stand_in(**VARIANTS[change])
    change(run)
    run.replan()
    found = validate_run(run.write(tmp_path / "run"))
    assert found.ok, found.failures


def test_servers_that_were_killed_after_the_last_records_leave_every_check_to_be_made(tmp_path):
    run = stand_in(**VARIANTS[killed_after_the_last_records])
    made = validate_run(run.write(tmp_path / "closed")).unbound
    killed_after_the_last_records(run)
    assert validate_run(run.write(tmp_path / "killed")).unbound == made == ()
    for start in run.starts():
        start["log_sha256"] = None
    (lack,) = validate_run(run.write(tmp_path / "unsealed")).unbound
    assert lack.check == "logs_unchanged"


def test_a_killed_server_that_may_have_had_a_cache_leaves_its_policy_open(tmp_path):
    run = stand_in(**VARIANTS[killed_after_the_last_records])
    killed_after_the_last_records(run)
    start = run.starts("standard")[0]
    log = run.logs[start["log"]].decode().replace("enable_prefix_caching=False", "")
    run.logs[start["log"]] = log.encode()
    start["log_sha256"] = digest(log)
    lacks = [one.check for one in validate_run(run.write(tmp_path / "run")).unbound]
    assert "cache_policy_kept" in lacks


@pytest.mark.parametrize(
    "plant", [clock_set_while_the_run_worked, clock_set_by_an_hour_while_a_server_started]
)
def test_times_that_no_clock_was_set_for_are_refused_and_asked_again(plant, tmp_path):
    run = stand_in()
    plant(run)
    del run.metadata["sessions"][0]["clock_moved_s"]
    (failure,) = validate_run(run.write(tmp_path / "planted")).failures
    assert failure.check == "own_server"
    assert failure.remedy == Mend.ASK_AGAIN.remedy
