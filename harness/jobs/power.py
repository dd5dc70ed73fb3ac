"""What a plan can show before it is run: what it can detect, what a zero bounds, what it lacks."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analyse import minimum_detectable_rate, upper_bound
from harness.numbers import percent
from harness.plan import Plan
from harness.settings import RunSpec
from harness.words import MIXING, Asking, DispatchMode, Mode

_FEWEST = 6
"""Discordant prompts that the exact McNemar test needs for p < 0.05."""


def power_lines(spec: RunSpec, plan: Plan) -> Iterator[str]:
    """Prompts, rows, the detectable effect and bounds by prompt; a warning where a claim is out.

    All of it is of one mode, by model and prompt.
    """
    mode = spec.modes[0]
    asked = [record.candidate for record in plan.records if record.mode is mode]
    prompts = len({(one.model, one.task_name, one.sample_id) for one in asked})
    if not prompts:
        return
    found, rows = minimum_detectable_rate(prompts), len(asked)
    yield f"{prompts} prompts, {rows} rows in each mode; the prompt is the unit"
    yield (
        f"detectable at 80% power, by prompt: {percent(found) if found else 'nothing'}; a zero "
        f"would leave room for {percent(upper_bound(0, prompts))} of prompts, "
        f"{percent(upper_bound(0, rows))} of rows (one-sided 95%)"
    )
    schedules = {one.dispatch_mode for one in asked}
    yield from (f"warning: {why}" for why in _out_of_reach(spec, prompts, schedules))


def _out_of_reach(spec: RunSpec, prompts: int, schedules: set[DispatchMode]) -> Iterator[str]:
    if set(spec.modes) >= set(Mode) and prompts < _FEWEST:
        yield (
            f"{prompts} prompts cannot tell the modes apart (p < 0.05): it takes {_FEWEST} that "
            "change in one mode only"
        )
    if len(schedules) < 2:
        yield "one schedule only: a claim of invariance takes two (--dispatch-modes)"
    if not schedules & MIXING:
        yield "no schedule in which a prefill joins running decodes: add staggered or wide"
    asked = spec.controls.askings
    if Asking.S1 not in asked:
        yield "S1 is not asked: a batch cannot be told from a cache (--askings)"
    if Asking.S2 not in asked:
        yield "S2 is not asked: the noise stays unknown, so nothing is established (--askings)"
