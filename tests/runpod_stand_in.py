"""A stand-in for RunPod: its REST API v2 and its HTTP proxy, on loopback, with faults to order.

Shapes, statuses and which fields are refused are those of the documentation (openapi of
https://api.runpod.io/v2). No pod runs: what one gives is served by the harness's own
server, and the proxy in front of it can cut what it passes on.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from harness.runpod import server

KEY = "rpa_canary_of_an_account"
H100 = "NVIDIA H100 80GB HBM3"
_POD_FIELDS = {
    *("name", "image", "args", "disk", "ports", "env", "registry", "mounts", "gpu", "cpu"),
    *("cloud", "dataCenterIds", "globalNetworking", "startSsh", "startJupyter", "templateId"),
}
_TEMPLATE_FIELDS = {
    *("name", "image", "args", "disk", "ports", "env", "registry", "mounts", "category"),
    *("public", "serverless", "startSsh", "startJupyter", "allowedCudaVersions"),
}
HTML = b"<!doctype html><title>502</title>\x1b[2J<h1>Bad gateway</h1>"


def problem(status: int, detail: str, *errors: str) -> tuple[int, bytes]:
    said = {"title": "x", "status": status, "detail": detail}
    return status, json.dumps(said | ({"errors": list(errors)} if errors else {})).encode()


@dataclass
class RunPod:
    """The account that stands in, and what it was asked.

    Attributes:
        answers: for a method and path, statuses and bodies that are given first, one a request.
        statuses: what a pod's status is at each look; the last one stays.
        cuts: how many of the next parts of files the proxy cuts in the middle.
        parts: bytes that went through the proxy as parts of files.
        hides: whether it keeps a pod's variables to itself.
        started: told the body of each pod that is created.
        lost: what is answered instead of a created pod.
    """

    results: Path
    gpus: list[dict[str, Any]] = field(default_factory=list)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    statuses: list[str] = field(default_factory=lambda: ["PROVISIONING", "RUNNING"])
    log: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    cuts: int = 0
    parts: int = 0
    lost: tuple[int, bytes] | None = None
    started: Callable[[dict[str, Any]], object] = lambda _: None
    first: str = "pod0"
    hides: bool = False
    url: str = ""
    inner: str = ""
    servers: list[ThreadingHTTPServer] = field(default_factory=list)

    def add(self, **over: Any) -> dict[str, Any]:
        """A pod that is there."""
        pod = {
            "id": self.first if not self.pods else f"pod{len(self.pods)}",
            "name": "harness-1",
            "image": "you/pod@sha256:1",
            "args": "",
            "disk": 40,
            "registry": None,
            "ports": ["18900/http"],
            "status": "RUNNING",
            "actions": ["stop"],
            "mounts": {"persistent": {"size": 50, "path": "/workspace"}},
            "gpu": {"id": H100, "count": 1, "vcpuCount": 16, "memory": 188},
            "cloud": "SECURE",
            "dataCenterId": "US-KS-2",
            "cudaVersion": "13.0",
            "cost": 2.99,
            "env": {
                "HARNESS_FETCH_TOKEN": "t" * 32,
                "HARNESS_MAX_HOURS": "4",
                "HARNESS_AT_END": "stop",
            },
            "locked": False,
            "runtime": None,
            "template": None,
            "createdAt": "2026-06-01T12:00:00Z",
            "startedAt": None,
            **over,
        }
        self.pods[pod["id"]] = pod
        self.statuses = [pod["status"]]
        self._give(pod)
        return pod

    def _give(self, pod: dict[str, Any]) -> None:
        """Start what a pod itself would: the harness's server over its results."""
        if "HARNESS_FETCH_TOKEN" in pod["env"] and not self.inner:
            inner = server(self.results, pod["env"]["HARNESS_FETCH_TOKEN"], "127.0.0.1", 0)
            self.inner = f"http://127.0.0.1:{inner.server_port}"
            self._serve(inner)

    def _serve(self, made: ThreadingHTTPServer) -> None:
        made.daemon_threads = True
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        self.servers.append(made)

    def create(self, body: dict[str, Any]) -> tuple[int, bytes]:
        unknown = sorted(set(body) - _POD_FIELDS)
        if unknown:
            return problem(422, "Request validation failed.", f"$: {unknown} not allowed")
        if set(body) & {"gpu", "cpu"} != {"gpu"} or not body["name"]:
            return problem(400, "exactly one of gpu or cpu")
        gpu = {**body["gpu"], "vcpuCount": 16, "memory": 188}
        to_come = self.statuses
        pod = self.add(**{**body, "gpu": gpu, "status": "PROVISIONING"})
        self.statuses = to_come
        self.started(body)
        return self.lost or (201, json.dumps(pod).encode())

    def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        where, _, query = path.partition("?")
        queued = self.answers.get(f"{method} {where}", [])
        if queued:
            return queued.pop(0) if len(queued) > 1 or queued[0][0] == 429 else queued[0]
        match [method, *where.strip("/").split("/")]:
            case ["GET", "catalog", "gpus"]:
                return 200, json.dumps({"gpus": self.gpus}).encode()
            case ["GET", "pods"]:
                return self._page(query)
            case ["POST", "pods"]:
                return self.create(body)
            case ["POST", "templates"]:
                if unknown := sorted(set(body) - _TEMPLATE_FIELDS):
                    return problem(422, "Request validation failed.", f"{unknown} not allowed")
                return 201, json.dumps({"id": "tpl1", **body}).encode()
            case [_, "pods", pod_id, *rest] if pod_id in self.pods:
                return self._of_pod(method, self.pods[pod_id], rest, body)
        return problem(404, "pod not found")

    def _page(self, query: str) -> tuple[int, bytes]:
        """Two pods a page."""
        start = int(query.partition("cursor=")[2] or 0)
        pods = list(self.pods.values())
        more = start + 2 < len(pods)
        page = {"hasNextPage": more, "nextCursor": str(start + 2) if more else None}
        return 200, json.dumps({"pods": pods[start : start + 2], "pagination": page}).encode()

    def _of_pod(
        self, method: str, pod: dict[str, Any], rest: list[str], body: Any
    ) -> tuple[int, bytes]:
        match [method, *rest]:
            case ["GET"]:
                if pod["status"] in ("PROVISIONING", "STARTING", "RUNNING") and self.statuses:
                    many = len(self.statuses) > 1
                    pod["status"] = self.statuses.pop(0) if many else self.statuses[0]
                if pod["status"] == "TERMINATED":
                    return problem(404, "pod not found")
                return 200, json.dumps({**pod, "env": {}} if self.hides else pod).encode()
            case ["DELETE"]:
                del self.pods[pod["id"]]
                return 204, b""
            case ["POST", "action"]:
                if body == {"action": "stop"} and pod["status"] == "EXITED":
                    return problem(409, "not valid for EXITED")
                pod["status"] = "EXITED" if body["action"] == "stop" else "STARTING"
                self.statuses = ["STARTING", "RUNNING"]
                return 200, json.dumps(pod).encode()
            case ["GET", "logs"]:
                events = (f"id: {n}\ndata: {line}\n\n" for n, line in enumerate(self.log))
                return 200, "".join(events).encode()
        return problem(404, "not found")


