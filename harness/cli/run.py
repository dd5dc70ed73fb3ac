"""``harness run``: the whole ablation, or the rest of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.settings import with_spec_flags

__all__ = ["register"]

HELP = """Replay every candidate alone and in its batch, on both kernel paths, and compare.

On an unfinished run this goes on where it stopped; `--fresh` starts a new one.

\b
  harness run --profile demo
  harness run --profile study-d --candidates my_flips.csv --port 18010
  harness run -c my_run.yaml --run-id friday --retry-errors
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run", help=HELP)(_command())


def _command() -> Any:
    @with_spec_flags
    def run(
        loaded: Any,
        run_id: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
        results: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("results"),
        fresh: Annotated[bool, typer.Option(help="Never resume; start a new run.")] = False,
        retry_errors: Annotated[bool, typer.Option(help="Ask failed records again.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    ) -> None:
        from harness.conduct import prepare

        prepared = prepare(loaded)  # what is wrong with the input is said before the rest loads

        from harness.cli.outcome import finish
        from harness.conduct import ConsoleProgress, RunOptions, SilentProgress
        from harness.conduct import run as conduct

        options = RunOptions(results, run_id, fresh=fresh, retry_errors=retry_errors)
        progress = SilentProgress() if quiet else ConsoleProgress()
        finish(conduct(prepared, options, progress), as_json=as_json)

    return run
