"""Candidate files checked and exported; task files linted, and made of published data sets."""

import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.candidates import candidate_hashes, check_candidates
from harness.errors import EnvironmentError_, GateFailed, UsageError, nearest
from harness.families import FAMILIES
from harness.files import sha256_of
from harness.jobs import Done
from harness.jobs.starting import scan_of
from harness.numbers import count_of
from harness.records import (
    export_candidates,
    first_record,
    iter_records,
    read_run_files,
    write_candidates,
)
from harness.settings import DEFAULT_PROFILE, load_spec, spec_source
from harness.tasks import load_tasks
from harness.tasks.importing import (
    Hub,
    first_filter,
    import_rows,
    known_datasets,
    parse_filter,
    read_folder,
    read_rows,
    write_task,
)
from harness.tasks.lint import Severity, lint_paths, lint_rules

Rows = Iterable[Mapping[str, Any]]
Choice = tuple[str | None, str | None, str | None, str | None]
"""Id, configuration, split and revision on the hub; ``None`` for the data set's default."""
_SLICES = (
    *("model", "task_name", "domain", "phase", "batch_size", "dispatch_mode"),
    "original_direction",
)


def _slice_lines(slices: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for name, counts in slices.items():
        line = ", ".join(f"{value} {count}" for value, count in counts.items())
        yield f"  {name:18} {line or '-'}"


def check_files(
    files: Sequence[str], tasks: str | None, profile: str | None, config: Path | None, source: str
) -> Done:
    """Check candidate files against the tasks, and count them by slice.

    With neither ``profile`` nor ``config`` a model may have any name.

    Raises:
        UsageError: a row is wrong; the message names file, line and column.
    """
    spec = load_spec(spec_source(profile, config, DEFAULT_PROFILE)).spec
    models = None if profile is None and config is None else spec.models
    population = load_tasks(tasks or spec.tasks)
    try:
        candidates = check_candidates(files, population=population, models=models, source=source)
    except UsageError as error:
        if models is None and not tasks and "unknown task" in str(error):
            error.detail += (_whose_tasks(Path(files[0]), spec.tasks),)
        raise
    slices = {}
    for column in _SLICES:
        values = (getattr(candidate, column) for candidate in candidates)
        found = Counter(value for value in values if value is not None)
        slices[column] = {str(value): count for value, count in sorted(found.items())}
    hashes = candidate_hashes(files)
    lines = [f"{file}  sha256 {digest}" for file, digest in hashes.items()]
    lines += (count_of(len(candidates), "candidate"), *_slice_lines(slices))
    return Done(lines, {"candidates": len(candidates), "files": hashes, "slices": slices})


def _whose_tasks(file: Path, tasks: str) -> str:
    """Which tasks were looked at where none were named, and how to name those of a file."""
    beside = file.with_name("run.yaml")
    own = f"-c {beside}" if beside.is_file() else "-c FILE, --profile NAME or --tasks DIR"
    return f"no spec was named, so the tasks are those of {tasks}: {own} takes others"


def export_run(
    run: Path,
    out: Path,
    *,
    select: str,
    mode: str,
    tasks: Path | None,
    include_cache: bool = False,
    whole_batches: int | None = None,
) -> Done:
    """Write the rows of a run that changed between solo and batched as a candidate file.

    Raises:
        UsageError: a flag is wrong, or the run cannot be read.
    """
    files = read_run_files(run)
    first_record(files.records_path)
    source = files.run_id or files.records_path.name
    found = export_candidates(
        (record for _, record in iter_records(files.records_path)),
        select=select,
        source=source,
        mode=None if mode == "any" else mode,
        scorers={task.name: task.scorer for task in load_tasks(tasks).tasks} if tasks else None,
        include_cache=include_cache,
        whole_batches=whole_batches,
    )
    left_out = f"left out: {count_of(found.left_out, 'row')} that the cache moved and not the batch"
    lines = [
        *([f"{left_out} (--include-cache)"] if found.left_out else ()),
        f"{out}: {count_of(len(found.rows), 'candidate')} by {select}, sha256 {found.sha256}",
        f"{write_candidates(found, out)}: rule, counts by slice, source {source}",
    ]
    return Done([*lines, *_slice_lines(found.summary(out.name)["slices"])])


def lint(paths: Sequence[Path], *, max_model_len: int, max_tokens: int, show: int) -> Done:
    """Lint task files, and folders of them; an error that the linter finds is a failure."""
    report = lint_paths(paths, max_model_len=max_model_len, max_tokens=max_tokens)
    lines = []
    for (file, rule_id), findings in report.grouped().items():
        rule, shown = lint_rules()[rule_id], findings[:show] if show else findings
        lines.append(f"{file}: {rule.severity} {rule_id}: {len(findings)} × {rule.meaning}")
        lines.append(f"  remedy: {rule.remedy}")
        for hit in shown:
            sample = f"{hit.sample}: " if hit.sample else ""
            lines.append(f"  {hit.file}:{hit.line}: {sample}{hit.message}")
        if left := len(findings) - len(shown):
            lines.append(f"  and {left} more (--show 0)")
    files = count_of(len(report.files), "file")
    errors, warnings = map(report.count, (Severity.ERROR, Severity.WARNING))
    found = f"{count_of(errors, 'error')}, {count_of(warnings, 'warning')}"
    lines.append(f"{files}, {count_of(report.samples, 'sample')}: {found}")
    message, hint = f"the task linter found {count_of(errors, 'error')}", "remedies are above"
    return Done(lines, report.as_json(), failure=GateFailed(message, hint=hint) if errors else None)


def import_task(
    dataset: str,
    file: Path | None,
    hub: Choice | None,
    rows_asked: tuple[Sequence[str], int | None, int | None],
    *,
    out: Path | None,
    name: str | None,
    scorer: str | None = None,
) -> Done:
    """Import a data set, a table or samples from a file, a folder or the hub; write, and lint.

    The task is named after ``out`` if nothing else is said, and ``out`` after the task.
    ``rows_asked`` are the filters of the rows, the most to keep, and the seed to choose by.

    Raises:
        UsageError: a flag or the data is wrong.
        EnvironmentError_: a package or the hub is missing.
    """
    if dataset not in known_datasets():
        hint = nearest(dataset, known_datasets(), "known")
        raise UsageError(f"unknown data set '{dataset}'", hint=hint)
    chosen, (where, limit, seed) = known_datasets()[dataset], rows_asked
    if scorer is not None and scorer not in FAMILIES:
        raise UsageError(f"--scorer: no '{scorer}'", hint=nearest(scorer, FAMILIES, "known"))
    chosen = replace(chosen, family=scorer or chosen.family)
    filters, named = list(map(parse_filter, where)), name or (out.stem if out else None)
    rows, source = _from_file_or_hub(file, hub, chosen.hub)
    try:
        task = import_rows(
            chosen, rows, source=source, name=named, where=filters, limit=limit, seed=seed
        )
        write_task(task, target := out or Path(f"{task.name}.yaml"))
    except UsageError as error:
        # what rows lack is their file's fault, told at its first line: the header of a table
        if error.file is None and file is not None:
            error.file, error.line = str(file), None if file.is_dir() else 1
        raise
    errors, warnings = map(lint_paths([target]).count, (Severity.ERROR, Severity.WARNING))
    skipped = Counter(task.skipped)
    lines = (
        f"{target}: {count_of(len(task.samples), 'sample')} of {chosen.title}, "
        f"licence {chosen.licence}",
        f"{count_of(task.rows, 'row')} read, {task.filtered} not chosen, "
        f"{skipped.total()} not convertible",
        *(f"  {count} × {reason}" for reason, count in skipped.most_common()),
        f"lint: {count_of(errors, 'error')}, {count_of(warnings, 'warning')} "
        f"(harness tasks lint {target})",
        f"next: {_scanned(target)}   ({_which(target)} change: the candidates of a run)",
    )
    return Done(lines)


def _which(task: Path) -> str:
    """Whose changes a scan finds: it takes a folder, and the other tasks in it too."""
    there = {path.name for path in task.parent.glob("*.yaml")} - {task.name}
    others = count_of(len(there), "other task")
    return f"which of them and of {others} there" if there else "which of them"


def _scanned(task: Path) -> str:
    """The command that finds the candidates of a task file, by the run spec that lies over it."""
    spec = task.parent.parent / "run.yaml"
    if spec.is_file():
        return scan_of(spec)
    return f"harness scan --profile demo --tasks {task.parent} --select text_change --out my.csv"


def _from_file_or_hub(
    file: Path | None, asked: Choice | None, default: Hub
) -> tuple[Rows, dict[str, Any]]:
    """The rows, and what says which rows they are."""
    if (file is None) == (asked is None):
        raise UsageError("name a data file, or give --hub; one of them, not both")
    if asked is None and file is not None and file.is_dir():
        pattern = "samples_*.jsonl" if any(file.rglob("samples_*.jsonl")) else "*.*"
        return read_folder(file, pattern), {"folder": file.name, "files": pattern}
    if asked is None:
        if file is None or not file.is_file():
            raise UsageError("no such file", file=file, hint="paths start at the current folder")
        return first_filter(read_rows(file)), {"file": file.name, "sha256": sha256_of(file)}
    dataset_id, config, split, revision = asked
    if dataset_id and dataset_id != default.dataset_id:
        default = Hub(dataset_id)
    place = Hub(default.dataset_id, config or default.config, split or default.split)
    try:
        load = importlib.import_module("datasets").load_dataset
    except ImportError as error:
        hint = "pip install 'harness[datasets]', or download the file and give it instead"
        message = "--hub needs the package datasets, which is not installed"
        raise EnvironmentError_(message, hint=hint) from error
    return hub_rows(place, revision, load)


def hub_rows(
    place: Hub, revision: str | None, load: Callable[..., Any]
) -> tuple[Rows, dict[str, Any]]:
    """The rows of one split, and what says which rows they are.

    ``revision`` is a commit, tag or branch of the hub's repository, ``load`` is
    ``datasets.load_dataset``.

    Raises:
        UsageError: no data set or no split is named.
        EnvironmentError_: the hub does not give it.
    """
    if not place.dataset_id or not place.split:
        hint = "give --hub-id ORG/NAME and --split; for this one none is known to fit"
        raise UsageError("--hub: which data set and which split?", hint=hint)
    try:
        rows = load(place.dataset_id, place.config or None, split=place.split, revision=revision)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"the hub does not give {place.dataset_id}: {reason}"
        hint = "check id, --config, --split and the network"
        raise EnvironmentError_(message, hint=hint) from error
    where = {"hub": place.dataset_id, "config": place.config, "split": place.split}
    marks = {"revision": revision, "fingerprint": getattr(rows, "_fingerprint", None)}
    return rows, where | marks
