"""The conductor: inputs, preflight, lifetimes, resume, validation, reports, shutdown.

Invariants: nothing is started before every input has been checked; a record is on disk before the
next prompt is sent; a server never outlives the call; a summary is written only for a run of which
every planned record is there and good, and every lifetime's mode is proven.
"""

from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
import structlog

from harness.analyse import Summary, Validation, summarise_run, validate_run
from harness.conduct.lifetime import Bench, run_lifetime, sigterm_is_interrupt
from harness.conduct.logbook import open_logbook
from harness.conduct.prepare import Prepared
from harness.conduct.progress import RunProgress
from harness.conduct.run_facts import Metadata
from harness.conduct.schedules import settled
from harness.conduct.site import Site, find_site
from harness.conduct.startups import parity_of_modes
from harness.errors import (
    GateFailed,
    HarnessError,
    IncompleteRun,
    Interrupted,
    RunError,
    UsageError,
)
from harness.plan import Lifetime, Plan, remaining
from harness.records import Record, RunFolder, find_unfinished, iter_records, new_run_id
from harness.replay import Dispatcher, ReplaySession
from harness.report import write_reports
from harness.serve import LaunchOptions, launch_options

_SUMMARY, _VALIDATION = "summary.json", "validation.json"
_CONCLUSION = (_SUMMARY, _VALIDATION, "report.md", "report.html")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where a run goes and how it treats what is there already.

    Attributes:
        results: the folder of run folders.
        run_id: the run's name; ``None`` takes up the newest unfinished run that asks the same
            questions, or makes a new name.
        fresh: never take up an unfinished run.
        retry_errors: ask again for records that failed; their old lines are set aside.
        kind: ``run`` or ``scan``.
    """

    results: Path
    run_id: str | None = None
    fresh: bool = False
    retry_errors: bool = False
    kind: str = "run"


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a complete run came to.

    Attributes:
        folder: the run folder.
        summary: as in ``summary.json``.
        validation: as in ``validation.json``.
        reports: the report files that were written.
    """

    folder: Path
    summary: Summary
    validation: Validation
    reports: tuple[Path, ...]

    @property
    def failure(self) -> GateFailed | None:
        """What makes a complete run not count; ``None`` where no check of its validation failed."""
        if self.validation.ok:
            return None
        return GateFailed(
            f"{len(self.validation.failures)} checks of the validation failed: "
            "the run is not countable",
            file=self.folder / _VALIDATION,
            detail=self.validation.reasons,
        )


def run(prepared: Prepared, options: RunOptions, progress: RunProgress) -> Conclusion:
    """Do all the work of a plan that is not done yet, and conclude.

    Raises:
        UsageError: the run id belongs to another experiment, or is no name of a folder.
        EnvironmentError_: what the servers need is not here.
        RunError: a server died, a mode is not proven, or records failed; what was written stays.
        Interrupted: a signal; what was written stays.
    """
    prepared = settled(prepared, progress)
    path = _choose_folder(prepared, options, progress)
    site = find_site(prepared.spec, progress)
    if not path.exists():
        site.backend.check(_launches(prepared, prepared.plan, path.name, site)[0][1])
    folder = RunFolder(path)
    known = folder.read("metadata.json")
    if known is not None and known.get("fingerprint") != prepared.fingerprint:
        folder.close()
        raise UsageError(
            f"the run {folder.run_id} asks other questions or uses other server settings",
            file=path / "metadata.json",
            hint="choose another --run-id, or give the settings it was started with",
        )
    with folder, sigterm_is_interrupt():
        open_logbook(folder.path / "harness.jsonl")
        structlog.contextvars.bind_contextvars(run_id=folder.run_id)
        metadata = Metadata(folder, prepared, site, kind=options.kind)
        bench = Bench(prepared.spec, folder, site, progress, metadata)
        try:
            _work(prepared, options, bench)
            return _conclude(prepared.plan, bench)
        except KeyboardInterrupt:
            error: HarnessError = Interrupted("stopped by a signal", hint=_kept(folder))
            metadata.close(exit_code=error.exit_code, error=error.message)
            raise error from None
        except HarnessError as failure:
            metadata.close(exit_code=failure.exit_code, error=str(failure))
            # an incomplete run's own hint says how to go on: with --retry-errors only
            if isinstance(failure, RunError) and not isinstance(failure, IncompleteRun):
                kept = _kept(folder, f" of {len(prepared.plan.records)}")
                failure.detail = (*failure.detail, kept)
            raise
        finally:
            progress.end()
            structlog.contextvars.clear_contextvars()


