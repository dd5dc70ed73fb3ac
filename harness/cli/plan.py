"""``harness plan``: what a run would ask, of which servers and in which batches."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.terminal import say, say_json
from harness.settings import LoadedSpec, with_spec_flags


@with_spec_flags
def plan(
    loaded: LoadedSpec,
    as_json: Annotated[bool, typer.Option("--json", help="One line a candidate and mode.")] = False,
) -> None:
    """Show what a run would do, without starting a server.

    \b
      harness plan --profile demo
      harness plan --profile study-d --candidates my_flips.csv
      harness plan -c my_run.yaml --json > plan.jsonl
    """
    from harness.jobs import runs

    planned = runs.plan(loaded)
    if not as_json:
        say(planned.lines())
        return
    for row in planned.rows():
        say_json(row)
