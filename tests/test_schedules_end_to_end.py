"""Gated batches and cache policies on the real vLLM CPU server, ours and one found running."""

import json
import os
import re
import signal
import time

import httpx
import pytest
from real_servers import at, external, finish, start

from harness.prove import read_steps
from harness.serve import free_port
from harness.words import Mode

pytestmark = [pytest.mark.vllm_cpu, pytest.mark.timeout(1200)]
BATCH, ROWS = 8, 3
TASK = """\
name: long
task_type: classification
prompt_template: |
  {{ question }}
samples:
"""
LONG = "A kettle boils water when heat reaches it, and nobody has to be asked why. " * 5


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Prompts of several blocks of 32 tokens, and candidates of them in batches of 8."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "tasks").mkdir()
    options = ", ".join(f"option_{letter}: {letter}" for letter in "abcd")
    samples = "".join(
        f'  - {{id: s{i}, question: "{i}. {LONG}", reference: A, {options}}}\n'
        for i in range(BATCH)
    )
    (folder / "tasks/long.yaml").write_text(TASK + samples)
    head = "model,task_name,sample_id,batch_size,dispatch_mode\n"
    rows = "".join(f"demo-llama,long,s{i},{BATCH},synchronized\n" for i in range(ROWS))
    (folder / "candidates.csv").write_text(head + rows)
    return folder


@pytest.fixture
def found(servers):
    """A server that runs already: development endpoints, small blocks, the cache as by default."""
    return servers[Mode.STANDARD]


def begin(inputs, results, run_id, *flags):
    asked = ("--tasks", str(inputs / "tasks"), "--candidates", str(inputs / "candidates.csv"))
    return start(results, run_id, *asked, "--max-tokens", "8", *flags)


def on(server, inputs, results, run_id, *flags):
    return begin(inputs, results, run_id, *external(standard=at(server)), *flags)


def check(folder, name):
    findings = json.loads((folder / "validation.json").read_text())["findings"]
    (found,) = [finding for finding in findings if finding["check"] == name]
    return found["status"], found["message"]


def answers(folder):
    """Every answer of a run that says what it found in the cache."""
    lines = (folder / "vllm_records.jsonl").read_text().splitlines()

    def inside(value):
        if isinstance(value, dict):
            if "cached_earlier" in value:
                yield value
            value = list(value.values())
        for one in value if isinstance(value, list) else ():
            yield from inside(one)

    return [answer for line in lines for answer in inside(json.loads(line))]


def test_a_server_of_ours_holds_gated_batches_and_admits_each_in_one_step(inputs, tmp_path):
    flags = ("--modes", "standard", "--port", str(free_port(18420)), "--dispatch-modes", "gated")
    code, _, err = finish(begin(inputs, tmp_path, "gated", *flags))
    assert code == 0, err
    folder = tmp_path / "gated"
    startup = json.loads((folder / "startup_standard_demo-llama.json").read_text())
    (attempt,) = startup["attempts"]
    assert attempt["server"]["environment"]["VLLM_SERVER_DEV_MODE"] == "1"
    assert "--host 127.0.0.1" in " ".join(attempt["server"]["command"])
    steps = read_steps((folder / attempt["log"]).read_text())
    assert sum(step.context_requests == BATCH for step in steps) == 1  # its rows share a batch
    assert {step.context_requests for step in steps} <= {0, 1, BATCH}
    assert "VLLM_SERVER_DEV_MODE=1" in (folder / "report.md").read_text()
    assert check(folder, "cache_policy_kept")[0] == "ok"  # the demo's own policy: off


@pytest.mark.parametrize("policy", ["salted", "reset"])
def test_under_salted_and_reset_no_token_is_of_an_earlier_asking(found, inputs, tmp_path, policy):
    flags = ("--prefix-caching", policy, "--dispatch-modes", "original,gated,prompt_list")
    code, _, err = finish(on(found, inputs, tmp_path, policy, *flags))
    assert code == 0, err
    status, message = check(tmp_path / policy, "cache_policy_kept")
    assert status == "ok", message
    assert message.startswith(f"{policy}: no token of an earlier asking in ")
    assert {answer["cached_earlier"] for answer in answers(tmp_path / policy)} == {0}


