"""The runs of a folder with their states, one of them shown, and its report opened."""

import webbrowser
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from harness import report
from harness.analyse import MOST_HASHED, RunState, kept_validation, state_of
from harness.errors import HarnessError, UsageError, nearest
from harness.hostile import visible
from harness.jobs import Done
from harness.jobs.experiment_runs import ROWS
from harness.jobs.run_numbers import numbers_of, reports
from harness.locks import LOCK, is_held
from harness.numbers import NONE, count_of
from harness.records import METADATA, RECORDS, RunFiles, read_run_files
from harness.report import Change

_NO_RUN = "no run yet: `harness run`, or `harness demo` on any machine, makes one"
_FILES = (".jsonl", ".json", ".csv")
_USUAL = Path("results")
_EARLIER = {RunState.COUNTS: "counted", RunState.DOES_NOT_COUNT: "did not count"}
_HEADS = ("run", "state", "records", "device", "vLLM")


def listed(results: Path) -> Done:
    """Every run folder below ``results``, the newest first: its state, records, device, version.

    Those of `harness trace` and `harness sample` too, a mode each, with their rows as records, and
    runs that ended before their first record.

    Raises:
        UsageError: a folder was named and is not there.
    """
    insist_on_results(results, _NO_RUN)
    told = [path for path in results.glob(f"**/{RECORDS}") if path.is_file()]
    told += _without_records(results)
    told.sort(key=lambda path: (path.stat().st_mtime_ns, path), reverse=True)
    rows = [_row(path, results) for path in told]
    table = [_HEADS, *(tuple(row.values()) for row in rows)]
    widths = [max(len(str(row[at])) for row in table) for at in range(len(_HEADS))]
    lines = [
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return Done(lines if rows else [_NO_RUN], rows)


def insist_on_results(results: Path, hint: str) -> None:
    """Make sure that a folder of run folders that was named is there; the usual one need not be.

    Raises:
        UsageError: it is not.
    """
    if not results.is_dir() and results != _USUAL:
        raise UsageError("no such folder", file=results, hint=hint)


def place_of(run: Path, results: Path) -> Path:
    """Where a run lies that is named by its path, or as `listed` names those of ``results``.

    Raises:
        UsageError: there is none, and the name is like one, or names no file.
    """
    if run.is_file() or any((run / name).exists() for name in (RECORDS, METADATA)):
        return run
    if (named := results / run).is_dir() and not run.is_absolute():
        return named
    if not run.exists():
        there = sorted(results.glob(f"**/{METADATA}"), key=lambda path: path.stat().st_mtime_ns)
        names = [str(path.parent.relative_to(results)) for path in there]
        like = nearest(run, names)
        if len(run.parts) == 1 and run.suffix not in _FILES and names:
            like = like or f"the newest is '{names[-1]}';"
        if like:
            hint = f"{like} `harness runs` lists those of {results}"
            raise UsageError("no such run", file=run, hint=hint)
    return run


def _without_records(results: Path) -> Iterator[Path]:
    """The rows of each experiment's folder; its metadata, or a run's, where none are there yet."""
    for path in results.glob(f"**/{METADATA}"):
        with suppress(HarnessError):
            rows = path.with_name(_rows_of(read_run_files(path.parent)))
            if rows.name != RECORDS or not rows.exists():
                yield rows if rows.is_file() else path


def _rows_of(files: RunFiles) -> str:
    """The name of the file that a folder's rows, or records, are in."""
    return ROWS.get(str(files.metadata.get("kind")), RECORDS)


def _row(told: Path, results: Path) -> dict[str, str]:
    folder = told.parent
    files = RunFiles(folder / RECORDS, folder)
    there = 0 if told.name == METADATA else RunFiles(told, folder).lines_there
    state, experiment = "unreadable", told.name not in (RECORDS, METADATA)
    with suppress(HarnessError):
        files = read_run_files(folder)
        experiment = _rows_of(files) != RECORDS
        state = _state(files)
        if state is RunState.UNFINISHED and is_held(folder / LOCK):
            state = "running"
        elif experiment and there:
            state = "rows"
    planned = None if experiment else files.planned_records
    device, version = files.device_name or files.device_kind, files.versions.get("vllm")
    cells = (
        folder.relative_to(results),
        state,
        f"{there}/{planned}" if planned else there,
        device or NONE,
        version or NONE,
    )
    return dict(zip(_HEADS, (visible(str(cell)) for cell in cells), strict=True))


def _state(files: RunFiles) -> str:
    """The run's state, as every verb says it, by the digests of what was validated.

    A file that is too large to be hashed for a list is compared by its size alone, and then what
    was judged is of an earlier time.
    """
    validation = kept_validation(files, MOST_HASHED)
    state = state_of(files, validation)
    judged = validation.judged.values() if validation else ()
    if state is RunState.UNFINISHED or all(one.bytes <= MOST_HASHED for one in judged):
        return state
    return f"{_EARLIER.get(state, state)} when validated"


def shown(run: Path, number: int | None) -> Done:
    """A run's first screen, or the change of that number with both answers whole.

    Raises:
        UsageError: the run cannot be read, or has no such change.
    """
    summary, validation = numbers_of(run)
    changes = report.changes_of(run)
    if number is None:
        files, examples = read_run_files(run), report.first_changes(run)
        screen = report.screen_lines(
            summary,
            examples,
            state=state_of(files, validation),
            measured=report.measured_on(summary, files),
        )
        total = count_of(len(changes), "change")
        one = f"harness show {run} --flip {examples[0].number if examples else 1}"
        more = f"{total}; one of them whole, by its number: {one}" if changes else ""
        return Done([*screen, *filter(None, [more])])
    if number > len(changes):
        hint = f"--flip takes 1 to {len(changes)}" if changes else "no answer of this run changed"
        raise UsageError(f"no change {number} in this run", file=run, hint=hint)
    return Done(_whole(changes[number - 1], number, len(changes)))


def _whole(change: Change, number: int, of: int) -> Iterator[str]:
    yield f"{number} of {of}  {visible(change.heading)}  {visible(change.change)}"
    told = (change.model, *change.context, *change.where, *change.notes, *change.other_modes)
    yield from (f"  {visible(text)}" for text in filter(None, told))
    if change.prompt is not None:
        yield from ("", "prompt", visible(change.prompt))
    for answer in change.answers[0]:
        yield from ("", f"{answer.name}  {visible(answer.scored)}", *report.answer_lines(answer))
    if change.co_batched:
        others = ", ".join(map(visible, change.co_batched))
        yield from ("", *report.fitted(f"batched with {others}"))


def opened(run: Path) -> Done:
    """The report, drawn of what is there now, in the browser where there is one."""
    page = read_run_files(run).folder / "report.html"
    deque(reports(run, "html", None), maxlen=0)
    opens = webbrowser.open(page.resolve().as_uri())
    unseen = "no browser could be started here: open the file in yours, or copy it to where one is"
    return Done([page], remarks=[] if opens else [unseen])
