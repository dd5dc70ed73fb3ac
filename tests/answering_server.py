"""A stand-in for a server that someone else runs: it answers like one, with faults to choose.

It computes nothing: an answer is worked out from the prompt's words.
"""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Fault = Any
"""Called with the handler and the body of the request; true once it has answered itself."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._respond({})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._respond(json.loads(self.rfile.read(length) or b"{}"))

    def _respond(self, asked: dict[str, Any]) -> None:
        server: Any = self.server
        path = self.path.partition("?")[0]
        server.seen.append((path, dict(self.headers)))
        if path in server.faults and server.faults[path](self, asked):
            return
        says: dict[str, Any] = {
            "/health": b"",
            "/version": {"version": "0.20.2"},
            "/v1/models": {"data": [{"id": server.model}]},
            "/v1/completions": completion(asked) if asked else None,
        }
        if path in says and says[path] is not None:
            self.say(200, says[path])
        else:
            self.say(404, {"detail": "Not Found"})

    def say(self, status: int, value: Any, **headers: str) -> None:
        """One answer."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        with suppress(BrokenPipeError):  # whoever asked has no patience
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


def completion(asked: dict[str, Any]) -> dict[str, Any]:
    """An answer to each prompt of a request."""
    prompts = asked["prompt"]
    prompts = [prompts] if isinstance(prompts, str) else prompts
    marks = [sha256(prompt.encode()).digest() for prompt in prompts]
    choices = [
        {
            "index": place,
            "text": f"{'ABCD'[mark[0] % 4]}. Because {mark.hex()[:12]}.",
            "finish_reason": "stop",
            "token_ids": list(mark[:8]),
        }
        for place, mark in enumerate(marks)
    ]
    return {"choices": choices, "usage": {"prompt_tokens": 9}}


class AnsweringServer:
    """At ``url``; ``faults`` by path, ``seen`` is every path with its headers."""

    def __init__(self, model: str, **faults: Fault) -> None:
        self._server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.model = model
        self._server.faults = self.faults = {
            "/" + k.replace("__", "/"): v for k, v in faults.items()
        }
        self._server.seen = self.seen = []
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> AnsweringServer:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
