"""Valid runs of the product on real vLLM CPU servers, of many kinds: none of them is refused."""

from __future__ import annotations

import json
import signal
import time
from typing import NamedTuple

import pytest
from real_servers import SLOTS, Gateway, at, external, finish, forward, run, staggered, start

from harness.analyse import validate_run
from harness.settings import load_spec
from harness.tasks import load_tasks
from harness.words import Mode

pytestmark = [pytest.mark.vllm_cpu, pytest.mark.timeout(1200)]


class Kind(NamedTuple):
    """A kind of run: the width of its batches, how they are sent, how many rows, what else.

    Staggered requests are so many steps of the server apart.
    """

    width: int
    schedules: str
    flags: tuple[str, ...]
    rows: int = 2
    steps_apart: int = 3


def cache(policy: str) -> tuple[str, ...]:
    return ("--prefix-caching", policy)


SLOTTED = f"--extra-arg=--max-num-seqs={SLOTS}"
KINDS = {
    "pairs, the cache as by default": Kind(2, "synchronized", cache("server_default")),
    "gated, salted": Kind(4, "gated", cache("salted"), rows=4),
    "gated as wide as the server, reset": Kind(SLOTS, "gated", (*cache("reset"), SLOTTED)),
    "staggered, reset": Kind(4, "staggered", cache("reset"), rows=3),
    "staggered far apart, salted": Kind(3, "staggered", cache("salted"), steps_apart=5),
    "wide, salted": Kind(SLOTS + 4, "wide", (*cache("salted"), SLOTTED)),
    "wide, the cache as by default": Kind(SLOTS + 2, "wide", (*cache("server_default"), SLOTTED)),
    "prompt lists, salted": Kind(3, "prompt_list", cache("salted"), rows=3),
    "prompt lists, the cache as by default": Kind(2, "prompt_list", cache("server_default")),
    "four schedules": Kind(3, "synchronized,gated,staggered,prompt_list", cache("salted"), rows=1),
    "two batches a row": Kind(3, "gated", (*cache("salted"), "--askings", "S0,S1,B,B2,S2")),
    "the study's two askings": Kind(2, "gated", (*cache("reset"), "--askings", "S0,B")),
    "no second solo answer": Kind(2, "staggered", (*cache("salted"), "--askings", "S0,S1,B")),
    "answers of at most five tokens": Kind(
        2, "gated", (*cache("salted"), "--max-tokens", "5"), rows=3
    ),
    "the study's scorers": Kind(2, "gated", (*cache("salted"), "--score-profile", "paper")),
}


def test_there_are_at_least_fifteen_kinds_of_real_runs_and_they_differ():
    assert len(set(KINDS.values())) >= 15


@pytest.fixture(scope="module")
def both(servers):
    return {str(mode): at(server) for mode, server in servers.items()}


@pytest.fixture
def run_id():
    """One for all: these servers outlive the runs, whose salts are no less their own."""
    return "run"


@pytest.fixture
def rows(servers, tmp_path):
    """The flags that ask as many prompts of the population as a kind says.

    Nothing but their length holds synchronized and staggered requests together: on a busy machine
    an answer of 16 tokens can end before the next request arrives, and that batch is none.
    """

    def flags_of(kind):
        schedules = kind.schedules.split(",")
        tokens = "96" if {"synchronized", "staggered"} & set(schedules) else "16"
        spec = load_spec("demo-tiny").spec
        asked = load_tasks(spec.tasks).prompts[:: kind.width][: kind.rows]
        ids = [f"{p.task.name},{p.sample.sample_id}" for p in asked]
        lines = [f"{spec.models[0].name},{one},{kind.width},synchronized" for one in ids]
        head = "model,task_name,sample_id,batch_size,dispatch_mode"
        (tmp_path / "rows.csv").write_text("\n".join([head, *lines]) + "\n")
        flags = ("--candidates", str(tmp_path / "rows.csv"), "--dispatch-modes", kind.schedules)
        apart = ()
        if "staggered" in schedules:
            apart = staggered(servers[Mode.STANDARD], kind.steps_apart)
        return (*flags, "--max-tokens", tokens, *apart, *kind.flags)

    return flags_of


