"""No answer of whatever form, from any endpoint, is more than a failed attempt."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from hostile_server import (
    COMPLETION,
    REFUSALS,
    UNREADABLE,
    WRONG,
    HostileServer,
    answer,
    said,
    slowly,
)

from harness.prove import read_metrics, read_process
from harness.replay import (
    CompletionsClient,
    Dispatcher,
    Gate,
    PrefixCache,
    RequestFailed,
    StepWatch,
)
from harness.serve import ask_server_info, ask_workers, let_go, why_not_held
from harness.settings.run_spec import RequestSettings
from harness.wire import NotHeard, ask, authorization, follow, line_to
from harness.words import CachePolicy

ANYTHING = {**UNREADABLE, **REFUSALS, **WRONG}
REQUEST = RequestSettings(max_tokens=8, timeout_s=5)


def by_name(cases: dict[str, bytes]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("says", cases.values(), ids=cases.keys())


async def nothing() -> None:
    """A server that lives."""


async def at_once(_: float) -> None:
    """No waiting."""


def asked(url, call, request=REQUEST, **more):
    async def go():
        async with CompletionsClient(url, "m", request, **more) as client:
            return await call(client)

    return asyncio.run(go())


@by_name(UNREADABLE)
def test_what_cannot_be_read_may_be_sent_again(says):
    with HostileServer({"/v1/completions": says}) as server, pytest.raises(RequestFailed) as failed:
        asked(server.url, lambda client: client.complete_one("a"))
    assert failed.value.retryable
    assert len(str(failed.value)) < 500


@by_name({**REFUSALS, **WRONG})
def test_an_answer_that_stays_the_same_is_not_asked_for_again(says):
    with HostileServer({"/v1/completions": says}) as server, pytest.raises(RequestFailed) as failed:
        asked(server.url, lambda client: client.complete_one("a"))
    assert not failed.value.retryable or "204" in str(failed.value)


@by_name(UNREADABLE)
def test_one_bad_answer_is_followed_by_a_good_one(says):
    def solo(client):
        dispatcher = Dispatcher(client, max_attempts=2, probe=nothing, sleep=at_once)
        return dispatcher.solo("a")

    with HostileServer({"/v1/completions": [says, said(COMPLETION)]}) as server:
        got = asked(server.url, solo)
    assert (got.text, got.attempts) == ("B", 2)


@by_name({name: says for name, says in ANYTHING.items() if name != "a gzip bomb"})
def test_no_other_endpoint_takes_a_run_down(says):
    """Those that are asked while a run works: they fail as a request does, or say nothing."""

    async def everything(client):
        read_metrics(await client.metrics())
        read_process(await client.metrics())
        for call in (
            client.warm(2),
            client.queue_behind("a"),
            PrefixCache(client, CachePolicy.RESET).before(as_list=False),
            held(client),
        ):
            with suppress(RequestFailed):
                await call

    async def held(client):
        watch = StepWatch(Path("none"), client.metrics, sleep=at_once)
        async with Gate(client, watch, sleep=at_once).closed(["a"]) as left:
            left()

    with HostileServer({"*": says}) as server:
        asked(server.url, everything)


@by_name(ANYTHING)
def test_what_a_server_cannot_say_of_itself_is_not_known(says):
    with HostileServer({"*": says}) as server:
        results, problem = ask_workers(server.url, {"method": "m"})
        assert problem or not isinstance(results, list)
        assert ask_server_info(server.url) is None or isinstance(ask_server_info(server.url), dict)
        assert why_not_held(server.url)
        let_go(server.url)


@by_name(UNREADABLE)
def test_an_unreadable_text_of_metrics_counts_nothing(says):
    with HostileServer({"/metrics": says}) as server:
        found = read_metrics(asked(server.url, lambda client: client.metrics()))
    assert (found.steps, found.prompt_tokens) == (None, None)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e999", "..", "-", "1e", "eee", "1.2.3"])
def test_a_counter_that_is_no_number_is_one_that_is_not_told(value):
    found = read_metrics(f'vllm:prompt_tokens_total{{engine="0"}} {value}\n')
    assert found.prompt_tokens is None
    text = f"process_start_time_seconds {value}\nprocess_cpu_seconds_total 1\n"
    assert read_process(text) is None


def test_an_answer_that_drips_has_the_time_of_one_request():
    def drips():
        time.sleep(0.2)
        return answer(b"{", length=999)[:-1]

    began = time.monotonic()
    with HostileServer({"*": drips}) as server, httpx.Client(base_url=server.url) as client:
        for _ in range(2):
            with pytest.raises(NotHeard):
                ask(client, "/", timeout_s=0.5)
    assert time.monotonic() - began < 3


def test_a_late_answer_is_slow_and_a_closed_port_is_refused():
    with HostileServer({"*": slowly(1, said({}))}) as server:
        with httpx.Client(base_url=server.url) as client, pytest.raises(NotHeard) as late:
            ask(client, "/health", timeout_s=0.2)
        url = server.url
    with httpx.Client(base_url=url) as client, pytest.raises(NotHeard) as gone:
        ask(client, "/health", timeout_s=1)
    assert (late.value.slow, late.value.refused) == (True, False)
    assert (gone.value.slow, gone.value.refused) == (False, True)


def test_the_server_says_how_long_to_wait_before_the_next_attempt():
    waits = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    def solo(client):
        return Dispatcher(client, max_attempts=4, probe=nothing, sleep=note).solo("a")

    busy = answer(b"", "429 Too Many Requests", "Retry-After: 7")
    for_ever = answer(b"", "503 Service Unavailable", "Retry-After: 86400")
    with HostileServer({"/v1/completions": [busy, for_ever, said(COMPLETION)]}) as server:
        assert asked(server.url, solo).attempts == 3
    assert waits == [7, 60]


def test_a_key_that_the_server_repeats_is_not_told_on(monkeypatch):
    monkeypatch.setenv("THEIR_KEY", "canary-1234567890\n")
    headers = authorization("THEIR_KEY")

    def echo():
        return answer(server.asked[-1][1]["authorization"].encode(), "400 Bad Request")

    with HostileServer({"*": echo}) as server, pytest.raises(RequestFailed) as failed:
        asked(server.url, lambda client: client.complete_one("a"), headers=headers)
    assert server.asked[0][1]["authorization"] == "Bearer canary-1234567890"
    assert "canary" not in str(failed.value)


def followed(says) -> list[str]:
    with (
        HostileServer({"/log": says}) as server,
        httpx.Client(**line_to(server.url, timeout=5)) as client,
    ):
        return list(follow(client, "/log", idle_s=0.3))


def test_the_lines_of_a_stream_are_text_whatever_bytes_they_hold():
    assert followed(answer(b"a\nb\xff\n")) == ["a", "b\ufffd"]


def test_a_stream_that_does_not_begin_is_not_heard():
    with pytest.raises(NotHeard) as error:
        followed(slowly(1.0, answer(b"a\n")))
    assert error.value.slow


@by_name({"cut": answer(b"a\n", length=99), "404": said({}, "404 Not Found"), **UNREADABLE})
def test_a_stream_of_any_form_ends_or_is_not_heard(says):
    with suppress(NotHeard):
        assert all(isinstance(line, str) for line in followed(says))
