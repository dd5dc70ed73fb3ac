"""A whole population asked in one mode, and what changed in a batch exported as candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.candidates import Candidate
from harness.conduct import (
    CandidateSource,
    ConsoleProgress,
    RunOptions,
    RunProgress,
    prepare,
    run,
)
from harness.errors import UsageError
from harness.records import (
    RECORDS,
    SELECTIONS,
    ExportedCandidates,
    export_candidates,
    iter_records,
    write_candidates,
)
from harness.settings import Expect, LoadedSpec, RunSpec
from harness.tasks import Population, Task
from harness.words import DispatchMode, Mode

_PHASE = "scan"


def read_sizes(text: str) -> tuple[int, ...]:
    """Batch sizes from a flag, in the order given, each once.

    Raises:
        UsageError: not whole numbers.
    """
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise UsageError(
            f"--batch-sizes: '{text}' is not a list of whole numbers",
            hint="for example --batch-sizes 4,8",
        ) from None


def population_rows(batch_sizes: Sequence[int]) -> CandidateSource:
    """A source of candidates for `prepare`: whole slices in order, so that a batch is sent once.

    Raises:
        UsageError: a batch size under 2 or over the population, when the source is called.
    """

    def source(spec: RunSpec, population: Population) -> tuple[Candidate, ...]:
        for size in batch_sizes:
            if not 2 <= size <= len(population.prompts):
                raise UsageError(
                    f"--batch-sizes: {size} is not between 2 and the population's "
                    f"{len(population.prompts)} prompts"
                )
        modes = (
            (DispatchMode.SYNCHRONIZED, DispatchMode.PROMPT_LIST)
            if spec.dispatch_modes == "original"
            else spec.dispatch_modes
        )
        prompts = population.prompts[: spec.limit]
        return tuple(
            Candidate(
                model=model.name,
                task_name=prompt.task.name,
                sample_id=prompt.sample.sample_id,
                batch_size=size,
                dispatch_mode=mode,
                phase=_PHASE,
                domain=str(prompt.task.domain),
            )
            for model in spec.models
            for mode in modes
            for size in batch_sizes
            for prompt in prompts
        )

    return source


@dataclass(frozen=True, slots=True)
class Scanned:
    """A scan that was done: its run folder, how many rows it asked, and what it exported."""

    folder: Path
    rows: int
    exported: ExportedCandidates
    select: str
    out: Path

    def lines(self) -> Iterator[str]:
        """What was asked, what became a candidate, and where it is."""
        samples = {(row["task_name"], row["sample_id"]) for row in self.exported.rows}
        found = len(self.exported.rows)
        yield f"scanned   {self.rows} rows in {self.folder}"
        yield f"selected  {found} rows of {len(samples)} samples: {self.select}"
        yield f"written   {self.out}"


def scan(
    loaded: LoadedSpec,
    results: Path,
    run_id: str | None,
    *,
    fresh: bool,
    batch_sizes: str,
    select: str,
    out: Path | None,
    quiet: bool,
) -> Scanned:
    """Ask every prompt alone and in its batches, in the spec's first mode, and export the changes.

    Args:
        results, run_id, fresh: as of `harness.conduct.RunOptions`.
        batch_sizes: whole numbers, separated by commas.
        select: ``label_flip`` or ``text_change``: what makes a row a candidate.
        out: the candidate file; else in the run folder.

    Raises:
        UsageError: a flag or an input is wrong.
        RunError: as `harness.conduct.run`.
    """
    if select not in SELECTIONS:
        raise UsageError(f"--select: '{select}' is not one of {', '.join(SELECTIONS)}")
    mode = loaded.spec.modes[0]
    spec = loaded.spec.model_copy(update={"modes": (mode,), "expect": Expect()})
    source = population_rows(read_sizes(batch_sizes))
    prepared = prepare(replace(loaded, spec=spec), source=source)
    progress = RunProgress() if quiet else ConsoleProgress()
    options = RunOptions(results, run_id, fresh=fresh, kind="scan")
    folder = run(prepared, options, progress).folder
    target = out or folder / "candidates.csv"
    exported = export_scan(
        folder, target, select=select, tasks=prepared.population.tasks, mode=mode
    )
    return Scanned(folder, len(prepared.plan.records), exported, select, target)


def export_scan(
    folder: Path, out: Path, *, select: str, tasks: tuple[Task, ...], mode: Mode
) -> ExportedCandidates:
    """Export the selected rows of a scanned run as candidates, with a summary that holds no text.

    Args:
        folder: the scan's run folder.
        out: the CSV to write; its summary is written beside it.
        select: ``label_flip`` or ``text_change``.
        tasks: the scanned tasks; their scorers name the direction of a flip.
        mode: the mode that was scanned.
    """
    exported = export_candidates(
        (record for _, record in iter_records(folder / RECORDS)),
        select=select,
        source=f"scan {folder.name}",
        mode=str(mode),
        scorers={task.name: task.scorer for task in tasks},
    )
    write_candidates(exported, out)
    return exported
