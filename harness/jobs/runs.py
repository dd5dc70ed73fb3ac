"""A run planned, a run done, and a whole population scanned for what changes in a batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from harness import conduct, records
from harness.analyse import state_of
from harness.candidates import Candidate
from harness.errors import UsageError, nearest, shown
from harness.hostile import visible
from harness.jobs import Done
from harness.jobs.power import cost_line, power_lines
from harness.jobs.scan_said import asked_line, cache_line, exported_lines, nothing_found
from harness.jobs.starting import run_after_scan, scan_of
from harness.numbers import count_of
from harness.plan import Plan, estimate
from harness.report import (
    below,
    checks_text,
    first_changes,
    fitted,
    measured_on,
    nature,
    verdict_box,
)
from harness.score import score
from harness.serve import added as added_arguments
from harness.serve import served_models
from harness.settings import Expect, LoadedSpec, ModelSpec, RunSpec
from harness.tasks import Population
from harness.words import DispatchMode, Mode, RequestEndpoint

FIRST_TRY = 16
"""Prompts that a scan asks where a server's URL is all that it was given."""
_SCAN = "scan"
"""The phase of the candidates of a scan, and its kind of run."""
_INCONCLUSIVE = (
    "inconclusive on this CPU: the standard path changed no answer here, so there was nothing for "
    "the batch-invariant path to remove"
)


