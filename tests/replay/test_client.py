"""The completions client: one attempt, matched by index, failures sorted by whether to retry."""

import asyncio
import json
import re
import time

import httpx
import pytest

from harness.records import Likely
from harness.replay.client import _IDLE_S, CompletionsClient
from harness.replay.completion import RequestFailed, replies
from harness.settings.run_spec import RequestSettings

REQUEST = RequestSettings(max_tokens=8, temperature=0.0, seed=7)


def choices_with(**more):
    return httpx.Response(
        200, json={"choices": [{"index": i, "text": "a", **more} for i in (0, 1)]}
    )


def ask(handler, call, *, url="http://server", **told):
    async def go():
        transport = httpx.MockTransport(handler)
        async with CompletionsClient(url, "m", REQUEST, transport=transport, **told) as client:
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
    assert [a.answer.text for a in answers] == ["zero", "one", "two"]


@pytest.mark.parametrize(
    "response",
    [
        choices("only one"),
        httpx.Response(200, json={"choices": [{"index": 0, "text": "a"}] * 2}),
        httpx.Response(200, json={"choices": [{"index": i, "text": "a"} for i in (1, 2)]}),
        httpx.Response(200, json={"choices": [{"index": i} for i in (0, 1)]}),
        httpx.Response(200, json={"choices": [{"index": i, "text": None} for i in (0, 1)]}),
        httpx.Response(200, json=["<html>"]),
        choices_with(token_ids=[[1], {"a": 2}]),
        choices_with(token_ids=[1.5]),
        choices_with(token_ids=[10**400]),
        choices_with(finish_reason=["stop"]),
        choices_with(prompt_token_ids="abc"),
    ],
    ids=[
        *("too few", "twice the same", "wrong set", "no text", "null text", "no object"),
        *("nested ids", "broken ids", "huge ids", "listed reason", "ids of text"),
    ],
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
    (reply,) = ask(lambda _: httpx.Response(200, json=body), lambda c: c.complete_list(["a"]))
    answer = reply.answer
    assert (answer.token_ids, answer.finish_reason) == ((5, 6), "length")


def usage(**said):
    row = {"index": 0, "text": "x", "finish_reason": "stop", "prompt_token_ids": [1, 2, 3]}
    return httpx.Response(
        200, json={"choices": [row], "usage": said} if said else {"choices": [row]}
    )


@pytest.mark.parametrize(
    ("said", "tells", "cached"),
    [
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}, False, 2),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}}, False, 0),
        ({"prompt_tokens": 3, "prompt_tokens_details": None}, True, 0),
        ({"prompt_tokens": 3}, True, 0),
        ({"prompt_tokens": 3}, False, None),
        ({"prompt_tokens": "many"}, True, None),
        ({}, True, None),
    ],
    ids=["told", "0.32 writes a 0", "0.19.1 leaves it out", "left out", "flag not known",
         "no number", "no usage"],
)  # fmt: skip
def test_a_count_that_is_not_told_is_0_only_where_a_0_is_known_to_be_left_out(said, tells, cached):
    reply = ask(lambda _: usage(**said), lambda c: c.complete_one("a"), tells_cached=tells)
    assert reply.answer.cached_tokens == cached
    assert reply.prompt_ids == (1, 2, 3)


def test_the_count_of_a_list_is_never_taken_from_its_usage_which_is_of_the_last_prompt_only():
    body = {
        "choices": [{"index": i, "text": "x"} for i in (0, 1)],
        "usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}},
    }
    replies = ask(
        lambda _: httpx.Response(200, json=body),
        lambda c: c.complete_list(["a", "b"]),
        tells_cached=True,
    )
    assert [reply.answer.cached_tokens for reply in replies] == [None, None]
    assert replies[0].request_tokens == 9


def test_a_salt_goes_with_its_request_and_no_salt_is_sent_without_one():
    seen = []

    def handler(request):
        seen.append(json.loads(request.content).get("cache_salt", "none"))
        return choices("a")

    ask(handler, lambda c: c.complete_one("p", salt="pepper"))
    ask(handler, lambda c: c.complete_list(["p"], salt="pepper"))
    ask(handler, lambda c: c.complete_one("p"))
    assert seen == ["pepper", "pepper", "none"]


def test_a_development_endpoint_is_asked_over_loopback_only():
    asked = []

    def handler(request):
        asked.append(str(request.url))
        return httpx.Response(200)

    with pytest.raises(RequestFailed, match=r"over loopback only, not at http://10\.0\.0\.1:8000"):
        ask(handler, lambda c: c.order("/resume"), url="http://10.0.0.1:8000")
    assert asked == []
    ask(handler, lambda c: c.order("/resume"), url="http://127.0.0.1:8000")
    assert asked == ["http://127.0.0.1:8000/resume"]


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


def test_after_a_cancelled_request_the_server_is_asked_again_at_once():
    """A signal cancels what is asked; the server's counters and its gate are asked after that."""

    async def go():
        server = await asyncio.start_server(_HangsUp(idle_s=60), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        waited = []
        async with CompletionsClient(f"http://127.0.0.1:{port}", "m", REQUEST) as client:
            for turns in range(1, 40, 2):  # wherever the request is then
                client._orders = None
                cancelled = asyncio.ensure_future(client.order("/pause?mode=keep"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                cancelled.cancel()
                await asyncio.wait([cancelled])
                began = time.monotonic()
                assert await client.metrics()
                assert (await client.order("/resume")).ok
                waited.append(time.monotonic() - began)
        server.close()
        return waited

    assert max(asyncio.run(go())) < 10  # and not as long as a completion may take, 300 s


def test_the_likeliest_tokens_come_with_an_answer_where_they_are_asked_for():
    seen = []
    odd = {"token_id:²": -1.0, f"token_id:{'9' * 5000}": -1.0}
    tops = [{"token_id:7": -0.25, "token_id:9": -1.5, "token_id:8": -3.0, **odd}, None]

    def handler(request):
        seen.append(json.loads(request.content))
        return choices_with(logprobs={"top_logprobs": tops, "tokens": ["token_id:7", "x"]})

    async def go():
        request = RequestSettings(logprobs=2)
        transport = httpx.MockTransport(handler)
        async with CompletionsClient("http://s", "m", request, transport=transport) as client:
            return await client.complete_list(["a", "b"])

    answer = asyncio.run(go())[0].answer
    assert answer.likely == ((Likely(7, -0.25), Likely(9, -1.5)), ())
    assert (seen[0]["logprobs"], seen[0]["return_tokens_as_token_ids"]) == (2, True)


def test_a_token_that_is_ruled_out_is_none_of_the_likeliest():
    ruled_out = {"top_logprobs": [{"token_id:7": -0.25, "token_id:9": float("-inf")}]}
    choice = {"index": 0, "text": "x", "logprobs": ruled_out}
    (reply,) = replies({"choices": [choice]}, 1, 0.1, zero_left_out=False)
    assert reply.answer.likely == ((Likely(7, -0.25),),)
