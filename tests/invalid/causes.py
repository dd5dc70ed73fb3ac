"""Causes that make a run invalid, each with what plants it and the check that must refuse it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any, NamedTuple

from stand_in_run import (
    KEY,
    MODES,
    VERDICTS,
    Row,
    StandIn,
    asked,
    asking,
    digest,
    failed,
    relog,
    restate,
    say,
    tokens_of,
)
from stand_in_server import judged, log_of, proof_of
from stand_in_steps import without_steps

from harness.records import plan_seal, record_id, sealed

Plant = Callable[[StandIn, Random], None]


class Cause(NamedTuple):
    """What went wrong, the check that must refuse it, and the stand-in that it is planted in.

    Attributes:
        claims: for what is no fault of a run but forbids these claims: the check only warns.
        says: what the check says of it.
    """

    check: str
    plant: Plant
    shape: dict[str, Any]
    claims: tuple[str, ...] = ()
    says: str = "failed"


CAUSES: dict[str, Cause] = {}
CARRIED = ("removes_change", "invariant", "paths_differ", "kernel_path")
MEASURED = ("standard_changes", *CARRIED)


def cause(check: str, **shape: Any) -> Callable[[Plant], Plant]:
    """Add a cause under its function's name; ``shape`` is given to the stand-in."""

    def added(plant: Plant) -> Plant:
        CAUSES[plant.__name__.replace("_", " ")] = Cause(check, plant, shape)
        return plant

    return added


def forbids(check: str, *claims: str, **shape: Any) -> Callable[[Plant], Plant]:
    """Add a cause of which the check warns, and under which the claims are not established."""

    def added(plant: Plant) -> Plant:
        CAUSES[plant.__name__.replace("_", " ")] = Cause(check, plant, shape, claims, "warning")
        return plant

    return added


def unbinds(check: str, **shape: Any) -> Callable[[Plant], Plant]:
    """Add a cause for which the check cannot be made, and under which nothing is established."""

    def added(plant: Plant) -> Plant:
        about = check, plant, shape, MEASURED, "not_checked"
        CAUSES[plant.__name__.replace("_", " ")] = Cause(*about)
        return plant

    return added


def some(rng: Random, rows: list[Row]) -> list[Row]:
    """One row or more."""
    return rng.sample(rows, rng.randint(1, len(rows)))


def hide_the_plan(run: StandIn) -> None:
    """Take away what else would tell how many records there must be, and that they are ours."""
    run.candidates = None
    run.metadata["sessions"] = []
    run.metadata["resolved_spec"]["expect"] = {}
    run.metadata["candidates"] = {}


def forget(run: StandIn) -> None:
    """As if each start had given no more records than are there."""
    for startup in run.startups.values():
        for number, start in enumerate(startup["attempts"], start=1):
            rows = run.of(startup["mode"], startup["model"])
            there = sum(row["start"] == number for row in rows)
            start["records"] = min(start["records"], there)


def keep_candidates(run: StandIn) -> None:
    """Plan only what is recorded."""
    names = {row["sample_id"] for row in run.rows}
    run.candidates = [row for row in run.candidates or () if row["sample_id"] in names]
    run.metadata["resolved_spec"]["expect"]["rows_per_mode"] = len(run.candidates)
    run.metadata |= {"planned_records": len(run.rows), "candidates": {}}


def fit_the_steps(run: StandIn) -> None:
    """As many steps as the longest answer has tokens."""
    for row in run.rows:
        longest = max(len(found["token_ids"]) for _, found in asked(row))
        for seen in row["witness"].values():
            if seen is not None:
                seen["steps"] = max(seen["steps"], longest + 1)


# what was sent, and what the engine made of it


@cause("batches_shared_steps")
def vacuous_batch(run, rng):
    rows = run.of(rng.choice(MODES))
    for row in some(rng, [r for r in rows if r["dispatch_mode"] != "gated"]):
        row["witness"]["B"] |= {
            "admitted_first_step": 1,
            "shared_decode_share": 0.0,
            "mixed_steps": 0,
            "steps": row["witness"]["B"]["steps"] + rng.randint(20, 90),  # one after the other
        }


@cause("batches_shared_steps", askings=("S0", "S1", "B", "B2", "S2"))
def vacuous_second_batch(run, rng):
    for row in some(rng, run.of(rng.choice(MODES))):
        row["witness"]["B2"] |= {"admitted_first_step": 1, "shared_decode_share": 0.0}
        row["witness"]["B2"]["mixed_steps"] = 0


@cause("batches_shared_steps")
def solo_asking_that_shared_a_step(run, rng):
    for row in some(rng, run.of(rng.choice(MODES))):
        how = rng.choice(
            [{"admitted_first_step": 2}, {"shared_decode_share": 0.25},
             {"mixed_steps": 1, "shared_decode_share": 0.1}]
        )  # fmt: skip
        row["witness"][rng.choice(["S0", "S1", "S2"])] |= how


@cause("gated_in_one_step")
def gated_batch_admitted_in_several_steps(run, rng):
    rows = [r for r in run.of(rng.choice(MODES)) if r["dispatch_mode"] == "gated"]
    for row in some(rng, rows):
        first = rng.randint(1, row["batch_size"] - 1)
        row["witness"]["B"] |= {"admitted_first_step": first, "mixed_steps": 1}


@cause("batch_as_planned")
def retry_in_another_batch(run, rng):
    row = rng.choice(run.of(rng.choice(MODES)))
    others = [r for r in run.of(row["mode"]) if r["group"] != row["group"]]
    other = rng.choice(others)
    row["companions"] = [dict(one) for one in other["companions"]]


@cause("batch_as_planned")
def companion_missing_from_the_batch(run, rng):
    row = rng.choice(run.rows)
    row["companions"].pop(rng.randrange(len(row["companions"])))


@cause("companions_keep_their_answers")
def answers_of_companions_not_recorded(run, rng):
    rng.choice(run.rows)["companions"] = None


@cause("batch_as_planned")
def companions_in_another_order(run, rng):
    row = rng.choice(run.rows)
    at = rng.randrange(len(row["companions"]) - 1)
    row["companions"].insert(at, row["companions"].pop(at + 1))


@cause("batch_as_planned")
def prompt_at_another_place_of_its_batch(run, rng):
    for row in some(rng, run.of("standard")):
        place = (row["target_index"] + rng.randint(1, 3)) % row["batch_size"]
        row["target_index"] = run.partner(row)["target_index"] = place


@cause("batch_as_planned")
def batch_smaller_than_its_size(run, rng):
    row = rng.choice(run.rows)
    place = (row["target_index"] + rng.randint(1, 3)) % 4
    for one in (row, run.partner(row)):
        group = [key for at, key in enumerate(one["group"]) if at != place]
        one["target_index"] -= place < one["target_index"]
        one["group"] = group
        own = f"{one['task_name']}/{one['sample_id']}"
        one["companions"] = [c for c in one["companions"] if c["key"] in group and c["key"] != own]


@cause("one_dispatch_a_batch")
def row_answered_in_another_dispatch_than_its_mates(run, rng):
    row = rng.choice(run.rows)
    one = rng.choice(row["companions"])
    one["response_hash"] = digest(f"said in a second dispatch {rng.random()}")


@cause("same_prompt_batch_and_sampling")
def unequal_batch_between_the_modes(run, rng):
    row = rng.choice(run.rows)
    place = rng.choice([n for n in range(row["batch_size"]) if n != row["target_index"]])
    taken = set(row["group"])
    other = rng.choice([r for r in run.rows if f"{r['task_name']}/{r['sample_id']}" not in taken])
    key = f"{other['task_name']}/{other['sample_id']}"
    row["group"] = [key if at == place else old for at, old in enumerate(row["group"])]
    row["companions"][place - (place > row["target_index"])]["key"] = key


@cause("same_prompt_batch_and_sampling")
def other_prompt_in_one_mode(run, rng):
    for row in some(rng, run.of(rng.choice(MODES))):
        row["prompt_sha256"] = digest(f"a template with a space more {rng.random()}")


@cause("same_prompt_batch_and_sampling")
def other_sampling_in_one_record(run, rng):
    row = rng.choice(run.rows)
    name, value = rng.choice([("max_tokens", 256), ("temperature", 0.7), ("seed", 7)])
    row["sampling"][name] = value
    run.metadata["resolved_spec"]["request"] = {}


@cause("asked_as_specified")
def other_sampling_than_the_settings_in_both_modes(run, rng):
    row = rng.choice(run.rows)
    name, value = rng.choice(
        [("max_tokens", rng.randint(65, 512)), ("temperature", rng.random()), ("seed", 43)]
    )
    for one in (row, run.partner(row)):
        one["sampling"][name] = value


@cause("asked_as_specified")
def sampling_that_is_not_told(run, rng):
    gone = rng.choice([["temperature"], ["seed"], ["max_tokens", "temperature", "seed"]])
    for row in run.rows:
        for name in gone:
            del row["sampling"][name]
    run.metadata["note"] = rng.random()


@cause("asked_as_specified")
def weights_retagged_under_the_same_name(run, rng):
    path = f"org/llama-{rng.choice(['awq', 'gptq', 'v2', 'base'])}-{rng.randint(1, 9)}"
    for row in run.rows:
        row["hf_id"] = path


