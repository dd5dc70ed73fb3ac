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
    return requests, sorted(lot.randint(0, 160) for _ in range(count))


@pytest.mark.parametrize("seed", range(30))
def test_every_request_of_a_random_schedule_is_found_in_its_own_steps(seed: int) -> None:
    requests, arrives = traffic_of(seed)
    steps, truth = scheduled(requests, arrives, seed=seed)
    found = neighbours(steps, requests)
    assert found is not None
    for place, met in enumerate(found):
        # a step that only somebody's look ahead took is nobody's own
        assert met.witness.steps == truth[place][-1] - truth[place][0] + 1
        expected = {
            (other, n)
            for other in truth
            if other != place and (n := len(set(truth[place]) & set(truth[other])))
        }
        assert set(met.neighbours) == expected


def test_requests_that_changed_places_on_the_way_are_found() -> None:
    requests, arrives = traffic_of(3)
    steps, truth = scheduled(requests, arrives, seed=3)
    swapped = [*requests[:10], requests[11], requests[10], *requests[12:]]
    found = neighbours(steps, swapped)
    assert found is not None
    assert found[11].witness.steps == truth[10][-1] - truth[10][0] + 1


def test_two_that_never_met_have_no_neighbour_and_are_vacuous() -> None:
    steps, _ = scheduled([Request(5, 4, False)] * 2, [0, 20])
    found = neighbours(steps, [Request(5, 4, False)] * 2)
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