def test_by_default_the_second_asking_finds_the_first_ones_blocks(found, inputs, tmp_path):
    code, _, err = finish(
        on(found, inputs, tmp_path, "default", "--prefix-caching", "server_default")
    )
    assert code == 0, err
    told = [answer["cached_earlier"] for answer in answers(tmp_path / "default")]
    assert max(told) >= 64
    left = []
    for line in (tmp_path / "default/vllm_records.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert record["warmed"] == record["batch_size"] - 1  # companions are asked alone too
        s1, s2 = record["askings"]["S1"], record["askings"]["S2"]
        assert record["solo"]["cached_tokens"] <= s1["cached_tokens"] == s2["cached_tokens"]
        left.append(s1["cached_tokens"] - record["solo"]["cached_tokens"])
    assert max(left) >= 32  # what S0 left, S1 finds
    status, message = check(tmp_path / "default", "cache_policy_kept")
    assert status == "ok"
    assert int(re.search(r": (\d+) of", message)[1]) > 0


def test_a_cache_that_somebody_left_on_fails_the_policy_off(found, inputs, tmp_path):
    code, _, err = finish(on(found, inputs, tmp_path, "on", "--prefix-caching", "off"))
    assert code == 1, err
    status, message = check(tmp_path / "on", "cache_policy_kept")
    assert status == "failed"
    assert "long/s0 batch 8 synchronized" in message
    assert "cache_policy_kept" in err


def test_a_run_that_is_ended_while_it_holds_the_server_lets_it_go(found, inputs, tmp_path):
    process = on(found, inputs, tmp_path, "ended", "--dispatch-modes", "gated")

    def paused():
        return httpx.get(f"{found.base_url}/is_paused", timeout=10).json()["is_paused"]

    deadline = time.monotonic() + 120
    while not paused():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 130, err
    assert "Traceback" not in err
    assert not paused()


def test_a_server_without_development_endpoints_is_refused_or_fallen_back_from(
    by_hand, inputs, tmp_path
):
    gated = ("--dispatch-modes", "gated")
    code, _, err = finish(on(by_hand, inputs, tmp_path, "refused", *gated))
    assert code == 3, err
    assert "it runs without VLLM_SERVER_DEV_MODE=1" in err
    assert not (tmp_path / "refused").exists()
    back = ("--gated-fallback", "synchronized")
    code, _, err = finish(on(by_hand, inputs, tmp_path, "back", *gated, *back))
    assert code == 0, err
    rows = (tmp_path / "back/vllm_records.jsonl").read_text().splitlines()
    assert {json.loads(row)["dispatch_mode"] for row in rows} == {"synchronized"}
    assert (
        "sent as synchronized (controls.gated_fallback)"
        in (tmp_path / "back/report.md").read_text()
    )


def test_the_chat_endpoint_is_asked_in_the_models_own_template(servers, inputs, tmp_path):
    both = {str(mode): at(server) for mode, server in servers.items()}
    flags = (*external(**both), "--endpoint", "chat", "--logprobs", "2")
    flags += ("--prefix-caching", "salted", "--dispatch-modes", "gated,staggered")
    code, _, err = finish(begin(inputs, tmp_path, "chat", *flags))
    assert code == 0, err
    asked = answers(tmp_path / "chat")
    told = httpx.post(
        f"{servers[Mode.STANDARD].base_url}/tokenize",
        json={"prompt": f"0. {LONG}\n"},
        timeout=30,
    )
    assert min(one["prompt_tokens"] for one in asked) > told.json()["count"]  # the turn's own
    assert all(len(one["likely"]) == len(one["token_ids"]) <= 8 and one["text"] for one in asked)
    assert "asked in the model's chat template" in (tmp_path / "chat/report.md").read_text()


def test_a_list_of_prompts_is_refused_for_the_chat_endpoint(found, inputs, tmp_path):
    flags = ("--endpoint", "chat", "--dispatch-modes", "prompt_list")
    code, _, err = finish(on(found, inputs, tmp_path, "list", *flags))
    assert code == 2
    assert "prompt_list: the chat endpoint takes one prompt a request" in err
