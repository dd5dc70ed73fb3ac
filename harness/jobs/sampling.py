"""Answers drawn above temperature 0: alone and in a batch, each pair with one seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from harness import conduct
from harness.errors import UsageError
from harness.experiments import (
    LabelTest,
    Sampled,
    SampledOfMode,
    SampleRow,
    detectable_shift,
    sampled,
    seed_of,
)
from harness.jobs import Done
from harness.jobs.certifying import Asked
from harness.jobs.experiment_runs import Due, Experiment, ended
from harness.numbers import count_of, p_equals, percent
from harness.plan import Lifetime, PlannedRecord
from harness.records import Answer, Witness, new_run_id
from harness.replay import Dispatcher, RequestFailed, scored
from harness.settings import LoadedSpec
from harness.tasks import Prompt
from harness.words import DispatchMode, Mode, Status

_WORST = 0.5
"""Share of discordant pairs before anything is known: of two labels, drawn apart."""


def sample(
    loaded: LoadedSpec,
    asked: Asked,
    samples: int,
    results: Path,
    out: Path | None,
    *,
    fresh: bool,
    quiet: bool,
) -> Done:
    """Draw each prompt's answer so many times under each mode; what is there is not drawn again.

    Raises:
        UsageError: the temperature is 0, no seed is given, or the schedule has one seed for all.
        HarnessError: as `harness.conduct.run`.
    """
    request, (schedule,) = loaded.spec.request, asked.schedules
    if not request.temperature or request.seed is None:
        hint = "--temperature 0.7 --seed 42; at temperature 0 harness run asks"
        raise UsageError("nothing is drawn without a temperature above 0 and a seed", hint=hint)
    if schedule is DispatchMode.PROMPT_LIST:
        hint = "--schedule synchronized, gated, staggered or wide"
        raise UsageError("a prompt list has one seed for all its prompts", hint=hint)
    mark = f"{samples} {new_run_id(results, '') if fresh else ''}"
    drawn = Experiment("sample", SampleRow, mark, results, quiet)
    files, rows = drawn.of_modes(loaded, asked, partial(_due, samples), partial(_draws, samples))
    came_to = sampled(rows)
    prompts = len({row.key for row in rows})
    lines = [
        f"temperature {request.temperature:g}, {count_of(prompts, 'prompt')}, {samples} seeds "
        f"each, batches of {asked.widths[0]} ({schedule})",
        f"power     {_power(detectable_shift(prompts * samples, _WORST))}, at worst",
    ]
    lines += [line for mode, of in came_to.by_mode.items() for line in _lines(mode, of)]
    lines += _compared(came_to)
    return ended(lines, files, rows, came_to, came_to.gaps, out)


def _due(samples: int, prepared: conduct.Prepared) -> list[Due]:
    """What each draw of a mode is of, in the order of `_draws`."""
    (lifetime,) = prepared.plan.lifetimes
    return [
        {
            "key": prompt.key,
            "group": planned[0].group.ids,
            "sample": number,
            "seed": seed_of(prepared.spec.request.seed or 0, prompt.sha256, number),
        }
        for planned in lifetime.slices
        for number in range(samples)
        for prompt in (planned[0].group.prompts[one.group.target_index] for one in planned)
    ]


def _draws(
    samples: int, mode: Mode, prepared: conduct.Prepared, rows: list[SampleRow]
) -> conduct.Work:
    """What is done with the server of one mode."""

    async def work(lifetime: Lifetime, dispatcher: Dispatcher, _: object) -> None:
        drawing = _Drawing(prepared, mode, dispatcher)
        for planned in lifetime.slices:
            if not prepared.spec.controls.prefix_caching.forbids_earlier:
                await drawing.warm(planned)
            for number in range(samples):
                rows.extend(await drawing.draw(planned, number))

    return work


class _Drawing:
    """Draws from one server."""

    def __init__(self, prepared: conduct.Prepared, mode: Mode, dispatcher: Dispatcher) -> None:
        self._prepared, self._mode, self._dispatcher = prepared, mode, dispatcher
        self._base = prepared.spec.request.seed or 0

    async def warm(self, planned: Sequence[PlannedRecord]) -> None:
        """Ask each prompt of a batch once, so that all later askings find it in the cache."""
        for prompt in planned[0].group.prompts:
            await self._dispatcher.solo(prompt.text, own={"max_tokens": 1})

    async def draw(self, planned: Sequence[PlannedRecord], number: int) -> list[SampleRow]:
        """One draw of each row of a batch: all alone, the batch, all alone again."""
        group, schedule = planned[0].group, planned[0].candidate.dispatch_mode
        seeds = [seed_of(self._base, prompt.sha256, number) for prompt in group.prompts]
        places = [one.group.target_index for one in planned]
        error = ""
        told: list[list[Answer]] = [[] for _ in places]
        seen: list[Witness | None] = []
        batch: Witness | None = None
        try:
            for found, place in zip(told, places, strict=True):
                found.append(await self._solo(group.prompts[place], seeds[place]))
                seen.append(self._dispatcher.witness)
            own = [{"seed": seed} for seed in seeds]
            texts = [prompt.text for prompt in group.prompts]
            answers = await self._dispatcher.batch(texts, schedule, own=own)
            batch = self._dispatcher.witness
            for found, place in zip(told, places, strict=True):
                found.append(self._scored(answers[place], group.prompts[place]))
            for found, place in zip(told, places, strict=True):
                found.append(await self._solo(group.prompts[place], seeds[place]))
        except RequestFailed as failed:
            error = str(failed)
        seen += [None] * (len(places) - len(seen))
        rows = []
        for found, witness, place in zip(told, seen, places, strict=True):
            alone, batched, again = (*found, None, None, None)[:3]
            rows.append(
                SampleRow(
                    mode=self._mode,
                    status=Status.ERROR if error else Status.OK,
                    error=error,
                    key=group.prompts[place].key,
                    group=group.ids,
                    sample=number,
                    seed=seeds[place],
                    alone=alone,
                    batched=batched,
                    again=again,
                    alone_witness=witness,
                    batch_witness=batch,
                )
            )
        return rows

    async def _solo(self, prompt: Prompt, seed: int) -> Answer:
        return self._scored(await self._dispatcher.solo(prompt.text, own={"seed": seed}), prompt)

    def _scored(self, answer: Answer, prompt: Prompt) -> Answer:
        return scored(answer, prompt, self._prepared.spec.score_profile)


def _lines(mode: Mode, of: SampledOfMode) -> Iterator[str]:
    yield f"{mode.words} kernels"
    yield (
        f"  same seed {of.text_changes} of {of.prompts - of.noise} prompts have another text in "
        f"the batch; alone again {of.noise} of {of.prompts}"
    )
    if of.bound is not None:
        yield f"  bound     at most {percent(of.bound)} of prompts (one-sided 95%)"
    if (test := of.labels) is not None:
        yield from _label_lines(test)


def _label_lines(test: LabelTest) -> Iterator[str]:
    yield (
        f"  labels    {test.discordant} of {test.pairs} pairs have two labels; distributions: "
        f"{'another one' if test.is_found else 'no difference found'}, {p_equals(test.p_adjusted)} "
        f"(the same way {p_equals(test.p_shift)}, prompt by prompt {p_equals(test.p_within)})"
    )
    moved = ", ".join(f"{name} {100 * by:+.1f}" for name, by in test.shifts.items() if by)
    if test.discordant:
        yield f"  shift     {moved or 'none'} (per cent of the draws); {_power(test.detectable)}"


def _power(shift: float | None) -> str:
    if shift is None:
        return "so few draws find no shift in 80% of such experiments"
    return f"a shift of {percent(shift)} of the draws is found in 80% of such experiments"


def _compared(found: Sampled) -> Iterator[str]:
    if found.paired is not None:
        one, other = found.paired
        p = p_equals(found.p_two_sided)
        yield f"modes     same seed, by prompt: {one} standard only, {other} invariant only, {p}"
