"""The policies of the prefix cache, on a stand-in whose cache works as vLLM's does."""

import asyncio
import json

import httpx
import pytest

from harness.replay.cache import PrefixCache, left_by_earlier
from harness.replay.client import CompletionsClient
from harness.replay.completion import RequestFailed
from harness.replay.dispatch import Dispatcher
from harness.settings.run_spec import RequestSettings
from harness.words import CachePolicy, DispatchMode

REQUEST = RequestSettings(max_tokens=8)
BLOCK = 4
SHORT, LONG = "abc", "abcdefghij"


async def alive():
    return None


async def no_wait(_seconds):
    return None


class CachingServer:
    """A stand-in for vLLM: whole blocks of a prompt (a token a character) are kept by salt.

    The last token is always computed. ``details`` says whether the usage tells of the cache,
    ``zeros`` whether it writes a 0, ``resets`` what ``/reset_prefix_cache`` answers, ``others`` how
    many prompt tokens somebody else asks for meanwhile.
    """

    def __init__(self, *, details=True, zeros=True, resets=(200, {"success": True}), others=0):
        self.details, self.zeros, self.resets, self.others = details, zeros, resets, others
        self.kept, self.salts, self.orders = set(), [], []
        self.hits = self.tokens = 0

    def __call__(self, request):
        path = request.url.path
        if path == "/metrics":
            self.tokens += self.others
            counters = {"prompt_tokens": self.tokens, "prefix_cache_hits": self.hits}
            lines = (f'vllm:{name}_total{{engine="0"}} {n}.0' for name, n in counters.items())
            return httpx.Response(200, text="\n".join(lines))
        if request.method == "GET":
            return httpx.Response(200)
        if path != "/v1/completions":
            self.orders.append(path)
            status, body = self.resets
            if status == 200 and body != {"success": False}:
                self.kept.clear()
            return httpx.Response(status, json=body) if body else httpx.Response(status)
        return self._complete(json.loads(request.content))

    def _complete(self, body):
        given, salt = body["prompt"], body.get("cache_salt")
        prompts = given if isinstance(given, list) else [given]
        self.salts.append(salt)
        cached = [self._process(prompt, salt) for prompt in prompts]
        usage = {"prompt_tokens": sum(map(len, prompts))}
        if self.details and (cached[-1] or self.zeros):
            usage["prompt_tokens_details"] = {"cached_tokens": cached[-1]}
        rows = [
            {"index": i, "text": p, "finish_reason": "stop", "prompt_token_ids": [*map(ord, p)]}
            for i, p in enumerate(prompts)
        ]
        return httpx.Response(200, json={"choices": rows, "usage": usage})

    def _process(self, prompt, salt):
        ends = range(BLOCK, len(prompt) + 1, BLOCK)
        found = 0
        while (
            found < len(ends)
            and ends[found] < len(prompt)
            and ((salt, prompt[: ends[found]]) in self.kept)
        ):
            found += 1
        self.kept |= {(salt, prompt[:end]) for end in ends}
        self.hits += found * BLOCK
        self.tokens += len(prompt)
        return found * BLOCK


def asked(server, policy, call, *, tells=True, url="http://127.0.0.1", max_attempts=1):
    async def go():
        transport = httpx.MockTransport(server)
        async with CompletionsClient(
            url, "m", REQUEST, transport=transport, tells_cached=tells
        ) as client:
            cache = PrefixCache(client, policy, salted_with="run/standard", sleep=no_wait)
            return await call(
                Dispatcher(
                    client, max_attempts=max_attempts, probe=alive, cache=cache, sleep=no_wait
                )
            )

    return asyncio.run(go())


def found(*answers):
    return [(answer.cached_tokens, answer.cached_earlier) for answer in answers]


async def twice_alone(dispatcher):
    return await dispatcher.solo(LONG), await dispatcher.solo(LONG)


async def in_a_batch(dispatcher, mode=DispatchMode.SYNCHRONIZED):
    return await dispatcher.batch([LONG, LONG[:8] + "xy"], mode)


async def in_a_list(dispatcher):
    return await in_a_batch(dispatcher, DispatchMode.PROMPT_LIST)


@pytest.mark.parametrize("zeros", [True, False], ids=["0.32", "0.19.1"])
def test_the_second_asking_of_a_prompt_takes_its_blocks_from_the_first(zeros):
    answers = asked(CachingServer(zeros=zeros), CachePolicy.SERVER_DEFAULT, twice_alone)
    assert found(*answers) == [(0, 0), (8, 8)]


@pytest.mark.parametrize("policy", [CachePolicy.SALTED, CachePolicy.RESET])
def test_no_token_comes_from_an_earlier_asking_under_salted_and_reset(policy):
    async def call(dispatcher):
        return *await twice_alone(dispatcher), *await in_a_batch(dispatcher)

    server = CachingServer()
    answers = asked(server, policy, call)
    assert [answer.cached_earlier for answer in answers] == [0, 0, 0, 0]
    if policy is CachePolicy.SALTED:
        assert len(set(server.salts)) == 4
        assert server.orders == []
    else:
        assert set(server.salts) == {None}
        assert server.orders == ["/reset_prefix_cache"] * 3


