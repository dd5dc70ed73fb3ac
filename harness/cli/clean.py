"""``harness clean``: servers and containers that a killed run left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

_EPILOG = """
Example: harness clean --dry-run && harness clean --run 20261124_054500-study-d
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=_EPILOG)(clean)


def clean(
    run: Annotated[
        str | None, typer.Option(help="Only what belongs to this run: its id or its folder.")
    ] = None,
    results: Annotated[
        Path, typer.Option(help="Where the run folders are, for native servers.")
    ] = Path("results"),
    dry_run: Annotated[bool, typer.Option(help="List, and end nothing.")] = False,
) -> None:
    """End servers and remove containers of ours whose harness is gone; living runs are kept."""
    from harness.serve import sweep_everything

    folder = Path(run) if run else None
    if folder is not None and len(folder.parts) > 1:
        results = folder.parent
    outcome = sweep_everything(results, run_id=folder.name if folder else None, dry_run=dry_run)
    for line in outcome.lines:
        typer.echo(line)
    for line in outcome.kept:
        typer.echo(f"kept: {line}")
    if not outcome.lines and not outcome.kept:
        typer.echo("nothing of ours is left")
    for line in outcome.notes:
        typer.echo(line, err=True)
