"""The process that answers is the one that was started: what a start-up file says of it.

The servers here are stand-ins that run nothing; their logs are real ones.
"""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from harness.conduct import lifetime as lifetimes
from harness.conduct import startups
from harness.conduct.startups import Startup
from harness.errors import ModeNotProven
from harness.plan import Lifetime
from harness.prove import ServerProcess
from harness.records import RunFolder
from harness.serve import LaunchOptions, Server, ServerState, launch_options
from harness.serve.own_endpoints import ask_server_info, ask_workers
from harness.settings import Controls, load_spec
from harness.words import Mode, Verdict

DATA = Path(__file__).parent / "data"
LOGS = {
    Mode.STANDARD: DATA / "vllm_logs/vllm-0.32.0-cpu-plugin-standard.log",
    Mode.BATCH_INVARIANT: DATA / "vllm_logs/vllm-0.32.0-cpu-plugin-batch_invariant.log",
}
ANSWERS = {
    Mode.STANDARD: "standard",
    Mode.BATCH_INVARIANT: "plugin-batch_invariant",
}


class Quiet(Server):
    """A server of which nothing runs; who listens on its port comes from a script."""

    def __init__(self, options: LaunchOptions, log: Path) -> None:
        super().__init__(options, log)
        self.stranger = ""
        self.running = True

    def describe(self) -> dict[str, object]:
        return self.options.to_json()

    def state(self) -> ServerState:
        return ServerState(running=self.running)

    def strange_listener(self) -> str:
        return self.stranger

    def stop(self) -> None:
        self.running = False