def test_a_salt_is_of_the_run_the_mode_and_the_asking_and_the_same_every_time():
    once, again = CachingServer(), CachingServer()
    for server in (once, again):
        asked(server, CachePolicy.SALTED, twice_alone)
    assert once.salts == again.salts
    assert None not in once.salts
    client = CompletionsClient("http://127.0.0.1", "m", REQUEST)
    other = PrefixCache(client, CachePolicy.SALTED, salted_with="run/batch_invariant")
    assert other.salt(1, 1) != once.salts[0]


def test_a_second_attempt_does_not_find_what_the_first_one_left():
    server = CachingServer()
    failing = iter([True])

    def once_failing(request):
        answer = server(request)
        broken = request.url.path == "/v1/completions" and next(failing, False)
        return httpx.Response(503) if broken else answer

    (answer,) = asked(
        once_failing,
        CachePolicy.SALTED,
        lambda d: asyncio.gather(d.solo(LONG)),
        max_attempts=2,
    )
    assert found(answer) == [(0, 0)]
    assert len(set(server.salts)) == 2


def test_hits_inside_one_list_are_counted_and_are_not_of_an_earlier_asking():
    answers = asked(CachingServer(), CachePolicy.SALTED, in_a_list)
    assert found(*answers) == [(8, 0), (8, 0)]  # the asking's count, on each of its answers


def test_a_list_that_finds_its_prompts_in_the_cache_took_them_from_an_earlier_asking():
    async def call(dispatcher):
        await dispatcher.solo(LONG)
        return await in_a_list(dispatcher)

    answers = asked(CachingServer(), CachePolicy.SERVER_DEFAULT, call)
    assert found(*answers) == [(16, 8), (16, 8)]


def test_the_tokens_of_a_list_are_not_known_while_somebody_else_asks_too():
    answers = asked(CachingServer(others=7), CachePolicy.SERVER_DEFAULT, in_a_list)
    assert found(*answers) == [(None, None), (None, None)]


def test_a_companion_that_was_asked_before_shows_on_every_answer_of_the_batch():
    async def call(dispatcher):
        await dispatcher.solo("QRSTUVWXYZ")
        return await dispatcher.batch(["QRSTUVWXYZ", LONG], DispatchMode.SYNCHRONIZED)

    answers = asked(CachingServer(), CachePolicy.SERVER_DEFAULT, call)
    assert found(*answers) == [(8, 8), (0, 8)]


def test_without_the_servers_word_its_counters_tell_from_the_second_asking_on():
    async def call(dispatcher):
        return *await twice_alone(dispatcher), await dispatcher.solo(SHORT)

    answers = asked(CachingServer(details=False), CachePolicy.SERVER_DEFAULT, call, tells=False)
    assert found(*answers) == [(None, None), (8, 8), (0, 0)]


@pytest.mark.parametrize(
    ("resets", "said"),
    [
        ((404, {"detail": "Not Found"}), "no /reset_prefix_cache: it runs without VLLM_SERVER_DEV"),
        ((200, {"success": False}), 'did not empty its prefix cache: HTTP 200: {"success":false}'),
        ((500, None), "did not empty its prefix cache: HTTP 500"),
    ],
    ids=["no endpoint", "requests were running", "error"],
)
def test_a_reset_that_the_server_refuses_is_no_asking(resets, said):
    server = CachingServer(resets=resets)
    with pytest.raises(RequestFailed) as caught:
        asked(server, CachePolicy.RESET, twice_alone)
    assert said in str(caught.value)
    assert server.salts == []


def test_a_reset_that_0_19_1_only_claims_shows_in_the_tokens():
    server = CachingServer(resets=(200, None))
    server.kept = type("Kept", (set,), {"clear": lambda _: None})()
    answers = asked(server, CachePolicy.RESET, twice_alone)
    assert found(*answers) == [(0, 0), (8, 8)]


A, B = (1, 2, 3, 4, 5), (1, 2, 3, 9, 9)


@pytest.mark.parametrize(
    ("cached", "earlier"),
    [
        ((0, 0), 0),
        ((0, 3), 0),  # B took what A computed
        ((3, 3), 3),  # nobody computed the beginning
        ((4, 0), 1),  # B computed the beginning; nobody did the fourth token
        ((5, 5), 7),
    ],
)
def test_a_token_is_of_an_earlier_asking_when_no_request_of_its_own_computed_it(cached, earlier):
    assert left_by_earlier([A, B], cached) == earlier


def test_requests_with_salts_of_their_own_can_have_it_from_earlier_askings_only():
    assert left_by_earlier([A, B], [0, 3], apart=True) == 3


def test_hits_of_prompts_that_are_not_known_are_of_nobody():
    assert left_by_earlier([A, None], [3, 3]) is None
    assert left_by_earlier([None, None], [0, 0]) == 0
