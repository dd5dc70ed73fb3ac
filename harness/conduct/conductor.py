"""The conductor: inputs, preflight, lifetimes, resume, validation, reports, shutdown.

Invariants: nothing is started before every input has been checked; a record is on disk before the
next prompt is sent; a server never outlives the call; a summary is written only for a run of which
every planned record is there and good, and every lifetime's mode is proven.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from harness.analyse import (
    SUMMARY,
    VALIDATION,
    Summary,
    Validation,
    gave_records,
    read_numbers,
    standing,
    with_judged,
)
from harness.conduct.asking import ask_all, launches_of
from harness.conduct.lifetime import Bench, Work, run_lifetimes, sigterm_is_interrupt
from harness.conduct.logbook import open_logbook
from harness.conduct.next_steps import naming_another
from harness.conduct.plan_files import insist_on_name, mend_plan, plan_files
from harness.conduct.prepare import Prepared
from harness.conduct.progress import RunProgress
from harness.conduct.run_facts import Metadata
from harness.conduct.schedules import settled
from harness.conduct.site import find_site
from harness.conduct.startups import parity_of_modes, seal_logs, supersede
from harness.conduct.workers import HERE, LOCAL
from harness.conduct.workforce import ask_by_workers
from harness.errors import (
    EnvironmentError_,
    GateFailed,
    HarnessError,
    ImageMismatch,
    IncompleteRun,
    Interrupted,
    ModeNotProven,
    RunError,
    UsageError,
    shown,
)
from harness.models import insist_fetched
from harness.numbers import count_of
from harness.plan import Plan, remaining
from harness.records import (
    METADATA,
    NEVER_ANEW,
    Record,
    RunFolder,
    find_unfinished,
    is_concluded,
    iter_records,
    keep_tasks,
    new_run_id,
    read_run_files,
    record_id,
    startup_file,
)
from harness.refused import trouble
from harness.report import write_reports
from harness.words import LONGEST_IN_FILE_NAME, BackendName

_REPORTS = ("report.md", "report.html")
_CONCLUSION = (SUMMARY, VALIDATION, *_REPORTS)


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
        place: which of the runs that are done at once, from 0.
        workers: where processes of their own play the servers that run at once, and a lifetime is
            cut into parts where there would be fewer servers than may run: `HERE`, or a Ray cluster
            as `of_a_cluster` takes it; ``None`` without.
        before_done: what else a run has to leave before it counts as done, from its folder.
        beside: folders whose answers are compared with the run's: one server has to answer all.
    """

    results: Path
    run_id: str | None = None
    fresh: bool = False
    retry_errors: bool = False
    kind: str = "run"
    place: int = 0
    workers: str | None = None
    before_done: Callable[[Path], object] = Path
    beside: tuple[Path, ...] = ()


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
    def failure(self) -> GateFailed | ModeNotProven | None:
        """What makes a complete run not count; ``None`` where no check of its validation failed."""
        if self.validation.ok:
            return None
        if self.validation.only_unproven:
            first = self.validation.failures[0]
            return ModeNotProven(
                "unproven: nothing shows which kernels ran, so no claim counts these answers",
                file=self.folder / VALIDATION,
                hint=first.remedy,
                detail=(first.message,),
            )
        return GateFailed(
            f"{len(self.validation.failures)} checks of the validation failed: "
            "the run is not countable",
            file=self.folder / VALIDATION,
            detail=self.validation.reasons,
        )


def concluded(prepared: Prepared, folder: Path) -> Conclusion | None:
    """What a run that is done came to, judged anew from its files; ``None`` where it is not done.

    Nothing is written, and nothing of the machine that did it is needed.
    """
    if not is_concluded(folder, prepared.fingerprint):
        return None
    reports = tuple(path for name in _REPORTS if (path := folder / name).exists())
    return Conclusion(folder, *read_numbers(folder)[:2], reports)


def run(prepared: Prepared, options: RunOptions, progress: RunProgress) -> Conclusion:
    """Do all the work of a plan that is not done yet, and conclude.

    Raises:
        UsageError: the run id belongs to another experiment, or is no name of a folder.
        EnvironmentError_: what the servers need is not here, a fetched model among it.
        RunError: a server died, a mode is not proven, or records failed; what was written stays.
        Interrupted: a signal; what was written stays.
    """
    with _attended(prepared, options, progress) as (settled_run, bench, metadata):
        _work(settled_run, options, bench)
        return _conclude(settled_run.plan, bench, metadata, options)


