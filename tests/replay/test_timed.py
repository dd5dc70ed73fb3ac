"""Requests leave at their own times, whatever became of the ones before them."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest
from replay.test_dispatch import REQUEST, alive

from harness.replay import CompletionsClient, Dispatcher, Due


class Server:
    """A stand-in that takes its time over a prompt, or refuses it."""

    def __init__(self, slow: float = 0.0) -> None:
        self.slow = slow
        self.bodies: list[dict] = []
        self.times: list[float] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200)
        body = json.loads(request.content)
        self.bodies.append(body)
        self.times.append(time.perf_counter())
        await asyncio.sleep(self.slow)
        if body["prompt"] == "bad":
            return httpx.Response(400, text="no")
        choice = {"index": 0, "text": "a", "finish_reason": "length", "token_ids": [1]}
        return httpx.Response(200, json={"choices": [choice]})


def _sent(server: Server, dues: list[Due]):
    async def go():
        transport = httpx.MockTransport(server)
        async with CompletionsClient("http://server", "m", REQUEST, transport=transport) as client:
            return await Dispatcher(client, max_attempts=4, probe=alive).on_time(dues)

    return asyncio.run(go())


def test_a_slow_answer_holds_no_later_request_back() -> None:
    server = Server(slow=3.0)
    sent, steps = _sent(server, [Due(n / 10, f"p{n}") for n in range(8)])
    # a busy machine sees the first one late, or the last one
    assert 7 / 10 / 2 <= server.times[-1] - server.times[0] < 3 <= min(one.done_s for one in sent)
    assert [body["prompt"] for body in server.bodies] == [f"p{n}" for n in range(8)]
    assert steps == ()


def test_a_failed_request_is_not_sent_again_and_says_why() -> None:
    server = Server()
    sent, _ = _sent(server, [Due(0, "good"), Due(0.01, "bad"), Due(0.02, "good")])
    assert len(server.bodies) == 3
    assert [bool(one.error) for one in sent] == [False, True, False]
    assert "400" in sent[1].error


@pytest.mark.parametrize("prompt", ["text", (5, 6, 7)])
def test_a_request_says_its_own_length_and_its_prompt_as_text_or_tokens(prompt) -> None:
    server = Server()
    _sent(server, [Due(0, prompt, {"max_tokens": 3, "ignore_eos": True})])
    (body,) = server.bodies
    assert body["prompt"] == (prompt if isinstance(prompt, str) else list(prompt))
    assert (body["max_tokens"], body["ignore_eos"], body["seed"]) == (3, True, REQUEST.seed)
