"""``harness scan``: find the prompts of a population whose score changes in a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import RESULTS, Quiet, Results, RunId, say
from harness.settings import LoadedSpec, with_spec_flags


@with_spec_flags
def scan(
    loaded: LoadedSpec,
    batch_sizes: Annotated[str, typer.Option(help="Batch sizes, comma separated.")] = "4,8",
    out: Annotated[
        Path | None, typer.Option(help="Candidate CSV; default: in the run folder.")
    ] = None,
    select: Annotated[
        str, typer.Option(help="label_flip or text_change: what makes a row a candidate.")
    ] = "label_flip",
    run_id: RunId = None,
    results: Results = RESULTS,
    fresh: Annotated[bool, typer.Option(help="Never resume; start a new scan.")] = False,
    quiet: Quiet = False,
) -> None:
    """Send a whole population, each prompt alone and in its batch, in one mode.

    Writes a scored run folder and exports its score flips as a candidate file, with a `.summary.json`
    that holds no prompt and no answer.

    \b
      harness scan --profile demo --batch-sizes 4,8 --out candidates/demo_score_flips.csv
      harness scan -c my_run.yaml --modes standard --batch-sizes 8,32 --dispatch-modes prompt_list
    """  # noqa: E501
    from harness.jobs import population_scan

    scanned = population_scan.scan(
        loaded,
        results,
        run_id,
        fresh=fresh,
        batch_sizes=batch_sizes,
        select=select,
        out=out,
        quiet=quiet,
    )
    say(scanned.lines())
