"""``harness scan``: find the prompts of a population whose score changes in a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.settings import with_spec_flags

__all__ = ["register"]

HELP = """Send a whole population, each prompt alone and in its batch, in one mode.

Writes a scored run folder and exports its score flips as a candidate file, with a `.summary.json`
that holds no prompt and no answer.

\b
  harness scan --profile demo --batch-sizes 4,8 --out candidates/demo_score_flips.csv
  harness scan -c my_run.yaml --modes standard --batch-sizes 8,32 --dispatch-modes prompt_list
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("scan", help=HELP)(_command())


def _command() -> Any:
    @with_spec_flags
    def scan(
        loaded: Any,
        batch_sizes: Annotated[str, typer.Option(help="Batch sizes, comma separated.")] = "4,8",
        out: Annotated[
            Path | None, typer.Option(help="Candidate CSV; default: in the run folder.")
        ] = None,
        select: Annotated[
            str, typer.Option(help="label_flip or text_change: what makes a row a candidate.")
        ] = "label_flip",
        run_id: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
        results: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("results"),
        fresh: Annotated[bool, typer.Option(help="Never resume; start a new scan.")] = False,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    ) -> None:
        from harness.jobs import ScanRequest, scan_and_export

        request = ScanRequest(batch_sizes, out, select, run_id, results, fresh, quiet)
        scan_and_export(loaded, request)

    return scan