def plan(loaded: LoadedSpec, usd_per_hour: float | None = None) -> Done:
    """Prepare a run and start nothing: its server lifetimes, or a row a record (DESIGN 4.8).

    Args:
        usd_per_hour: the price of a GPU, for what it would cost.

    Raises:
        UsageError: an input is wrong; what `run` would refuse is refused here.
    """
    total = estimate((ready := prepared(loaded)).spec, ready.plan)
    rows = [("", "model", "mode", "records", "batch sizes", "dispatch modes")]
    for number, lifetime in enumerate(ready.plan.lifetimes, start=1):
        asked = [record.candidate for record in lifetime.records]
        sizes = map(str, sorted({item.batch_size for item in asked}))
        dispatch = sorted({str(item.dispatch_mode) for item in asked})
        where = (str(number), lifetime.model.name, str(lifetime.mode), str(len(asked)))
        rows.append((*where, ", ".join(sizes), ", ".join(dispatch)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = ([c.ljust(width) for c, width in zip(row, widths, strict=True)] for row in rows)
    added = ", ".join(added_arguments(ready.spec, ready.schedules))
    lines = [
        f"{loaded.file}: {count_of(total.records, 'record')} in "
        f"{count_of(total.lifetimes, 'server lifetime')}",
        *(f"  {'  '.join(row)}".rstrip() for row in cells),
        f"{count_of(total.requests, 'request')} for {count_of(total.answers, 'answer')}, batches "
        f"cut from {count_of(len(ready.population.prompts), 'prompt')}, warm-up and retries not "
        "counted",
        cost_line(total, usd_per_hour),
        *([f"added to every server's command: {added}"] if added else ()),
        *power_lines(ready.spec, ready.plan),
        *_without_candidates(loaded, ready),
    ]
    return Done(lines, _plan_rows(ready.plan))


def _without_candidates(loaded: LoadedSpec, ready: conduct.Prepared) -> Iterator[str]:
    """Tasks of a file of one's own of which no prompt is asked, and how to find those to ask.

    None where a scan made the candidates: of the others it found none that changes.
    """
    asked = {candidate.task_name for candidate in ready.candidates}
    left = [task for task in ready.population.tasks if task.name not in asked]
    scanned = any(candidate.phase == _SCAN for candidate in ready.candidates)
    if left and not loaded.is_profile and not scanned:
        names = ", ".join(f"{task.name} ({count_of(len(task.samples), 'prompt')})" for task in left)
        yield f"no candidates yet, so not asked but in batches: {names}"
        yield f"{scan_of(loaded.file)} finds them; then --candidates my.csv"


def _plan_rows(plan: Plan) -> Iterator[dict[str, Any]]:
    for record in plan.records:
        candidate, group = record.candidate, record.group
        copied = ("model", "task_name", "sample_id", "batch_size")
        yield {
            "record_id": record.record_id,
            **{name: getattr(candidate, name) for name in copied},
            "dispatch_mode": str(candidate.dispatch_mode),
            "mode": str(record.mode),
            "group": list(group.ids),
            "target_index": group.target_index,
            "prompt_sha256": group.target.sha256,
        }


def run(
    loaded: LoadedSpec,
    results: Path,
    run_id: str | None,
    *,
    fresh: bool,
    retry_errors: bool,
    quiet: bool,
    workers: str | None = None,
    announce: Callable[[str], object] = lambda _: None,
) -> Done:
    """Prepare a run and do what of it is not done yet; the flags are those of `RunOptions`.

    Args:
        announce: told which prompts have no candidates yet, before anything is started.

    Raises:
        HarnessError: as `harness.conduct.prepare` and `harness.conduct.run`.
    """
    options = conduct.RunOptions(
        results, run_id, fresh=fresh, retry_errors=retry_errors, workers=workers
    )
    ready = prepared(loaded)
    for line in _without_candidates(loaded, ready):
        announce(line)
    return concluded(conducted(ready, options, quiet=quiet))


def conducted(
    prepared: conduct.Prepared,
    options: conduct.RunOptions,
    *,
    quiet: bool,
    told: set[str] | None = None,
) -> conduct.Conclusion:
    """`harness.conduct.run` with the progress that a person wants; runs share what they remark."""
    progress = conduct.RunProgress() if quiet else conduct.ConsoleProgress(told=told)
    return conduct.run(prepared, options, progress)


def concluded(done: conduct.Conclusion) -> Done:
    """A run's result, where the report is, and what the numbers can show."""
    files = records.read_run_files(done.folder)
    standard = done.summary.mode(Mode.STANDARD)
    unchanged = standard.records and not standard.text_changes.count
    box, rest = verdict_box(done.summary, state=state_of(files, done.validation))
    shows_nothing = done.summary.stack.device == "cpu" and unchanged
    lines = [
        *below(done.summary, first_changes(done.folder)),
        "",
        f"measured on  {measured_on(done.summary, files)}",
        f"validation   {checks_text(done.validation.findings)}",
        *(f"report       {path}" for path in done.reports),
        "",
        *([_INCONCLUSIVE] if shows_nothing else ()),
        *filter(None, [nature(done.summary, files)]),
        *rest,
    ]
    fitting = [part for line in lines for part in fitted(line)] + box
    return Done(fitting, done.summary, failure=done.failure)


def prepared(loaded: LoadedSpec, source: conduct.CandidateSource | None = None) -> conduct.Prepared:
    """A run made ready, every sample that will be asked with all that its scorer needs.

    Raises:
        UsageError: an input is wrong; of a scorer's too, before any server starts.
    """
    if loaded.asks_for_models:
        loaded = _with_the_servers_model(loaded)
    ready = conduct.prepare(loaded, source=source) if source else conduct.prepare(loaded)
    targets = {record.group.target.key: record.group.target for record in ready.plan.records}
    for target in targets.values():
        score(target.task, target.sample, "", ready.spec.score_profile)
    return ready


def _with_the_servers_model(loaded: LoadedSpec) -> LoadedSpec:
    """The spec with the one model that its servers, which run already, say that they serve."""
    spec = loaded.spec
    listed = {mode: served_models(mode, spec.external[mode]) for mode in spec.modes}
    names = sorted({name for of_mode in listed.values() for name in of_mode})
    if len(names) != 1:
        raise UsageError(
            f"{len(names)} models are served there: {', '.join(map(visible, names))}",
            hint="say which with --model NAME=SERVED_NAME",
        )
    model = ModelSpec(name=names[0].rstrip("/").rpartition("/")[2] or names[0], hf_id=names[0])
    given = {**loaded.given, "models": [model.model_dump()]}
    models = {"models": (model,)}
    return replace(loaded, spec=spec.model_copy(update=models), given=given, asks_for_models=False)


def read_sizes(text: str, flag: str, least: int = 2, most: int = 65536) -> tuple[int, ...]:
    """Numbers of prompts from a flag, in the order given, each once.

    Raises:
        UsageError: one is no whole number from ``least`` to ``most``.
    """
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not (word.isascii() and word.isdigit() and least <= int(word[:9]) <= most):
            message = f"{flag}: {shown(word)} is no whole number from {least} to {most:,}"
            raise UsageError(message, hint=f"for example {flag} 4,8")
    return tuple(dict.fromkeys(map(int, words)))


def population_rows(batch_sizes: Sequence[int]) -> conduct.CandidateSource:
    """A source of candidates for `prepare`: whole slices in order, so that a batch is sent once.

    Raises:
        UsageError: a batch size under 2 or over the population, when the source is called.
    """

    def source(spec: RunSpec, population: Population) -> tuple[Candidate, ...]:
        most = len(population.prompts)
        listed = spec.request.endpoint is not RequestEndpoint.CHAT
        usual = (DispatchMode.SYNCHRONIZED, *([DispatchMode.PROMPT_LIST] if listed else []))
        modes = spec.schedules(usual)
        for size in batch_sizes:
            if not 2 <= size <= most:
                rule = f"is not between 2 and the population's {most} prompts"
                raise UsageError(f"--batch-sizes: {size} {rule}")
        rows = product(spec.models, modes, batch_sizes, population.prompts[: spec.limit])
        found = []
        for model, mode, size, prompt in rows:
            batch = {"batch_size": size, "dispatch_mode": mode, "phase": _SCAN}
            sample = {"task_name": prompt.task.name, "sample_id": prompt.sample.sample_id}
            of = {"model": model.name, "domain": str(prompt.task.domain)}
            found.append(Candidate.model_validate(batch | sample | of))
        return tuple(found)

    return source


def scan(
    loaded: LoadedSpec,
    results: Path,
    run_id: str | None,
    batch_sizes: Sequence[int],
    select: str,
    out: Path | None,
    *,
    fresh: bool,
    quiet: bool,
    include_cache: bool = False,
    workers: str | None = None,
    both_modes: bool = False,
    usd_per_hour: float | None = None,
    words: Sequence[str] = (),
    announce: Callable[[str], object] = lambda _: None,
) -> Done:
    """Ask every prompt alone and in its batches, in the spec's first mode, and export the changes.

    Args:
        both_modes: in all modes of the spec: the whole experiment on the whole population.
        usd_per_hour: the price of a GPU, for what it will cost.
        words: the scan's own flags as they were typed, for the command that goes on.
        announce: told what it will take and can show, before anything is started.

    Raises:
        UsageError: a flag or an input is wrong.
        RunError: as `harness.conduct.run`.
    """
    if select not in records.SELECTIONS:
        hint = nearest(select, records.SELECTIONS, "known")
        raise UsageError(f"--select: unknown rule '{select}'", hint=hint)
    modes = loaded.spec.modes[: None if both_modes else 1]
    changes: dict[str, Any] = {"modes": modes, "expect": Expect()}
    changes |= {"limit": FIRST_TRY} if loaded.first_try else {}
    scanned = replace(loaded, spec=loaded.spec.model_copy(update=changes))
    ready = prepared(scanned, population_rows(batch_sizes))
    for line in scan_lines(ready, usd_per_hour):
        announce(line)
    if loaded.first_try:
        every = f"--limit {len(ready.population.prompts)} asks all, --tasks DIR your own"
        announce(f"a first try, the first {FIRST_TRY} prompts of {loaded.file}: {every}")
    exported: list[records.ExportedCandidates] = []

    def export(folder: Path) -> None:
        target = out or folder / "candidates.csv"
        exported.append(
            export_scan(folder, target, ready, select=select, include_cache=include_cache)
        )

    options = conduct.RunOptions(
        results, run_id, fresh=fresh, kind=_SCAN, workers=workers, before_done=export
    )
    conclusion = conducted(ready, options, quiet=quiet)
    folder = conclusion.folder
    scanned_rows = f"scanned   {count_of(len(ready.plan.records), 'row')} in {folder}"
    lines = (scanned_rows, *exported_lines(exported[-1]), cache_line(folder))
    lines = (*lines, asked_line(ready.spec))
    if conclusion.summary.stack.unproven:
        lines = (*lines, "unproven  no log shows which kernels ran (--external-log MODE=FILE)")
    target = out or folder / "candidates.csv"
    lines = (*lines, f"written   {target}")
    if both_modes:  # that no row changed is a result of these
        done = concluded(conclusion)
        return Done((*lines, "", *done.lines), done.value, failure=done.failure)
    if not exported[-1].rows:
        return Done(lines, failure=nothing_found(folder, select))
    return Done((*lines, f"next      {run_after_scan(words, target)}"))


def scan_lines(ready: conduct.Prepared, usd_per_hour: float | None) -> Iterator[str]:
    """What a scan takes and can show: one mode alone is set against nothing, so it detects none."""
    total = estimate(ready.spec, ready.plan)
    prompts = len(ready.population.prompts[: ready.spec.limit])
    yield (
        f"{count_of(total.records, 'row')} of {count_of(prompts, 'prompt')} in "
        f"{count_of(total.lifetimes, 'server lifetime')}: {count_of(total.requests, 'request')} "
        f"for {count_of(total.answers, 'answer')}"
    )
    yield cost_line(total, usd_per_hour)
    warned = len(ready.spec.modes) > 1
    shown = power_lines(ready.spec, ready.plan)
    yield from (line for line in shown if warned or not line.startswith(("warning", "detectable")))


def export_scan(
    folder: Path,
    out: Path,
    prepared: conduct.Prepared,
    *,
    select: str,
    include_cache: bool = False,
    before: Callable[[str], object] = str,
) -> records.ExportedCandidates:
    """Export the selected rows of a scanned run as candidates, with a summary that holds no text.

    The summary stands beside the CSV ``out``; the scorers of the scan's tasks name the direction
    of a flip. Rows that only the cache moved are left out unless asked for. ``before`` is told the
    text of the CSV before it is written.
    """
    exported = records.export_candidates(
        (record for _, record in records.iter_records(folder / records.RECORDS)),
        select=select,
        include_cache=include_cache,
        source=f"scan {folder.name}",
        mode=str(prepared.spec.modes[0]),
        scorers={task.name: task.scorer for task in prepared.population.tasks},
    )
    before(exported.csv_text())
    records.write_candidates(exported, out)
    return exported
