"""What verbs share: options that several take, and how a result is printed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

Results = Annotated[Path, typer.Option(help="Folder of run folders.")]
Lock = Annotated[Path, typer.Option(help="The lock file of images.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
RunId = Annotated[str | None, typer.Option(help="Name of the run folder.")]
SummaryJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
MaxFlipRate = Annotated[
    float | None, typer.Option(min=0, max=1, help="Gate: most label flips of B, as a fraction.")
]
ReportFolder = Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the reports.")]
RESULTS = Path("results")
LOCK = Path("docker/images.lock.yaml")


def say(lines: Iterable[object]) -> None:
    """Print lines to stdout: a result."""
    for line in lines:
        typer.echo(line)


def note(line: str) -> None:
    """Print a line to stderr: progress, or a remark on a result."""
    typer.echo(line, err=True)


def say_json(value: Any, *, indent: int | None = None) -> None:
    """Print a value, structs in it included, as JSON with its letters as they are."""
    from msgspec import to_builtins

    typer.echo(json.dumps(to_builtins(value), ensure_ascii=False, indent=indent))