class Dying(Quiet):
    """One that is killed while somebody looks who listens on its port."""

    def strange_listener(self) -> str:
        self.running = False
        return "the container does not run any more"


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A start that is ready, its server, and what its workers answer."""

    def begin(mode=Mode.STANDARD, *, proof=False, answers=None, problem=""):
        spec = load_spec("demo-tiny").spec.model_copy(
            update={"controls": Controls(worker_proof=proof)}
        )
        options = launch_options(spec, spec.models[0], mode, nonce="0a1b2c3d", run_id="r")
        folder = RunFolder(tmp_path / "r")
        log = folder.path / "native.log"
        log.write_bytes(LOGS[mode].read_bytes())
        monkeypatch.setattr(startups, "ask_workers", lambda *_: (answers, problem))
        monkeypatch.setattr(startups, "ask_server_info", lambda *_: {"vllm_env": {}})
        server = Quiet(options, log)
        lifetime = Lifetime(spec.models[0], mode, ())
        startup = Startup(folder, lifetime)
        startup.begin(server)
        startup.start.ready_after_s = 1.0
        return startup, server, lifetime

    return begin


def answers(mode):
    text = (DATA / f"worker_proof/vllm-0.32.0-cpu-{ANSWERS[mode]}.json").read_text()
    return json.loads(text)["results"]


def insist(startup, server, lifetime):
    lifetimes._insist(lifetimes._Up(lifetime, server, startup), alone=False)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("proof", [False, True])
def test_a_server_that_is_alone_and_proven_is_asked(begun, mode, proof):
    startup, server, lifetime = begun(mode, proof=proof, answers=answers(mode))
    startup.identify()
    insist(startup, server, lifetime)
    startup.close(records=3)
    insist(startup, server, lifetime)
    assert startup.start.strangers == []
    assert bool(startup.start.worker_proof) is proof
    assert bool(startup.start.server_info) is proof


def test_the_start_up_file_holds_the_proof_and_the_extensions_hash(begun):
    startup, _, _ = begun(proof=True, answers=answers(Mode.STANDARD))
    startup.identify()
    (attempt,) = json.loads((startup._folder.path / startup.file).read_text())["attempts"]
    assert attempt["worker_proof"]["verdict"] == "clean"
    assert attempt["worker_proof"]["ranks"] == attempt["worker_proof"]["expected_ranks"] == 1
    assert len(attempt["worker_proof"]["extension_sha256"]) == 64
    assert attempt["server"]["served_model_name"] == "demo-llama@0a1b2c3d"


def test_a_stranger_on_the_port_is_told_before_anything_is_asked(begun):
    startup, server, lifetime = begun()
    server.stranger = "python (pid 7) listens on port 18000 too"
    startup.identify()
    assert startup.start.verdict == "contaminated"
    with pytest.raises(ModeNotProven, match=r"pid 7\) listens on port 18000 too; nothing is"):
        insist(startup, server, lifetime)


def test_a_stranger_that_comes_later_is_found_at_the_end(begun):
    startup, server, lifetime = begun()
    startup.identify()
    insist(startup, server, lifetime)
    server.stranger = "2 sockets listen on port 18000"
    startup.close(records=3)
    assert startup.start.verdict == "contaminated"
    with pytest.raises(ModeNotProven, match="2 sockets listen"):
        insist(startup, server, lifetime)


@pytest.mark.parametrize("mode", Mode)
def test_workers_that_deny_the_mode_contaminate_whatever_the_log_says(begun, mode):
    other = next(m for m in Mode if m is not mode)
    startup, server, lifetime = begun(mode, proof=True, answers=answers(other))
    startup.identify()
    assert startup.start.evidence["verdict"] in ("clean", "active")
    assert startup.start.verdict == "contaminated"
    with pytest.raises(ModeNotProven, match="the workers say contaminated, not"):
        insist(startup, server, lifetime)


def test_workers_that_cannot_be_asked_leave_it_open_and_a_way_out_is_named(begun):
    startup, server, lifetime = begun(proof=True, problem="/collective_rpc answered 404: x")
    startup.identify()
    assert startup.start.verdict == Verdict.INCONCLUSIVE
    with pytest.raises(ModeNotProven, match="--worker-proof off") as caught:
        insist(startup, server, lifetime)
    assert "answered 404" in caught.value.detail[0]


def test_a_start_that_the_log_shows_in_the_middle_contaminates(begun):
    startup, server, lifetime = begun()
    startup.identify()
    insist(startup, server, lifetime)
    with server.log_path.open("ab") as log:
        log.write(LOGS[Mode.STANDARD].read_bytes())
    startup.close(records=3)
    with pytest.raises(ModeNotProven, match=r"the log shows 1 more server start since"):
        insist(startup, server, lifetime)


def test_a_log_that_was_appended_to_before_is_judged_by_its_last_start(begun):
    startup, server, lifetime = begun()
    server.log_path.write_bytes(
        LOGS[Mode.BATCH_INVARIANT].read_bytes() + LOGS[Mode.STANDARD].read_bytes()
    )
    startup.identify()
    startup.close(records=3)
    insist(startup, server, lifetime)
    assert startup.start.evidence["starts"] == 2


def test_another_process_behind_the_metrics_contaminates(begun):
    startup, server, lifetime = begun()
    startup.identify()
    startup.see_process(ServerProcess(17.5, 9.0))
    startup.see_process(None)  # where it is not told nothing is known
    assert startup.start.process["cpu_s_after"] is None
    startup.see_process(ServerProcess(17.5, 12.0))
    insist(startup, server, lifetime)
    startup.see_process(ServerProcess(18.25, 1.0))
    startup.close(records=3)
    with pytest.raises(ModeNotProven, match=r"started at 18\.25, not at 17\.50"):
        insist(startup, server, lifetime)


def collective_rpc(status, **answer):
    return httpx.MockTransport(lambda _: httpx.Response(status, **answer))


def test_development_endpoints_are_never_asked_over_a_network():
    question = {"method": "m"}
    found, problem = ask_workers("http://10.0.0.1:1", question)
    assert found is None
    assert "over loopback only" in problem
    assert ask_server_info("http://there:1") is None


@pytest.mark.parametrize(
    ("status", "answer"),
    [(404, {"json": {"detail": "x"}}), (200, {"text": "<html>"}), (200, {"json": {}})],
)
def test_an_answer_that_is_none_says_why(status, answer):
    transport = collective_rpc(status, **answer)
    found, problem = ask_workers("http://127.0.0.1:1", {}, transport=transport)
    assert found is None
    assert problem.startswith("/collective_rpc")


def test_one_answer_a_rank_comes_back():
    transport = collective_rpc(200, json={"results": [{"rank": 0}, {"rank": 1}]})
    found, problem = ask_workers("http://127.0.0.1:1", {}, transport=transport)
    assert (found, problem) == ([{"rank": 0}, {"rank": 1}], "")


def test_server_info_is_kept_without_secrets():
    info = {"vllm_env": {"HF_TOKEN": "hf_canary", "VLLM_BATCH_INVARIANT": True}}
    found = ask_server_info("http://127.0.0.1:1", transport=collective_rpc(200, json=info))
    assert "canary" not in json.dumps(found)
    assert found["vllm_env"]["VLLM_BATCH_INVARIANT"] is True


def test_a_server_that_is_killed_while_it_is_closed_has_no_stranger(begun):
    startup, server, _ = begun(Mode.STANDARD)
    server.__class__ = Dying
    startup.close(records=3)
    assert startup.start.strangers == []
    assert startup.start.verdict == Verdict.CLEAN


def test_a_stranger_beside_a_server_that_lives_is_noted_when_it_is_closed(begun):
    startup, server, _ = begun(Mode.STANDARD)
    server.stranger = "somebody else listens"
    startup.close(records=3)
    assert startup.start.strangers == ["somebody else listens"]
    assert startup.start.verdict == Verdict.CONTAMINATED
