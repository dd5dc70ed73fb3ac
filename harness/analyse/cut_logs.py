"""What records tell at the least of the server that gave them, and logs that end before it.

The harness sees a log on disk before the records that rest on it. Where it was killed, as by a
power cut, and the log ends sooner all the same, nothing shows any more what its records tell.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from harness.analyse.checked import Checked
from harness.analyse.logged_steps import LoggedSteps
from harness.records import Start, Startup, object_in
from harness.words import MODES, Asking, CachePolicy, DispatchMode, Mode

steps_of = lru_cache(maxsize=16)(LoggedSteps)
"""The steps of a log, by its text."""


class Least(NamedTuple):
    """At least so many prompts were asked of a start, in so many requests and turns."""

    prompts: int
    requests: int
    gated: int
    turns: int


def least_told(run: Checked, model: str, mode: str, number: int) -> Least:
    """What the records of a start tell at least of what it was asked.

    What rows have in common is counted once: a prompt's askings alone, and a batch's one dispatch.
    """
    records, column = run.records, run.records.column
    keys, asked = column("key"), run.records.checks.batches.asked
    mine = column("ok") & (records.candidates["model"].to_numpy()[keys] == model)
    mine &= (column("mode") == list(MODES).index(Mode(mode))) & (column("start") == number)
    every = set.intersection(*map(set, asked)) if asked else set[Asking]()
    times = len(every & {Asking.B, Asking.B2})
    alone = len(np.unique(records.prompts[keys[mine]])) * (len(every) - times)
    _, first = np.unique(column("batch")[mine], return_index=True)
    rows = np.flatnonzero(mine)[first]
    batches = records.candidates.iloc[keys[rows[column("batch")[rows] != 0]]]
    sizes = batches["batch_size"].to_numpy() * times
    lists = (batches["dispatch_mode"] == DispatchMode.PROMPT_LIST).to_numpy()
    requests = np.where(lists, times, sizes)
    gated = int((batches["dispatch_mode"] == DispatchMode.GATED).sum()) * times
    turns = alone + times * len(batches)
    return Least(alone + int(sizes.sum()), alone + int(requests.sum()), gated, turns)


def empties_its_cache(run: Checked) -> bool:
    """Whether the server's prefix cache is emptied before each asking."""
    policy = object_in(run.files.spec, "controls").get("prefix_caching")
    return policy == CachePolicy.RESET


def cut_logs(run: Checked) -> dict[str, str]:
    """Why a log of a start whose end is not told is not whole, by its name: those that are not."""
    found = {}
    for startup in run.files.startups if run.files.made_by_the_harness else ():
        for number, start in startup.answering():
            log = None if start.ended_at or startup.mode not in set(MODES) else run.log_of(start)
            if log is not None and (why := _cut(run, startup, number, start, log)):
                found[str(start.log)] = f"{startup.file}: start {number}: {start.log} {why}"
    return found


def _cut(run: Checked, startup: Startup, number: int, start: Start, log: str) -> str:
    """What a log lacks of what its start-up file and its records rest on; empty if nothing."""
    quoted, has = max((one.line or 0 for one in start.evidence.lines), default=0), log.count("\n")
    if quoted > has + 1:
        return f"has {has} lines, and line {quoted} is quoted"
    steps, told = steps_of(log), least_told(run, startup.model, startup.mode, number)
    if steps.count and told.prompts > steps.prefills:
        return f"shows {steps.prefills} prompts, and {told.prompts} are told"
    if steps.asked and told.requests > steps.asked:
        return f"shows {steps.asked} requests, and {told.requests} are told"
    if steps.asked and told.gated > steps.paused:
        return f"shows {steps.paused} pauses, and {told.gated} are told"
    if steps.asked and empties_its_cache(run) and told.turns > steps.resets:
        return f"shows that its cache was emptied {steps.resets} times, and {told.turns} are told"
    of, odd = (startup.model, startup.mode, number), {one.line for one in run.records.checks.odd}
    for mark, (line, asking) in run.records.checks.footprints.first.items():
        mine = (mark.model, mark.mode, mark.start) == of and line not in odd
        if mine and next(steps.places(mark), None) is None:
            return f"shows no steps of line {line}: {asking}"
    return ""