@cause("every_asking_asked")
def asking_left_out(run, rng):
    for row in some(rng, run.rows):
        name = rng.choice(["S1", "S2"])
        row["askings"][name] = row["witness"][name] = None
        restate(row)


# the prefix cache


def _found_earlier(run: StandIn, rng: Random) -> None:
    row = rng.choice(run.rows)
    tokens = rng.randint(1, 8) * 16
    _, found = rng.choice([one for one in asked(row) if one[1]["cached_earlier"] is not None])
    found |= {"cached_tokens": tokens, "cached_earlier": tokens}


CAUSES["cache not kept off"] = Cause("cache_policy_kept", _found_earlier, {"policy": "off"})
CAUSES["cache not kept by salts"] = Cause("cache_policy_kept", _found_earlier, {"policy": "salted"})
CAUSES["cache not reset"] = Cause("cache_policy_kept", _found_earlier, {"policy": "reset"})


@cause("cache_policy_kept", policy="off")
def server_with_a_cache_under_policy_off(run, rng):
    start = rng.choice(run.starts())
    start["metrics"]["prefix_cache_queries"] = float(rng.randint(1, 9999))


@cause("companions_warmed", policy="server_default")
def companions_cold_in_one_mode(run, rng):
    for row in some(rng, run.of(rng.choice(MODES))):
        row["warmed"] = rng.randint(0, row["batch_size"] - 2)


# who answered, on which kernels


@cause("modes_proven")
def swapped_modes(run, rng):
    for mode, start in ((m, s) for m in MODES for s in run.starts(m)):
        other = VERDICTS[MODES[1 - MODES.index(mode)]]
        start["verdict"] = start["evidence"]["verdict"] = other
        start["ready_after_s"] = rng.random() * 60


@cause("modes_proven", lifetimes=2)
def batch_invariant_inactive(run, rng):
    start = rng.choice(run.starts("batch_invariant"))
    start["verdict"] = start["evidence"]["verdict"] = "inconclusive"
    start["evidence"]["missing"] = [f"no line of rank {rng.randint(0, 7)}"]


@cause("modes_proven", lifetimes=2)
def contaminated_standard(run, rng):
    start = rng.choice(run.starts("standard"))
    start["verdict"] = start["evidence"]["verdict"] = "contaminated"
    start["ready_after_s"] = rng.random() * 60


@cause("modes_proven", lifetimes=3)
def log_of_two_mixed_starts(run, rng):
    start = rng.choice(run.starts())
    start["evidence"] |= {"verdict": "inconclusive", "starts": rng.randint(2, 5)}
    start["verdict"] = "inconclusive"


@cause("modes_proven")
def start_up_file_missing(run, rng):
    run.startups.pop(rng.choice(sorted(run.startups)))


@cause("verdicts_follow_from_evidence", lifetimes=2)
def verdict_edited_against_its_log(run, rng):
    start = rng.choice(run.starts())
    start["evidence"]["verdict"] = rng.choice(["inconclusive", "contaminated"])


@cause("workers_agree", ranks=4, lifetimes=2)
def inactive_in_one_of_four_ranks(run, rng):
    start = rng.choice(run.starts("batch_invariant"))
    rank = rng.randrange(4)
    start["worker_proof"]["lines"][4 * rank] = proof_of("standard", 4)["lines"][4 * rank]
    start["worker_proof"]["verdict"] = "contaminated"


@cause("workers_agree", ranks=4, lifetimes=2)
def rank_that_did_not_answer(run, rng):
    proof = rng.choice(run.starts())["worker_proof"]
    proof["ranks"] = rng.randint(0, 3)
    del proof["lines"][4 * proof["ranks"] :]


@cause("workers_agree", lifetimes=3)
def worker_proof_contradicts_the_log(run, rng):
    mode = rng.choice(MODES)
    start = rng.choice(run.starts(mode))
    start["worker_proof"]["verdict"] = rng.choice(
        ["inconclusive", VERDICTS[MODES[1 - MODES.index(mode)]]]
    )


@cause("workers_agree", lifetimes=3)
def worker_proof_missing(run, rng):
    for start in some(rng, run.starts()):
        start["worker_proof"] = None


@cause("own_server", lifetimes=2)
def strange_listener_on_the_port(run, rng):
    for start in some(rng, run.starts()):
        start["strangers"] = [f"pid {rng.randint(2, 40000)} listens on the port too"]


@cause("own_server")
def one_server_for_two_modes(run, rng):
    one, other = (run.starts(mode)[0]["process"] for mode in MODES)
    other["started"] = one["started"]
    one["cpu_s_after"] = 40.0 + rng.random()
    other |= {"cpu_s_before": one["cpu_s_after"] + rng.random(), "cpu_s_after": 90.0}


@cause("own_server", lifetimes=2)
def one_served_name_in_two_lifetimes(run, rng):
    one, other = rng.sample(run.starts(), 2)
    name = one["server"]["served_model_name"]
    other["server"]["served_model_name"] = other["server"]["command"][-1] = name
    relog(run, other)


@cause("own_server", lifetimes=2)
def process_replaced_within_a_lifetime(run, rng):
    process = rng.choice(run.starts())["process"]
    process["cpu_s_after"] = process["cpu_s_before"] * rng.random()


@cause("every_record_has_a_lifetime", lifetimes=2)
def restart_in_the_middle(run, rng):
    start = rng.choice(run.starts())
    start["records"] -= rng.randint(1, start["records"] - 1)


@cause("ids_are_of_their_candidates")
def record_id_of_no_candidate(run, rng):
    rng.choice(run.rows)["record_id"] = digest(str(rng.random()))[:16]


@cause("still_counts")
def image_moved_while_a_session_worked(run, rng):
    image = digest(str(rng.random()))
    run.metadata["does_not_count"] = f"the image is another one now: sha256:{image}"


@cause("logs_unchanged", lifetimes=2)
def log_changed_after_the_run(run, rng):
    name = rng.choice(sorted(run.logs))
    at = rng.randrange(len(run.logs[name]))
    run.logs[name] = run.logs[name][:at] + b"x" + run.logs[name][at:]


@cause("logs_unchanged", lifetimes=2)
def log_appended(run, rng):
    name, other = rng.sample(sorted(run.logs), 2)
    run.logs[name] += run.logs[other]


@cause("logs_unchanged", lifetimes=3)
def log_missing(run, rng):
    run.logs.pop(rng.choice(sorted(run.logs)))


@cause("one_server_build", backend="docker")
def image_retagged_between_the_modes(run, rng):
    image = "sha256:" + digest(str(rng.random()))
    for start in run.starts(rng.choice(MODES)):
        start["server"]["docker"]["image_id"] = image


@cause("one_server_build", lifetimes=2)
def other_server_version_after_a_restart(run, rng):
    start = rng.choice(run.starts())
    relog(run, start, version=f"0.{rng.randint(20, 26)}.{rng.randint(0, 2)}")


def _differing(run: StandIn, rng: Random, name: str, values: list[Any]) -> None:
    standard, invariant = rng.sample(values, 2)
    next(iter(run.metadata["mode_parity"].values())).append(
        {
            "name": name,
            "standard": str(standard),
            "invariant": str(invariant),
            "allowed": False,
            "reason": "",
        }
    )


@cause("mode_parity")
def argument_of_one_mode_only(run, rng):
    name = rng.choice(["arguments.max_num_seqs", "engine.enable_prefix_caching", "arguments.dtype"])
    _differing(run, rng, name, [8, 64, 256, "False", "float16"])


@cause("mode_parity")
def environment_of_one_mode_only(run, rng):
    name = rng.choice(["VLLM_ATTENTION_BACKEND", "VLLM_USE_FLASHINFER_SAMPLER", "OMP_NUM_THREADS"])
    _differing(run, rng, f"server_info.vllm_env.{name}", [0, 1, 2, "FLASH_ATTN", "(absent)"])


@cause("mode_parity", models=("llama", "qwen"))
def modes_never_compared(run, rng):
    model = rng.choice(["llama", "qwen"])
    run.metadata["mode_parity"].pop(model)
    for start in run.startups[f"startup_{rng.choice(MODES)}_{model}.json"]["attempts"]:
        start |= {"facts": {}, "log": None, "log_sha256": None}


@cause("no_startup_errors", lifetimes=2)
def start_up_error(run, rng):
    name = rng.choice(sorted(run.startups))
    messages = ["CUDA out of memory", "port in use", "engine core died", "no such model"]
    run.startups[name]["attempts"][-1]["error"] = {
        "type": "ServerDied",
        "message": f"{rng.choice(messages)} after {rng.randint(1, 900)} s",
    }


@cause("verdicts_follow_from_evidence", lifetimes=2)
def log_of_the_other_mode(run, rng):
    mode = rng.choice(MODES)
    relog(run, rng.choice(run.starts(mode)), of=MODES[1 - MODES.index(mode)])


@cause("verdicts_follow_from_evidence", lifetimes=2)
def log_that_shows_no_path(run, rng):
    start = rng.choice(run.starts("batch_invariant"))
    lines = without_steps(run.logs[start["log"]].decode()).splitlines(keepends=True)
    at = rng.randrange(4, len(lines) - 3)
    del lines[at : at + rng.randint(1, len(lines) - 2 - at)]
    log = "".join(lines)
    run.logs[start["log"]] = log.encode()
    start["log_sha256"] = digest(log)


