"""``harness candidates export``: the rows of a scored run that changed, as a candidate file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["add_export"]

HELP = """Write the rows that changed between solo and batched as a candidate CSV.

RUN is a run folder, a scan or a records file (JSONL). Beside the CSV, a
`.summary.json` says by which rule the rows were chosen, how many there are in
each slice, where they came from and the CSV's SHA-256. Neither file holds a
prompt or an answer.

\b
  harness candidates export results/20260529_205134-scan -o candidates/flips.csv
  harness candidates export records.jsonl -o changed.csv --select text_change --mode any
"""
ANY_MODE = "any"


def add_export(candidates_app: typer.Typer) -> None:
    """Add ``export`` to ``harness candidates``."""
    candidates_app.command("export", help=HELP)(export)


def export(
    run: Annotated[Path, typer.Argument(help="Run folder or records file (JSONL).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Candidate CSV to write.")],
    select: Annotated[
        str, typer.Option(help="label_flip (the score differs) or text_change (the text does).")
    ] = "label_flip",
    mode: Annotated[
        str, typer.Option(help="Kernel path to look at: standard, batch_invariant or any.")
    ] = "standard",
    tasks: Annotated[
        Path | None,
        typer.Option(help="Folder of task files, for directions of records without evidence."),
    ] = None,
) -> None:
    """Select, write and say what was written."""
    from harness.candidates import export_candidates, write_candidates
    from harness.records import read_run_files
    from harness.tasks import load_tasks

    files = read_run_files(run)
    source = str(files.metadata.get("run_id") or files.records_path.name)
    scorers = {task.name: task.scorer for task in load_tasks(tasks).tasks} if tasks else None
    exported = export_candidates(
        _records(files.records_path),
        select=select,
        source=source,
        mode=None if mode == ANY_MODE else mode,
        scorers=scorers,
    )
    summary = write_candidates(exported, out)
    typer.echo(f"{out}: {len(exported.rows)} candidates by {select}, sha256 {exported.sha256}")
    typer.echo(f"{summary}: rule, counts by slice, source {source}")
    for name, slices in exported.summary(out.name)["slices"].items():
        line = ", ".join(f"{value} {count}" for value, count in slices.items())
        typer.echo(f"  {name:18} {line or '-'}")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    from harness.records import read_lines

    return (record for _, record in read_lines(path))
