"""The stand-in's log shows the steps of whatever a server's own steps can have looked like."""

from random import Random
from types import SimpleNamespace

import pytest
from msgspec.structs import asdict
from stand_in_steps import served

from harness.analyse.logged_steps import LoggedSteps
from harness.prove.iterations import EngineStep, log_witness
from harness.records.answers import Witness
from harness.records.footprints import Footprint


def engine_steps(rng, tokens, *, split):
    """Requests that come one by one, of which a prompt may take several steps."""
    pending = list(range(len(tokens)))
    due = {n: 0 if n == 0 else rng.choice([0, 0, 1, 2, rng.randint(0, 40)]) for n in pending}
    left, unread, now, steps = {}, [], 0, []
    while pending or unread or left:
        new = [n for n in pending if due[n] <= now]
        begun, decoding, read = len(new) + len(unread), len(left), unread
        pending = [n for n in pending if n not in new]
        if begun or decoding:
            steps.append(EngineStep(now, begun, 10 * begun, decoding, decoding, now))
        left = {n: more - 1 for n, more in left.items() if more > 1}
        unread = [n for n in new if split and rng.random() < 0.3]
        read = [*read, *(n for n in new if n not in unread)]
        left |= {n: tokens[n] - 1 for n in read if tokens[n] > 1}
        now += 1
    return steps


def row_of(seen, answer, requests, number):
    found = {"token_ids": [3] * answer, "prompt_tokens": 50, "cached_tokens": 0}
    found["finish_reason"] = "length"
    return {
        "witness": {"B" if requests > 1 else "S0": seen},
        "solo": found if requests == 1 else None,
        "batched": found if requests > 1 else None,
        "askings": {"S1": None, "B2": None, "S2": None},
        "dispatch_mode": "synchronized",
        "group": [number],
        "batch_size": requests,
    }


def mark_of(row):
    (seen,), requests = row["witness"].values(), row["batch_size"]
    tokens = len((row["solo"] or row["batched"])["token_ids"])
    way, prompt = ("synchronized", None) if requests > 1 else ("", 50)
    return Footprint("m", "standard", 1, way, requests, prompt, tokens, False, Witness(**seen))


@pytest.mark.parametrize("requests", [1, 2, 4, 6])
@pytest.mark.parametrize("split", [False, True])
def test_steps_of_an_engine_are_found_again_however_long_the_planted_answers_are(requests, split):
    rng, pieces = Random(requests), 0
    for number in range(300):
        tokens = [rng.randint(1, 28) for _ in range(requests)]
        answers = [SimpleNamespace(token_ids=[1] * n, finish_reason="length") for n in tokens]
        seen = asdict(log_witness(engine_steps(rng, tokens, split=split), answers))
        pieces += bool(seen["split_prefills"])
        own, planted = rng.choice(tokens), rng.randint(20, 64)
        seen |= {"largest_step": None, "steps": max(seen["steps"], planted + 1)}
        rows = [row_of(seen, length, requests, number) for length in (own, planted)]  # one batch
        log = LoggedSteps(f"startup complete.\n{served(rows)}")
        for row in rows:
            assert next(log.places(mark_of(row)), None), (seen, tokens, own, planted)
    assert bool(pieces) == split
