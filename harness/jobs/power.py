"""What a plan costs and can show before it is run: what it detects, what a zero bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from harness.analyse import minimum_detectable_rate, upper_bound
from harness.errors import UsageError
from harness.numbers import duration_text, percent
from harness.plan import Estimate, Plan, PlannedRecord
from harness.settings import RunSpec
from harness.words import MIXING, Asking, DispatchMode, Mode

_FEWEST = 6
"""Discordant prompts that the exact McNemar test needs for p < 0.05."""

_CPU_SPREAD = 8
"""How much longer a run takes on cores that are slow or shared than on two that are idle."""


def cost_line(total: Estimate, usd_per_hour: float | None) -> str:
    """Roughly how long it takes and how long GPUs are held; with a GPU's price, for how much.

    Raises:
        UsageError: the price is none.
    """
    if usd_per_hour is not None and not 0 <= usd_per_hour < inf:
        raise UsageError(f"--gpu-price: {usd_per_hour} is no price", hint="USD an hour, as 2.50")
    if total.on_cpu:
        most = duration_text(_CPU_SPREAD * total.seconds)
        return f"{duration_text(total.seconds)} to {most} on two CPU cores; the first rows tell"
    device = "one GPU of the H200 class, small models"
    if total.theirs:
        device = "a server as quick as a small model on a large GPU; one on a CPU takes longer"
    line = f"roughly {duration_text(total.seconds)} on {device}"
    if total.theirs and usd_per_hour is None:
        return line
    line += f"; {total.gpu_hours:,.1f} GPU hours"
    if usd_per_hour is None:
        return line
    return f"{line}, ${total.gpu_hours * usd_per_hour:,.2f} at ${usd_per_hour:,.2f} an hour"


def power_lines(spec: RunSpec, plan: Plan) -> Iterator[str]:
    """Prompts, rows, the detectable effect and what a zero bounds; a warning where a claim is out.

    All of it is of one mode: prompts are what one model is asked in the same words, dispatches
    the batches that are sent.
    """
    lifetimes = [one for one in plan.lifetimes if one.mode is spec.modes[0]]
    asked = [(one.model.name, record) for one in lifetimes for record in one.records]
    prompts = {_prompt(model, record) for model, record in asked}
    if not prompts:
        return
    mixing = {
        _prompt(model, record)
        for model, record in asked
        if record.candidate.dispatch_mode in MIXING
    }
    sent = sum(len(one.slices) for one in lifetimes)
    counts = {"prompts": len(prompts), "rows": len(asked), "dispatches": sent}
    told = ", ".join(f"{n} {name}" for name, n in counts.items())
    yield f"{told} in each mode; the prompt is the unit"
    found = {
        name: minimum_detectable_rate(n) if len(spec.modes) > 1 else None
        for name, n in counts.items()
    }
    lead, *beside = (percent(rate) if rate else "nothing" for rate in found.values())
    rest = ", ".join(f"{name} {text}" for name, text in zip(list(counts)[1:], beside, strict=True))
    yield f"detectable at 80% power between the modes, by prompt: {lead} ({rest})"
    room = [f"{percent(upper_bound(0, n))} of {name}" for name, n in counts.items()]
    tokens = len(asked) * spec.request.max_tokens
    room.append(f"{upper_bound(0, tokens):.2g} a token if all {tokens:,} are compared")
    yield f"a zero would leave room for {', '.join(room)} (one-sided 95%)"
    schedules = {record.candidate.dispatch_mode for _, record in asked}
    why = _out_of_reach(spec, counts, schedules, len(mixing))
    yield from (f"warning: {reason}" for reason in why)


def _prompt(model: str, record: PlannedRecord) -> tuple[str, str]:
    """What tells a prompt: the model, and the words that it is asked."""
    return model, record.group.target.sha256


def _out_of_reach(
    spec: RunSpec, counts: Mapping[str, int], schedules: set[DispatchMode], mixing: int
) -> Iterator[str]:
    prompts = counts["prompts"]
    if not set(spec.modes) >= set(Mode):
        yield "one mode only: nothing is claimed about what the other one changes (--modes)"
    elif prompts < _FEWEST:
        yield (
            f"{prompts} prompts cannot tell the modes apart (p < 0.05): it takes {_FEWEST} that "
            "change in one mode only"
        )
    elif counts["dispatches"] < _FEWEST:
        yield (
            f"{counts['dispatches']} dispatches cannot tell the modes apart by dispatch: a change "
            "may be one batch's doing"
        )
    if len(schedules) < 2:
        yield "one schedule only: a claim of invariance takes two (--dispatch-modes)"
    if not schedules & MIXING:
        yield "no schedule in which a prefill joins running decodes: add staggered or wide"
    elif mixing < _FEWEST:
        yield (
            f"{mixing} prompts are sent so that a prefill joins running decodes: a claim of "
            f"invariance takes {_FEWEST}"
        )
    asked = spec.controls.askings
    if Asking.S1 not in asked:
        yield "S1 is not asked: a batch cannot be told from a cache (--askings)"
    if Asking.S2 not in asked:
        yield "S2 is not asked: the noise stays unknown, so nothing is established (--askings)"
    if not spec.controls.iteration_log:
        yield "the engine's steps are not logged: no batch has a witness (--iteration-log)"
