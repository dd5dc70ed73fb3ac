"""The whole ablation as steps that can each be run alone and taken up again.

doctor, a one-row batch-invariant smoke run, a scan of the population when no candidate file is
there, the full run with its validation and report. The run folders are named after the settings, so
the same command goes on where it stopped and other settings never mix with it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from harness.conduct import Conclusion, Prepared, RunOptions, RunProgress, prepare, run
from harness.doctor import Check, Level, judge, probe
from harness.errors import EnvironmentError_, GateFailed, IncompleteRun, UsageError
from harness.images import DEFAULT_LOCK
from harness.jobs.population_scan import population_rows
from harness.jobs.scan_export import export_scan
from harness.plan import estimate, scan_seconds
from harness.settings import Expect, LoadedSpec, RunSpec, load_spec, profile_names
from harness.words import DispatchMode, Mode

__all__ = ["Ablation", "Step", "plan_ablation", "run_ablation"]

SMOKE, SCAN, FULL = "smoke", "scan", "run"


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the ablation: its folder, its spec, and its plan when that is known already."""

    name: str
    run_id: str
    loaded: LoadedSpec
    prepared: Prepared | None

    @property
    def seconds(self) -> float | None:
        """A rough duration; ``None`` while the candidates are not known."""
        if self.prepared is None:
            return None
        spec, plan = self.prepared.spec, self.prepared.plan
        return scan_seconds(spec, plan) if self.name == SCAN else estimate(spec, plan).seconds


@dataclass(frozen=True, slots=True)
class Ablation:
    """What will be done.

    Attributes:
        steps: smoke, scan (only without a candidate file) and full run, in order.
        candidates: the candidate file that the full run takes.
        scans: whether that file is made by a scan.
    """

    steps: tuple[Step, ...]
    candidates: Path
    scans: bool

    def only(self, name: str) -> Ablation:
        """The same with one step.

        Raises:
            UsageError: there is no such step.
        """
        steps = tuple(step for step in self.steps if step.name == name)
        if not steps:
            names = ", ".join(step.name for step in self.steps)
            raise UsageError(f"--only: there is no step '{name}'", hint=f"steps: {names}")
        return replace(self, steps=steps)


def plan_ablation(loaded: LoadedSpec, *, results: Path, batch_sizes: tuple[int, ...]) -> Ablation:
    """Work out the steps; nothing is started, and every input is checked.

    Raises:
        UsageError: an input is wrong.
    """
    spec = loaded.spec
    scans = _must_scan(loaded)
    name = f"{spec.name}-{_settings_hash(spec, scans=scans)}"
    smoke = _smoke(loaded, f"{name}-smoke", scans=scans)
    if not scans:
        full = Step(FULL, name, loaded, prepare(loaded))
        return Ablation((smoke, full), Path(spec.candidates[0]), scans=False)
    found = results / f"{name}-scan" / "candidates.csv"
    scan_spec = _with(loaded, modes=(Mode.STANDARD,), expect=Expect())
    scan = Step(
        SCAN, f"{name}-scan", scan_spec, prepare(scan_spec, source=population_rows(batch_sizes))
    )
    full_spec = _with(loaded, candidates=(str(found),), expect=Expect())
    return Ablation((smoke, scan, Step(FULL, name, full_spec, None)), found, scans=True)


def _must_scan(loaded: LoadedSpec) -> bool:
    """Whether there is no candidate file: none named, or only a profile's that does not ship.

    Raises:
        UsageError: somebody named a file that is not there; hours of scanning are no answer to it.
    """
    files = loaded.spec.candidates
    missing = [file for file in files if not Path(file).exists()]
    if not missing:
        return "candidates" not in loaded.given
    if files not in {load_spec(name).spec.candidates for name in profile_names()}:
        raise UsageError(
            "no such file",
            file=missing[0],
            hint="correct --candidates, or leave it out and the population is scanned",
        )
    return True


def check_machine(spec: RunSpec, results: Path) -> tuple[Check, ...]:
    """The doctor's findings.

    Raises:
        EnvironmentError_: one of them would stop the run.
    """
    checks = tuple(judge(probe(spec, lock=DEFAULT_LOCK, results=results), spec))
    bad = [check for check in checks if check.level is Level.FAILED]
    if bad:
        raise EnvironmentError_(
            f"{len(bad)} checks of this machine failed",
            hint="`harness doctor` shows all of them",
            detail=tuple(str(check) for check in bad),
        )
    return checks


def run_ablation(ablation: Ablation, results: Path, progress: RunProgress) -> Conclusion:
    """Do what is not done yet, step by step.

    Raises:
        EnvironmentError_: this machine cannot do it.
        GateFailed: the smoke run or the scan does not count, so nothing is built on it.
        IncompleteRun: the scan found no candidate.
        RunError: as `harness.conduct.run.run`.
    """
    spec = ablation.steps[0].loaded.spec
    for check in check_machine(spec, results):
        progress.note(str(check))
    conclusion: Conclusion | None = None
    for step in ablation.steps:
        progress.note(f"== {step.name}: {results / step.run_id}")
        prepared = step.prepared or prepare(step.loaded)
        kind = SCAN if step.name == SCAN else "run"
        conclusion = run(prepared, RunOptions(results, step.run_id, kind=kind), progress)
        if not conclusion.valid and step is not ablation.steps[-1]:
            raise GateFailed(
                f"the {step.name} does not count, so nothing is built on it",
                file=conclusion.folder / "validation.json",
                detail=tuple(f"{f.check}: {f.message}" for f in conclusion.validation.failures),
            )
        if step.name == SCAN:
            _take_flips(prepared, conclusion.folder, ablation.candidates)
    assert conclusion is not None
    return conclusion


def _take_flips(prepared: Prepared, folder: Path, out: Path) -> None:
    exported = export_scan(
        folder / "vllm_records.jsonl",
        out,
        select="label_flip",
        tasks=prepared.population.tasks,
        mode=str(Mode.STANDARD),
    )
    if not exported.rows:
        raise IncompleteRun(
            "no prompt of the population changed its score in a batch, so there is nothing to test",
            hint="scan larger batches (--batch-sizes) or another task folder (--tasks)",
            file=out,
        )


def _smoke(loaded: LoadedSpec, run_id: str, *, scans: bool) -> Step:
    changes = {
        "modes": (Mode.BATCH_INVARIANT,),
        "limit": 1,
        "expect": Expect(rows_per_mode=1),
    }
    if not scans:
        spec = _with(loaded, **changes)
        return Step(SMOKE, run_id, spec, prepare(spec))
    first = loaded.spec.models[:1]
    spec = _with(loaded, **changes, models=first, dispatch_modes=(DispatchMode.SYNCHRONIZED,))
    return Step(SMOKE, run_id, spec, prepare(spec, source=population_rows((2,))))


def _with(loaded: LoadedSpec, **changes: object) -> LoadedSpec:
    return replace(loaded, spec=loaded.spec.model_copy(update=changes))


def _settings_hash(spec: RunSpec, *, scans: bool) -> str:
    """Of the settings and of what is asked: an edited task or candidate file is another run."""
    text = json.dumps(spec.model_dump(mode="json"), sort_keys=True)
    digest = hashlib.sha256(text.encode())
    named = () if scans else tuple(map(Path, spec.candidates))
    for path in (*named, *sorted(Path(spec.tasks).glob("*.yaml"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
