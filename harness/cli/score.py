"""``harness score``: score a run's saved answers again, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import say, say_json


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
    """Score the saved answers of a run again, and compare the two profiles.

    RUN is a run folder or a records file (JSONL) that keeps its answers. Its
    records stay as they are: a new run folder `<RUN>/rescored/<profile>/` gets the
    same answers with the other scores, and summarize, validate and report read it
    like any run. `score_profiles.json` in it says where the profiles disagree.

    \b
      harness score results/20260529_205134-demo --profile paper
      harness summarize results/20260529_205134-demo/rescored/paper
      harness score records.jsonl --profile strict --tasks candidates/population/tasks --json
    """
    from harness.jobs import rescored_run

    done = rescored_run.rescore_run(run, profile=profile, tasks=tasks, out=out)
    if as_json:
        say_json(done.comparison)
    else:
        say(done.lines(show))
