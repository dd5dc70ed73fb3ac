"""From a changed record to a case file: the fewest companions that still change its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness import conduct
from harness.candidates import Candidate
from harness.cause import (
    Case,
    CaseAnswer,
    CasePrompt,
    CaseStack,
    Shrinker,
    Trial,
    fitting,
    judged_run,
    spec_of_run,
    write_case,
)
from harness.errors import GateFailed, HarnessError, UsageError
from harness.jobs import Done
from harness.jobs.case_trust import refuse_what_would_run
from harness.jobs.matrix_cells import Changes, running_server
from harness.numbers import count_of
from harness.plan import Lifetime
from harness.records import (
    METADATA,
    Answer,
    Record,
    RunFiles,
    Witness,
    diverged,
    iter_records,
    object_in,
    read_run_files,
    text_hash,
)
from harness.replay import Dispatcher
from harness.settings import Expect, LoadedSpec, RunSpec, changed_spec
from harness.tasks import Prompt
from harness.words import BackendName, DispatchMode, Effect, Mode

_SIMPLER = (DispatchMode.GATED, DispatchMode.PROMPT_LIST, DispatchMode.SYNCHRONIZED)
"""Schedules to try in place of another, from the one whose steps are always the same."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where servers are started for a case, and what differs on this machine.

    Attributes:
        results: the folder of run folders.
        overrides: settings of the server that are this machine's own: port, command, image, or a
            server that runs already (``server``).
        trust: take what the author of a case or a run set as it is.
    """

    results: Path
    overrides: dict[str, Any]
    quiet: bool = False
    trust: bool = False


class _Trials:
    """Asks one server for the target beside some companions, and keeps what it last answered."""

    def __init__(self, prompts: Sequence[Prompt], target: int, mode: DispatchMode) -> None:
        self.prompts, self.target, self.schedule = prompts, target, mode
        self.alone = Answer()
        self.batched = Answer()
        self.witness: Witness | None = None
        self.ids: dict[int, tuple[int, ...] | None] = {}
        self.dispatcher: Dispatcher | None = None

    async def ask_alone(self) -> Answer:
        """The target alone."""
        assert self.dispatcher is not None
        return await self.dispatcher.solo(self.prompts[self.target].text)

    async def ask(self, companions: Sequence[int]) -> Trial:
        """The target beside these, in the batch's own order."""
        assert self.dispatcher is not None
        places = sorted((*companions, self.target))
        texts = [self.prompts[place].text for place in places]
        answers = await self.dispatcher.batch(texts, self.schedule)
        seen = self.dispatcher.witness
        self.ids |= dict(zip(places, self.dispatcher.prompt_ids, strict=True))
        answer = answers[places.index(self.target)]
        if seen is not None and seen.alone:
            return Trial.VACUOUS
        if said(answer) == said(self.alone):
            return Trial.SAME
        self.batched, self.witness = answer, seen
        return Trial.CHANGED


def said(answer: Answer) -> object:
    """An answer to be held against another one: by token ids, else by text."""
    return answer.text if answer.token_ids is None else answer.token_ids


@dataclass(slots=True)
class _Found:
    """What a shrinking came to."""

    companions: tuple[int, ...] = ()
    schedule: DispatchMode = DispatchMode.SYNCHRONIZED
    trials: int = 0
    confirmed: dict[str, int] | None = None
    of: int = 0
    why_not: str = ""


def shrink(run: Path, record: str, where: Where, out: Path | None, *, most: int) -> Done:
    """The fewest companions and the simplest schedule that still change a record's answer.

    Raises:
        UsageError: the record is not there, or shows no change; or its tasks are gone.
        HarnessError: as `harness.conduct.run`.
    """
    files = read_run_files(run)
    changed = _record(files.records_path, record)
    own = _of_one_model(spec_of_run(files), changed.model)
    loaded = spec_here(own, changed.mode, where, f"{files.folder / METADATA}")
    names = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
    row = Candidate.model_validate(dict(zip(names, changed.key, strict=True)))
    prepared = conduct.prepare(loaded, source=lambda *_: (row,))
    group = prepared.plan.records[0].group
    if changed.group is not None and tuple(map(str, changed.group)) != group.ids:
        raise UsageError(
            "the tasks that are here make another batch than the record's",
            file=files.records_path,
            hint=f"give the run's own task folder: {loaded.spec.tasks}",
        )
    trials = _Trials(group.prompts, group.target_index, DispatchMode(changed.dispatch_mode))
    found = _Found()

    async def work(_: Lifetime, dispatcher: Dispatcher, __: object) -> None:
        trials.dispatcher = dispatcher
        await _shrunk(trials, found, most)

    name = f"{files.folder.name}-shrink-{changed.record_id}"
    options = conduct.RunOptions(where.results, name, fresh=False, kind="shrink")
    progress = conduct.RunProgress() if where.quiet else conduct.ConsoleProgress()
    try:
        folder = conduct.with_server(prepared, options, progress, work)
    except HarnessError as error:
        conduct.without_flags(error, retries=True)
        raise
    kept = [trials.prompts[place].text for place in (*found.companions, trials.target)]
    if not found.why_not and len(set(kept)) < len(kept):
        found.why_not = "two of the prompts that are left are one text, of which no case is made"
    if found.why_not:
        return Done([found.why_not], failure=GateFailed(found.why_not))
    case = _case(changed, files.folder.name, folder, trials, found, prepared)
    path = out or folder / "case.json"
    write_case(case, path)
    lines = [
        case.told,
        f"shrunk    from {found.of} companions to {len(found.companions)} in {found.trials} trials",
        f"confirmed {', '.join(f'{n} {what}' for what, n in (found.confirmed or {}).items())}",
        f"written   {path}; `harness replay {path}` shows it again",
    ]
    return Done(lines, case.sealed)