def _choose_folder(prepared: Prepared, options: RunOptions, progress: RunProgress) -> Path:
    run_id = options.run_id
    if run_id is None and not options.fresh:
        run_id = find_unfinished(options.results, prepared.fingerprint)
        if run_id is not None:
            progress.note(f"resuming the unfinished run {run_id} (--fresh starts a new one)")
    run_id = run_id or new_run_id(options.results, prepared.spec.name)
    if run_id in (".", "..") or Path(run_id).name != run_id:
        raise UsageError(
            f"'{run_id}' is no name of a run folder",
            hint="use letters, digits, - and _ in --run-id and in the spec's name",
        )
    return options.results / run_id


def _work(prepared: Prepared, options: RunOptions, bench: Bench) -> None:
    folder, progress = bench.folder, bench.progress
    for line in bench.site.backend.sweep(folder.path):
        progress.note(line)
    torn = folder.mend_tail()
    if torn is not None:
        progress.note(f"a half-written record ({torn.size} bytes) was set aside in {torn.kept_in}")
    if options.retry_errors:
        failed = {n for n, record in iter_records(folder.records_path) if not record.ok}
        again = folder.set_aside(failed)
        progress.note(f"{again} failed records are asked again")
    plan = remaining(prepared.plan, frozenset(r.record_id for r in folder.records() if r.record_id))
    candidates = (candidate.model_dump(mode="json") for candidate in prepared.candidates)
    folder.write_rows("selected_candidates.jsonl", candidates)
    if plan.records:
        for name in _CONCLUSION:  # of an earlier state: more records are about to come
            (folder.path / name).unlink(missing_ok=True)
        _run_lifetimes(prepared, plan, bench)
    else:
        progress.note(f"all {len(prepared.plan.records)} records are there already")


def _conclude(plan: Plan, bench: Bench) -> Conclusion:
    """Summary, validation and reports, written last and only when every record is good."""
    folder = bench.folder
    if errors := [record for record in folder.records() if not record.ok]:
        retry = "the same command with --retry-errors asks again"
        first = (f"{r.mode} {r.model} {r.task_name}/{r.sample_id}: {r.error}" for r in errors[:3])
        raise IncompleteRun(
            f"{len(errors)} of {len(plan.records)} records failed, so nothing is claimed",
            hint=f"see `error` in vllm_records.jsonl; {retry}",
            detail=tuple(first),
        )
    bench.site.verify_unchanged()
    bench.metadata.complete(parity_of_modes(folder, [model.name for model in bench.spec.models]))
    summary, validation = summarise_run(folder.path), validate_run(folder.path)
    folder.write(_SUMMARY, msgspec.to_builtins(summary))
    folder.write(_VALIDATION, msgspec.to_builtins(validation))
    reports = tuple(write_reports(folder.path, summary=summary, validation=validation))
    bench.metadata.close(exit_code=0 if validation.ok else 1)
    return Conclusion(folder.path, summary, validation, reports)


def _launches(
    prepared: Prepared, plan: Plan, run_id: str, site: Site
) -> list[tuple[Lifetime, LaunchOptions]]:
    spec = prepared.spec
    about: Any = {
        "run_id": run_id,
        "host": site.host,
        "image": site.image_reference,
        "schedules": prepared.schedules,
        "release": site.vllm_release(spec),
    }
    return [
        (lifetime, launch_options(spec, lifetime.model, lifetime.mode, nonce=token_hex(4), **about))
        for lifetime in plan.lifetimes
    ]


def _run_lifetimes(prepared: Prepared, plan: Plan, bench: Bench) -> None:
    launches = _launches(prepared, plan, bench.folder.run_id, bench.site)
    bench.site.backend.check(launches[0][1])
    for note in dict.fromkeys(note for _, launch in launches for note in launch.notes):
        bench.progress.note(note)
    total = len(prepared.plan.records)
    bench.progress.begin(records=total, done=total - len(plan.records), lifetimes=len(launches))

    def write(record: Record) -> None:
        bench.folder.append_record(record)  # on disk before the next prompt is sent
        bench.progress.record_done(record)

    async def work(lifetime: Lifetime, dispatcher: Dispatcher) -> None:
        run_id = bench.folder.run_id
        session = ReplaySession(dispatcher, bench.spec, run_id=run_id, write=write)
        await session.replay(lifetime)

    for lifetime, launch in launches:
        structlog.contextvars.bind_contextvars(mode=str(lifetime.mode), model=lifetime.model.name)
        run_lifetime(bench, lifetime, launch, work)


def _kept(folder: RunFolder, of: str = "") -> str:
    kept = sum(1 for _ in folder.records())
    return f"{kept}{of} records are kept in {folder.path}; the same command goes on from there"
