"""``harness score``: score a run's saved answers again, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

HELP = """Score the saved answers of a run again, and compare the two profiles.

RUN is a run folder or a records file (JSONL) that keeps its answers. Its
records stay as they are: a new run folder `<RUN>/rescored/<profile>/` gets the
same answers with the other scores, and summarize, validate and report read it
like any run. `score_profiles.json` in it says where the profiles disagree.

\b
  harness score results/20260529_205134-demo --profile paper
  harness summarize results/20260529_205134-demo/rescored/paper
  harness score records.jsonl --profile strict --tasks candidates/population/tasks --json
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("score", help=HELP)(score)


def score(
    run: Annotated[Path, typer.Argument(help="Run folder or records file (JSONL).")],
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="paper (the study's scorers) or strict.")
    ] = "strict",
    tasks: Annotated[
        Path | None, typer.Option(help="Folder of task files; default: the run's own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the re-scored run.")
    ] = None,
    show: Annotated[int, typer.Option(help="Disagreements to print, at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Re-score and print where the profiles disagree."""
    from harness.jobs import comparison_lines, rescore_run

    done = rescore_run(run, profile=profile, tasks=tasks, out=out)
    if as_json:
        typer.echo(json.dumps(done.comparison, ensure_ascii=False))
        return
    for line in comparison_lines(done, show):
        typer.echo(line)
