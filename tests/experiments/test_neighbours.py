"""The engine's account says who met whom, or nothing at all."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from harness.experiments import Request, neighbours
from harness.prove import EngineStep


def scheduled(
    requests: list[Request], arrives: list[int], *, slots: int = 8, budget: int = 64, seed: int = 0
) -> tuple[list[EngineStep], dict[int, list[int]]]:
    """A stand-in for vLLM's scheduler: its log, and the steps in which each request really was.

    Running requests first, then those that wait in the order of arrival, a long prompt in pieces;
    a request that stopped by itself runs one step more, as where the engine schedules ahead.
    """
    lot = random.Random(seed)
    waiting = sorted(range(len(requests)), key=lambda one: arrives[one])
    left = {one: requests[one].prompt_tokens for one in waiting}
    due = {one: requests[one].answer_tokens for one in waiting}
    running: list[int] = []
    ahead: list[int] = []
    steps, truth, at = [], {one: [] for one in waiting}, 0
    while waiting or running or ahead:
        room, prefilled, decoded, took = budget, 0, len(ahead), 0
        ahead = []
        for one in list(running):
            tokens = min(left[one], room) if left[one] else 1
            if left[one]:
                prefilled, took = prefilled + 1, took + tokens
                left[one] -= tokens
            else:
                decoded += 1
            room -= tokens
            truth[one].append(at)
            if not left[one]:
                due[one] -= 1
        while waiting and arrives[waiting[0]] <= at and len(running) < slots and room > 0:
            one = waiting.pop(0)
            tokens = min(left[one], room)
            left[one], room = left[one] - tokens, room - tokens
            prefilled, took = prefilled + 1, took + tokens
            running.append(one)
            truth[one].append(at)
            if not left[one]:
                due[one] -= 1
        for one in [one for one in running if due[one] <= 0]:
            running.remove(one)
            if requests[one].stopped and lot.random() < 0.7:
                ahead.append(one)
        if prefilled or decoded:
            steps.append(EngineStep(len(steps), prefilled, took, decoded, decoded, len(steps) + 1))
        at += 1
    return steps, truth


def traffic_of(seed: int, count: int = 30) -> tuple[list[Request], list[int]]:
    lot = random.Random(seed)
    requests = [
        Request(lot.randint(3, 90), lot.randint(1, 24), lot.random() < 0.5) for _ in range(count)
    ]
    arrives = sorted(lot.randint(0, 160) for _ in range(count))
    return sent_at(requests, arrives), arrives


def sent_at(requests: list[Request], steps: list[int], step_s: float = 0.1) -> list[Request]:
    """The same requests with the time at which they left, a step lasting so long."""
    return [one._replace(sent_s=at * step_s) for one, at in zip(requests, steps, strict=True)]


def shared_steps(truth: dict[int, list[int]], place: int) -> set[tuple[int, int]]:
    """The requests that really shared a step with one, and how many steps."""
    own = set(truth[place])
    return {(other, n) for other in truth if other != place and (n := len(own & set(truth[other])))}


@pytest.mark.parametrize("seed", range(30))
def test_every_request_of_a_random_schedule_is_found_in_its_own_steps(seed: int) -> None:
    requests, arrives = traffic_of(seed)
    steps, truth = scheduled(requests, arrives, seed=seed)
    found = neighbours(steps, requests)
    assert found is not None
    certain = [place for place, met in enumerate(found) if met.witness.steps is not None]
    assert len(certain) >= 20
    for place in certain:
        # a step that only somebody's look ahead took is nobody's own
        met = found[place]
        assert met.witness.steps == truth[place][-1] - truth[place][0] + 1
        assert met.neighbours is None or set(met.neighbours) == shared_steps(truth, place)
    assert sum(found[place].neighbours is not None for place in certain) >= 10


SHAPES = {
    "lengths apart": (range(3, 90), range(1, 25)),
    "few lengths": ((5, 8, 10), (3, 4, 5, 6, 8)),
    "prompts of one length": ((10,), (3, 4, 5, 6, 8)),
    "all alike": ((10,), (6,)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(12))
def test_nobody_is_said_to_have_met_whom_it_did_not(seed: int, shape: str) -> None:
    """Whatever changed places on the way within a moment: what is not certain is not said."""
    lot = random.Random(seed)
    prompts, answers = map(list, SHAPES[shape])
    requests = [
        Request(lot.choice(prompts), lot.choice(answers), lot.random() < 0.5) for _ in range(30)
    ]
    left = sorted(lot.randint(0, 140) for _ in requests)
    arrives = [at + lot.choice((0, 0, 0, 1, 2)) for at in left]
    steps, truth = scheduled(requests, arrives, seed=seed)
    for place, met in enumerate(neighbours(steps, sent_at(requests, left, 0.02)) or ()):
        if met.witness.steps is not None:
            assert met.witness.steps == truth[place][-1] - truth[place][0] + 1
        if met.neighbours is not None:
            assert set(met.neighbours) == shared_steps(truth, place)
        if met.witness.shared_decode_share:
            assert shared_steps(truth, place)


def test_requests_that_changed_places_on_the_way_are_found() -> None:
    requests, arrives = traffic_of(3)
    steps, truth = scheduled(requests, arrives, seed=3)
    near = requests[10].sent_s
    swapped = [*requests[:10], requests[11]._replace(sent_s=near), requests[10], *requests[12:]]
    found = neighbours(steps, swapped)
    assert found is not None
    assert found[11].witness.steps == truth[10][-1] - truth[10][0] + 1


def test_a_request_is_not_passed_by_one_that_left_long_after_it() -> None:
    requests, arrives = traffic_of(3)
    steps, _ = scheduled(requests, arrives, seed=3)
    late = [one._replace(sent_s=one.sent_s + 1) for one in requests]
    swapped = [*requests[:10], requests[11]._replace(sent_s=requests[10].sent_s), late[10]]
    assert neighbours(steps, [*swapped, *late[12:]]) is None


def test_two_alike_that_left_in_one_moment_are_told_apart_from_nothing() -> None:
    pair = [Request(5, 6, False, 0.0), Request(5, 6, False, 0.01)]
    steps, _ = scheduled(pair, [0, 2])
    found = neighbours(steps, pair)
    assert found is not None
    assert [met.neighbours for met in found] == [None, None]
    assert all(met.witness.steps is None and met.witness.shared for met in found)
    apart = neighbours(steps, [pair[0], pair[1]._replace(sent_s=0.5)])
    assert apart is not None
    assert [met.neighbours for met in apart] == [((1, 4),), ((0, 4),)]


def test_an_account_that_adds_up_in_too_many_ways_says_nothing_of_anybody() -> None:
    requests = [Request(10, 3 + n % 7, True) for n in range(60)]
    steps, _ = scheduled(requests, [n // 3 for n in range(60)])
    assert neighbours(steps, requests) is None


def test_two_that_never_met_have_no_neighbour_and_are_vacuous() -> None:
    requests = sent_at([Request(5, 4, False)] * 2, [0, 20])
    steps, _ = scheduled(requests, [0, 20])
    found = neighbours(steps, requests)
    assert found is not None
    assert all(not met.neighbours and met.witness.alone for met in found)


def test_a_lone_step_left_over_from_before_is_passed_over() -> None:
    steps, _ = scheduled([Request(5, 4, False)], [0])
    late = EngineStep(0, 0, 0, 1, 1, 0)
    assert neighbours([late, *steps], [Request(5, 4, False)]) is not None


@pytest.mark.parametrize(
    "fault",
    [
        lambda steps: steps[:-1],
        lambda steps: [*steps, steps[-1]],
        lambda steps: [replace(steps[0], context_tokens=steps[0].context_tokens + 1), *steps[1:]],
        lambda steps: [*steps[:9], replace(steps[9], generation_requests=40), *steps[10:]],
        lambda _: [],
    ],
)
def test_an_account_that_does_not_add_up_says_nothing_of_anybody(fault) -> None:
    requests = [Request(5 + n, 12, False) for n in range(6)]
    steps, _ = scheduled(requests, [0, 2, 4, 5, 9, 11])
    assert neighbours(fault(steps), requests) is None
