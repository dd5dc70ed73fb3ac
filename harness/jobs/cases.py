"""From a changed record to a case file, and from a case file to the same change again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from harness import conduct
from harness.candidates import Candidate
from harness.cause import (
    Case,
    CaseAnswer,
    CasePrompt,
    CaseStack,
    Shrinker,
    Trial,
    check_case,
    fitting,
    judge_stack,
    read_case,
    traits_of_run,
    write_case,
)
from harness.errors import GateFailed, UsageError
from harness.files import write_whole
from harness.findings import Status
from harness.jobs import Done
from harness.jobs.matrix_cells import Changes, running_server
from harness.jobs.runs import conducted
from harness.numbers import count_of
from harness.plan import Lifetime
from harness.records import (
    METADATA,
    RECORDS,
    Answer,
    Record,
    Witness,
    diverged,
    iter_records,
    read_run_files,
    text_hash,
)
from harness.replay import Dispatcher
from harness.settings import Expect, LoadedSpec, RunSpec
from harness.tasks import Population, Prompt
from harness.words import Asking, BackendName, DispatchMode, Effect, Mode

_SIMPLER = (DispatchMode.GATED, DispatchMode.PROMPT_LIST, DispatchMode.SYNCHRONIZED)
"""Schedules to try in place of another, from the one whose steps are always the same."""
_TASK = """\
name: case
task_type: safety_refusal
prompt_template: "{{ prompt }}"
samples:
"""


@dataclass(frozen=True, slots=True)
class Where:
    """Where servers are started for a case, and what differs on this machine.

    Attributes:
        results: the folder of run folders.
        overrides: settings of the server that are this machine's own: port, command, image, or a
            server that runs already (``server``).
    """

    results: Path
    overrides: dict[str, Any]
    quiet: bool = False


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
        if _said(answer) == _said(self.alone):
            return Trial.SAME
        self.batched, self.witness = answer, seen
        return Trial.CHANGED


def _said(answer: Answer) -> object:
    return answer.text if answer.token_ids is None else answer.token_ids


@dataclass(slots=True)
class _Found:
    """What a shrinking came to."""

    companions: tuple[int, ...] = ()
    schedule: DispatchMode = DispatchMode.SYNCHRONIZED
    shrinker: Shrinker | None = None
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
    loaded = _spec_of(files.spec, changed.mode, where, f"{files.folder / METADATA}")
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
    folder = conduct.with_server(prepared, options, progress, work)
    if found.why_not:
        return Done([found.why_not], failure=GateFailed(found.why_not))
    case = _case(changed, files.folder.name, folder, trials, found, prepared)
    path = out or folder / "case.json"
    write_case(case, path)
    spent = found.shrinker.trials if found.shrinker else 0
    lines = [
        case.told,
        f"shrunk    from {found.of} companions to {len(found.companions)} in {spent} trials",
        f"confirmed {found.confirmed}",
        f"written   {path}; `harness replay {path}` shows it again",
    ]
    return Done(lines, case.sealed)


async def _shrunk(trials: _Trials, found: _Found, most: int) -> None:
    """Companions first, then the schedule; the smallest is asked three times more."""
    await trials.ask_alone()
    trials.alone = await trials.ask_alone()
    others = [place for place in range(len(trials.prompts)) if place != trials.target]
    shrinker = found.shrinker = Shrinker(trials.ask, most)
    found.of, found.schedule = len(others), trials.schedule
    tally = await shrinker.establish(others)
    if not tally.changed:
        found.why_not = (
            f"the answer did not change in {count_of(tally.same + tally.vacuous, 'trial')} of the "
            "whole batch: nothing to shrink on this server"
        )
        return
    found.companions = await shrinker.smallest(others)
    for simpler in _SIMPLER:
        if simpler is found.schedule:
            break
        trials.schedule = simpler
        again = Shrinker(trials.ask, most, repeats=max(2, shrinker.repeats))
        if await again.changes(found.companions):
            found.schedule = simpler
            break
    trials.schedule = found.schedule
    last = Shrinker(trials.ask)
    confirmed = await last.establish(found.companions, times=max(3, shrinker.repeats))
    found.confirmed = {
        "changed": confirmed.changed,
        "same": confirmed.same,
        "vacuous": confirmed.vacuous,
    }
    after = await trials.ask_alone()
    if _said(after) != _said(trials.alone):
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


def _spec_of(told: Any, mode: Mode, where: Where, source: str) -> LoadedSpec:
    """The settings of a run or of a case, for one mode, with this machine's own.

    Raises:
        UsageError: they are of another form.
    """
    try:
        spec = RunSpec.model_validate_json(json.dumps(told))
    except ValidationError as error:
        hint = "it was written by another version"
        raise UsageError(f"its settings cannot be read: {error}", file=source, hint=hint) from None
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
    return LoadedSpec(spec.model_copy(update=changes), {}, source)


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
    release = files.metadata["versions"].get("vllm")
    judged = judge_stack(release, traits_of_run(files, record.mode))
    return Case(
        source={"run": run, "record": record.record_id or "", "shrunk_in": folder.name},
        mode=record.mode,
        stack=_stack(files.metadata, prepared.model_files),
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
        asked={"trials": found.shrinker.trials if found.shrinker else 0, "companions": found.of},
        known=tuple(one.id for one in fitting(judged, {"batch"}, {record.dispatch_mode})),
    )


def _stack(metadata: Any, weights: Mapping[str, str]) -> CaseStack:
    gpus, device = metadata.get("gpus") or [{}], metadata.get("device") or {}
    kind = device.get("kind")
    return CaseStack(
        vllm=metadata["versions"].get("vllm"),
        device=kind,
        device_name=device.get("name"),
        capability=gpus[0].get("compute_cap") if kind == "cuda" else None,
        image=(metadata.get("image") or {}).get("reference"),
        weights=dict(weights),
    )


def replay(path: Path, where: Where) -> Done:
    """Ask a server for a case again: a run of one row, in a lifetime of its own.

    Raises:
        UsageError: it is no case file.
        HarnessError: as `harness.conduct.run`.
    """
    case = read_case(path)
    failed = [one for one in check_case(path) if one.status is Status.FAILED]
    if failed:
        raise UsageError(f"{failed[0].check}: {failed[0].message}", file=path, hint="--check")
    name = f"case-{case.sum[:10]}"
    tasks = where.results / f"{name}-tasks"
    samples = "".join(
        f"  - {{id: p{n}, prompt: {json.dumps(one.text)}}}\n" for n, one in enumerate(case.prompts)
    )
    write_whole(tasks / "case.yaml", _TASK + samples, parents=True)
    loaded = _spec_of(case.spec, case.mode, where, str(path))
    controls = loaded.spec.controls.model_copy(update={"askings": tuple(Asking)})
    spec = loaded.spec.model_copy(update={"tasks": str(tasks), "name": name, "controls": controls})
    prepared = conduct.prepare(replace(loaded, spec=spec), source=_only(case))
    options = conduct.RunOptions(where.results, None, fresh=True, kind="replay")
    done = conducted(prepared, options, quiet=where.quiet)
    record = next(record for _, record in iter_records(done.folder / RECORDS))
    verdict, why = _compared(case, record, read_run_files(done.folder).metadata)
    lines = [f"{verdict}: {why}", f"run       {done.folder}"]
    value = {"verdict": verdict, "reason": why, "run": str(done.folder), "case": case.told}
    failure = None if verdict == "reproduces" else GateFailed(f"{verdict}: {why}")
    return Done(lines, value, failure=failure)


def _only(case: Case) -> conduct.CandidateSource:
    def source(spec: RunSpec, population: Population) -> tuple[Candidate, ...]:
        prompt = population.prompts[case.target]
        row = {"model": spec.models[0].name, "task_name": prompt.task.name}
        row |= {"sample_id": prompt.sample.sample_id, "dispatch_mode": case.schedule}
        return (Candidate.model_validate(row | {"batch_size": len(case.prompts)}),)

    return source


def _compared(case: Case, record: Record, metadata: Any) -> tuple[str, str]:
    """Whether the same two answers came: by token ids, else by text."""
    if not record.ok:
        return "not asked", str(record.error)
    alone, batched = record.asked(Asking.S1), record.asked(Asking.B)
    again, last = record.asked(Asking.B2), record.asked(Asking.S2)
    assert alone is not None
    assert batched is not None
    here = _stack(metadata, {})
    if here.kind != case.stack.kind:
        return "not comparable", f"the case is of {case.stack.kind}, this machine is {here.kind}"
    if last is not None and _said(last) != _said(alone):
        return "noise", "the answer alone changes when nothing but time does"
    expected = _said(case.alone.answer), _said(case.batched.answer)
    moved = [one for one in (batched, again) if one is not None and _said(one) != _said(alone)]
    if _said(alone) != expected[0]:
        what = "changes" if moved else "does not change"
        return "another answer", f"alone it is another one than the case's; in the batch it {what}"
    if not moved:
        return "does not reproduce", "the answer in the batch is the one alone, twice"
    if any(_said(one) == expected[1] for one in moved):
        return "reproduces", f"both answers are the case's, token for token; {case.told}"
    return "changes otherwise", "alone as in the case, in the batch a third answer"


def check(path: Path) -> Done:
    """The arithmetic of a case file, without a server; a check that failed sets the exit code.

    Raises:
        UsageError: it is no case file.
    """
    findings = check_case(path)
    failed = [one.check for one in findings if one.status is Status.FAILED]
    message = f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}"
    lines = [*findings, read_case(path).told]
    return Done(lines, list(findings), failure=GateFailed(message) if failed else None)
