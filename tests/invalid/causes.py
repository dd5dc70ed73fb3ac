"""Causes that make a run invalid, each with what plants it and the check that must refuse it."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from stand_in_run import MODES, VERDICTS, Row, StandIn, asked, asking, digest, failed, restate, say

Plant = Callable[[StandIn, Random], None]


class Cause(NamedTuple):
    """What went wrong, the check that must refuse it, and the stand-in that it is planted in."""

    check: str
    plant: Plant
    shape: dict[str, Any]


CAUSES: dict[str, Cause] = {}


def cause(check: str, **shape: Any) -> Callable[[Plant], Plant]:
    """Add a cause under its function's name; ``shape`` is given to the stand-in."""

    def added(plant: Plant) -> Plant:
        CAUSES[plant.__name__.replace("_", " ")] = Cause(check, plant, shape)
        return plant

    return added


def some(rng: Random, rows: list[Row]) -> list[Row]:
    """One row or more."""
    return rng.sample(rows, rng.randint(1, len(rows)))


def hide_the_plan(run: StandIn) -> None:
    """Take away what else would tell how many records there must be."""
    run.candidates = None
    run.metadata["resolved_spec"]["expect"] = {}
    run.metadata["candidates"] = {}


# what was sent, and what the engine made of it


@cause("batches_shared_steps")
def vacuous_batch(run, rng):
    rows = run.of(rng.choice(MODES))
    for row in some(rng, [r for r in rows if r["dispatch_mode"] != "gated"]):
        row["witness"]["B"] |= {
            "admitted_first_step": 1,
            "shared_decode_share": 0.0,
            "mixed_steps": 0,
            "steps": rng.randint(20, 90),
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
            [{"admitted_first_step": 2}, {"shared_decode_share": 0.25}, {"mixed_steps": 1}]
        )
        row["witness"][rng.choice(["S0", "S1", "S2"])] |= how


@cause("gated_in_one_step")
def gated_batch_admitted_in_several_steps(run, rng):
    rows = [r for r in run.of(rng.choice(MODES)) if r["dispatch_mode"] == "gated"]
    for row in some(rng, rows):
        row["witness"]["B"]["admitted_first_step"] = rng.randint(1, row["batch_size"] - 1)


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
    start["worker_proof"]["lines"][rank] = f"rank {rank}: _log_softmax of vLLM's own"
    start["worker_proof"]["verdict"] = "contaminated"


@cause("workers_agree", ranks=4, lifetimes=2)
def rank_that_did_not_answer(run, rng):
    proof = rng.choice(run.starts())["worker_proof"]
    proof["ranks"] = rng.randint(0, 3)
    del proof["lines"][proof["ranks"] :]


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
    other["server"]["served_model_name"] = one["server"]["served_model_name"]


@cause("own_server", lifetimes=2)
def process_replaced_within_a_lifetime(run, rng):
    process = rng.choice(run.starts())["process"]
    process["cpu_s_after"] = process["cpu_s_before"] * rng.random()


@cause("every_record_has_a_lifetime", lifetimes=2)
def restart_in_the_middle(run, rng):
    start = rng.choice(run.starts())
    start["records"] -= rng.randint(1, start["records"] - 1)


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
    start["evidence"]["vllm_version"] = f"0.{rng.randint(20, 33)}.{rng.randint(0, 2)}"


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
    run.metadata["mode_parity"].pop(rng.choice(["llama", "qwen"]))


@cause("no_startup_errors", lifetimes=2)
def start_up_error(run, rng):
    name = rng.choice(sorted(run.startups))
    messages = ["CUDA out of memory", "port in use", "engine core died", "no such model"]
    run.startups[name]["attempts"][-1]["error"] = {
        "type": "ServerDied",
        "message": f"{rng.choice(messages)} after {rng.randint(1, 900)} s",
    }


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


@cause("servers_compute")
def same_answer_to_every_prompt(run, rng):
    text = f"I cannot help with {rng.choice(['that', 'this', 'it'])} {rng.randint(1, 999)}."
    for row in run.of(rng.choice(MODES)):
        say(run, row, text)


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
    asking(row, rng.choice(["S1", "S2"]))["text"] += rng.choice([" ", ".", "!"])


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
    run.candidates = [row for row in run.candidates if row["sample_id"] not in gone]


@cause("every_selected_candidate")
def candidate_that_was_not_selected(run, rng):
    run.candidates.remove(rng.choice(run.candidates))


@cause("modes_present")
def mode_missing(run, rng):
    mode = rng.choice(MODES)
    run.rows = run.of(mode)
    rng.shuffle(run.rows)
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
