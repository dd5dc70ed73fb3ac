"""``harness validate``: whether a run counts, and why not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import say, say_json


def validate(
    run: Annotated[Path, typer.Argument(help="Run folder or records file.")],
    require_modes: Annotated[
        str | None, typer.Option(help="Modes that must be there, separated by commas.")
    ] = None,
    expected_rows_per_mode: Annotated[
        int | None, typer.Option(min=0, help="Records that each mode must have.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check everything that a run must show to be counted. Exit 0 if it does, 1 if not.

    RUN is a run folder or a records file (JSONL). Without flags the run's own spec says what to
    expect. Writes validation.json beside the records.

    \b
      harness validate results/20260524_172010 \\
          --require-modes standard,batch_invariant --expected-rows-per-mode 55
    """
    from harness.jobs import run_numbers

    found, written = run_numbers.validate(run, require_modes, expected_rows_per_mode)
    if as_json:
        say_json(found, indent=2)
    else:
        say(run_numbers.validation_lines(found))
    run_numbers.insist(found, written)
