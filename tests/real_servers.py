"""Real vLLM CPU servers, and a run on two of its own, that several test files look at.

A start costs all the time of a core for half a minute, so each of these is started once a session:
what needs no server of its own asks one of them, as the external backend does.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from harness.cli import main
from harness.serve import free_port, launch_options, make_backend, wait_until_ready
from harness.settings import load_spec
from harness.words import DispatchMode, Mode

ROOT = Path(__file__).resolve().parent.parent
CHAT_TEMPLATE = "{% for turn in messages %}<{{ turn.role }}> {{ turn.content }}{% endfor %}"
SLOTS = 8
"""Requests that the shared servers run at once; a wider batch has some that wait."""


def start(results, run_id, *flags):
    """A run of the demo's profile, going on."""
    command = [
        *(sys.executable, "-m", "harness", "run", "--profile", "demo-tiny"),
        *("--results", str(results)),
        *("--run-id", run_id, *flags),
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


def finish(process):
    """Exit code, output and messages."""
    out, err = process.communicate(timeout=900)
    return process.returncode, out, err


def run(results, run_id, *flags):
    """A whole run in this process, which is spared another one's start: exit code and messages."""
    command = [
        "run",
        "--profile",
        "demo-tiny",
        "--results",
        str(results),
        "--run-id",
        run_id,
        *flags,
    ]
    said, code = io.StringIO(), 0
    with (
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        try:
            main(command)
        except SystemExit as ended:
            code = ended.code
    return code, said.getvalue()


class At(NamedTuple):
    """Where a server answers and writes its log; another one's log may be given, or none."""

    base_url: str
    log_path: Path | None

    def flags(self, mode):
        log = () if self.log_path is None else ("--external-log", f"{mode}={self.log_path}")
        return ("--external", f"{mode}={self.base_url}", *log)


def at(server, *, url=None):
    """Where to ask a server, or what stands before it."""
    return At(url or server.base_url, server.log_path)


def external(**servers):
    """The flags of a run on servers that are there; modes by their names."""
    flags = [flag for mode, server in servers.items() for flag in server.flags(mode)]
    return ("--backend", "external", "--modes", ",".join(servers), *flags)


def staggered(server, steps):
    """``--stagger-ms`` of so many steps of this server, as fast and as busy as it is now.

    A time in milliseconds would be half of an answer on one machine and three answers on another.
    """
    body = {"model": server.options.served_model_name, "prompt": "A word"}
    body |= {"max_tokens": 32, "ignore_eos": True}
    began = time.monotonic()
    answer = httpx.post(f"{server.base_url}/v1/completions", json=body, timeout=300)
    answer.raise_for_status()
    return "--stagger-ms", str(max(1, round(steps * 1000 * (time.monotonic() - began) / 32)))


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """A server of each mode: development endpoints, small blocks, the cache as by default."""
    running = {}
    arguments = ["--enforce-eager", "--block-size", "32", "--max-num-seqs", str(SLOTS)]
    arguments += ["--chat-template", CHAT_TEMPLATE]
    try:
        for mode in Mode:
            changes = {
                "server.port": free_port(18400 + 10 * len(running)),
                "server.extra_args": [*arguments, "--max-num-batched-tokens", "2048"],
                "controls.prefix_caching": "server_default",
            }
            spec = load_spec("demo-tiny", changes).spec
            options = launch_options(spec, spec.models[0], mode, schedules={DispatchMode.GATED})
            folder = tmp_path_factory.mktemp(str(mode))
            running[mode] = make_backend(spec).start(options, folder)
        for server in running.values():
            name = server.options.served_model_name
            wait_until_ready(server, timeout_s=900, served_model=name)
        yield running
    finally:
        for server in running.values():
            server.stop()


class ByHand:
    """A server that someone else runs: no development endpoints, no cache, a log that goes on."""

    def __init__(self, log):
        self.log_path = log
        self.port = free_port(18440)
        self.base_url = f"http://127.0.0.1:{self.port}"
        spec = load_spec("demo-tiny").spec
        server = spec.server
        command = [
            *(str(ROOT / server.native_argv[0]), *server.native_argv[1:]),
            *("--model", str(ROOT / spec.models[0].hf_id), "--host", "127.0.0.1"),
            *("--port", str(self.port), "--served-model-name", "demo-llama"),
            *("--no-enable-prefix-caching", "--enable-logging-iteration-details"),
            *("--dtype", server.dtype, "--gpu-memory-utilization", "0.4"),
            *("--max-model-len", str(server.max_model_len), *server.extra_args),
        ]
        environment = os.environ | server.env | {"VLLM_BATCH_INVARIANT": "0", "NO_COLOR": "1"}
        with log.open("ab") as appended:
            self.process = subprocess.Popen(
                command, stdout=appended, stderr=appended, env=environment, start_new_session=True
            )

    def wait(self):
        deadline = time.monotonic() + 900
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log_path.read_text()[-2000:]
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.base_url}/health", timeout=5).is_success:
                    return
            time.sleep(0.2)
        raise AssertionError("the server did not come up")

    def down(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


@pytest.fixture(scope="session")
def by_hand(servers, tmp_path_factory):
    """One in standard mode, whose log an invariant server had written to before it."""
    log = tmp_path_factory.mktemp("by_hand") / "appended.log"
    log.write_bytes(servers[Mode.BATCH_INVARIANT].log_path.read_bytes())
    server = ByHand(log)
    try:
        server.wait()
        yield server
    finally:
        server.down()


@pytest.fixture(scope="session")
def proven(tmp_path_factory):
    """A run of both modes with the worker proof, and a second one on its port meanwhile."""
    results = tmp_path_factory.mktemp("proven")
    port = str(free_port(18200))
    flags = ("--port", port, "--limit", "8", "--worker-proof", "on")
    first = start(results, "first", *flags)
    lock = Path(f"/tmp/harness-port-{port}.lock")
    while not (lock.exists() and f"first (pid {first.pid})" in lock.read_text()):
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    second = finish(start(results, "second", "--port", port, "--limit", "1"))
    return results, finish(first), second


class Gateway(ThreadingHTTPServer):
    """A stand-in for what stands between a run and its server: it forwards, but for its ``rule``.

    The rule is given path, body and the server's URL, and returns the answer's status and body;
    ``None`` breaks the connection off.
    """

    daemon_threads = True

    def __init__(self, upstream, rule=None):
        super().__init__(("127.0.0.1", 0), _Forward)
        self.upstream = upstream
        self.rule = rule or forward
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def forward(path, body, upstream):
    """What the server answers."""
    method = "GET" if body is None else "POST"
    head = {"content-type": "application/json"}
    with httpx.Client(timeout=120, trust_env=False) as client:
        answer = client.request(method, upstream + path, content=body, headers=head)
    return answer.status_code, answer.content


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a head and its body leave together

    def do_GET(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if self.command == "POST" else None
        answer = self.server.rule(self.path, body, self.server.upstream)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer[0])
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer[1])))
        self.end_headers()
        self.wfile.write(answer[1])

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_):
        return