@cause("verdicts_follow_from_evidence", lifetimes=2)
def evidence_that_quotes_nothing(run, rng):
    start = rng.choice(run.starts("batch_invariant"))
    del run.logs[start["log"]]
    start["log_sha256"] = None
    kept = rng.randrange(len(start["evidence"]["lines"]))
    del start["evidence"]["lines"][kept]


@cause("verdicts_follow_from_evidence", lifetimes=2)
def evidence_that_quotes_the_other_path(run, rng):
    start = rng.choice(run.starts("standard"))
    del run.logs[start["log"]]
    start["log_sha256"] = None
    start["evidence"]["lines"] = judged(log_of("batch_invariant"), "batch_invariant")["evidence"][
        "lines"
    ][: rng.randint(1, 6)]


@cause("verdicts_follow_from_evidence", lifetimes=2)
def evidence_of_fewer_workers_than_there_are(run, rng):
    start = rng.choice(run.starts())
    start["evidence"]["workers"] = rng.randint(2, 8)
    start["worker_proof"] = None
    run.controls["worker_proof"] = False
    for other in run.starts():
        other["worker_proof"] = None


@cause("verdicts_follow_from_evidence", lifetimes=2)
def evidence_missing_from_the_start_up_file(run, rng):
    for start in some(rng, run.starts()):
        kept = {k: v for k, v in start["evidence"].items() if k in ("vllm_version", "device")}
        start["evidence"] = kept | {"notes": [str(rng.random())]}
        start["worker_proof"] = None
    run.controls["worker_proof"] = False
    for start in run.starts():
        start["worker_proof"] = None


@cause("workers_agree", ranks=4, lifetimes=2)
def workers_whose_own_words_are_of_the_other_path(run, rng):
    mode = rng.choice(MODES)
    lines = rng.choice(run.starts(mode))["worker_proof"]["lines"]
    at = rng.randrange(len(lines))
    lines[at] = proof_of(MODES[1 - MODES.index(mode)], 4)["lines"][at]


@cause("workers_agree", ranks=4, lifetimes=2)
def fewer_workers_asked_than_there_are(run, rng):
    proof = rng.choice(run.starts())["worker_proof"]
    ranks = rng.randint(1, 3)
    proof |= {"ranks": ranks, "expected_ranks": rng.choice([ranks, None])}
    del proof["lines"][4 * ranks :]


@cause("mode_parity", lifetimes=2)
def servers_set_otherwise_and_the_parity_as_it_was(run, rng):
    name, value = rng.choice(
        [("max_num_seqs", rng.randint(1, 3)), ("block_size", rng.choice((32, 64))),
         ("max_num_batched_tokens", rng.randint(512, 4096))]
    )  # fmt: skip
    for start in some(rng, run.starts("batch_invariant")):
        relog(run, start, **{name: value})


@cause("mode_parity", lifetimes=3)
def one_lifetime_of_a_mode_set_otherwise(run, rng):
    start = run.starts("standard")[rng.randint(1, 2)]
    relog(run, start, max_num_seqs=rng.randint(1, 3), max_num_batched_tokens=rng.randint(1, 99))


@cause("own_server", lifetimes=2)
def lifetime_of_which_nobody_looked_who_listened(run, rng):
    for start in rng.sample(run.starts(), rng.randint(1, 4)):
        start["strangers"] = None
    start["ready_after_s"] = rng.random() * 60


@cause("own_server", lifetimes=2)
def lifetime_of_which_no_process_is_told(run, rng):
    for start in rng.sample(run.starts(), rng.randint(1, 3)):
        start["process"] = None
    start["ready_after_s"] = rng.random() * 60


@cause("own_server", lifetimes=2)
def process_older_than_its_start(run, rng):
    rng.choice(run.starts())["process"]["started"] -= 900 * rng.randint(1, 99)


@cause("own_server", lifetimes=2)
def process_younger_than_its_readiness(run, rng):
    rng.choice(run.starts())["process"]["started"] += 900 * rng.randint(1, 99)


@cause("every_record_has_a_lifetime", lifetimes=2)
def record_of_a_start_that_gave_fewer(run, rng):
    mode = rng.choice(MODES)
    for row in some(rng, [row for row in run.of(mode) if row["start"] == 1]):
        row["start"] = rng.choice([2, 3, 9])


# what it answered


@cause("answers_finished")
def aborted_companion(run, rng):
    row = rng.choice(run.rows)
    rng.choice(row["companions"])["finish_reason"] = rng.choice(["abort", "error", "cancelled"])


@cause("answers_finished", askings=("S0", "S1", "B", "B2", "S2"))
def aborted_target(run, rng):
    _, found = rng.choice(list(asked(rng.choice(run.rows))))
    found["finish_reason"] = rng.choice(["abort", "error", "repetition"])