@contextmanager
def account(results: Path) -> Iterator[RunPod]:
    """A RunPod on loopback, with one kind of GPU."""
    pod = RunPod(results)
    prices = {"secure": 2.99, "community": 0}
    one = {"id": H100, "name": "H100", "memory": 80, "price": prices, "availability": "LOW"}
    cheap = {"secure": 0.69, "community": 0.34}
    other = {**one, "id": "NVIDIA GeForce RTX 4090", "memory": 24, "price": cheap}
    pod.gpus = [one, other]

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            pod.asked.append((self.command, self.path))
            if self.path.startswith("/door/"):
                return self._pass_on()
            body = json.loads(sent) if sent else None
            if body is not None:
                pod.bodies.append(body)
            if self.headers["Authorization"] != f"Bearer {KEY}":
                return self._say(*problem(401, f"invalid key {self.headers['Authorization']}"))
            if (self.headers["User-Agent"] or "").startswith("Python-urllib"):
                return self._say(403, b"error code: 1010")
            return self._say(*pod.answer(self.command, self.path, body))

        do_GET = do_POST = do_DELETE = _do  # noqa: N815

        def _pass_on(self) -> None:
            """As the proxy does; HTML where nobody listens."""
            if given := pod.answers.get(f"{self.command} {self.path}"):
                return self._say(*given[0])
            request = urllib.request.Request(pod.inner + self.path.removeprefix("/door"))
            request.add_header("Authorization", self.headers["Authorization"])
            try:
                with urllib.request.urlopen(request, timeout=10) as heard:
                    status, body = heard.status, heard.read()
            except urllib.error.HTTPError as error:
                status, body = error.code, error.read()
            except OSError:
                status, body = 502, HTML
            if "/part" in self.path:
                pod.parts += len(body)
                if pod.cuts:
                    pod.cuts -= 1
                    return self._say(status, body[: len(body) // 2], len(body))
            return self._say(status, body)

        def _say(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    front = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pod.url = f"http://127.0.0.1:{front.server_port}"
    pod._serve(front)
    try:
        yield pod
    finally:
        for made in pod.servers:
            made.shutdown()
            made.server_close()
