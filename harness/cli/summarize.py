"""``harness summarize``: the numbers of a run, recomputed from its records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

HELP = """Recompute every number of a run from its records.

RUN is a run folder or a records file (JSONL, this harness's or any with the required columns).
Writes summary.json beside the records, or where -o says.

\b
  harness summarize results/20260524_172010
  harness summarize elsewhere.jsonl --json | jq .paired
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("summarize", help=HELP)
    def summarize(
        run: Annotated[Path, typer.Argument(help="Run folder or records file.")],
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="Where to write the summary.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    ) -> None:
        from harness.analyse import summarise_run, summary_lines
        from harness.records import read_run_files, write_json

        summary = summarise_run(run)
        target = output or read_run_files(run).folder / "summary.json"
        write_json(target, summary)
        if as_json:
            typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
            return
        for line in summary_lines(summary):
            typer.echo(line)
        typer.echo(f"wrote {target}", err=True)
