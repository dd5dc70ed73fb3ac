"""``harness ablation``: doctor, smoke, scan if needed, full run, validation and report."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.terminal import RESULTS, Results, SummaryJson, note, say, say_json
from harness.settings import LoadedSpec, with_spec_flags


@with_spec_flags
def ablation(
    loaded: LoadedSpec,
    results: Results = RESULTS,
    batch_sizes: Annotated[str, typer.Option(help="Batch sizes of the scan.")] = "4,16",
    only: Annotated[str | None, typer.Option(help="One step: smoke, scan or run.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Print what would be done.")] = False,
    as_json: SummaryJson = False,
) -> None:
    """The whole ablation on this machine, from the check of the machine to the report.

    Says beforehand what it will do. With no candidate file it first scans the task folder in standard
    mode and takes the prompts whose score changes in a batch. The same command goes on where it
    stopped.

    \b
      harness ablation --profile study-d --dry-run
      harness ablation --profile study-d --candidates candidates/my_flips.csv
      harness ablation --profile controlled --image vllm/vllm-openai:v0.20.2
    """  # noqa: E501
    from harness.jobs import ablation_steps, runs

    planned = ablation_steps.plan_ablation(loaded, results=results, batch_sizes=batch_sizes)
    planned = planned.only(only) if only else planned
    if dry_run:
        say(planned.announcement(results))
        for step in planned.steps:
            say(step.server_lines())
        return
    for line in planned.announcement(results):
        note(line)
    done = ablation_steps.run_ablation(planned, results)
    if as_json:
        say_json(done.summary)
    else:
        say(runs.outcome_lines(done))
    done.insist()
