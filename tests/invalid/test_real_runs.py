"""Invalid runs of the product on the real vLLM CPU server.

Most are provoked: a real server was asked, and something between, beside or inside it was wrong.
The others are planted in what a real run left behind. `test_identity_end_to_end.py`,
`test_schedules_end_to_end.py` and `test_end_to_end.py` provoke more: two runs on one port, one
server for two modes, a cache left on, a server killed in the middle, a plug-in that is off.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from random import Random

import httpx
import pytest
from causes import CAUSES
from real_servers import Gateway, at, external, forward, run
from stand_in_run import KEY, MODES, read_run

from harness.analyse import summarise_run, validate_run
from harness.analyse.log_checks import OF_LOGS
from harness.errors import UsageError
from harness.records import fingerprint, made_again, plan_seal
from harness.serve import free_port
from harness.words import Mode

pytestmark = [pytest.mark.vllm_cpu, pytest.mark.timeout(1200)]
PLANTED = (
    "vacuous batch",
    "retry in another batch",
    "unequal batch between the modes",
    "aborted companion",
    "swapped modes",
    "one server for two modes",
    "processes taken out of every start",
    "restart in the middle",
    "log appended",
    "edited score of an answer",
    "edited pattern",
    "duplicate record",
    "truncated last line",
    "weights retagged under the same name",
    "one token over and over",
    "facts of a start up file edited",
    "worker proof contradicts the log",
    "settings edited and sealed again",
    "settings of another length",
    "seal of the plan taken out",
    "batches that shared other steps than logged",
    "log without the steps that records tell",
    "fewer requests sent than records tell",
    "times of one mode copied into the other",
    "batched answers copied from those alone",
    "log of another lifetime",
    "process of another hour than the log",
    "servers told as somebody elses",
)
"""Planted in the records, start-up files and logs of one real run; each has its own check."""
PROVOKED = {
    "one request slot": "batches_shared_steps",
    "requests let through one at a time": "batches_shared_steps",
    "salts stripped on the way": "cache_policy_kept",
    "cache said to be emptied and kept": "cache_policy_kept",
    "servers that were not set alike": "mode_parity",
    "another server in the middle": "own_server",
    "companion that the server gave up": "no_record_errors",
}
"""Provoked on real servers in this file, and the check that refuses the run."""
OF_PLANS = ("plan_as_recorded", "plan_made_again")
COMPLETIONS = "/v1/completions"
SALTED, RESET = ("--prefix-caching", "salted"), ("--prefix-caching", "reset")
SHORT = ("--limit", "2", "--max-tokens", "12")


@pytest.fixture(scope="module")
def real(proven):
    """A real run of both modes, a few whole batches."""
    results, (code, _, err), _ = proven
    assert code == 0, err
    return results / "first"


def refused(folder):
    """The checks that refuse a run; of which nothing is established."""
    failures = {finding.check for finding in validate_run(folder).failures}
    assert not failures or not [c for c in summarise_run(folder).claims if is_established(c)]
    return failures


def is_established(claim):
    return claim.status == "established"


def records(folder):
    path = folder / "vllm_records.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_real_run_is_not_refused(real):
    found = validate_run(real)
    assert found.ok, found.failures


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_in_a_real_run_is_refused_by_its_check_alone(name, real, tmp_path, capsys):
    changed, cause = read_run(real), CAUSES[name]
    if cause.check not in OF_LOGS:
        rewrite_steps(changed)
    cause.plant(changed, Random(name))
    if cause.check not in OF_PLANS:
        changed.metadata["fingerprint"] = fingerprint_of(changed)
        changed.metadata["plan_sha256"] = plan_seal(changed.metadata)
    found = validate_run(changed.write(tmp_path / "run"))
    assert {f.check for f in found.failures} == {cause.check}  # without it the run would pass
    assert not [c for c in summarise(tmp_path / "run") if is_established(c)]
    with capsys.disabled():
        print(f"\n{name:52} {cause.check:36} refused, on a real run", end=" ")


def test_at_least_ten_named_checks_refuse_a_run_of_the_real_server():
    checks = {CAUSES[name].check for name in PLANTED} | set(PROVOKED.values())
    assert len(checks) >= 10
    assert len({CAUSES[name].check for name in PLANTED}) >= 10  # each of which was the only one


def test_a_run_without_the_hashes_of_its_prompts_is_mended_by_the_command_that_is_named(
    real, tmp_path
):
    folder = shutil.copytree(real, tmp_path / "first")
    (folder / "prompt_hashes.jsonl").unlink()
    (found,) = [f for f in validate_run(folder).findings if f.check == "plan_made_again"]
    assert str(found.status) == "not_checked"
    assert "the same `harness run` with --run-id first writes it" in found.message
    assert not [c for c in summarise(folder) if is_established(c)]
    before = (folder / "vllm_records.jsonl").read_bytes()
    code, said = run(tmp_path, "first", "--limit", "8", "--worker-proof", "on")
    assert code == 0, said
    assert "records are there already" in said
    (found,) = [f for f in validate_run(folder).findings if f.check == "plan_made_again"]
    assert str(found.status) == "ok"
    assert (folder / "vllm_records.jsonl").read_bytes() == before


def rewrite_steps(run):
    """Have logs of a real run show the steps of what will be planted, as who edits it would."""
    run.steps_kept = False
    for row in run.rows:
        for seen in filter(None, row["witness"].values()):
            seen["largest_step"] = None


def fingerprint_of(run):
    """Of the plan that settings and candidates give now, as `harness.records` works it out."""
    spec = run.metadata["resolved_spec"]
    prompts = [(one["prompt"], one["sha256"]) for one in run.prompts]
    keys = [tuple(row[k] for k in KEY) for row in run.candidates]
    names = [model["name"] for model in spec["models"]]
    plan = [(r.record_id, r.hashes) for r in made_again(names, MODES, keys, prompts)]
    return fingerprint(spec, run.metadata["model_files"], plan)


def summarise(folder):
    try:
        return summarise_run(folder).claims
    except UsageError:  # records that cannot be read have no ledger
        return ()


def test_one_request_slot_makes_every_batch_vacuous(tmp_path):
    flags = ("--limit", "4", "--modes", "standard", "--extra-arg=--max-num-seqs=1")
    code, said = run(tmp_path, "one-slot", "--port", str(free_port(18300)), *flags)
    assert code == 1, said
    assert refused(tmp_path / "one-slot") == {PROVOKED["one request slot"]}
    rows = records(tmp_path / "one-slot")
    assert all(row["witness"]["B"]["shared_decode_share"] == 0 for row in rows)


def test_a_gateway_that_lets_one_request_through_at_a_time_makes_every_batch_vacuous(
    servers, tmp_path
):
    turn = threading.Lock()

    def one_at_a_time(path, body, upstream):
        with turn:
            return forward(path, body, upstream)

    server = servers[Mode.STANDARD]
    with Gateway(server.base_url, one_at_a_time) as gateway:
        given = external(standard=at(server, url=gateway.url))
        code, said = run(tmp_path, "queue", *given, *SHORT, *SALTED)
    assert code == 1, said
    assert refused(tmp_path / "queue") == {PROVOKED["requests let through one at a time"]}


def test_a_gateway_that_strips_the_salts_breaks_the_cache_policy(servers, tmp_path):
    def without_salt(path, body, upstream):
        if path == COMPLETIONS:
            asked = json.loads(body)
            del asked["cache_salt"]
            body = json.dumps(asked).encode()
        return forward(path, body, upstream)

    server = servers[Mode.STANDARD]
    with Gateway(server.base_url, without_salt) as gateway:
        given = external(standard=at(server, url=gateway.url))
        code, said = run(tmp_path, "salts", *given, *SHORT, *SALTED)
    assert code == 1, said
    assert refused(tmp_path / "salts") == {PROVOKED["salts stripped on the way"]}


def test_a_gateway_that_says_that_the_cache_was_emptied_breaks_the_cache_policy(servers, tmp_path):
    def kept(path, body, upstream):
        if path.startswith("/reset_prefix_cache"):
            return 200, b'{"success": true}'
        return forward(path, body, upstream)

    server = servers[Mode.STANDARD]
    with Gateway(server.base_url, kept) as gateway:
        given = external(standard=at(server, url=gateway.url))
        code, said = run(tmp_path, "reset", *given, *SHORT, *RESET)
    assert code == 1, said
    assert refused(tmp_path / "reset") == {PROVOKED["cache said to be emptied and kept"]}


def test_swapped_modes_are_not_asked(servers, tmp_path):
    swapped = {mode: servers[other] for mode, other in zip(Mode, reversed(Mode), strict=True)}
    given = external(**{str(mode): at(server) for mode, server in swapped.items()})
    code, said = run(tmp_path, "swapped", *given, *SHORT, *SALTED)
    assert code == 4, said
    assert "the log says contaminated, not clean" in said
    assert not records(tmp_path / "swapped")  # nothing that a check could take for a run


def test_a_log_in_which_the_other_mode_started_last_proves_nothing(servers, tmp_path):
    log = tmp_path / "appended.log"
    for mode in Mode:
        with log.open("ab") as appended:
            appended.write(servers[mode].log_path.read_bytes())
    server = at(servers[Mode.STANDARD])._replace(log_path=log)
    code, said = run(tmp_path, "appended", *external(standard=server), *SHORT, *SALTED)
    assert code == 4, said
    assert "the log says contaminated, not clean" in said
    assert not records(tmp_path / "appended")


def test_servers_that_were_not_set_alike_are_refused(servers, by_hand, tmp_path):
    both = external(standard=at(by_hand), batch_invariant=at(servers[Mode.BATCH_INVARIANT]))
    code, said = run(tmp_path, "unlike", *both, *SHORT, "--prefix-caching", "server_default")
    assert code == 1, said
    assert refused(tmp_path / "unlike") == {PROVOKED["servers that were not set alike"]}
    found = json.loads((tmp_path / "unlike/metadata.json").read_text())["mode_parity"]
    names = {one["name"] for one in found["demo-llama"] if not one["allowed"]}
    assert "arguments.block_size" in names


def test_another_server_behind_the_same_address_in_the_middle_is_noticed(
    servers, by_hand, tmp_path
):
    """As after a restart, or behind a balancer: the name, the model and the mode are the same."""
    asked = []

    def moved(path, body, upstream):
        if path == COMPLETIONS:
            asked.append(path)
        return forward(path, body, by_hand.base_url if len(asked) > 6 else upstream)

    server = servers[Mode.STANDARD]
    with Gateway(server.base_url, moved) as gateway:
        given = external(standard=at(server, url=gateway.url))
        code, said = run(tmp_path, "moved", *given, *SHORT, "--prefix-caching", "server_default")
    assert code == 4, said
    assert "another process answers than at readiness" in said
    assert PROVOKED["another server in the middle"] in refused(tmp_path / "moved")


def test_a_companion_that_the_server_gave_up_fails_its_batch(servers, tmp_path):
    server = servers[Mode.STANDARD]
    flying, one_at_a_time = [], threading.Lock()

    def give_up(path, body, upstream):
        if path != COMPLETIONS:
            return forward(path, body, upstream)
        flying.append(path)
        if len(flying) > 1 and one_at_a_time.acquire(blocking=False):  # a batch is on its way
            threading.Thread(target=abort, daemon=True).start()
        try:
            return forward(path, body, upstream)
        finally:
            flying.pop()

    def abort():
        while len(flying) > 1:  # an order may come before the engine has a request, or too late
            httpx.post(f"{server.base_url}/pause?mode=abort", timeout=60)
            httpx.post(f"{server.base_url}/resume", timeout=60)
            time.sleep(0.05)
        one_at_a_time.release()

    flags = ("--limit", "8", "--max-tokens", "200", "--max-attempts", "1", *SALTED)
    with Gateway(server.base_url, give_up) as gateway:
        given = external(standard=at(server, url=gateway.url))
        code, said = run(tmp_path, "aborted", *given, *flags)
    assert code == 4, said
    gave_up = PROVOKED["companion that the server gave up"]
    assert gave_up in refused(tmp_path / "aborted")
    (error, *_) = [row["error"] for row in records(tmp_path / "aborted") if row["error"]]
    assert "abort" in error
