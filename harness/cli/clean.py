"""``harness clean``: servers and containers that a killed run left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import RESULTS, note, say

EXAMPLE = """
Example: harness clean --dry-run && harness clean --run 20261124_054500-study-d
"""


def clean(
    run: Annotated[
        str | None, typer.Option(help="Only what belongs to this run: its id or its folder.")
    ] = None,
    results: Annotated[
        Path, typer.Option(help="Where the run folders are, for native servers.")
    ] = RESULTS,
    dry_run: Annotated[bool, typer.Option(help="List, and end nothing.")] = False,
) -> None:
    """End servers and remove containers of ours whose harness is gone; living runs are kept."""
    from harness.jobs import this_machine

    swept = this_machine.clean(run, results, dry_run=dry_run)
    say(this_machine.swept_lines(swept))
    for line in swept.notes:
        note(line)
