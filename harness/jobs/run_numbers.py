"""A run that is there already: summarised, validated, reported."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import to_builtins
from msgspec.structs import replace

from harness import report
from harness.analyse import (
    SUMMARY,
    VALIDATION,
    Expectations,
    RunState,
    Summary,
    Validation,
    expectations_of,
    kept_numbers,
    kept_validation,
    read_numbers,
    state_of,
    summarise_run,
    validate_run,
    with_judged,
)
from harness.errors import NOT_SET, EnvironmentError_, GateFailed, UsageError, nearest
from harness.files import write_json
from harness.findings import Status
from harness.jobs import Done, Remark
from harness.jobs.report_files import add_step_summary, told_if_refused
from harness.numbers import count_of
from harness.records import (
    METADATA,
    RECORDS,
    read_run_files,
    task_folder,
)
from harness.words import Mode


def named(text: str, flag: str) -> list[str]:
    """The names of a flag's comma-separated list, each once, in the order given.

    Raises:
        UsageError: it is a list of nothing.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError(f"{flag}: nothing is named", hint=NOT_SET)
    return names


def report_formats(text: str, known: Iterable[str]) -> list[str]:
    """The formats of a comma-separated list.

    Raises:
        UsageError: none, or one that is not known.
    """
    names = named(text, "--format")
    if unknown := [name for name in names if name not in known]:
        hint = nearest(unknown[0], known, "known")
        raise UsageError(f"no report format '{', '.join(unknown)}'", hint=hint)
    return names


def summarise(run: Path, output: Path | None, *, whole: bool = False) -> Done:
    """Recompute a run's numbers and write them to ``output``, else beside the records."""
    target = output or _folder_of_numbers(run) / SUMMARY
    summary, _, records = read_numbers(run)
    unkept = _unkept(target, summary)
    files = read_run_files(run)
    lines = report.screen_lines(
        summary,
        report.first_changes(run, records),
        state=state_of(files, kept_validation(files)),
        measured=report.measured_on(summary, files),
    )
    if whole:
        rest = report.detail_lines(summary)
        lines += ["", *(part for line in rest for part in report.fitted(line))]
    else:
        lines += ["all numbers: --all, or --json; the report: harness report"]
    wrote = () if unkept else (Remark(f"wrote {target}"),)
    return Done((*lines, *wrote), summary, failure=unkept)


def _unkept(target: Path, numbers: Summary | Validation) -> EnvironmentError_ | None:
    """Write numbers; the reason where they cannot be kept, to be told after them: they hold."""
    try:
        write_json(target, to_builtins(numbers))
    except EnvironmentError_ as error:
        return error
    return None


def _folder_of_numbers(run: Path) -> Path:
    """Where a run's numbers go: into a run folder only those of its own records."""
    files = read_run_files(run)
    known = [files.folder / name for name in (RECORDS, METADATA)]
    if not files.is_run_folder and any(map(os.path.lexists, known)):
        message = f"not the records of the run in its folder, which are {RECORDS}"
        hint = f"give the folder {files.folder}, or copy the file elsewhere"
        raise UsageError(message, file=run, hint=hint)
    return files.folder


