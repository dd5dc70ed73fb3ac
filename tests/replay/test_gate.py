"""A gated batch: held by the server, admitted in one step, and let go on every way out."""

import asyncio
import json

import httpx
import pytest

from harness.replay.client import CompletionsClient
from harness.replay.completion import RequestFailed
from harness.replay.dispatch import Dispatcher
from harness.replay.gate import SETTLE_S, Gate
from harness.replay.witness import StepWatch
from harness.settings.run_spec import RequestSettings
from harness.words import DispatchMode

REQUEST = RequestSettings(max_tokens=8)
PROMPTS = ["a", "b", "c"]
STEP = (
    "(EngineCore pid=7) INFO 11-28 00:00:00 [core.py:1] Iteration({}): {} context requests, 9 "
    "context tokens, {} generation requests, {} generation tokens, iteration elapsed time: 1 ms\n"
)


async def alive():
    return None


class HoldingServer:
    """A stand-in for vLLM's scheduler: what arrives while it is paused enters in one step.

    ``late`` requests arrive only after ``/resume``; ``missing`` are endpoints that it lacks,
    ``broken`` those that answer 500 that many times.
    """

    def __init__(self, log, *, late=0, missing=(), broken=None, writes=True):
        self.log, self.late, self.missing = log, late, missing
        self.broken = broken or {}
        self.paused, self.waiting, self.steps, self.asked = False, [], 0, []
        self.writes, self.behind = writes, 0

    async def __call__(self, request):
        path = request.url.path
        if "trace" in request.extensions:
            await request.extensions["trace"]("http11.send_request_body.complete", {})
        if request.method == "GET" or path == "/tokenize":
            self.behind += path == "/tokenize"
            return httpx.Response(200)
        self.asked.append(path)
        if path in self.missing:
            return httpx.Response(404)
        if self.broken.get(path):
            self.broken[path] -= 1
            return httpx.Response(500, text="busy")
        if path == "/pause":
            assert request.url.params["mode"] == "keep"
            self.paused = True
            return httpx.Response(200, json={"status": "paused"})
        if path == "/resume":
            self.paused = False
            self._step()
            return httpx.Response(200, json={"status": "resumed"})
        return await self._complete(json.loads(request.content)["prompt"])

    async def _complete(self, prompt):
        if self.late:
            self.late -= 1
            while self.paused:
                await asyncio.sleep(0.001)
        entered = asyncio.Event()
        self.waiting.append(entered)
        if not self.paused:
            self._step()
        await entered.wait()
        row = {"index": 0, "text": prompt.upper(), "finish_reason": "stop"}
        return httpx.Response(200, json={"choices": [row]})

    def _step(self):
        count, self.steps = len(self.waiting), self.steps + 1
        if count and self.writes:
            with self.log.open("a") as log:
                log.write(STEP.format(self.steps, count, 0, 0))
        for entered in self.waiting:
            entered.set()
        self.waiting = []


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "server.log"
    path.write_text("the server's start\n" + STEP.format(0, 1, 0, 0) + STEP.format(1, 0, 1, 1))
    return path


def run(server, log, call, *, waits=None, max_attempts=1):
    async def sleep(seconds):
        if waits is not None:
            waits.append(seconds)
        await asyncio.sleep(min(seconds, 0.01))

    async def go():
        transport = httpx.MockTransport(server)
        url = "http://127.0.0.1:8000"
        async with CompletionsClient(url, "m", REQUEST, transport=transport) as client:
            gate = Gate(client, StepWatch(log, client.metrics, sleep=sleep), sleep=sleep)
            dispatcher = Dispatcher(
                client, max_attempts=max_attempts, probe=alive, gate=gate, sleep=sleep
            )
            return await call(dispatcher)

    return asyncio.run(go())


async def gated(dispatcher):
    return await dispatcher.batch(PROMPTS, DispatchMode.GATED)


def test_a_gated_batch_is_held_until_all_are_there_and_admitted_in_one_step(log):
    server = HoldingServer(log)
    answers = run(server, log, gated)
    assert [answer.text for answer in answers] == ["A", "B", "C"]
    assert server.asked == ["/pause", *["/v1/completions"] * 3, "/resume"]
    assert "Iteration(1): 3 context requests" in log.read_text()
    assert not server.paused


def test_a_batch_that_entered_in_two_steps_is_sent_again_with_more_time(log):
    server, waits = HoldingServer(log, late=1), []
    answers = run(server, log, gated, waits=waits, max_attempts=2)
    assert {answer.attempts for answer in answers} == {2}
    assert waits.index(SETTLE_S) < waits.index(2 * SETTLE_S)
    assert server.behind == 3 + 6  # what queues up behind the batch, and longer the second time


def test_a_batch_that_never_enters_in_one_step_fails_and_says_how_it_entered(log):
    server = HoldingServer(log, late=99)
    with pytest.raises(RequestFailed, match="admitted 1 of 3 requests in the first step"):
        run(server, log, gated, max_attempts=2)
    assert not server.paused


def test_without_a_line_for_each_step_nothing_shows_how_the_batch_entered(log):
    with pytest.raises(RequestFailed, match="needs --enable-logging-iteration-details"):
        run(HoldingServer(log, writes=False), log, gated)


def test_a_server_without_the_endpoint_is_asked_for_nothing(log):
    server = HoldingServer(log, missing=("/pause", "/resume"))
    with pytest.raises(
        RequestFailed, match=r"no /pause\?mode=keep: gated needs vLLM 0.13"
    ) as caught:
        run(server, log, gated)
    assert not caught.value.retryable
    assert "/v1/completions" not in server.asked


def test_a_server_is_resumed_although_it_does_not_say_that_it_paused(log):
    server = HoldingServer(log, broken={"/pause": 1})
    with pytest.raises(RequestFailed, match="/pause"):
        run(server, log, gated)
    assert server.asked == ["/pause", "/resume"]


def test_a_resume_that_fails_is_tried_again(log):
    server = HoldingServer(log, broken={"/resume": 2})
    assert len(run(server, log, gated)) == len(PROMPTS)
    assert not server.paused


def test_a_server_is_resumed_when_the_run_is_cancelled_while_it_is_paused(log):
    server = HoldingServer(log)

    async def cancelled(dispatcher):
        batch = asyncio.ensure_future(gated(dispatcher))
        while len(server.waiting) < len(PROMPTS):
            await asyncio.sleep(0)
        assert server.paused
        batch.cancel()
        await asyncio.sleep(0)
        batch.cancel()  # a second Ctrl-C while it is being resumed
        with pytest.raises(asyncio.CancelledError):
            await batch

    run(server, log, cancelled)
    assert server.asked[-1] == "/resume"
    assert not server.paused


def test_a_failed_request_of_a_gated_batch_leaves_no_paused_server(log):
    server = HoldingServer(log, broken={"/v1/completions": 1})
    answers = run(server, log, gated, max_attempts=2)
    assert {answer.attempts for answer in answers} == {2}
    assert not server.paused


def test_a_dispatcher_without_a_gate_refuses_a_gated_batch():
    async def go():
        transport = httpx.MockTransport(lambda _: httpx.Response(200))
        async with CompletionsClient("http://x", "m", REQUEST, transport=transport) as client:
            return await gated(Dispatcher(client, max_attempts=1, probe=alive))

    with pytest.raises(RequestFailed, match="holds no gate"):
        asyncio.run(go())
