"""The dispatch modes and the retry policy, against a handler and against a loopback server."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from harness.errors import ServerDied
from harness.records import Witness
from harness.replay.client import CompletionsClient
from harness.replay.completion import RequestFailed
from harness.replay.dispatch import Dispatcher
from harness.settings.run_spec import RequestSettings
from harness.words import DispatchMode

REQUEST = RequestSettings(max_tokens=8, timeout_s=10)


async def alive():
    return None


async def no_wait(_seconds):
    return None


def dispatch(handler, call, *, max_attempts=4, probe=alive, sleep=no_wait, watch=None):
    async def go():
        transport = httpx.MockTransport(handler)
        async with CompletionsClient("http://server", "m", REQUEST, transport=transport) as client:
            dispatcher = Dispatcher(
                client, max_attempts=max_attempts, probe=probe, sleep=sleep, watch=watch
            )
            return await call(dispatcher)

    return asyncio.run(go())


class Server:
    """Answers each prompt with itself, after failing those it was told to fail."""

    def __init__(self, fail=()):
        self.fail = list(fail)
        self.prompts = []

    def __call__(self, request):
        if request.method == "GET":  # /health and /metrics
            return httpx.Response(200)
        prompt = json.loads(request.content)["prompt"]
        self.prompts.append(prompt)
        for i, (which, response) in enumerate(self.fail):
            if which == prompt:
                del self.fail[i]
                return response
        texts = prompt if isinstance(prompt, list) else [prompt]
        rows = [
            {"index": i, "text": f"to {t}", "finish_reason": "stop"} for i, t in enumerate(texts)
        ]
        return httpx.Response(200, json={"choices": rows})


class Watch:
    """STAND-IN for the steps of an engine: what the askings are told to show, one after another."""

    def __init__(self, *admitted: int) -> None:
        self.admitted = list(admitted)

    async def mark(self):
        return "since"

    async def witness(self, _since, _said):
        first = self.admitted.pop(0)
        return Witness(steps=8, admitted_first_step=first, shared_decode_share=0.0, source="log")


@pytest.mark.parametrize(
    ("admitted", "attempts"), [((1, 1, 2), 3), ((2,), 1), ((1, 1, 1, 1), 4)], ids=str
)
def test_a_batch_whose_requests_never_met_is_sent_again_while_attempts_last(admitted, attempts):
    async def call(dispatcher):
        return await dispatcher.batch(["a", "b"], DispatchMode.SYNCHRONIZED)

    sent = dispatch(Server(), call, watch=Watch(*admitted))
    assert [answer.attempts for answer in sent] == [attempts, attempts]


def test_a_server_whose_batches_never_meet_is_asked_once_for_each_of_the_others():
    async def call(dispatcher):
        first = await dispatcher.batch(["a", "b"], DispatchMode.SYNCHRONIZED)
        return first + await dispatcher.batch(["a", "b"], DispatchMode.SYNCHRONIZED)

    sent = dispatch(Server(), call, watch=Watch(1, 1, 1, 1, 1))
    assert [answer.attempts for answer in sent] == [4, 4, 1, 1]


def test_once_a_batch_has_met_the_others_are_sent_again_as_before():
    async def call(dispatcher):
        sent = [await dispatcher.batch(["a", "b"], DispatchMode.SYNCHRONIZED) for _ in range(3)]
        return [batch[0].attempts for batch in sent]

    assert dispatch(Server(), call, watch=Watch(1, 1, 1, 1, 2, 1, 2)) == [4, 1, 2]


def test_a_prompt_alone_is_never_sent_again_for_having_met_nobody():
    async def call(dispatcher):
        return await dispatcher.solo("a")

    assert dispatch(Server(), call, watch=Watch(1)).attempts == 1


def test_a_staggered_batch_is_sent_one_after_the_other_at_its_interval():
    waits = []

    async def sleep(seconds):
        waits.append(round(seconds, 6))
        await asyncio.sleep(seconds)

    server = Server()

    async def call(dispatcher):
        return await dispatcher.batch(["a", "b", "c"], DispatchMode.STAGGERED)

    sent = dispatch(server, call, sleep=sleep)
    assert [answer.text for answer in sent] == ["to a", "to b", "to c"]
    assert server.prompts == ["a", "b", "c"]
    assert waits == [0.0, 0.02, 0.04]


def test_a_synchronized_and_a_wide_batch_wait_for_nothing():
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    for mode in (DispatchMode.SYNCHRONIZED, DispatchMode.WIDE):
        dispatch(Server(), lambda d, m=mode: d.batch(["a", "b"], m), sleep=sleep)
    assert waits == []


def test_a_batch_of_which_one_request_failed_is_sent_again_whole():
    server = Server(fail=[("b", httpx.Response(503))])
    sent = dispatch(server, lambda d: d.batch(["a", "b", "c"], DispatchMode.SYNCHRONIZED))
    assert sorted(server.prompts) == ["a", "a", "b", "b", "c", "c"]
    assert [a.text for a in sent] == ["to a", "to b", "to c"]
    assert {a.attempts for a in sent} == {2}


def test_a_failed_list_is_sent_again_and_the_attempts_are_counted():
    server = Server(fail=[(["a", "b"], httpx.Response(500)), (["a", "b"], httpx.Response(429))])
    sent = dispatch(server, lambda d: d.batch(["a", "b"], DispatchMode.PROMPT_LIST))
    assert server.prompts == [["a", "b"]] * 3
    assert {a.attempts for a in sent} == {3}


def test_what_still_fails_after_the_last_attempt_is_raised():
    server = Server(fail=[("a", httpx.Response(500))] * 9)
    with pytest.raises(RequestFailed, match="500"):
        dispatch(server, lambda d: d.solo("a"), max_attempts=3)
    assert len(server.prompts) == 3


def test_a_refused_request_is_not_sent_again():
    server = Server(fail=[("a", httpx.Response(400, text="too long"))])
    with pytest.raises(RequestFailed, match="too long"):
        dispatch(server, lambda d: d.solo("a"))
    assert server.prompts == ["a"]


def test_one_refused_request_makes_the_whole_batch_fail_without_retry():
    server = Server(fail=[("b", httpx.Response(400)), ("c", httpx.Response(503))])
    with pytest.raises(RequestFailed, match="400"):
        dispatch(server, lambda d: d.batch(["a", "b", "c"], DispatchMode.SYNCHRONIZED))
    assert sorted(server.prompts) == ["a", "b", "c"]


def test_waits_grow_between_attempts():
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    server = Server(fail=[("a", httpx.Response(500))] * 3)
    dispatch(server, lambda d: d.solo("a"), sleep=sleep)
    assert waits == sorted(waits)
    assert len(set(waits)) == 3


def test_a_dead_server_ends_the_retries_at_once():
    async def dead():
        raise ServerDied("gone")

    server = Server(fail=[("a", httpx.Response(500))] * 9)
    with pytest.raises(ServerDied):
        dispatch(server, lambda d: d.solo("a"), probe=dead)
    assert server.prompts == ["a"]


class Barrier(BaseHTTPRequestHandler):
    """Holds every completion until N of them are there, so that only true concurrency answers."""

    protocol_version = "HTTP/1.1"
    waiting = threading.Barrier(6, timeout=5)
    ports: set[int]

    def do_GET(self):
        self._answer(b"{}")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.ports.add(self.client_address[1])
        self.waiting.wait()
        text = json.dumps(
            {"choices": [{"index": 0, "text": body["prompt"], "finish_reason": "stop"}]}
        )
        self._answer(text.encode())

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        return


@pytest.fixture
def barrier_server():
    Barrier.ports = set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Barrier)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_synchronized_sends_all_requests_at_once_over_their_own_connections(barrier_server):
    async def go():
        async with CompletionsClient(barrier_server, "m", REQUEST) as client:
            dispatcher = Dispatcher(client, max_attempts=1, probe=alive)
            return await dispatcher.batch([f"p{i}" for i in range(6)], DispatchMode.SYNCHRONIZED)

    sent = asyncio.run(go())
    assert [a.text for a in sent] == [f"p{i}" for i in range(6)]
    assert len(Barrier.ports) == 6
