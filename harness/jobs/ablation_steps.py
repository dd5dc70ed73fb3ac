"""The whole ablation as steps that can each be run alone and taken up again.

doctor, a one-row batch-invariant smoke run, a scan of the population when no candidate file is
there, the full run with its validation and report. The run folders are named after all that was
asked, so the same command goes on where it stopped and another never takes its answers for its own.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from harness import conduct
from harness.analyse import standing
from harness.errors import (
    EnvironmentError_,
    GateFailed,
    HarnessError,
    IncompleteRun,
    UsageError,
)
from harness.findings import Status
from harness.images import DEFAULT_LOCK
from harness.jobs import Done
from harness.jobs.runs import concluded, export_scan, population_rows, read_sizes
from harness.jobs.this_machine import check_machine
from harness.models import PREFIX, weights_folder
from harness.plan import estimate
from harness.records import RunFolder
from harness.serve import launch_options
from harness.settings import Expect, LoadedSpec, RunSpec, load_spec, profile_names
from harness.words import BackendName, DispatchMode, Mode

SMOKE, SCAN, FULL = "smoke", "scan", "run"
BATCH_SIZES = "4,16"
CANDIDATE_FILE = "candidates.csv"
"""What the scan's run folder gets, made of its records."""
_NO_FLIP = "no prompt of the population changed its score in a batch, so there is nothing to test"
_NOT_PUBLIC = "the study's own rows are not public, and no other file was named: so it scans"
_SCAN_MORE = "scan larger batches (--batch-sizes) or another task folder (--tasks)"


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the ablation: its folder, its spec, and its plan when that is known already."""

    name: str
    run_id: str
    loaded: LoadedSpec
    prepared: conduct.Prepared | None

    @property
    def amount(self) -> str:
        """How much it asks, in words."""
        if self.prepared is None:
            return "as many rows as the scan finds, in every mode"
        spec, plan = self.prepared.spec, self.prepared.plan
        seconds = estimate(spec, plan).seconds
        servers, records = len(plan.lifetimes), len(plan.records)
        return f"{records} records, {servers} server starts, very roughly {seconds / 60:.0f} min"

    def server_lines(self) -> Iterator[str]:
        """Every server that it would start: command, environment, and container where it is one."""
        spec = self.loaded.spec
        yield f"{self.name}:"
        for model, mode in ((model, mode) for model in spec.models for mode in spec.modes):
            schedules = self.prepared.schedules if self.prepared else None
            options = launch_options(spec, model, mode, run_id=self.run_id, schedules=schedules)
            variables = " ".join(f"{k}={v}" for k, v in sorted(options.environment.items()))
            yield f"  {model.name} / {mode}"
            yield f"    command      {' '.join(options.command_line)}"
            yield f"    environment  {variables}"
            yield f"    passed on    {' '.join(options.secret_variables)} (by name)"
            if options.container is not None:
                container = options.container.to_json()
                for key in ("image", "publish", "mounts", "gpu", "shm_size"):
                    yield f"    {key:<12} {container[key]}"


@dataclass(frozen=True, slots=True)
class Ablation:
    """What will be done: smoke, scan (only without a candidate file) and full run, in order.

    ``candidates`` is the file that the full run takes; ``scans``, whether a scan makes it.
    """

    steps: tuple[Step, ...]
    candidates: Path
    scans: bool

    def only(self, name: str) -> Self:
        """The same with one step.

        Raises:
            UsageError: there is no such step.
        """
        steps = {step.name: step for step in self.steps}
        if name in steps:
            return replace(self, steps=(steps[name],))
        raise UsageError(f"--only: there is no step '{name}'", hint=f"steps: {', '.join(steps)}")

    @property
    def needs(self) -> tuple[RunSpec, frozenset[str]]:
        """What its steps ask of this machine: a spec with the modes of all, and who is served."""
        spec = self.steps[-1].loaded.spec
        modes = tuple(dict.fromkeys(mode for step in self.steps for mode in step.loaded.spec.modes))
        # of a run that a scan makes the rows of, any model may be asked
        served = {
            name
            for step in self.steps
            for name in (
                (lifetime.model.name for lifetime in step.prepared.plan.lifetimes)
                if step.prepared
                else (model.name for model in spec.models)
            )
        }
        return spec.model_copy(update={"modes": modes}), frozenset(served)

    def announcement(self, results: Path) -> Iterator[str]:
        """What will be done, step by step."""
        spec, full = self.steps[0].loaded.spec, self.steps[-1].loaded.spec
        ids = [model.hf_id for model in full.models]
        hub = " (downloaded to the Hugging Face cache if they are not there)"
        from_hub = any(not one.startswith(PREFIX) and weights_folder(one) is None for one in ids)
        image = f", image {spec.image}" if spec.backend is BackendName.DOCKER else ""
        made = f" (made by the scan: the score flips of {full.tasks})" if self.scans else ""
        yield f"ablation {spec.name}: {', '.join(full.modes)} on {spec.backend}{image}"
        yield f"  models      {', '.join(ids)}{hub if from_hub else ''}"
        yield f"  candidates  {self.candidates}{made}"
        if self.scans and not all(Path(file).exists() for file in spec.candidates):
            yield f"              {_NOT_PUBLIC}"
        yield "  1. doctor     checks engine, GPU, image, disk, port, models; starts nothing"
        for number, step in enumerate(self.steps, 2):
            yield f"  {number}. {step.name:<10} {results / step.run_id}: {step.amount}"


def plan_ablation(loaded: LoadedSpec, *, results: Path, batch_sizes: str | None) -> Ablation:
    """Work out the steps; nothing is started, and every input is checked.

    Args:
        loaded: the spec.
        results: the folder of run folders.
        batch_sizes: of the scan; `BATCH_SIZES` where none are given.

    Raises:
        UsageError: an input is wrong. A candidate file that somebody named and that is not there
            is, too: hours of scanning are no answer to it. Only a profile's may be missing. So are
            batch sizes where nothing is scanned: they would not be asked.
    """
    sizes = read_sizes(BATCH_SIZES if batch_sizes is None else batch_sizes, "--batch-sizes")
    spec, none = loaded.spec, Expect()
    missing = [file for file in spec.candidates if not Path(file).exists()]
    shipped = (load_spec(name).spec.candidates for name in profile_names())
    if missing and spec.candidates not in shipped:
        hint = "correct --candidates, or leave it out and the population is scanned"
        raise UsageError("no such file", file=missing[0], hint=hint)
    scans = bool(missing) or "candidates" not in loaded.given
    if batch_sizes is not None and not scans:
        raise UsageError(
            f"--batch-sizes {batch_sizes}: nothing is scanned, as candidates are named, and each "
            "has its own size",
            file=spec.candidates[0],
            hint="leave it out, or give a spec that names no candidates",
        )
    # of the settings and of what is asked: an edited task or candidate file is another run, and so
    # are another size of the scan's batches and an edited file that a server's settings name
    settings = spec.model_dump(mode="json", exclude={"candidates", "tasks"})
    more = (sizes if scans else None, conduct.server_files(spec))
    told = (settings, *filter(None, more))
    digest = hashlib.sha256("".join(json.dumps(one, sort_keys=True) for one in told).encode())
    named = () if scans else tuple(map(Path, spec.candidates))
    for path in (*named, *sorted(Path(spec.tasks).glob("*.yaml"))):
        digest.update(path.read_bytes())
    name = f"{spec.name}-{digest.hexdigest()[:8]}"

    def step(kind: str, source: conduct.CandidateSource | None, **changes: object) -> Step:
        changed = replace(loaded, spec=spec.model_copy(update=changes))
        prepared = conduct.prepare(changed, source=source)
        return Step(kind, f"{name}-{kind}", changed, prepared)

    one_row = {"modes": (Mode.BATCH_INVARIANT,), "limit": 1, "expect": Expect(rows_per_mode=1)}
    if not scans:
        smoke = step(SMOKE, None, **one_row)
        full = Step(FULL, name, loaded, conduct.prepare(loaded))
        return Ablation((smoke, full), Path(spec.candidates[0]), scans=False)
    one_row |= {"models": spec.models[:1], "dispatch_modes": (DispatchMode.SYNCHRONIZED,)}
    smoke = step(SMOKE, population_rows((2,)), **one_row)
    scan = step(SCAN, population_rows(sizes), modes=(Mode.STANDARD,), expect=none)
    found = results / scan.run_id / CANDIDATE_FILE
    changes = {"candidates": (str(found),), "expect": none}
    full = Step(FULL, name, replace(loaded, spec=spec.model_copy(update=changes)), None)
    return Ablation((smoke, scan, full), found, scans=True)


def ablate(ablation: Ablation, results: Path) -> Done:
    """Do what is not done yet, and tell what it came to; a next step is one that this verb has.

    Raises:
        HarnessError: as `run_ablation`.
    """
    try:
        done = concluded(run_ablation(ablation, results))
    except HarnessError as error:
        conduct.without_flags(error, retries=True)
        raise
    if done.failure is not None:
        conduct.without_flags(done.failure, retries=True)
    return done


def run_ablation(ablation: Ablation, results: Path) -> conduct.Conclusion:
    """Do what is not done yet, step by step; where all is done, nothing of the machine is asked.

    Raises:
        EnvironmentError_: this machine cannot do it.
        GateFailed: the smoke run or the scan does not count, so nothing is built on it.
        IncompleteRun: the scan found no candidate.
        RunError: as `harness.conduct.run`.
    """
    progress = conduct.ConsoleProgress()
    if done := _done(ablation, results):
        progress.note(f"done already, nothing is started: {done.folder}")
        return done
    spec, served = ablation.needs
    checks = check_machine(spec, DEFAULT_LOCK, results, served=served)
    if failed := [check for check in checks if check.status is Status.FAILED]:
        message = f"{len(failed)} checks of this machine failed"
        detail = tuple(map(str, failed))
        raise EnvironmentError_(message, hint="`harness doctor` shows all of them", detail=detail)
    for check in checks:
        progress.note(str(check))
    conclusion: conduct.Conclusion | None = None
    for step in ablation.steps:
        progress.note(f"== {step.name}: {results / step.run_id}")
        prepared = step.prepared or conduct.prepare(step.loaded)
        kind = SCAN if step.name == SCAN else FULL
        options = conduct.RunOptions(results, step.run_id, kind=kind, retry_errors=True)
        conclusion = conduct.run(prepared, options, progress)
        if (failure := conclusion.failure) and step is not ablation.steps[-1]:
            message = f"the {step.name} does not count, so nothing is built on it"
            raise GateFailed(message, file=failure.file, detail=failure.detail)
        if step.name == SCAN:
            found = ablation.candidates
            keep = partial(_kept, conclusion.folder, progress)
            exported = export_scan(
                conclusion.folder, found, prepared, select="label_flip", before=keep
            )
            if not exported.rows:
                raise IncompleteRun(_NO_FLIP, hint=_SCAN_MORE, file=found)
    assert conclusion is not None
    return conclusion


def _done(ablation: Ablation, results: Path) -> conduct.Conclusion | None:
    """What the full run came to, where it is done and nothing more that is asked would mend it."""
    full = ablation.steps[-1]
    if full.name != FULL or not ablation.candidates.exists():
        return None
    try:
        prepared = full.prepared or conduct.prepare(full.loaded)
    except UsageError as error:
        if len(ablation.steps) > 1:  # the scan's records are there, and make it again
            return None
        error.hint = f"without --only {FULL} the same command makes it again of the scan's records"
        raise
    try:
        done = conduct.concluded(prepared, results / full.run_id)
    except UsageError:  # of a damaged line, which the run sets aside and asks again
        return None
    if done is None or done.validation.ok or done.validation.only_unproven:
        return done
    return done if standing(done.folder).hopeless else None


def _kept(scan: Path, progress: conduct.RunProgress, text: str) -> None:
    """Move a candidate file aside that holds anything else than what is about to be written."""
    path = scan / CANDIDATE_FILE
    if path.is_file() and path.read_bytes() != text.encode():
        with RunFolder(scan) as folder:
            kept = folder.keep_damaged(CANDIDATE_FILE)
        told = "does not hold what the scan found and was written anew; what it was is in"
        progress.note(f"{CANDIDATE_FILE} {told} {kept}")
