"""A stand-in for vLLM's server in container tests: same command line and routes, no model.

It exists to provoke faults that the real server cannot be made to show cheaply. ``STAND_IN`` in
its environment chooses one: ``exits`` (at start, as a failed vLLM does), ``never_ready``,
``other_model``. ``STAND_IN_LOG`` names a real server's log that it prints until that was ready,
with its own time, name, weights and port; ``STAND_IN_DELAY`` is how many seconds an answer takes.
``STAND_IN_REUSEPORT`` shares the port as vLLM does.
``POST /allocate`` takes memory until the limit kills it,
``POST /die`` exits.
"""

import argparse
import json
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--model")
parser.add_argument("--host", default="0.0.0.0")
parser.add_argument("--port", type=int, default=8000)
parser.add_argument("--served-model-name")
known, rest = parser.parse_known_args()
behaviour = os.environ.get("STAND_IN", "")
begun = time.time()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            self._send(503 if behaviour == "never_ready" else 200, {})
        elif self.path == "/v1/models":
            name = "Qwen/Qwen3-0.6B" if behaviour == "other_model" else known.served_model_name
            self._send(200, {"object": "list", "data": [{"id": name, "object": "model"}]})
        elif self.path == "/version":
            self._send(200, {"version": "0.0.0-stand-in"})
        elif self.path == "/environment":
            self._send(200, dict(os.environ))
        elif self.path == "/metrics":
            told = f"process_start_time_seconds {begun:.2f}\n"
            told += f"process_cpu_seconds_total {time.process_time():.2f}\n"
            self._send_bytes(200, told.encode(), "text/plain")
        else:
            self._send(404, {})

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        if self.path == "/allocate":
            threading.Thread(target=allocate, daemon=True).start()
            self._send(202, {})
        elif self.path == "/die":
            print("ERROR the stand-in was told to die", flush=True)
            os._exit(3)
        elif self.path == "/v1/completions":
            time.sleep(float(os.environ.get("STAND_IN_DELAY", "0")))
            print('INFO:     127.0.0.1:1 - "POST /v1/completions HTTP/1.1" 200 OK', flush=True)
            prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
            self._send(
                200,
                {
                    "choices": [
                        {"index": index, "text": prompt.upper(), "finish_reason": "stop"}
                        for index, prompt in enumerate(prompts)
                    ]
                },
            )
        else:
            self._send(404, {})

    def _send(self, status, value):
        self._send_bytes(status, json.dumps(value).encode(), "application/json")

    def _send_bytes(self, status, data, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def start_up_text(text):
    """Of a real server's log, told by this one."""
    text = text.partition("INFO:     Application startup complete.")[0]
    text = re.sub(r"\b\d\d-\d\d \d\d:\d\d:\d\d\b", time.strftime("%m-%d %H:%M:%S"), text)
    for told, own in {
        "/models/m384": str(known.model),
        "'port': 18000": f"'port': {known.port}",
        "'served_model_name': ['m']": f"'served_model_name': ['{known.served_model_name}']",
        "served_model_name=m,": f"served_model_name={known.served_model_name},",
    }.items():
        text = text.replace(told, own)
    return text


def allocate():
    held = []
    while True:
        held.append(b"x" * (8 << 20))


def end(_number, _frame):
    print("Shutting down", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
print("first byte of the log", flush=True)
print(f"stand-in server: {known} {rest} {behaviour}", file=sys.stderr, flush=True)
if "STAND_IN_LOG" in os.environ:
    print(start_up_text(Path(os.environ["STAND_IN_LOG"]).read_text()), flush=True)
if behaviour == "exits":
    print("RuntimeError: Failed to infer device type", file=sys.stderr, flush=True)
    sys.exit(1)
ThreadingHTTPServer.allow_reuse_port = "STAND_IN_REUSEPORT" in os.environ
server = ThreadingHTTPServer((known.host, known.port), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("Application startup complete.", flush=True)
signal.pause()
