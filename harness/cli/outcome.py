"""What a finished run prints, and the exit code that it leaves."""

from __future__ import annotations

import json

import typer

from harness.conduct.conclude import Conclusion
from harness.errors import GateFailed

__all__ = ["finish"]


def finish(conclusion: Conclusion, *, as_json: bool) -> None:
    """Print the result.

    Raises:
        GateFailed: the run is complete but a check of its validation failed.
    """
    if as_json:
        typer.echo(json.dumps(conclusion.summary, ensure_ascii=False))
    else:
        from harness.analyse import summary_lines

        for line in summary_lines(conclusion.summary):
            typer.echo(line)
        for path in conclusion.reports:
            typer.echo(f"report: {path}")
    _insist(conclusion)


def _insist(conclusion: Conclusion) -> None:
    failures = conclusion.validation.failures
    if failures:
        raise GateFailed(
            f"{len(failures)} checks of the validation failed: the run is not countable",
            file=conclusion.folder / "validation.json",
            detail=tuple(f"{finding.check}: {finding.message}" for finding in failures),
        )
