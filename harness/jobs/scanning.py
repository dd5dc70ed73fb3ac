"""What ``harness scan`` does after its flags were read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import typer

from harness.conduct import ConsoleProgress, RunOptions, SilentProgress, prepare, run
from harness.errors import UsageError
from harness.jobs.population_scan import population_rows
from harness.jobs.scan_export import export_scan
from harness.settings import Expect, LoadedSpec

__all__ = ["ScanRequest", "read_sizes", "scan_and_export"]

SELECTIONS = ("label_flip", "text_change")


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """The verb's own flags."""

    batch_sizes: str
    out: Path | None
    select: str
    run_id: str | None
    results: Path
    fresh: bool
    quiet: bool


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


def scan_and_export(loaded: LoadedSpec, request: ScanRequest) -> None:
    """Scan the population and print what became a candidate.

    Raises:
        UsageError: a flag or an input is wrong.
        RunError: as `harness.conduct.run.run`.
    """
    if request.select not in SELECTIONS:
        raise UsageError(f"--select: '{request.select}' is not one of {', '.join(SELECTIONS)}")
    loaded = _in_one_mode(loaded)
    prepared = prepare(loaded, source=population_rows(read_sizes(request.batch_sizes)))
    progress = SilentProgress() if request.quiet else ConsoleProgress()
    options = RunOptions(request.results, request.run_id, fresh=request.fresh, kind="scan")
    done = run(prepared, options, progress)
    out = request.out or done.folder / "candidates.csv"
    exported = export_scan(
        done.folder / "vllm_records.jsonl",
        out,
        select=request.select,
        tasks=prepared.population.tasks,
        mode=str(loaded.spec.modes[0]),
    )
    samples = {(row["task_name"], row["sample_id"]) for row in exported.rows}
    typer.echo(f"scanned   {len(prepared.plan.records)} rows in {done.folder}")
    typer.echo(f"selected  {len(exported.rows)} rows of {len(samples)} samples: {request.select}")
    typer.echo(f"written   {out}")


def _in_one_mode(loaded: LoadedSpec) -> LoadedSpec:
    """The same spec with its first mode only: a scan asks what one kernel path does."""
    spec = loaded.spec
    changes = {"modes": spec.modes[:1], "expect": Expect()}
    return replace(loaded, spec=spec.model_copy(update=changes))