async def _shrunk(trials: _Trials, found: _Found, most: int) -> None:
    """Companions first, then the schedule; the smallest is asked three times more."""
    await trials.ask_alone()
    trials.alone = await trials.ask_alone()
    others = [place for place in range(len(trials.prompts)) if place != trials.target]
    shrinker = Shrinker(trials.ask, most)
    found.of, found.schedule = len(others), trials.schedule
    tally = await shrinker.establish(others)
    if not tally.changed:
        found.why_not = (
            f"the answer did not change in {count_of(tally.same + tally.vacuous, 'trial')} of the "
            "whole batch: nothing to shrink on this server"
        )
        return
    found.companions = await shrinker.smallest(others)
    found.trials = shrinker.trials
    for simpler in _SIMPLER:
        if simpler is found.schedule:
            break
        trials.schedule = simpler
        again = Shrinker(trials.ask, most, repeats=max(2, shrinker.repeats))
        still = await again.changes(found.companions)
        found.trials += again.trials
        if still:
            found.schedule = simpler
            break
    trials.schedule = found.schedule
    last = Shrinker(trials.ask)
    confirmed = await last.establish(found.companions, times=max(3, shrinker.repeats))
    found.trials += last.trials
    found.confirmed = {
        "changed": confirmed.changed,
        "same": confirmed.same,
        "vacuous": confirmed.vacuous,
    }
    after = await trials.ask_alone()
    if said(after) != said(trials.alone):
        found.why_not = "the answer alone changed meanwhile: noise, and no case of the batch"
    elif not confirmed.changed:
        found.why_not = "the smallest batch did not change the answer again: too flaky for a case"


def _record(path: Path, name: str) -> Record:
    """The record by its id, or ``task/sample`` of the first that changes with the batch.

    Raises:
        UsageError: there is none, or it shows no batch effect.
    """
    named = [
        record
        for _, record in iter_records(path)
        if name in (record.record_id, f"{record.task_name}/{record.sample_id}")
    ]
    if not named:
        raise UsageError(f"no record '{name}'", file=path, hint="give a record_id of this file")
    for record in named:
        effect = record.effect(Effect.BATCH)
        if effect and effect.text:
            return record
    raise UsageError(
        f"'{name}' does not change with the batch (B against S1)",
        file=path,
        hint="choose a record of which `pattern` is batch, masked or both",
    )


def _of_one_model(spec: RunSpec, name: str) -> RunSpec:
    """The settings of a run for a record's model alone, as a case holds them."""
    return spec.model_copy(update={"models": tuple(m for m in spec.models if m.name == name)})


def spec_here(spec: RunSpec, mode: Mode, where: Where, source: str) -> LoadedSpec:
    """The settings of a run or of a case, for one mode, with this machine's own.

    Raises:
        UsageError: what is this machine's own is no setting, or the rest would have it run or tell
            what its author wrote, and nobody said that this is trusted.
    """
    over = where.overrides
    own: Changes = {key: over[key] for key in ("port", "native_command") if key in over}
    request = spec.request.model_copy(update={"logprobs": spec.request.logprobs or 2})
    changes: Changes = {
        "modes": (mode,),
        "server": spec.server.model_copy(update=own),
        "request": request,
        "expect": Expect(),
        "dispatch_modes": "original",
        "limit": None,
        "candidates": (),
    }
    if "native_command" in over:
        changes["backend"] = BackendName.NATIVE
    if "image" in over:
        changes |= {"backend": BackendName.DOCKER, "image": over["image"]}
    if "server" in over:
        try:
            there = running_server(over["server"])
        except ValueError:
            raise UsageError(f"--server: '{over['server']}'", hint="URL, or URL,LOG") from None
        changes |= {"backend": BackendName.EXTERNAL, "external": {mode: there}}
    here = changed_spec(spec, changes, source)
    if not where.trust:
        refuse_what_would_run(here, over, source)
    return LoadedSpec(here, {}, source)


def _case(
    record: Record,
    run: str,
    folder: Path,
    trials: _Trials,
    found: _Found,
    prepared: conduct.Prepared,
) -> Case:
    files = read_run_files(folder)
    divergence = diverged(trials.alone, trials.batched)
    assert divergence is not None
    places = sorted((*found.companions, trials.target))
    judged = judged_run(files, record.mode)
    return Case(
        source={"run": run, "record": record.record_id or "", "shrunk_in": folder.name},
        mode=record.mode,
        stack=stack_of_case(files, prepared.model_files),
        spec=prepared.spec.model_dump(mode="json"),
        schedule=str(found.schedule),
        prompts=tuple(
            CasePrompt(text, text_hash(text), trials.ids.get(place))
            for place in places
            for text in (trials.prompts[place].text,)
        ),
        target=places.index(trials.target),
        alone=CaseAnswer.of(trials.alone),
        batched=CaseAnswer.of(trials.batched),
        divergence=msgspec.structs.replace(divergence, evidence_after=None),
        closeness=divergence.closeness,
        witness=trials.witness,
        trials=found.confirmed or {},
        asked={"trials": found.trials, "companions": found.of},
        known=tuple(one.id for one in fitting(judged, {"batch"}, {record.dispatch_mode})),
    )


def stack_of_case(files: RunFiles, weights: Mapping[str, str]) -> CaseStack:
    """What a run's servers ran on, as a case holds it."""
    return CaseStack(
        vllm=files.vllm,
        device=files.device_kind,
        device_name=files.device_name,
        capability=files.capability,
        image=object_in(files.metadata, "image").get("reference"),
        weights=dict(weights),
    )
