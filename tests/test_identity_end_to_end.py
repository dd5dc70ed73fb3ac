"""Identity on the real vLLM CPU server: workers' say, one port for two runs, an appended log."""

import json

import pytest
from real_servers import Gateway, at, external, finish, start

from harness.serve import free_port
from harness.words import Mode

pytestmark = [pytest.mark.vllm_cpu, pytest.mark.timeout(1200)]


def attempt(results, run_id, mode):
    text = (results / run_id / f"startup_{mode}_demo-llama.json").read_text()
    return json.loads(text)["attempts"][-1]


def test_the_workers_of_both_modes_agree_with_their_logs(proven):
    results, (code, _, err), _ = proven
    assert code == 0, err
    for mode, verdict in (("standard", "clean"), ("batch_invariant", "active")):
        found = attempt(results, "first", mode)
        assert found["verdict"] == found["evidence"]["verdict"] == verdict
        assert found["worker_proof"]["verdict"] == verdict
        assert found["worker_proof"]["ranks"] == found["worker_proof"]["expected_ranks"] == 1
        assert found["strangers"] == []


def test_the_two_servers_differ_in_the_mode_alone_by_their_own_account(proven):
    results, _, _ = proven
    metadata = json.loads((results / "first/metadata.json").read_text())
    (difference,) = metadata["mode_parity"]["demo-llama"]
    assert difference["name"] == "server_info.vllm_env.VLLM_BATCH_INVARIANT"
    assert difference["allowed"]


def test_each_lifetime_serves_under_a_name_of_its_own(proven):
    results, _, _ = proven
    modes = ("standard", "batch_invariant")
    names = {attempt(results, "first", mode)["server"]["served_model_name"] for mode in modes}
    assert len(names) == 2
    assert {name.partition("@")[0] for name in names} == {"demo-llama"}


def test_the_report_shows_what_the_workers_say(proven):
    results, _, _ = proven
    report = (results / "first/report.md").read_text()
    assert "1 worker: active" in report
    assert "rank 0: GEMM vllm_cpu_batch_invariant.kernels.gemm_by_tile" in report


def test_a_second_run_on_the_port_is_refused_before_anything_starts(proven):
    results, _, (code, out, err) = proven
    assert code == 3, err
    assert "is in use by run first (pid " in err
    assert "--port" in err
    assert "Traceback" not in err
    assert not out
    assert not (results / "second").exists()


def test_a_plugin_that_is_forced_off_is_told_by_the_worker(tmp_path):
    flags = ("--modes", "batch_invariant", "--env", "VLLM_PLUGINS=none", "--worker-proof", "on")
    code, _, err = finish(
        start(tmp_path, "off", "--port", str(free_port(18220)), "--limit", "1", *flags)
    )
    assert code == 4, err
    assert "the workers say contaminated, not active" in err
    assert "determinism/batch_invariant.py" in err  # vLLM's own kernels, which no CPU can run
    assert attempt(tmp_path, "off", "batch_invariant")["records"] == 0
    assert not (tmp_path / "off/summary.json").exists()


def test_an_external_log_that_was_appended_to_is_judged_by_its_last_start(by_hand, tmp_path):
    flags = ("--limit", "1", *external(standard=at(by_hand)))
    code, _, err = finish(start(tmp_path, "appended", *flags))
    assert code == 0, err
    found = attempt(tmp_path, "appended", "standard")
    assert found["verdict"] == "clean"
    assert found["evidence"]["starts"] == 2

    # the same server under two names, one a mode
    other = at(by_hand, url=f"http://localhost:{by_hand.port}")
    both = external(standard=at(by_hand), batch_invariant=other)
    code, _, err = finish(start(tmp_path, "one", "--limit", "1", *both))
    assert code == 2, err
    assert "are one server: both URLs are port" in err
    assert not (tmp_path / "one").exists()


def test_one_server_behind_two_ports_is_no_server_of_each_mode(servers, tmp_path):
    server = servers[Mode.STANDARD]
    with Gateway(server.base_url) as gateway:
        both = external(standard=at(server), batch_invariant=at(server, url=gateway.url))
        code, _, err = finish(start(tmp_path, "behind", "--limit", "1", *both))
    assert code == 2, err
    assert "the process behind both started at" in err
    assert not (tmp_path / "behind").exists()
