"""``harness validate``: whether a run counts, and why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import GateFailed, UsageError
from harness.words import Mode

__all__ = ["register"]

HELP = """Check everything that a run must show to be counted. Exit 0 if it does, 1 if not.

RUN is a run folder or a records file (JSONL). Without flags the run's own spec says what to
expect. Writes validation.json beside the records.

\b
  harness validate results/20260524_172010 \\
      --require-modes standard,batch_invariant --expected-rows-per-mode 55
"""
_MARKS = {"ok": "ok", "failed": "FAILED", "warning": "warning", "not_checked": "not checked"}


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("validate", help=HELP)
    def validate(
        run: Annotated[Path, typer.Argument(help="Run folder or records file.")],
        require_modes: Annotated[
            str | None, typer.Option(help="Modes that must be there, separated by commas.")
        ] = None,
        expected_rows_per_mode: Annotated[
            int | None, typer.Option(min=0, help="Records that each mode must have.")
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print the findings as JSON.")
        ] = False,
    ) -> None:
        from harness.analyse import validate_run
        from harness.records import read_run_files, write_json

        validation = validate_run(
            run,
            require_modes=None if require_modes is None else _modes(require_modes),
            expected_rows_per_mode=expected_rows_per_mode,
        )
        target = read_run_files(run).folder / "validation.json"
        write_json(target, validation.as_json())
        if as_json:
            typer.echo(json.dumps(validation.as_json(), ensure_ascii=False, indent=2))
        else:
            typer.echo(
                f"n_records = {validation.n_records}, n_ok = {validation.n_ok}, "
                f"startup_error_count = {validation.startup_error_count}"
            )
            for mode, count in validation.by_mode.items():
                typer.echo(f"{mode}: {count['records']} records, {count['errors']} errors")
            for finding in validation.findings:
                typer.echo(f"{_MARKS[finding.status]:<12} {finding.check}: {finding.message}")
        if not validation.ok:
            raise GateFailed(
                f"{len(validation.failures)} check(s) failed: this run does not count",
                file=target,
                detail=tuple(f"{f.check}: {f.message}" for f in validation.failures),
            )


def _modes(text: str) -> list[Mode]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    try:
        return [Mode(name) for name in names]
    except ValueError as error:
        raise UsageError(
            f"--require-modes: {error}", hint=f"known modes: {', '.join(Mode)}"
        ) from None