def with_server(prepared: Prepared, options: RunOptions, progress: RunProgress, work: Work) -> Path:
    """Start the first server of a plan, prove it, and do ``work`` with it: no record is written.

    Returns:
        The run folder, with metadata, start-up file and log.

    Raises:
        HarnessError: as `run`.
    """
    with _attended(prepared, options, progress) as (settled_run, bench, metadata):
        launches = launches_of(
            settled_run, settled_run.plan, bench.folder.path, bench.site, place=options.place
        )
        bench.site.backend.check(launches[0][1])
        run_lifetimes(bench, launches[:1], work)
        metadata.close(exit_code=0)
        return bench.folder.path


@contextmanager
def _attended(
    prepared: Prepared, options: RunOptions, progress: RunProgress
) -> Iterator[tuple[Prepared, Bench, Metadata]]:
    """A run folder that is held, its site and its metadata, which tell how the session ended."""
    prepared = settled(prepared, progress)
    if prepared.spec.backend is not BackendName.EXTERNAL:
        insist_fetched(model.hf_id for model in prepared.spec.models)
    path = _choose_folder(prepared, options, progress)
    site = find_site(prepared.spec, progress)
    if not path.exists() and options.workers in (None, HERE, LOCAL):
        launches = launches_of(prepared, prepared.plan, path, site, place=options.place)
        theirs = prepared.spec.backend is BackendName.EXTERNAL
        for _, one in launches if theirs else launches[:1]:
            site.backend.check(one)
    with RunFolder(path) as folder, sigterm_is_interrupt():
        with naming_another(beside_an_id=options.fresh and options.run_id is not None):
            insist_on_name(folder)
            mend_plan(prepared, folder, progress)
            _insist_on_hope(folder, progress, retry_errors=options.retry_errors)
            open_logbook(folder.path / "harness.jsonl")
            structlog.contextvars.bind_contextvars(run_id=folder.run_id)
            metadata = Metadata(folder, prepared, site, kind=options.kind, beside=options.beside)
        bench = Bench(prepared.spec, folder, site, progress, metadata)
        try:
            yield prepared, bench, metadata
        except KeyboardInterrupt:
            error: HarnessError = Interrupted("stopped by a signal", hint=_kept(folder, options))
            metadata.end(error)
            raise error from None
        except OSError as failed:
            refused = trouble(failed, folder.path)
            if not folder.path.is_dir():
                refused = EnvironmentError_("the run folder is gone", file=folder.path)
            metadata.end(refused)
            raise refused from failed
        except HarnessError as failure:
            if isinstance(failure, ImageMismatch):
                metadata.count_no_more(failure.message)
            metadata.end(failure)
            # an incomplete run's own hint says how to go on: with --retry-errors only
            if isinstance(failure, RunError) and not isinstance(failure, IncompleteRun):
                kept = _kept(folder, options, f" of {len(prepared.plan.records)}")
                failure.detail = (*failure.detail, kept)
            raise
        finally:
            progress.end()
            structlog.contextvars.clear_contextvars()


def _insist_on_hope(folder: RunFolder, progress: RunProgress, *, retry_errors: bool) -> None:
    """Refuse at once what no command could mend, before anything is started or written.

    Raises:
        UsageError: the records are of a run whose settings are lost, or a check refuses them for
            good; or a line has to be set aside first, which only ``retry_errors`` does.
    """
    known = folder.read(METADATA) is not None
    if not (folder.records_path.exists() and folder.records_path.stat().st_size) and not (
        known and gave_records(folder.path)
    ):
        return
    if not known:
        raise UsageError(
            "there are records and no metadata.json: what they were asked with is not known",
            file=folder.path,
            hint=NEVER_ANEW,
        )
    found = standing(folder.path)
    if found.hopeless:
        first, *rest = found.hopeless
        raise UsageError(
            f"{first.check}: {first.message}",
            file=folder.path,
            hint=first.remedy,
            detail=tuple(f"{one.check}: {one.message}" for one in rest),
        )
    torn = folder.mend_tail()
    if torn is not None:
        progress.note(f"a half-written record ({torn.size} bytes) was set aside in {torn.kept_in}")
    if not retry_errors:
        try:
            deque(folder.records(), maxlen=0)
        except UsageError as error:
            error.hint = "--retry-errors sets such lines aside and asks again"
            raise


