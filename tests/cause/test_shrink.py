"""Shrinking a batch, the case file, and its replay: pure, then on the scripted stand-in."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cause import Shrinker, Trial

ROOT = Path(__file__).parents[2]


def shrunk(size, guilty, *, rate=1.0, vacuous=0.0, seed=0):
    """Shrink companions 0 to ``size`` of which all ``guilty`` ones are needed."""
    chance = random.Random(seed)

    async def ask(companions):
        if chance.random() < vacuous:
            return Trial.VACUOUS
        has = guilty <= set(companions) and chance.random() < rate
        return Trial.CHANGED if has else Trial.SAME

    shrinker = Shrinker(ask)

    async def go():
        await shrinker.establish(range(size))
        return await shrinker.smallest(range(size))

    return set(asyncio.run(go())), shrinker


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 63), st.data())
def test_the_companions_that_are_needed_and_no_others_are_left(size, data):
    guilty = data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=3))
    left, shrinker = shrunk(size, guilty)
    assert left == guilty
    assert shrinker.trials <= shrinker.most


def test_one_of_63_is_found_in_a_few_trials():
    left, shrinker = shrunk(63, {41})
    assert left == {41}
    assert shrinker.trials < 25


def test_a_flaky_change_is_asked_for_more_often_and_still_shrunk():
    right = sum(shrunk(31, {7}, rate=0.6, seed=seed)[0] == {7} for seed in range(40))
    assert right >= 34
    assert all(7 in shrunk(31, {7}, rate=0.6, seed=seed)[0] for seed in range(40))


def test_a_trial_in_which_nothing_met_is_no_answer():
    right = sum(shrunk(15, {3}, vacuous=0.3, seed=seed)[0] == {3} for seed in range(20))
    assert right >= 18


def test_a_record_is_shrunk_to_a_case_that_replays_in_a_fresh_process(place):
    spec = yaml.safe_load(Path("spec.yaml").read_text())
    spec["models"].insert(0, {"name": "other", "hf_id": "example/other"})  # a case is of one
    Path("spec.yaml").write_text(yaml.safe_dump(spec))
    head = "model,task_name,sample_id,batch_size,dispatch_mode\n"
    Path("candidates.csv").write_text(f"{head}tiny,letters,amber,4,prompt_list\n")
    place.causes({"mode": "batch_invariant", "with": "delta?"})
    flags = ("--modes", "batch_invariant", "--rows-per-mode", "none", "--run-id", "r", "--quiet")
    place.harness("run", "-c", "spec.yaml", *flags)
    shrink = ("shrink", "results/r", "letters/amber", "--quiet")
    code, _, err = place.harness(*shrink)  # a run folder may be somebody else's
    assert (code, "server.native_command" in err, "--trust" in err) == (2, True, True)
    assert not list(Path("results").glob("r-shrink-*"))
    code, out, err = place.harness(*shrink, "--trust")
    assert code == 0, err
    (path,) = Path("results").glob("r-shrink-*/case.json")
    case = json.loads(path.read_text())
    assert [one["text"].split()[1] for one in case["prompts"]] == ["amber?", "delta?"]
    assert case["schedule"] == "gated"  # the simplest that still changes it
    assert case["divergence"]["token"] == 4
    assert case["closeness"] == "tie"
    assert "from 3 companions to 1" in out
    command = [sys.executable, "-m", "harness", "replay", str(path), "--quiet", "--trust"]
    fresh = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/bin:/usr/bin"},
    )
    assert fresh.returncode == 0, fresh.stderr
    assert fresh.stdout.startswith("reproduces: both answers are the case's, token for token")
    assert place.harness("replay", path, "--check")[0] == 0

    place.causes()
    code, out, _ = place.harness("replay", path, "--quiet", "--json", "--trust")
    assert (code, json.loads(out)["verdict"]) == (1, "does not reproduce")
    # whoever edits a case file is told which number no longer follows from the others
    case["divergence"]["token"] = 5
    Path("edited.json").write_text(json.dumps(case))
    code, out, err = place.harness("replay", "edited.json", "--check")
    assert code == 1
    assert "divergence" in err
    assert "sum" in err
    assert place.harness("replay", "edited.json")[0] == 2


def test_what_shows_no_change_is_not_shrunk(place):
    code, _, err = place.harness("shrink", "results/none", "x")
    assert code == 2
    assert "results/none" in err