@cause("servers_compute")
def empty_answers(run, rng):
    rows = run.of(rng.choice(MODES))
    for row in rng.sample(rows, rng.randint(len(rows) // 2 + 1, len(rows))):
        say(run, row, rng.choice(["", " "]), token_ids=[])


@cause("servers_compute")
def one_token_over_and_over(run, rng):
    sign, rows = rng.choice("!#0%"), run.of(rng.choice(MODES))
    for row in rng.sample(rows, rng.randint(len(rows) // 2 + 1, len(rows))):
        length = rng.randint(20, 64)
        say(run, row, sign * length, token_ids=[rng.randint(0, 9)] * length)
    fit_the_steps(run)


@cause("servers_compute")
def same_answer_to_every_prompt(run, rng):
    text = f"I cannot help with {rng.choice(['that', 'this', 'it'])} {rng.randint(1, 999)}."
    for row in run.of(rng.choice(MODES)):
        say(run, row, text)


@cause("answers_finished", askings=("S0", "S1", "B", "B2", "S2"))
def answer_of_which_no_ending_is_told(run, rng):
    row = rng.choice(run.rows)
    rng.choice([*(one for _, one in asked(row)), *row["companions"]])["finish_reason"] = None


@cause("answers_possible", askings=("S0", "S1", "B", "B2", "S2"))
def cut_before_its_greatest_length(run, rng):
    for row in some(rng, run.rows):
        _, found = rng.choice(list(asked(row)))
        found["finish_reason"] = "length"
        found["prompt_tokens"] = rng.choice([None, found["prompt_tokens"]])


@cause("answers_possible", askings=("S0", "S1", "B", "B2", "S2"))
def answer_of_more_tokens_than_asked_for(run, rng):
    for _, found in asked(rng.choice(run.rows)):
        found["token_ids"] = found["token_ids"] * rng.randint(7, 99)
    for row in run.rows:
        for seen in row["witness"].values():
            seen["steps"] = 1000  # enough for ten tokens 99 times


@cause("answers_possible")
def text_edited_and_not_its_tokens(run, rng):
    for row in some(rng, run.of("standard")):
        say(run, row, row["batched"]["text"] + rng.choice([" ", "!", " edited"]), ("B",))
        row["batched"]["token_ids"] = row["askings"]["S1"]["token_ids"]


@cause("answers_possible")
def text_of_no_token(run, rng):
    for row in some(rng, run.rows):
        for _, found in asked(row):
            found["token_ids"] = []


@cause("witnesses_possible")
def more_requests_admitted_than_sent(run, rng):
    row = rng.choice([r for r in run.rows if r["dispatch_mode"] != "gated"])
    row["witness"]["B"]["admitted_first_step"] = row["batch_size"] + rng.randint(1, 9)


@cause("witnesses_possible")
def fewer_steps_than_tokens(run, rng):
    for row in some(rng, run.rows):
        row["witness"][rng.choice(["S0", "S1", "B", "S2"])]["steps"] = rng.randint(3, 9)


@cause("servers_compute", lifetimes=2, prompts=24)
def second_lifetime_says_one_token_over_and_over(run, rng):
    rows = [row for row in run.of(rng.choice(MODES)) if row["start"] == 2]
    ids = [rng.randint(0, 9)] * rng.randint(20, 64)
    for row in rows[rng.randint(0, 4) :]:
        say(run, row, "!" * len(ids), token_ids=ids)
    fit_the_steps(run)


@cause("servers_compute", lifetimes=2, prompts=24)
def second_lifetime_of_records_that_do_not_name_it(run, rng):
    second_lifetime_says_one_token_over_and_over(run, rng)
    run.log_steps()
    run.steps_kept = True
    for row in run.rows:
        row["start"] = None


@cause("servers_compute")
def loops_of_a_few_tokens(run, rng):
    for number, row in enumerate(run.of(rng.choice(MODES))):
        ids = [number + 1, rng.randint(50, 99), rng.randint(100, 199)][: rng.randint(2, 3)]
        say(run, row, f"{number} " * 20, token_ids=(ids * 20)[:20])
    fit_the_steps(run)


@cause("servers_compute")
def degenerate_from_the_second_asking_on(run, rng):
    rows = run.of(rng.choice(MODES))
    for number, row in enumerate(rows):
        ids = [rng.randint(1, 9)] * 20
        say(run, row, "!" * (20 + number), ("S1", "B", "S2"), token_ids=ids)
    fit_the_steps(run)


@cause("servers_compute", size=8, prompts=16)
def companions_that_a_batch_broke(run, rng):
    own = {f"{row['task_name']}/{row['sample_id']}": row for row in run.of("standard")}
    nothing, length = rng.choice([digest(""), digest("\n"), None]), rng.randint(16, 64)
    mode = rng.choice(MODES)
    gone = set(rng.sample(sorted(own), len(own) - 2))
    run.rows = [r for r in run.rows if f"{r['task_name']}/{r['sample_id']}" not in gone]
    forget(run)
    keep_candidates(run)
    for row in run.of(mode):
        for one in row["companions"]:
            if one["key"] in gone:
                one["degenerate"] = True
                one["response_hash"] = nothing or digest("!" * length + one["key"])


# no fault of a run, and yet no claim


def send_otherwise(run: StandIn, row: Row) -> None:
    """Have the batch of a row sent in another way of the run's, in both modes and in the plan."""
    key = [row[name] for name in KEY]
    way = min({one["dispatch_mode"] for one in run.rows} - {row["dispatch_mode"]})
    planned = next(one for one in run.candidates if key == [*map(one.get, KEY)])
    for one in (row, run.partner(row), planned):
        one["dispatch_mode"] = way
        if "mode" in one:
            one["record_id"] = record_id(tuple(one[name] for name in KEY), one["mode"])
            one["witness"]["B"]["admitted_first_step"] = one["batch_size"]


@forbids("companions_keep_their_answers", "invariant", "removes_change", prompts=24)
def companion_answered_otherwise_than_alone(run, rng):
    row = rng.choice(run.of("batch_invariant"))
    key = rng.choice(row["companions"])["key"]
    gone = {f"{one['task_name']}/{one['sample_id']}": one["sample_id"] for one in run.rows}
    other = next(r for r in run.of("batch_invariant") if r["sample_id"] == gone[key])
    send_otherwise(run, other)  # so that no two records tell of one dispatch
    text = digest(f"moved {rng.random()}")
    for mate in run.of("batch_invariant"):
        for one in mate["companions"]:
            if one["key"] == key and mate["group"] == row["group"]:
                one["response_hash"] = text


@forbids("companions_keep_their_answers", "invariant", "removes_change", prompts=24)
def companion_answered_in_two_ways_and_never_alone(run, rng):
    row = rng.choice(run.of("batch_invariant"))
    one = rng.choice(row["companions"])
    sample = one["key"].partition("/")[2]
    run.rows = [r for r in run.rows if r["sample_id"] != sample]
    forget(run)
    keep_candidates(run)
    mates = [r for r in run.of("batch_invariant") if one["key"] in r["group"]]
    mate = rng.choice(mates)
    send_otherwise(run, mate)
    for told in mate["companions"]:
        if told["key"] == one["key"]:
            told["response_hash"] = digest(f"moved {rng.random()}")


@forbids(
    "batches_repeat", "invariant", "removes_change",
    prompts=24, askings=("S0", "S1", "B", "B2", "S2"),
)  # fmt: skip
def second_batch_answered_otherwise(run, rng):
    for row in some(rng, run.of("batch_invariant")):
        found = row["askings"]["B2"]
        found["text"] += rng.choice([" ", "!", " moved"])
        found["token_ids"] = tokens_of(found["text"])


@forbids(
    "same_cache_for_s1_and_b", "standard_changes", "removes_change", "kernel_path",
    policy="server_default", prompts=24,
)  # fmt: skip
def batch_effect_between_two_states_of_the_cache(run, rng):
    for row in some(rng, [r for r in run.of("standard") if r["text_change"]]):
        row["batched"]["cached_tokens"] = row["batched"]["cached_earlier"] = rng.choice([0, 8, 12])


def _retold(run: StandIn, rng: Random, rows: list[Row], names: tuple[str, ...]) -> None:
    for row in some(rng, rows):
        ids = [n + rng.randint(1, 99) for n in row["solo"]["token_ids"]]
        for name in names:
            asking(row, name)["token_ids"] = ids


@forbids("equal_texts_equal_tokens", "invariant", "removes_change", prompts=24)
def batch_that_moves_tokens_and_no_text(run, rng):
    _retold(run, rng, run.of("batch_invariant"), ("B",))


@forbids(
    "equal_texts_equal_tokens", "invariant", "removes_change",
    prompts=24, askings=("S0", "S1", "B", "B2", "S2"),
)  # fmt: skip
def second_batch_that_moves_tokens_and_no_text(run, rng):
    _retold(run, rng, run.of("batch_invariant"), ("B2",))


def retell(run: StandIn) -> None:
    """Have every batch of batch-invariant mode tell of its companions what their rows tell."""
    rows = run.of("batch_invariant")
    said = {f"{r['task_name']}/{r['sample_id']}": r["batch_response_hash"] for r in rows}
    for row in rows:
        for one in row["companions"]:
            one["response_hash"] = said[one["key"]]


def _looped(run: StandIn, rows: list[Row], rng: Random, names: tuple[str, ...] = ()) -> None:
    for row in rows:
        ids = [rng.randint(0, 9)] * rng.randint(16, 64)
        say(run, row, rng.choice(["!", "0", "the "]) * len(ids), names, token_ids=ids)
    fit_the_steps(run)


@forbids("equal_texts_equal_tokens", *MEASURED, prompts=24)
def tokens_that_move_with_time_alone(run, rng):
    _retold(run, rng, run.of(rng.choice(MODES)), ("S2",))


@forbids("answers_carry_claims", *CARRIED, prompts=24)
def what_changes_in_standard_mode_loops_in_both(run, rng):
    changing = [row for row in run.of("standard") if row["text_change"]]
    ways = sorted({row["dispatch_mode"] for row in changing})
    of = {way: [row for row in changing if row["dispatch_mode"] == way] for way in ways}
    kept = {r["sample_id"] for way in ways for r in rng.sample(of[way], rng.randint(3, 4))}
    for row in run.of("standard"):  # the other changes are none any more
        if row["text_change"] and row["sample_id"] not in kept:
            say(run, row, row["solo"]["text"], ("B",))
    for mode, names in zip(MODES, (("S0", "S1", "S2"), ()), strict=True):
        _looped(run, [r for r in run.of(mode) if r["sample_id"] in sorted(kept)[3:]], rng, names)
    retell(run)


@cause("servers_compute", prompts=16)
def what_changes_in_standard_mode_loops_in_the_other(run, rng):
    mode = rng.choice(MODES)
    changing = [row for row in run.of("standard") if row["text_change"]]
    kept = {row["sample_id"] for row in rng.sample(changing, rng.randint(6, 8))}
    _looped(run, [row for row in run.of(mode) if row["sample_id"] in kept], rng)


@forbids("answers_carry_claims", *MEASURED, prompts=24)
def a_few_long_answers_that_serve_many_prompts(run, rng):
    kinds = rng.randint(2, 4)
    for mode in MODES:
        for number, row in enumerate(run.of(mode)):
            changed = row["text_change"]
            say(run, row, f"I cannot help with {number % kinds}.")
            if changed:
                say(run, row, f"Sure, here is {number % kinds}.", ("B",))
    retell(run)


@forbids("answers_carry_claims", *CARRIED, prompts=24)
def answers_that_end_early_in_batch_invariant_mode(run, rng):
    for row in run.of("batch_invariant"):
        if row["sample_id"] in {r["sample_id"] for r in run.of("standard") if r["text_change"]}:
            short = row["solo"]["text"].partition(" llama")[0] + str(rng.random())[:4]
            say(run, row, short, token_ids=tokens_of(short)[: rng.randint(1, 4)])
    retell(run)


@forbids("batches_shared_steps", *CARRIED, prompts=24)
def batch_that_hardly_was_one(run, rng):
    for row in some(rng, run.of(rng.choice(MODES))):
        steps = rng.randint(100, 999)
        told = {"steps": steps, "shared_decode_share": rng.randint(1, 4) / (steps - 2)}
        row["witness"]["B"] |= told | {"mixed_steps": min(row["witness"]["B"]["mixed_steps"], 1)}


@forbids("same_cache_in_both_modes", *CARRIED, policy="server_default", prompts=24)
def cache_that_one_mode_found_fuller(run, rng):
    more = 16 * rng.randint(1, 9)
    for row in some(rng, run.of(rng.choice(MODES))):
        for name in ("S1", "B", "S2"):
            found = asking(row, name)
            if found["cached_tokens"] is not None:
                found |= {"cached_tokens": 16 + more, "cached_earlier": 16 + more}


@forbids(
    "same_cache_in_both_modes", *CARRIED, policy="server_default", prompts=24, list_tokens=True
)
def cache_that_companions_found_fuller_in_one_mode(run, rng):
    for row in some(rng, run.of(rng.choice(MODES))):
        rng.choice(row["companions"])["cached_tokens"] = 16 * rng.randint(2, 9)


@forbids(
    "batches_repeat", *MEASURED,
    prompts=24, askings=("S0", "S1", "B", "B2", "S2"),
)  # fmt: skip
def standard_batch_that_does_not_repeat(run, rng):
    for row in run.of("standard"):
        if row["text_change"]:
            found, like = row["askings"]["B2"], row["askings"]["S1"]
            found["text"] = rng.choice([like["text"], f"Sure, otherwise {rng.random()}"])
            found["token_ids"] = tokens_of(found["text"])


@forbids("changes_could_be_seen", "invariant", prompts=24)
def schedule_that_mixes_and_under_which_nothing_changes(run, rng):
    rows = [row for row in run.of("standard") if row["dispatch_mode"] in ("staggered", "wide")]
    changing = [row for row in rows if row["text_change"]]
    kept = rng.sample(changing, rng.randint(0, 2))
    for row in changing:
        if row not in kept:
            say(run, row, row["solo"]["text"], ("B",))


@forbids("sampled_greedily", *MEASURED, prompts=24)
def answers_drawn_by_lot(run, rng):
    told = {"temperature": round(rng.uniform(0.1, 2.0), 2)}
    if rng.random() < 0.4:
        name, most = rng.choice([("n", 5), ("best_of", 9), ("presence_penalty", 2)])
        told = {name: rng.randint(2, most)}
    run.metadata["resolved_spec"]["request"] |= told
    run.metadata["spec"] = run.metadata["resolved_spec"]
    for row in run.rows:
        row["sampling"] |= told


# what nobody can check any more


@unbinds("equal_texts_equal_tokens", prompts=24)
def token_ids_taken_out(run, rng):
    for row in some(rng, run.rows):
        for _, found in asked(row):
            found["token_ids"] = None


@unbinds("every_record_has_a_lifetime", lifetimes=2)
def counts_of_records_taken_out(run, rng):
    for start in run.starts():
        start["records"] = None
    run.metadata["note"] = rng.random()


@unbinds("logs_unchanged", lifetimes=2)
def logs_and_their_hashes_taken_out(run, rng):
    for start in rng.sample(run.starts(), rng.randint(1, 3)):
        del run.logs[start["log"]]
        start["log_sha256"] = None


# what one file of the run says against another


def _settings(run: StandIn) -> Row:
    return run.metadata["resolved_spec"]


@cause("settings_as_served")
def settings_of_another_number_type(run, rng):
    _settings(run)["server"]["dtype"] = rng.choice(["bfloat16", "float32", "float"])
    run.metadata["note"] = rng.random()


@cause("settings_as_served")
def settings_of_another_length(run, rng):
    _settings(run)["server"]["max_model_len"] = rng.randint(512, 2047)


@cause("settings_as_served")
def metadata_of_another_backend(run, rng):
    _settings(run)["backend"] = "docker"
    run.metadata["note"] = rng.random()


@cause("settings_as_served")
def device_taken_out_of_metadata(run, rng):
    run.metadata["device"] = rng.choice([None, {}, {"kind": None, "name": f"GPU {rng.random()}"}])
    run.metadata["note"] = rng.random()


@cause("settings_as_served")
def metadata_of_another_device(run, rng):
    run.metadata["device"]["kind"] = rng.choice(["cpu", "rocm", "tpu", "xpu"])
    run.metadata["note"] = rng.random()


@cause("settings_as_served", lifetimes=2)
def metadata_of_another_release(run, rng):
    run.metadata["versions"]["vllm"] = f"0.{rng.randint(20, 33)}.{rng.randint(0, 3)}"
    run.metadata["note"] = rng.random()


@cause("settings_as_served")
def arguments_that_no_server_was_given(run, rng):
    server = _settings(run)["server"]
    name = rng.choice(["extra_args", "attention_backend", "env"])
    server[name] = {
        "extra_args": [f"--max-num-seqs={rng.randint(1, 99)}"],
        "attention_backend": rng.choice(["TRITON_ATTN", "FLASHINFER"]),
        "env": {"VLLM_USE_FLASHINFER_SAMPLER": str(rng.randint(1, 99))},
    }[name]
    run.metadata["note"] = rng.random()


@cause("settings_as_served")
def device_that_the_machine_does_not_have(run, rng):
    run.metadata["gpus"] = [{"name": "a stand-in for a GPU"}]
    run.metadata["device"]["name"] = f"another GPU {rng.random()}"


@cause("settings_as_served", lifetimes=2)
def start_of_other_weights(run, rng):
    rng.choice(run.starts())["server"]["hf_id"] = f"org/llama-{rng.randint(1, 999)}"


@cause("facts_as_logged", lifetimes=2)
def facts_of_a_start_up_file_edited(run, rng):
    facts = rng.choice(run.starts())["facts"]
    name, value = rng.choice(
        [("vllm_version", f"0.{rng.randint(20, 33)}.0"), ("attention_backend", "TRITON_ATTN"),
         ("max_num_batched_tokens", rng.randint(1, 8192)), ("async_scheduling", True),
         ("sampling_defaults", {"repetition_penalty": rng.random()})]
    )  # fmt: skip
    facts[name] = value


@cause("facts_as_logged", lifetimes=2)
def facts_taken_out(run, rng):
    for start in some(rng, run.starts()):
        start["facts"] = {}
    run.metadata["note"] = rng.random()


@cause("facts_as_logged", lifetimes=2)
def engine_of_a_start_up_file_edited(run, rng):
    engine = rng.choice(run.starts())["facts"]["engine"]
    key = rng.choice(["dtype", "max_seq_len", "seed", "tensor_parallel_size", "speculative_config"])
    engine[key] = str(rng.randint(3, 999))


@cause("facts_as_logged", lifetimes=2)
def server_info_that_contradicts_the_facts(run, rng):
    part = rng.choice([{"dtype": "torch.float32"}, {"max_model_len": rng.randint(1, 999)}])
    for start in run.starts():
        start["server_info"] = {"vllm_config": {"model_config": part}}
        start["ready_after_s"] = rng.random() * 60


# what a server's log says against records that were written anew with all their hashes


def _rewrite_logs(run: StandIn, change: Callable[[str], str]) -> None:
    """Write each log anew, and its hash."""
    run.steps_kept = True
    for start in run.starts():
        log = change(run.logs[start["log"]].decode())
        run.logs[start["log"]] = log.encode()
        start["log_sha256"] = digest(log)


def _rename(run: StandIn, way: str, to: str) -> None:
    """Tell a schedule by another name in records, candidates and ids."""
    for row in [*run.rows, *run.candidates]:
        if row["dispatch_mode"] == way:
            row["dispatch_mode"] = to
        if "mode" in row:
            row["record_id"] = record_id(tuple(row[name] for name in KEY), row["mode"])


@cause("asked_as_logged")
def answers_of_other_lengths_than_their_steps(run, rng):
    run.steps_kept = True
    for row in some(rng, run.of(rng.choice(MODES))):
        length = rng.randint(20, 60)
        ids = [rng.randint(100, 9999) for _ in range(length)]
        say(run, row, f"I cannot help, at length {rng.random()}", token_ids=ids)
        for seen in row["witness"].values():
            if seen is not None:
                seen["steps"] = length + 1


@cause("asked_as_logged")
def batches_that_shared_other_steps_than_logged(run, rng):
    run.steps_kept = True
    for row in some(rng, run.of(rng.choice(MODES))):
        row["witness"]["B"] |= {"steps": rng.randint(14, 99), "shared_decode_share": rng.random()}


@cause("asked_as_logged")
def records_of_one_mode_told_as_those_of_the_other(run, rng):
    for mode in MODES:
        steps = {row["group"][0]: rng.randint(13, 999) for row in run.rows}
        for row in run.of(mode):
            row["witness"]["B"]["steps"] = steps[row["group"][0]] + MODES.index(mode) * 2000
            row["witness"]["B"]["shared_decode_share"] = 0.5
    run.log_steps()
    run.steps_kept = True
    for row in run.of("standard"):
        other = run.partner(row)
        row["mode"], other["mode"] = other["mode"], row["mode"]
    for row in run.rows:
        row["record_id"] = record_id(tuple(row[name] for name in KEY), row["mode"])


@cause("asked_as_logged")
def log_of_fewer_requests_than_records(run, rng):
    gone = rng.randint(1, 4)

    def shortened(log: str) -> str:
        before, mark, last = log.rpartition("Iteration(1): ")
        begun, rest = last.split(" ", 1)
        return f"{before}{mark}{int(begun) - gone} {rest}"

    _rewrite_logs(run, shortened)


@cause("asked_as_logged")
def log_without_the_steps_that_records_tell(run, rng):
    kept = rng.randint(0, 9)

    def without(log: str) -> str:
        lines = log.splitlines(keepends=True)
        steps = [line for line in lines if "Iteration(" in line]
        return "".join(one for one in lines if one not in steps) + "".join(steps[:kept])

    _rewrite_logs(run, without)


@cause("schedules_as_logged", size=8, prompts=16)
def batches_told_as_staggered_that_came_at_once(run, rng):
    for way in {row["dispatch_mode"] for row in run.rows} - {"gated"}:
        _rename(run, way, "staggered")
    for row in run.rows:
        if row["dispatch_mode"] == "staggered":
            first = {"admitted_first_step": rng.randint(1, 5), "mixed_steps": 1}
            row["witness"]["B"] |= first | {"steps": 11, "shared_decode_share": 0.9}


@cause("schedules_as_logged")
def gated_batches_of_a_server_that_never_paused(run, rng):
    _rewrite_logs(run, lambda log: log.replace("POST /pause", f"GET /{rng.random()}"))


@cause("schedules_as_logged")
def gated_batches_told_as_another_schedule(run, rng):
    run.steps_kept = True
    _rename(run, "gated", rng.choice(["synchronized", "wide"]))


@cause("schedules_as_logged")
def batches_told_as_wide_that_found_a_slot_each(run, rng):
    _rename(run, next(row["dispatch_mode"] for row in run.rows[::4] if row["dispatch_mode"] not in
                      ("gated", "prompt_list")), "wide")  # fmt: skip
    slots = rng.randint(4, 64)
    for start in run.starts():
        relog(run, start, max_num_seqs=slots)
    run.metadata["note"] = rng.random()


@cause("schedules_as_logged")
def fewer_requests_sent_than_records_tell(run, rng):
    asked, gone = "POST /v1/completions", rng.randint(1, 30)
    _rewrite_logs(run, lambda log: log.replace(asked, "GET /health", gone))


def _leave_out(run: StandIn, names: set[str]) -> None:
    """As if these prompts had never been asked, in all but logs and counters."""
    run.log_steps()
    run.count_answers()
    run.steps_kept = True
    gone = [row for row in run.rows if row["sample_id"] in names]
    run.rows = [row for row in run.rows if row not in gone]
    for startup in run.startups.values():
        for number, start in enumerate(startup["attempts"], start=1):
            own = startup["model"], startup["mode"], number
            start["records"] -= sum((r["model"], r["mode"], r["start"]) == own for r in gone)
    keep_candidates(run)


def few(run: StandIn, rng: Random) -> set[str]:
    """One to three of the prompts."""
    names = [row["sample_id"] for row in run.of("standard")]
    return {*rng.sample(names, rng.randint(1, 3))}


@cause("asked_as_logged")
def rows_left_out_after_they_were_asked(run: StandIn, rng: Random) -> None:
    _leave_out(run, few(run, rng))


@cause("asked_as_logged", size=8, prompts=16)
def schedule_left_out_after_it_convicted(run: StandIn, rng: Random) -> None:
    way = rng.choice(sorted({row["dispatch_mode"] for row in run.rows} - {"gated"}))
    _leave_out(run, {row["sample_id"] for row in run.rows if row["dispatch_mode"] == way})


@cause("asked_as_logged")
def rows_left_out_behind_half_a_line(run: StandIn, rng: Random) -> None:
    _leave_out(run, few(run, rng))
    run.logs["vllm_records.torn"] = b'{"schema_version": 3, "mo' + bytes(rng.randint(1, 9))


@cause("asked_as_logged")
def rows_left_out_behind_a_line_of_the_other_mode(run: StandIn, rng: Random) -> None:
    aside = rng.choice(run.of("standard"))
    _leave_out(run, few(run, rng))
    run.logs["superseded_records.jsonl"] = f"{json.dumps(sealed(aside))}\n".encode()


@cause("asked_as_logged")
def rows_left_out_that_a_start_says_it_gave(run: StandIn, rng: Random) -> None:
    gone = few(run, rng)
    run.rows = [row for row in run.rows if row["sample_id"] not in gone]
    keep_candidates(run)


@cause("asked_as_logged")
def rows_left_out_as_if_they_had_warmed_the_server_up(run: StandIn, rng: Random) -> None:
    _leave_out(run, few(run, rng))
    run.metadata["resolved_spec"]["controls"]["warmup_requests"] = rng.randint(100, 999)
    for start in run.starts():
        start["metrics"]["finished"] = {"stop": 0.0}
        start["error"] = None
    run.count_answers(anew=True)


@cause("asked_as_logged")
def counters_of_answers_taken_out(run: StandIn, rng: Random) -> None:
    for start in run.starts(rng.choice(MODES)):
        start["metrics"]["finished"] = rng.choice([None, {}, [rng.random()], rng.random()])


@cause("asked_as_logged", lifetimes=2)
def more_answers_counted_by_the_server_than_told(run: StandIn, rng: Random) -> None:
    for start in run.starts(rng.choice(MODES)):
        start["metrics"]["finished"] = {"stop": 400.0 + rng.randint(0, 9), "length": 0.0}


@cause("asked_as_logged", lifetimes=2)
def fewer_answers_counted_by_the_server_than_told(run: StandIn, rng: Random) -> None:
    for start in run.starts(rng.choice(MODES)):
        start["metrics"]["finished"] = {"stop": 1.0 + rng.randint(0, 4), "length": 0.0}


@cause("asked_as_logged", lifetimes=2)
def answers_that_the_server_gave_up_and_nobody_tells_of(run: StandIn, rng: Random) -> None:
    for start in run.starts(rng.choice(MODES)):
        start["metrics"]["finished"] = {"abort": 1.0 + rng.randint(0, 9), "error": 0.0}


@cause("schedules_as_logged", policy="reset")
def cache_that_the_log_does_not_show_emptied(run: StandIn, rng: Random) -> None:
    run.log_steps()
    run.steps_kept = True
    left = rng.randint(0, 3)
    _rewrite_logs(
        run, lambda text: text.replace("POST /reset_prefix_cache", "GET /health", 10**6 - left)
    )


@cause("answers_possible", askings=("S0", "S1", "B", "B2", "S2"))
def answers_in_no_time(run: StandIn, rng: Random) -> None:
    for row in some(rng, run.rows):
        for _, found in asked(row):
            found["latency_s"] = rng.choice((0.0, -found["latency_s"], None))


@cause("answers_possible")
def answers_that_nobody_asked_for(run: StandIn, rng: Random) -> None:
    for row in some(rng, run.rows):
        row["batched"]["attempts"] = -rng.randint(1, 3)


@cause("answers_possible")
def prompt_of_other_length_in_the_batch(run: StandIn, rng: Random) -> None:
    for row in some(rng, run.rows):
        row["askings"][rng.choice(("S1", "S2"))]["prompt_tokens"] -= rng.randint(1, 90)


@cause("same_prompt_batch_and_sampling")
def prompts_of_other_length_in_one_mode(run: StandIn, rng: Random) -> None:
    more = rng.randint(1, 9)
    for row in run.of(rng.choice(MODES)):
        for _, found in asked(row):
            found["prompt_tokens"] += more


@cause("answers_possible")
def tokens_of_no_vocabulary(run: StandIn, rng: Random) -> None:
    for row in some(rng, run.rows):
        for _, found in asked(row):
            found["token_ids"] = [-token - 1 for token in found["token_ids"]]


@cause("no_flip_without_text_change")
def label_of_an_asking_edited_and_not_its_text(run: StandIn, rng: Random) -> None:
    for row in run.of("batch_invariant")[: rng.randint(1, 9)]:
        row["askings"][rng.choice(("S1", "S2"))] |= {"score": 0.5, "label": "partial"}


@unbinds("equal_texts_equal_tokens", prompts=24)
def token_ids_of_a_repeat_taken_out(run: StandIn, rng: Random) -> None:
    for row in some(rng, run.rows):
        row["askings"][rng.choice(("S1", "S2"))]["token_ids"] = None


@cause("own_server", lifetimes=2)
def servers_at_once_on_one_port(run: StandIn, rng: Random) -> None:
    first, second = run.starts(rng.choice(MODES))
    second["started_at"] = first["started_at"][:17] + f"{rng.randint(5, 40):02d}+00:00"
    began = datetime.fromisoformat(second["started_at"]).timestamp()
    second["process"]["started"] = began - 0.7
    relog(run, second)


@cause("own_server", lifetimes=2)
def start_that_ended_before_it_was_ready(run: StandIn, rng: Random) -> None:
    start = rng.choice(run.starts())
    start["ended_at"] = f"2026-11-27T{rng.randint(0, 20):02d}:00:00+00:00"


@cause("own_server", lifetimes=2)
def start_that_was_never_ready(run: StandIn, rng: Random) -> None:
    rng.choice(run.starts())[rng.choice(("ready_after_s", "started_at", "ended_at"))] = None


@cause("own_server")
def one_process_for_two_modes_one_after_the_other(run: StandIn, rng: Random) -> None:
    first, second = run.starts()
    second["process"]["started"] = first["process"]["started"]


@cause("own_server")
def process_that_did_nothing(run: StandIn, rng: Random) -> None:
    process = rng.choice(run.starts())["process"]
    process["cpu_s_after"] = process["cpu_s_before"]


@cause("own_server")
def process_of_which_nobody_asked_at_its_end(run: StandIn, rng: Random) -> None:
    rng.choice(run.starts())["process"]["cpu_s_after"] = None


@cause("own_server", lifetimes=2)
def served_under_a_name_without_a_nonce(run: StandIn, rng: Random) -> None:
    start = rng.choice(run.starts())
    name = start["server"]["served_model_name"]
    bare = name.partition("@")[0]
    start["server"]["served_model_name"] = bare
    start["server"]["command"] = [bare if w == name else w for w in start["server"]["command"]]
    relog(run, start)


@cause("own_server", backend="docker", lifetimes=2)
def container_that_tells_no_image(run: StandIn, rng: Random) -> None:
    for start in run.starts():
        start["server"]["docker"] = {}


@cause("settings_as_served", backend="docker")
def image_of_the_settings_is_another(run: StandIn, rng: Random) -> None:
    run.metadata["image"] = {"image_id": "sha256:" + f"{rng.randint(1, 9)}" * 64}


@cause("servers_as_logged")
def model_renamed_everywhere_but_in_its_served_name(run: StandIn, rng: Random) -> None:
    model = f"gemma{rng.randint(2, 9)}"
    for start in run.starts():
        name = start["server"]["served_model_name"]
        other = f"{model}{name[name.index('@') :]}"
        start["server"]["served_model_name"] = other
        start["server"]["command"] = [other if w == name else w for w in start["server"]["command"]]
        log = run.logs[start["log"]].decode().replace(name, other)
        run.logs[start["log"]] = log.encode()
        mode = start["server"]["mode"]
        start |= {"log_sha256": digest(log), **judged(log, mode)}


@cause("own_server")
def starts_outside_of_every_session(run: StandIn, rng: Random) -> None:
    day = f"2026-10-{rng.randint(1, 28):02d}"
    times = {"started_at": f"{day}T00:00:00+00:00", "ended_at": f"{day}T23:00:00+00:00"}
    run.metadata["sessions"] = [{**times, "exit": 0}]


@cause("workers_agree")
def proof_that_was_asked_for_taken_out(run: StandIn, rng: Random) -> None:
    logged = rng.random() < 0.5
    for start in run.starts():
        start["worker_proof"] = None
        start["server"]["command"] += ["--worker-extension-cls", "harness_worker_proof.WorkerProof"]
        if logged:
            relog(run, start, worker_extension_cls="harness_worker_proof.WorkerProof")
    run.controls["worker_proof"] = False


@cause("modes_proven", proof=False)
def data_parallel_engine_of_which_one_rank_is_inactive(run: StandIn, rng: Random) -> None:
    size = f"pipeline_parallel_size=1, data_parallel_size={rng.randint(2, 8)}"
    for start in run.starts():
        log = run.logs[start["log"]].decode().replace("pipeline_parallel_size=1", size)
        run.logs[start["log"]] = log.encode()
        start |= {"log_sha256": digest(log), **judged(log, start["server"]["mode"])}


@cause("mode_parity", lifetimes=2)
def variable_of_one_server_only(run: StandIn, rng: Random) -> None:
    name = rng.choice(("VLLM_USE_TRITON_FLASH_ATTN", "NCCL_ALGO", "VLLM_ATTENTION_BACKEND"))
    rng.choice(run.starts())["server"]["environment"][name] = "0"


@cause("mode_parity", lifetimes=2)
def flag_of_one_server_only(run: StandIn, rng: Random) -> None:
    flag = rng.choice(("--enforce-eager", "--enable-chunked-prefill", "--disable-cascade-attn"))
    rng.choice(run.starts())["server"]["command"].append(flag)


@cause("mode_parity", lifetimes=2)
def server_info_of_one_mode_taken_out(run: StandIn, rng: Random) -> None:
    for start in run.starts(rng.choice(MODES)):
        start["server_info"] = {"vllm_config": {"model_config": {}}}


@cause("one_server_build", lifetimes=2)
def other_torch_in_one_start(run: StandIn, rng: Random) -> None:
    for start in run.starts():
        start["evidence"]["torch_version"] = "2.9.0"
    rng.choice(run.starts())["evidence"]["torch_version"] = f"2.{rng.randint(10, 19)}.0"


@cause("asked_apart")
def times_of_one_mode_copied_into_the_other(run, rng):
    for row in rng.sample(run.of("standard"), rng.randint(3, 12)):
        for name in ("solo", "batched"):
            run.partner(row)[name]["latency_s"] = row[name]["latency_s"]


@cause("asked_apart")
def batched_answers_copied_from_those_alone(run, rng):
    for row in rng.sample(run.of("batch_invariant"), rng.randint(3, 12)):
        sent = {name: row["batched"][name] for name in ("attempts",) if name in row["batched"]}
        row["batched"] = {**row["askings"]["S1"], **sent}  # the server counted what was sent


@cause("asked_apart")
def answers_of_one_mode_copied_into_the_other(run, rng):
    for row in rng.sample(run.of("standard"), rng.randint(3, 12)):
        other = run.partner(row)
        other["solo"] = dict(row["solo"])
        other["askings"] = json.loads(json.dumps(row["askings"]))


@cause("servers_as_logged")
def log_of_another_lifetime(run, rng):
    served = rng.choice(run.starts())["server"]
    old = served["served_model_name"]
    name = f"{old.partition('@')[0]}@{rng.randrange(16**8):08x}"
    served["served_model_name"] = name
    served["command"] = [name if word == old else word for word in served["command"]]


def renamed_weights(run, rng):
    """Other weights in settings, records and start-up files, but for the command; their name."""
    weights = f"org/llama-{rng.randint(2, 999)}"
    _settings(run)["models"][0]["hf_id"] = weights
    for row in run.rows:
        row["hf_id"] = weights
    for start in run.starts():
        start["server"]["hf_id"] = weights
    return weights


@cause("servers_as_logged")
def weights_renamed_everywhere_but_in_the_log(run, rng):
    weights = renamed_weights(run, rng)
    for start in run.starts():
        served = start["server"]
        served["command"] = [weights if w == "org/llama" else w for w in served["command"]]


@cause("servers_as_logged")
def weights_renamed_everywhere_but_in_the_command(run, rng):
    renamed_weights(run, rng)


@cause("servers_as_logged")
def attention_backend_renamed_everywhere_but_in_the_log(run, rng):
    backend = rng.choice(["TRITON_ATTN", "FLASHINFER"])
    for start in run.starts():
        relog(run, start, attention_backend=backend)
    run.metadata["note"] = rng.random()


@cause("servers_as_logged", lifetimes=2)
def process_of_another_hour_than_the_log(run, rng):
    start = rng.choice(run.starts())
    later = rng.randint(400, 700) + 900 * rng.randint(0, 9)
    for end in ("started_at", "ended_at"):
        then = datetime.fromisoformat(start[end]) + timedelta(seconds=later)
        start[end] = then.isoformat()
    start["process"]["started"] += later
    for session in run.metadata["sessions"]:
        session["ended_at"] = None  # it is still open, so that the start is of one


def _as_if_external(run: StandIn) -> None:
    _settings(run)["backend"] = "external"
    _settings(run)["controls"]["worker_proof"] = False
    for start in run.starts():
        start["server"]["backend"] = "external"
        start |= {"worker_proof": None}


@cause("servers_as_logged")
def servers_told_as_somebody_elses(run, rng):
    _settings(run)["backend"] = "external"
    for start in run.starts():
        start["server"]["backend"] = "external"
    run.metadata["note"] = rng.random()


@cause("servers_as_logged")
def servers_told_as_somebody_elses_and_their_facts_taken_out(run, rng):
    _as_if_external(run)
    run.metadata["note"] = rng.random()
    for start in run.starts():
        start["server"] |= {"command": None, "served_model_name": "llama"}


@cause("settings_as_served")
def gpu_of_another_name_than_the_server_found(run, rng):
    run.metadata["device"]["name"] = f"NVIDIA H{rng.randint(100, 300)}"
    for start in run.starts():
        start["server_info"] = {"system_env": {"nvidia_gpu_models": "GPU 0: NVIDIA A10"}}


@cause("own_server", lifetimes=2)
def processes_taken_out_of_every_start(run, rng):
    for start in run.starts():
        start["process"] = None
    run.metadata["note"] = rng.random()


@cause("plan_as_recorded")
def more_records_planned_than_selected(run, rng):
    run.metadata["planned_records"] += rng.choice([-2, -1, 1, 2]) * rng.randint(1, 9)


@cause("plan_as_recorded")
def fewer_candidates_counted_than_selected(run, rng):
    run.metadata["candidates"]["rows"] -= rng.randint(1, 9)
    run.metadata["note"] = rng.random()


@cause("plan_as_recorded")
def seal_of_the_plan_taken_out(run, rng):
    del run.metadata["plan_sha256"]
    run.metadata["note"] = rng.random()


@cause("plan_made_again")
def settings_edited_and_sealed_again(run, rng):
    if rng.random() < 0.5:
        _settings(run)["request"]["max_attempts"] = rng.randint(5, 99)
    else:
        _settings(run)["server"]["gpu_memory_utilization"] = rng.random()
    run.metadata["plan_sha256"] = plan_seal(run.metadata)


@cause("plan_made_again")
def weights_edited_and_sealed_again(run, rng):
    run.metadata["model_files"] = {"llama": digest(str(rng.random()))}
    run.metadata["plan_sha256"] = plan_seal(run.metadata)


@cause("plan_made_again")
def fingerprint_taken_out_or_edited(run, rng):
    run.metadata["fingerprint"] = rng.choice([None, digest(str(rng.random()))])
    run.metadata["note"] = rng.random()
    run.metadata["plan_sha256"] = plan_seal(run.metadata)


@cause("plan_made_again")
def candidates_in_another_order_than_planned(run, rng):
    rng.shuffle(run.candidates)


@cause("plan_made_again")
def prompts_in_another_order_than_planned(run, rng):
    rng.shuffle(run.prompts)


@cause("plan_made_again")
def candidate_left_out_of_everything_that_is_not_hashed(run, rng):
    row = rng.choice(run.rows)
    run.rows = [one for one in run.rows if one["sample_id"] != row["sample_id"]]
    forget(run)
    keep_candidates(run)
    run.metadata["plan_sha256"] = plan_seal(run.metadata)


@cause("plan_made_again")
def batch_of_other_prompts_in_both_modes(run, rng):
    row = rng.choice(run.rows)
    taken = set(row["group"])
    own = f"{row['task_name']}/{row['sample_id']}"
    outside = [one["prompt"] for one in run.prompts if one["prompt"] not in taken]
    place = rng.choice([n for n, key in enumerate(row["group"]) if key != own])
    key = rng.choice(outside)
    for one in (row, run.partner(row)):
        one["group"] = [key if n == place else old for n, old in enumerate(one["group"])]
        one["companions"][place - (place > one["target_index"])]["key"] = key


@cause("plan_made_again")
def batch_sent_in_another_order_in_both_modes(run, rng):
    row = rng.choice(run.rows)
    group = rng.sample(row["group"], len(row["group"]))
    while group == row["group"]:
        rng.shuffle(group)
    own = f"{row['task_name']}/{row['sample_id']}"
    for one in (row, run.partner(row)):
        told = {mate["key"]: mate for mate in one["companions"]}
        one |= {"group": group, "target_index": group.index(own)}
        one["companions"] = [told[key] for key in group if key != own]


@cause("plan_made_again")
def another_prompt_than_planned_in_both_modes(run, rng):
    for row in some(rng, run.of("standard")):
        prompt = digest(f"a template with a space more {rng.random()}")
        row["prompt_sha256"] = run.partner(row)["prompt_sha256"] = prompt


@cause("plan_as_recorded")
def settings_edited_after_the_plan_was_sealed(run, rng):
    _settings(run)["expect"]["note"] = rng.randint(1, 9999)


@cause("schemas_known")
def metadata_of_a_form_to_come(run, rng):
    run.metadata["schema_version"] = rng.randint(3, 999)


@cause("schemas_known")
def start_up_file_of_a_form_to_come(run, rng):
    run.startups[rng.choice(sorted(run.startups))]["schema_version"] = rng.randint(3, 999)


@cause("schemas_known")
def records_of_a_form_to_come(run, rng):
    for row in some(rng, run.rows):
        row["schema_version"] = rng.randint(4, 999)


@cause("no_record_errors")
def failed_record(run, rng):
    row = rng.choice(run.rows)
    row |= failed(row, f"B: HTTP {rng.choice([500, 502, 503])}")


# what was done to the records afterwards


@cause("hashes_agree_with_texts")
def edited_text(run, rng):
    row = rng.choice([r for r in run.rows if r["pattern"] == "batch"])
    found = row["batched"]
    at = rng.randrange(len(found["text"]))
    found["text"] = found["text"][:at] + rng.choice("xyz") + found["text"][at:]


@cause("hashes_agree_with_texts")
def edited_hash(run, rng):
    row = rng.choice([r for r in run.rows if r["text_change"]])
    row["solo_response_hash"] = digest(f"another answer {rng.random()}")


@cause("flags_agree_with_scores_and_hashes")
def edited_text_of_a_repeat(run, rng):
    row = rng.choice(run.rows)
    found = asking(row, rng.choice(["S1", "S2"]))
    found["text"] += rng.choice([" ", ".", "!"])
    found["token_ids"] = tokens_of(found["text"])


@cause("scores_agree_with_answers")
def edited_score_of_an_answer(run, rng):
    found = rng.choice(run.rows)[rng.choice(["solo", "batched"])]
    found["score"] = round(1.0 - found["score"] - rng.choice([0.0, 0.25]), 2)


@cause("scores_agree_with_answers")
def edited_scores_of_a_row(run, rng):
    row = rng.choice([r for r in run.rows if not r["text_change"]])
    score = round(rng.random() / 2 + 0.2, 3)
    row |= {"solo_score": score, "batch_score": score}


@cause("no_flip_without_text_change")
def one_text_with_two_labels(run, rng):
    row = rng.choice([r for r in run.rows if not r["text_change"]])
    row[rng.choice(["solo", "batched"])] |= {"score": rng.random() / 2, "label": "partial"}
    restate(row)


@cause("flags_agree_with_scores_and_hashes")
def edited_label_flip(run, rng):
    row = rng.choice(run.rows)
    row["label_flip"] = not row["label_flip"]


@cause("flags_agree_with_scores_and_hashes")
def edited_text_change(run, rng):
    row = rng.choice(run.rows)
    row["text_change"] = not row["text_change"]


@cause("flags_agree_with_scores_and_hashes")
def edited_pattern(run, rng):
    row = rng.choice(run.rows)
    others = {"same", "batch", "cache", "masked", "both", "unstable"} - {row["pattern"]}
    row["pattern"] = rng.choice(sorted(others))


@cause("no_duplicates")
def duplicate_record(run, rng):
    run.rows.insert(rng.randrange(len(run.rows)), dict(rng.choice(run.rows)))


@cause("every_candidate_in_both_modes")
def record_missing_in_one_mode(run, rng):
    run.rows.remove(rng.choice(run.rows))
    forget(run)
    hide_the_plan(run)


@cause("every_selected_candidate")
def candidate_missing_and_the_expectation_lowered(run, rng):
    row = rng.choice(run.rows)
    partner = run.partner(row)
    run.rows = [one for one in run.rows if one is not row and one is not partner]
    run.metadata["resolved_spec"]["expect"]["rows_per_mode"] -= 1


@cause("rows_per_mode")
def candidates_left_out_of_records_and_list(run, rng):
    gone = {row["sample_id"] for row in some(rng, run.of("standard")[:9])}
    run.rows = [row for row in run.rows if row["sample_id"] not in gone]
    forget(run)
    run.candidates = [row for row in run.candidates if row["sample_id"] not in gone]
    run.metadata |= {"planned_records": len(run.rows), "candidates": {}}


@cause("every_selected_candidate")
def candidate_that_was_not_selected(run, rng):
    run.candidates.remove(rng.choice(run.candidates))
    run.metadata |= {"planned_records": 2 * len(run.candidates), "candidates": {}}


@cause("modes_present")
def mode_missing(run, rng):
    mode = rng.choice(MODES)
    run.rows = run.of(mode)
    rng.shuffle(run.rows)
    forget(run)
    hide_the_plan(run)


@cause("one_run")
def foreign_run_id_in_one_record(run, rng):
    rng.choice(run.rows)["run_id"] = f"another-{rng.randint(1, 999)}"


@cause("one_run")
def records_of_another_run(run, rng):
    for row in run.rows:
        row["run_id"] = "another"
    run.metadata["run_id"] = f"planted-{rng.randint(1, 999)}"


@cause("last_line_whole")
def truncated_last_line(run, rng):
    line = json.dumps(rng.choice(run.rows))
    run.tail = line[: rng.randrange(20, len(line) - 20)]


@cause("records_readable")
def line_that_is_no_record(run, rng):
    fields = sorted({"model", "mode", "status", "batch_size", "sample_id"})
    row = dict(rng.choice(run.rows))
    del row[rng.choice(fields)]
    run.tail = json.dumps(row) + "\n"


@cause("run_finished")
def session_that_ended_in_an_error(run, rng):
    run.metadata["complete"] = False
    run.metadata["sessions"][-1] |= {
        "exit": rng.choice([1, 2, 3, 4, 130]),
        "error": f"the server died after {rng.randint(1, 99)} records",
    }


@cause("run_finished")
def prompts_of_the_plan_missing(run, rng):
    run.prompts = None
    run.metadata["note"] = rng.random()


@cause("run_finished")
def selected_candidates_missing(run, rng):
    run.candidates = None
    run.metadata["note"] = rng.random()


@cause("settings_recorded")
def metadata_without_its_settings(run, rng):
    gone = rng.choice([None, {}])
    for name in ("resolved_spec", "spec"):
        run.metadata[name] = gone


@cause("logs_unchanged", lifetimes=2)
def log_whose_hash_and_end_are_taken_out(run, rng):
    rng.choice(run.starts()).update(log_sha256=None, ended_at=None)


@cause("logs_whole", lifetimes=2)
def log_that_a_power_cut_shortened(run, rng):
    """Its harness never wrote how the server ended; the hash was written when the run concluded."""
    run.log_steps()
    run.steps_kept = True
    start = rng.choice(run.starts())
    log = run.logs[start["log"]]
    kept = log[: int(len(log) * rng.uniform(0.1, 0.9))]
    run.logs[start["log"]] = kept + bytes(rng.choice((0, 4096)))  # some disks leave zeros
    sealed = rng.choice((None, sha256(run.logs[start["log"]]).hexdigest()))
    start |= {"records": 0, "ended_at": None, "log_sha256": sealed, "metrics": {}}


@cause("logs_unchanged", lifetimes=2)
def log_whose_hash_is_taken_out(run, rng):
    rng.choice(run.starts())["log_sha256"] = None


@cause("logs_unchanged")
def logs_without_any_hash(run, rng):
    for start in run.starts():
        start["log_sha256"] = None
