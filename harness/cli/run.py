"""``harness run``: the whole ablation, or the rest of it."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.terminal import RESULTS, Quiet, Results, RunId, SummaryJson, say, say_json
from harness.settings import LoadedSpec, with_spec_flags


@with_spec_flags
def run(
    loaded: LoadedSpec,
    run_id: RunId = None,
    results: Results = RESULTS,
    fresh: Annotated[bool, typer.Option(help="Never resume; start a new run.")] = False,
    retry_errors: Annotated[bool, typer.Option(help="Ask failed records again.")] = False,
    as_json: SummaryJson = False,
    quiet: Quiet = False,
) -> None:
    """Replay every candidate alone and in its batch, on both kernel paths, and compare.

    On an unfinished run this goes on where it stopped; `--fresh` starts a new one.

    \b
      harness run --profile demo
      harness run --profile study-d --candidates my_flips.csv --port 18010
      harness run -c my_run.yaml --run-id friday --retry-errors
    """
    from harness.jobs import runs

    done = runs.run(loaded, results, run_id, fresh=fresh, retry_errors=retry_errors, quiet=quiet)
    if as_json:
        say_json(done.summary)
    else:
        say(runs.outcome_lines(done))
    done.insist()