def _choose_folder(prepared: Prepared, options: RunOptions, progress: RunProgress) -> Path:
    run_id = options.run_id
    if run_id is None and not options.fresh:
        run_id = find_unfinished(options.results, prepared.fingerprint, options.kind)
        if run_id is not None:
            progress.note(f"resuming the unfinished run {run_id} (--fresh starts a new one)")
    run_id = run_id or new_run_id(options.results, prepared.spec.name)
    hint = "use letters, digits, - and _ in --run-id and in the spec's name"
    if run_id in (".", "..") or Path(run_id).name != run_id or not run_id.isprintable():
        raise UsageError(f"{shown(run_id)} is no name of a run folder", hint=hint)
    if (size := len(run_id.encode())) > LONGEST_IN_FILE_NAME:
        too_long = f"a name of {size} bytes is too long for a run folder: {shown(run_id)}"
        raise UsageError(too_long, hint=f"at most {LONGEST_IN_FILE_NAME} bytes; {hint}")
    return options.results / run_id


def _work(prepared: Prepared, options: RunOptions, bench: Bench) -> None:
    folder, progress = bench.folder, bench.progress
    for line in bench.site.backend.sweep(folder.path):
        progress.note(line)
    if options.retry_errors and (again := _set_aside(prepared.plan, folder)):
        progress.note(f"{count_of(again, 'record')} that a check refuses will be asked again")
    plan = _left(prepared.plan, folder, progress.record_there)
    for name, rows in plan_files(prepared).items():
        folder.write_rows(name, rows)
    keep_tasks(folder.path, (task.file for task in prepared.population.tasks))
    if plan.records:
        for name in _CONCLUSION:  # of an earlier state: more records are about to come
            (folder.path / name).unlink(missing_ok=True)
        if options.workers:
            ask_by_workers(prepared, plan, bench, options.place, options.workers)
        else:
            ask_all(prepared, plan, bench, options.place)
    else:
        progress.note(f"all {len(prepared.plan.records)} records are there already")


def _left(plan: Plan, folder: RunFolder, told: Callable[[Record], object] = lambda _: None) -> Plan:
    """What there is to ask still; an id is worked out anew and not taken from the file.

    ``told`` is given each record that is there.
    """
    there = set()
    for record in folder.records():
        there.add(record_id(record.key, record.mode))
        told(record)
    return remaining(plan, there)


def _set_aside(plan: Plan, folder: RunFolder) -> int:
    """Set aside the records that a check refuses and another asking may mend; how many."""
    if not folder.records_path.exists():
        return 0
    found = standing(folder.path)
    again = folder.set_aside(found.lines)
    to_come = {startup_file(one.model.name, one.mode) for one in _left(plan, folder).lifetimes}
    files = found.startups | (found.failed - to_come)
    for file in files:
        supersede(folder, file)
    numbered = iter_records(folder.records_path)
    return again + folder.set_aside(
        {n for n, r in numbered if startup_file(r.model, r.mode) in files}
    )


def _conclude(plan: Plan, bench: Bench, metadata: Metadata, options: RunOptions) -> Conclusion:
    """Summary, validation and reports, written last and only when every record is good."""
    folder = bench.folder
    if errors := [record for record in folder.records() if not record.ok]:
        flag = "" if options.retry_errors else " with --retry-errors"
        retry = f"the same command{flag} asks again"
        first = (f"{r.mode} {r.model} {r.task_name}/{r.sample_id}: {r.error}" for r in errors[:3])
        raise IncompleteRun(
            f"{len(errors)} of {len(plan.records)} records failed, so nothing is claimed",
            hint=f"see `error` in vllm_records.jsonl; {retry}",
            detail=tuple(first),
        )
    bench.site.verify_unchanged()
    seal_logs(folder)
    metadata.complete(parity_of_modes(folder, [model.name for model in bench.spec.models]))
    summary, validation, _ = read_numbers(folder.path)
    options.before_done(folder.path)
    metadata.close(exit_code=0 if validation.ok else 1)  # the report tells this session's end
    folder.write(SUMMARY, msgspec.to_builtins(summary))
    validation = with_judged(validation, read_run_files(folder.path), summary=True)
    folder.write(VALIDATION, msgspec.to_builtins(validation))
    reports = tuple(write_reports(folder.path, summary=summary, validation=validation))
    return Conclusion(folder.path, summary, validation, reports)


def _kept(folder: RunFolder, options: RunOptions, of: str = "") -> str:
    there = folder.records_path
    kept = there.read_bytes().count(b"\n") if there.exists() else 0
    anew = options.fresh and options.run_id is None
    then = "starts anew" if anew else "goes on from there"
    return f"{kept}{of} records are kept in {folder.path}; the same command {then}"
