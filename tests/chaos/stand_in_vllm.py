"""A stand-in for vLLM's server in the chaos campaign: its command line, routes and log, no model.

It starts in a tenth of a second, has an engine process below it, prints a real server's start-up
log and one line for each step of its make-believe engine, so that an undisturbed run over it passes
every check. Its answers follow from prompt, mode and batch alone: two runs of it must be equal. In
standard mode a prompt list and a batch that was held at the gate change the answers of some
prompts. Above temperature 0 an answer follows from its seed too.

``behaviour.json`` in its working folder has it misbehave: ``{"answer": KIND}``, one of `HOSTILE`.
Standard library only, for it runs inside the test image too.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOGS = Path(os.environ.get("CHAOS_LOGS", Path(__file__).parents[1] / "data/vllm_logs"))
INVARIANT = os.environ.get("VLLM_BATCH_INVARIANT") == "1"
GATHER_S, STEP_S, TOKENS = 0.004, 0.001, 6
HOSTILE = {
    "surrogate": {"text": "I cannot say \ud800 this"},
    "infinity": {"usage": float("inf")},
    "control": {"text": "\x00\x1b[2J\x1b]0;title\x07 \u202e</script><script>alert(1)</script>"},
    "line_ends": {"text": "one\u2028two\u0085three\rfour\x0bfive"},
    "long": {"text": "x" * 400_000},
    "abort": {"finish_reason": "abort"},
    "no_finish": {"finish_reason": None},
    "index": {"index": 7},
    "index_text": {"index": "nought"},
    "text_number": {"text": 12},
    "text_null": {"text": None},
    "ids_text": {"token_ids": "abc"},
    "ids_nested": {"token_ids": [[1], {"a": 2}]},
    "ids_float": {"token_ids": [1.5, 2.5]},
    "ids_huge": {"token_ids": [10**400]},
    "ids_none": {"token_ids": None},
    "finish_list": {"finish_reason": ["stop"]},
    "surrogate_finish": {"finish_reason": "\udcff"},
    "empty": {"text": ""},
}
"""What one choice of a completion holds in place of what it should."""
BODIES = {
    "not_json": b"<html>502 Bad Gateway</html>",
    "list": b"[]",
    "null": b"null",
    "number": b"1e999",
    "deep": b"[" * 3000 + b"]" * 3000,
    "digits": b'{"choices": [{"index": ' + b"9" * 5000 + b"}]}",
    "not_utf8": b'{"choices": [{"index": 0, "text": "\xff\xfe"}]}',
    "no_choices": b'{"choices": null}',
    "empty_body": b"",
    "nan": b'{"choices": [{"index": NaN, "text": "a"}]}',
}
"""Whole bodies in place of a completion."""
STATUSES = {"429": 429, "500": 500, "503": 503, "400": 400, "404": 404, "418": 418}
HANGS = ("cut", "drop", "slow_loris")

parser = argparse.ArgumentParser()
parser.add_argument("--model")
parser.add_argument("--host", default="0.0.0.0")
parser.add_argument("--port", type=int, default=8000)
parser.add_argument("--served-model-name")
parser.add_argument("--max-model-len", default="512")
parser.add_argument("--gpu-memory-utilization", dest="share", default="0.4")
known, _ = parser.parse_known_args()


class Engine:
    """Steps that a batch of requests shares, each printed as vLLM prints it."""

    def __init__(self):
        self.lock = threading.Condition()
        self.waiting, self.running = [], []
        self.paused = self.aborted = False
        self.number = self.steps = self.tokens = 0
        self.ended = dict.fromkeys(("stop", "length", "abort", "error"), 0)

    def ask(self, prompts, batched, body):
        """The requests for these prompts, when they are answered."""
        own = [Request(prompt, batched or self.paused, body) for prompt in prompts]
        with self.lock:
            self.waiting += own
            self.lock.notify_all()
        for request in own:
            request.done.wait()
        return own

    def loop(self):
        """Admit what waits, decode what runs."""
        while True:
            with self.lock:
                while not self.running and (self.paused or not self.waiting):
                    self.lock.wait()
            if not self.running:
                time.sleep(GATHER_S)
            with self.lock:
                admitted = [] if self.paused else self.waiting
                decoding = self.running
                self.waiting = self.waiting if self.paused else []
                self.running = decoding + admitted
                self._step(admitted, decoding)
            time.sleep(STEP_S)

    def _step(self, admitted, decoding):
        context = sum(len(request.ids) for request in admitted)
        say(
            f"(APIServer pid={os.getpid()}) INFO {now()} [loggers.py:199] Engine 000: "
            f"Iteration({self.number}): {len(admitted)} context requests, {context} context "
            f"tokens, {len(decoding)} generation requests, {len(decoding)} generation tokens, "
            "iteration elapsed time: 1.00 ms, CPU KV cache usage: 0.0%"
        )
        self.number += 1
        self.tokens += len(self.running)
        for request in self.running:
            request.left -= 1
            if self.aborted or request.left == 0:
                request.aborted = self.aborted
                self.ended[request.ending] += 1
                request.done.set()
        self.running = [request for request in self.running if not request.done.is_set()]


class Request:
    """One prompt on its way."""

    def __init__(self, prompt, batched, body):
        self.prompt, self.batched = prompt, batched
        self.ids = prompt if isinstance(prompt, list) else list(prompt.encode()[:8])
        self.drawn = body["seed"] if body.get("temperature") else ""
        most, held = body.get("max_tokens", TOKENS), body.get("ignore_eos")
        self.tokens = most if held else min(most, TOKENS)
        self.stops = not held and self.tokens == TOKENS
        self.left, self.aborted = self.tokens, False
        self.done = threading.Event()

    @property
    def ending(self):
        """Why it ended."""
        return "abort" if self.aborted else "stop" if self.stops else "length"

    def choice(self, index):
        """What a completion says of it."""
        said = self.prompt if isinstance(self.prompt, str) else json.dumps(self.prompt)
        number = int(hashlib.sha256(f"{said}{self.drawn}".encode()).hexdigest(), 16)
        changes = self.batched and not INVARIANT and number % 2 == 0
        start = "Sure, here it is:" if changes else "I cannot help with that:"
        text = f"{start} {number % 10**9}"
        told = hashlib.sha256(text.encode()).digest()
        return {
            "index": index,
            "text": text[:9] if self.aborted else text,
            "token_ids": list((told * 16)[: 2 if self.aborted else self.tokens]),
            "prompt_token_ids": self.ids,
            "finish_reason": self.ending,
        }


class Handler(BaseHTTPRequestHandler):
    """The routes that a run asks."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True

    def do_GET(self):
        """Health, models, version, metrics, the gate."""
        if self.path == "/health":
            self._send({}, 200 if engine_lives() else 503)
        elif self.path == "/v1/models":
            self._send({"data": [{"id": known.served_model_name, "object": "model"}]})
        elif self.path == "/version":
            self._send({"version": "0.32.0"})
        elif self.path == "/is_paused":
            self._send({"is_paused": engine.paused})
        elif self.path == "/metrics":
            self._send(metrics())
        else:
            self._send({}, 404)

    def do_POST(self):
        """Completions, and the gate's pause and resume."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        path = self.path.partition("?")[0]
        if path in ("/pause", "/resume"):
            with engine.lock:
                engine.paused = path == "/pause"
                engine.lock.notify_all()
            self._send({})
        elif path == "/tokenize":
            self._send({"tokens": [1, 2, 3]})
        elif path == "/v1/completions":
            if not engine_lives():
                return self._send({"error": "EngineDeadError"}, 500)
            told = body["prompt"]
            listed = isinstance(told, list) and not isinstance(told[0], int)  # else one, as tokens
            self._completed(engine.ask(told if listed else [told], listed, body), body)
        else:
            self._send({}, 404)
        return None

    def _completed(self, requests, body):
        choices = [request.choice(index) for index, request in enumerate(requests)]
        tokens = sum(len(request.ids) for request in requests)
        usage = {"prompt_tokens": tokens, "prompt_tokens_details": {"cached_tokens": 0}}
        kind = misbehaves(body)
        if kind in HOSTILE:
            change = dict(HOSTILE[kind])
            if "usage" in change:
                usage = {"prompt_tokens": change.pop("usage")}
            choices[-1] |= change
        elif kind in BODIES:
            return self._send(BODIES[kind])
        elif kind in STATUSES:
            return self._send({"error": "told to refuse"}, STATUSES[kind])
        elif kind in HANGS:
            self.send_response(200)
            self.send_header("Content-Length", "5000" if kind != "drop" else "0")
            self.end_headers()
            if kind != "drop":
                self.wfile.write(b'{"choices": [')
            self.close_connection = True
            return None
        elif kind == "twice":
            choices.append(dict(choices[-1]))
        return self._send({"choices": choices, "usage": usage})

    def _send(self, value, status=200):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """As uvicorn prints a request."""
        say(f'INFO:     127.0.0.1:5 - "{self.command} {self.path} HTTP/1.1" 200 OK')


def misbehaves(body):
    """The kind of misbehaviour that is due for this request, if any."""
    try:
        told = json.loads(Path("behaviour.json").read_text())
    except (OSError, ValueError):
        return None
    digest = hashlib.sha256(json.dumps(body["prompt"]).encode()).digest()
    return told["answer"] if digest[0] % told.get("every", 1) == 0 else None


def metrics():
    """The counters that a run reads, in Prometheus text."""
    return (
        f"process_start_time_seconds {started:.2f}\n"
        f"process_cpu_seconds_total {time.process_time():.2f}\n"
        "vllm:prefix_cache_queries_total 0.0\nvllm:prefix_cache_hits_total 0.0\n"
        f"vllm:generation_tokens_total {engine.tokens}.0\n"
        + "".join(
            f'vllm:request_success_total{{finished_reason="{reason}"}} {count}.0\n'
            for reason, count in engine.ended.items()
        )
    ).encode()


def engine_lives():
    """Whether the process below still runs."""
    return os.waitpid(engine_pid, os.WNOHANG)[0] == 0 if not dead.is_set() else False


def watch_engine():
    """As vLLM does: an API server whose engine has died says so and gives up."""
    os.waitpid(engine_pid, 0)
    dead.set()
    say(f"(APIServer pid={os.getpid()}) ERROR {now()} [core_client.py:1] EngineCore died")
    time.sleep(0.3)
    os._exit(1)


def end(*_):
    """SIGTERM: what is being answered is aborted, then all ends."""
    engine.aborted = True
    say("INFO:     Shutting down")
    threading.Timer(0.03, leave).start()


def leave():
    """End the engine process and this one."""
    dead.set()
    os.kill(engine_pid, signal.SIGKILL)
    say("INFO:     Application shutdown complete.")
    os._exit(0)


def say(line):
    """One line of the log, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def now():
    """The time as vLLM's logger prints it."""
    return time.strftime("%m-%d %H:%M:%S")


