"""``harness candidates``: check candidate files, and export them from a scored run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import say, say_json

parts = typer.Typer(
    help="Check candidate files, and export them from a scored run.", no_args_is_help=True
)


@parts.command("check")
def check(
    files: Annotated[list[str], typer.Argument(help="Candidate files, CSV or JSONL.")],
    tasks: Annotated[
        str | None, typer.Option(help="Folder of task files; else the spec's own.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="A shipped spec, for its models.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A spec file, for its models.")
    ] = None,
    source: Annotated[
        str, typer.Option("--candidate-source", help="auto (by suffix), csv or jsonl.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Check candidate files against the tasks, and count them by slice.

    With --profile or --config the models must be those of that spec; without, any model name will do.

    \b
      harness candidates check candidates/demo_score_flips.csv --profile demo
      harness candidates check my_flips.csv --tasks candidates/population/tasks
    """  # noqa: E501
    from harness.jobs import input_files

    counts = input_files.check_candidate_files(
        files, tasks=tasks, profile=profile, config=config, source=source
    )
    if as_json:
        say_json(counts.to_json())
    else:
        say(counts.lines())


@parts.command("export")
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
    """Write the rows that changed between solo and batched as a candidate CSV.

    RUN is a run folder, a scan or a records file (JSONL). Beside the CSV, a
    `.summary.json` says by which rule the rows were chosen, how many there are in
    each slice, where they came from and the CSV's SHA-256. Neither file holds a
    prompt or an answer.

    \b
      harness candidates export results/20260529_205134-scan -o candidates/flips.csv
      harness candidates export records.jsonl -o changed.csv --select text_change --mode any
    """
    from harness.jobs import input_files

    say(input_files.export_run(run, out, select=select, mode=mode, tasks=tasks).lines())
