"""Identity on the real vLLM CPU server: workers' say, one port for two runs, an appended log."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from harness.serve import free_port
from harness.settings import load_spec

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.vllm_cpu, pytest.mark.timeout(600)]


def start(results, run_id, *flags):
    command = [
        *(sys.executable, "-m", "harness", "run", "--profile", "demo", "--results", str(results)),
        *("--run-id", run_id, "--limit", "1", *flags),
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


def finish(process):
    out, err = process.communicate(timeout=500)
    return process.returncode, out, err


def attempt(results, run_id, mode):
    text = (results / run_id / f"startup_{mode}_demo-llama.json").read_text()
    return json.loads(text)["attempts"][-1]


@pytest.fixture(scope="module")
def proven(tmp_path_factory):
    """A run of both modes with the worker proof, and a second one on its port meanwhile."""
    results = tmp_path_factory.mktemp("proven")
    port = str(free_port(18200))
    first = start(results, "first", "--port", port, "--worker-proof", "on")
    lock = Path(f"/tmp/harness-port-{port}.lock")
    while not (lock.exists() and f"first (pid {first.pid})" in lock.read_text()):
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    second = finish(start(results, "second", "--port", port))
    return results, finish(first), second


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
    assert "1 worker(s) say active" in report
    assert "rank 0: GEMM vllm_cpu_batch_invariant.kernels.gemm_by_row" in report


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
    code, _, err = finish(start(tmp_path, "off", "--port", str(free_port(18220)), *flags))
    assert code == 4, err
    assert "the workers say contaminated, not active" in err
    assert "determinism/batch_invariant.py" in err  # vLLM's own kernels, which no CPU can run
    assert attempt(tmp_path, "off", "batch_invariant")["records"] == 0


class ByHand:
    """Real servers that someone else runs, which write into one log, one after the other."""

    def __init__(self, folder):
        self.log = folder / "appended.log"
        self.port = free_port(18240)
        self.process = None

    def up(self, mode):
        spec = load_spec("demo").spec
        server = spec.server
        command = [
            *(str(ROOT / server.native_command.split()[0]), *server.native_command.split()[1:]),
            *("--model", str(ROOT / spec.models[0].hf_id), "--host", "127.0.0.1"),
            *("--port", str(self.port), "--served-model-name", "demo-llama"),
            "--no-enable-prefix-caching",
            *("--dtype", server.dtype, "--gpu-memory-utilization", "0.4"),
            *("--max-model-len", str(server.max_model_len), *server.extra_args),
        ]
        environment = os.environ | server.env | {"VLLM_BATCH_INVARIANT": mode, "NO_COLOR": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5).is_success:
                    return
            time.sleep(0.5)
        raise AssertionError("the server did not come up")

    def down(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)


@pytest.fixture
def by_hand(tmp_path):
    servers = ByHand(tmp_path)
    yield servers
    servers.down()


def test_an_external_log_that_was_appended_to_is_judged_by_its_last_start(by_hand, tmp_path):
    by_hand.up("1")
    by_hand.down()
    by_hand.up("0")
    url = f"http://127.0.0.1:{by_hand.port}"
    flags = ("--backend", "external", "--modes", "standard", "--external", f"standard={url}")
    given = ("--external-log", f"standard={by_hand.log}")
    code, _, err = finish(start(tmp_path, "appended", *flags, *given))
    assert code == 0, err
    found = attempt(tmp_path, "appended", "standard")
    assert found["verdict"] == "clean"
    assert found["evidence"]["starts"] == 2

    # the same server under two names, one a mode
    other = f"http://localhost:{by_hand.port}"
    both = ("--backend", "external", "--external", f"standard={url}")
    code, _, err = finish(start(tmp_path, "one", *both, "--external", f"batch_invariant={other}"))
    assert code == 2, err
    assert "are one server: both URLs are port" in err
    assert not (tmp_path / "one").exists()


def test_one_server_behind_two_ports_is_no_server_of_each_mode(by_hand, tmp_path):
    by_hand.up("0")
    listener = forward(by_hand.port)
    first, second = (
        f"http://127.0.0.1:{port}" for port in (by_hand.port, listener.getsockname()[1])
    )
    flags = ("--external", f"standard={first}", "--external", f"batch_invariant={second}")
    code, _, err = finish(start(tmp_path, "behind", "--backend", "external", *flags))
    listener.close()
    assert code == 2, err
    assert "the process behind both started at" in err


def forward(port):
    """A stand-in for a proxy: another port that leads to the same server."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", port))
            for pair in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        target.close()