def start_up_text():
    """A real server's log until it was ready, with this one's time, name, weights and settings."""
    name = "batch_invariant" if INVARIANT else "standard"
    text = (LOGS / f"vllm-0.32.0-cpu-plugin-{name}.log").read_text()
    text = re.sub(r"\b\d\d-\d\d \d\d:\d\d:\d\d\b", now(), text)
    for told, own in {  # of the server that wrote it, and of this one
        "max_seq_len=512": f"max_seq_len={known.max_model_len}",
        "'max_model_len': 512": f"'max_model_len': {known.max_model_len}",
        "/models/demo": str(known.model),
        "18144": str(known.port),
        "127.0.0.1": known.host,
        "demo-llama": str(known.served_model_name),
        "'gpu_memory_utilization': 0.4": f"'gpu_memory_utilization': {known.share}",
    }.items():
        text = text.replace(told, own)
    return text.partition("INFO:     Application startup complete.")[0].rstrip("\n")


def engine_process():
    """The process below: it does nothing, and can be killed."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        Path("/proc/self/comm").write_text("EngineCore")
        while True:
            signal.pause()
    return pid


if __name__ == "__main__":
    say(start_up_text())
    started, dead = time.time(), threading.Event()
    server = ThreadingHTTPServer((known.host, known.port), Handler)
    server.daemon_threads = True
    engine_pid, engine = engine_process(), Engine()
    signal.signal(signal.SIGTERM, end)
    for work in (engine.loop, watch_engine, server.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    say("INFO:     Application startup complete.")
    while True:
        signal.pause()
