"""``harness summarize``: the numbers of a run, recomputed from its records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import SummaryJson, note, say, say_json


def summarize(
    run: Annotated[Path, typer.Argument(help="Run folder or records file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write the summary.")
    ] = None,
    as_json: SummaryJson = False,
) -> None:
    """Recompute every number of a run from its records.

    RUN is a run folder or a records file (JSONL, this harness's or any with the required columns).
    Writes summary.json beside the records, or where -o says.

    \b
      harness summarize results/20260524_172010
      harness summarize elsewhere.jsonl --json | jq .paired
    """
    from harness.jobs import run_numbers

    done = run_numbers.summarise(run, output)
    if as_json:
        say_json(done.summary, indent=2)
    else:
        say(done.lines())
        note(f"wrote {done.file}")
