"""The completions client: one attempt, matched by index, failures sorted by whether to retry."""

import asyncio
import json

import httpx
import pytest

from harness.replay.client import CompletionsClient, RequestFailed
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