def is_valid(folder):
    found = validate_run(folder)
    assert found.ok, found.failures
    return [json.loads(line) for line in (folder / "vllm_records.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", KINDS)
def test_a_real_run_is_not_refused(name, rows, both, tmp_path, run_id):
    code, said = run(tmp_path, run_id, *external(**both), *rows(KINDS[name]))
    assert code == 0, said
    found = is_valid(tmp_path / run_id)
    schedules = KINDS[name].schedules.split(",")
    assert len(found) == 2 * KINDS[name].rows * len(schedules)
    assert {row["dispatch_mode"] for row in found} == set(schedules)
    for row in found:  # the engine's own steps tell alone from together
        told = {name: seen for name, seen in row["witness"].items() if seen}
        assert all(seen["source"] == "log" for seen in told.values())
        assert told["B"]["admitted_first_step"] > 1 or told["B"]["shared_decode_share"] > 0
        alone = [told[name] for name in ("S0", "S1", "S2") if name in told]
        assert all(seen["admitted_first_step"] == 1 for seen in alone)
        assert all(seen["shared_decode_share"] == 0 for seen in alone)


def test_servers_whose_logs_nobody_gave_are_proven_by_what_they_say_of_themselves(
    rows, both, tmp_path, run_id
):
    unlogged = {mode: server._replace(log_path=None) for mode, server in both.items()}
    kind = Kind(3, "synchronized", cache("salted"))
    code, said = run(tmp_path, run_id, *external(**unlogged), *rows(kind))
    assert code == 0, said
    assert {row["witness"]["B"]["source"] for row in is_valid(tmp_path / run_id)} == {"metrics"}


def test_a_batch_of_which_one_answer_was_lost_is_sent_again_whole(rows, both, tmp_path, run_id):
    lost, flying = [], []

    def lose_one(path, body, upstream):
        if path != "/v1/completions":
            return forward(path, body, upstream)
        flying.append(path)
        try:
            answer = forward(path, body, upstream)
            if len(flying) > 1 and not lost:
                lost.append(answer)
                return None
            return answer
        finally:
            flying.pop()

    with Gateway(both["standard"].base_url, lose_one) as gateway:
        given = {**both, "standard": both["standard"]._replace(base_url=gateway.url)}
        kind = Kind(3, "synchronized", cache("salted"))
        code, said = run(tmp_path, run_id, *external(**given), *rows(kind))
    assert code == 0, said
    assert lost
    found = is_valid(tmp_path / run_id)
    assert max(row["batched"]["attempts"] for row in found) == 2
    assert {len(row["companions"]) for row in found} == {2}


def test_rows_that_failed_and_were_asked_again_are_not_refused(rows, both, tmp_path, run_id):
    broken = []

    def break_off(path, body, upstream):
        if path == "/v1/completions" and len(broken) < 3:
            broken.append(path)
            return 503, b"{}"
        return forward(path, body, upstream)

    kind = Kind(2, "gated", (*cache("salted"), "--max-attempts", "1"), rows=3)
    flags = (*rows(kind), "--warmup-requests", "0")
    with Gateway(both["standard"].base_url, break_off) as gateway:
        given = {**both, "standard": both["standard"]._replace(base_url=gateway.url)}
        code, said = run(tmp_path, run_id, *external(**given), *flags)
    assert code == 4, said
    assert "records failed" in said
    code, said = run(tmp_path, run_id, *external(**both), *flags, "--retry-errors")
    assert code == 0, said
    assert {row["status"] for row in is_valid(tmp_path / run_id)} == {"ok"}


def test_a_run_that_was_interrupted_and_taken_up_is_not_refused(rows, both, tmp_path, run_id):
    kind = Kind(4, "staggered", cache("salted"), rows=4, steps_apart=4)
    flags = (*external(**both), *rows(kind))
    process = start(tmp_path, run_id, *flags)
    path = tmp_path / run_id / "vllm_records.jsonl"
    while not (path.exists() and path.stat().st_size):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 130, err
    code, said = run(tmp_path, run_id, *flags)
    assert code == 0, said
    assert len(is_valid(tmp_path / run_id)) == 8