def validate(run: Path, modes: str | None, rows_per_mode: int | None) -> Done:
    """Validate a run and write what was found beside its records; a failed check is a failure.

    What is not asked here is as the run's spec says. What is asked otherwise than it says is
    answered and not kept: the run counts, or does not, by its own settings.

    Raises:
        UsageError: a mode is not known, the run cannot be read, or the file lies in a run folder
            and is not its records.
    """
    try:
        names = None if modes is None else named(modes, "--require-modes")
        required = None if names is None else [Mode(name) for name in names]
    except ValueError:
        wrong = next(name for name in names or () if name not in tuple(Mode))
        hint = nearest(wrong, Mode, "known modes")
        raise UsageError(f"--require-modes: no mode '{wrong}'", hint=hint) from None
    target = _folder_of_numbers(run) / VALIDATION
    found = validate_run(run, require_modes=required, expected_rows_per_mode=rows_per_mode)
    files = read_run_files(run)
    own = expectations_of(files)
    otherwise = _asked_otherwise(found.expected, own)
    found = _without_remedies(found) if otherwise else with_judged(found, files)
    unkept = otherwise or _unkept(target, found)
    starts = count_of(found.startup_error_count, "start-up error")
    lines = [f"{count_of(found.n_records, 'record')}, {found.n_ok} ok, {starts}"]
    lines += (
        f"{mode}: {count_of(n.records, 'record')}, {count_of(n.errors, 'error')}"
        for mode, n in found.by_mode.items()
    )
    for finding in found.findings:
        mark = "FAILED" if finding.status is Status.FAILED else finding.status.words
        lines.append(f"{mark:<12} {finding.check}: {finding.message}")
    state = state_of(files, found)
    is_so = state if state in (RunState.COUNTS, RunState.DOES_NOT_COUNT) else f"is {state}"
    if otherwise:
        is_so = "is not what was asked for here"
    if found.ok and not otherwise:
        lines += report.fitted(f"this run {is_so}: {report.checks_text(found.findings)}")
    message = f"{count_of(len(found.failures), 'check')} failed: this run {is_so}"
    failure = GateFailed(message, file=run if otherwise else target, detail=found.reasons)
    remarks = [f"not kept: {unkept}"] if unkept else []
    return Done(lines, found, remarks=remarks, failure=None if found.ok else failure)


def _asked_otherwise(asked: Expectations, own: Expectations) -> str:
    """Why an answer is not that of the run's own settings; empty if it is."""
    rows, modes = own.rows_per_mode, ", ".join(own.modes)
    if rows not in (None, asked.rows_per_mode):
        return f"the run's own settings ask for {rows} records a mode, not {asked.rows_per_mode}"
    if own.modes and set(asked.modes) != set(own.modes):
        return f"the run's own settings ask for {modes}"
    return ""


def _without_remedies(found: Validation) -> Validation:
    """Without what mends the checks that were asked for here: no command of the run does."""
    asked_for = ("rows_per_mode", "modes_present")
    findings = (replace(f, remedy="") if f.check in asked_for else f for f in found.findings)
    return replace(found, findings=tuple(findings))


def reports(run: Path, formats: str, out: Path | None) -> Iterator[str | Path]:
    """Write a run's reports; where each is, or the step summary itself outside of CI.

    The numbers are those of the run folder's files, or made anew where these are missing or not of
    what is there now; then they are kept beside the report, so that every verb says the same.

    Raises:
        UsageError: an unknown format, or a run that cannot be read.
    """
    chosen = report_formats(formats, report.FILES[report.Look.RUN])
    folder, anew = out or run, out is not None
    with told_if_refused(report.Look.RUN, [run.name], chosen, folder, anew=anew):
        yield from _reports(run, chosen, out)


def _reports(run: Path, chosen: Sequence[str], out: Path | None) -> Iterator[str | Path]:
    files = read_run_files(run)
    try:
        task_folder(files)
    except UsageError as error:
        yield Remark(f"without the prompts: {error.file}: {error.message}")
    if out is None:
        _folder_of_numbers(run)
    summary, validation = kept_numbers(files)
    wanted = [name for name in chosen if name != "github"]
    if summary is None or validation is None:
        summary, validation, _ = read_numbers(run)
        if wanted and out is None:  # what the report says is what every other verb says
            _unkept(files.folder / SUMMARY, summary)
            validation = with_judged(validation, files, summary=True)
            _unkept(files.folder / VALIDATION, validation)
    if wanted:
        yield from report.write_reports(
            run, wanted, folder=out, summary=summary, validation=validation
        )
    if "github" in chosen:
        text = report.rendered(report.load_report(run, summary, validation), "github")
        yield add_step_summary(text) or text


def numbers_of(run: Path) -> tuple[Summary, Validation | None]:
    """A run's numbers from its files, or made anew; a validation only where it is of the same."""
    kept = kept_numbers(read_run_files(run))
    return kept.summary or summarise_run(run), kept.validation
