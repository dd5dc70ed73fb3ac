"""``harness report``: a run's reports for people and for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import say


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder or records file.")],
    formats: Annotated[
        str, typer.Option("--format", help="Comma-separated: md, html, junit, github.")
    ] = "md,html",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder to write to; else beside RUN.")
    ] = None,
) -> None:
    """Write the reports of a run: Markdown and HTML, and for CI JUnit XML or a step summary.

    RUN is a run folder or a records file (JSONL). A run folder's numbers come from its summary.json and
    validation.json; where those are missing or older than the records, they are computed anew.

    \b
      harness report results/20260524_172010-study-d
      harness report records.jsonl --format html -o out
      harness report results/nightly --format junit,github
    """  # noqa: E501
    from harness.jobs import run_numbers

    say(run_numbers.report(run, formats, out))
