"""The completions client: one attempt, matched by index, failures sorted by whether to retry."""

import asyncio
import json
import re

import httpx
import pytest

from harness.replay.client import _IDLE_S, CompletionsClient, RequestFailed
from harness.settings.run_spec import RequestSettings

REQUEST = RequestSettings(max_tokens=8, temperature=0.0, seed=7)


def ask(handler, call):
    async def go():
        transport = httpx.MockTransport(handler)
        async with CompletionsClient("http://server", "m", REQUEST, transport=transport) as client:
            return await call(client)

    return asyncio.run(go())


def choices(*texts, order=None):
    order = order if order is not None else range(len(texts))
    rows = [{"index": i, "text": texts[i], "finish_reason": "stop"} for i in order]
    return httpx.Response(200, json={"choices": rows})


def test_the_request_is_the_raw_prompt_with_the_specs_sampling():
    seen = []

    def handler(request):
        seen.append((request.url.path, json.loads(request.content)))
        return choices("hi")

    ask(handler, lambda c: c.complete_one("Question:\n"))
    assert seen == [
        (
            "/v1/completions",
            {
                "model": "m",
                "prompt": "Question:\n",
                "max_tokens": 8,
                "temperature": 0.0,
                "seed": 7,
                "return_token_ids": True,
            },
        )
    ]


def test_a_prompt_list_answer_out_of_order_is_matched_by_index():
    answers = ask(
        lambda _: choices("zero", "one", "two", order=[2, 0, 1]),
        lambda c: c.complete_list(["a", "b", "c"]),
    )
    assert [a.text for a in answers] == ["zero", "one", "two"]


@pytest.mark.parametrize(
    "response",
    [
        choices("only one"),
        httpx.Response(200, json={"choices": [{"index": 0, "text": "a"}] * 2}),
        httpx.Response(200, json={"choices": [{"index": i, "text": "a"} for i in (1, 2)]}),
        httpx.Response(200, json={"choices": [{"index": i} for i in (0, 1)]}),
        httpx.Response(200, json={"choices": [{"index": i, "text": None} for i in (0, 1)]}),
        httpx.Response(200, text="<html>"),
    ],
    ids=["too few", "twice the same", "wrong set", "no text", "null text", "not JSON"],
)
def test_an_answer_that_does_not_fit_the_list_is_an_error_without_retry(response):
    with pytest.raises(RequestFailed) as failed:
        ask(lambda _: response, lambda c: c.complete_list(["a", "b"]))
    assert not failed.value.retryable


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (404, False), (422, False), (429, True), (500, True), (503, True)],
)
def test_only_429_and_5xx_may_be_sent_again(status, retryable):
    with pytest.raises(RequestFailed) as failed:
        ask(lambda _: httpx.Response(status, text="no"), lambda c: c.complete_one("a"))
    assert failed.value.retryable is retryable
    assert str(status) in str(failed.value)


@pytest.mark.parametrize(
    "error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError]
)
def test_a_broken_connection_may_be_sent_again(error):
    def handler(request):
        raise error("gone", request=request)

    with pytest.raises(RequestFailed) as failed:
        ask(handler, lambda c: c.complete_one("a"))
    assert failed.value.retryable


def test_token_ids_and_finish_reason_are_kept():
    body = {"choices": [{"index": 0, "text": "x", "finish_reason": "length", "token_ids": [5, 6]}]}
    (answer,) = ask(lambda _: httpx.Response(200, json=body), lambda c: c.complete_list(["a"]))
    assert (answer.token_ids, answer.finish_reason) == ((5, 6), "length")


class _HangsUp:
    """A real HTTP server on loopback that closes a connection which was idle for a moment."""

    def __init__(self, idle_s):
        self.idle_s = idle_s
        self.connections = 0

    async def __call__(self, reader, writer):
        self.connections += 1
        body = b'{"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}'
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        try:
            while True:
                lines = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), self.idle_s)
                found = re.search(rb"(?i)content-length: (\d+)", lines)
                await reader.readexactly(int(found[1]) if found else 0)
                writer.write(head.encode() + b"\r\n\r\n" + body)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError):
            writer.close()


def test_a_connection_is_given_up_before_the_server_closes_it():
    """Else the first request after a pause may end in a disconnect, and needs a retry."""

    async def go():
        hangs_up = _HangsUp(idle_s=60)
        server = await asyncio.start_server(hangs_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with CompletionsClient(f"http://127.0.0.1:{port}", "m", REQUEST) as client:
            await client.complete_one("a")
            await client.complete_one("b")
            kept = hangs_up.connections
            await asyncio.sleep(_IDLE_S + 0.3)
            await client.complete_one("c")
            opened = hangs_up.connections
        server.close()
        return kept, opened

    assert _IDLE_S < 5  # vLLM's own VLLM_HTTP_TIMEOUT_KEEP_ALIVE
    assert asyncio.run(go()) == (1, 2)
