"""``harness candidates``: check candidate files, and export them from a scored run."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.settings import DEFAULT_PROFILE

if TYPE_CHECKING:
    from harness.candidates import Candidate

__all__ = ["register"]

CHECK_HELP = """Check candidate files against the tasks, and count them by slice.

With --profile or --config the models must be those of that spec; without, any model name will do.

\b
  harness candidates check candidates/demo_score_flips.csv --profile demo
  harness candidates check my_flips.csv --tasks candidates/population/tasks
"""

_SLICES = ("model", "task_name", "domain", "phase", "batch_size", "dispatch_mode")


def register(app: typer.Typer) -> None:
    """Add the verb and its parts."""
    candidates_app = typer.Typer(
        help="Check candidate files, and export them from a scored run.", no_args_is_help=True
    )
    candidates_app.command("check", help=CHECK_HELP)(check)
    export = "harness.cli.candidates_export"
    if importlib.util.find_spec(export) is not None:
        importlib.import_module(export).add_export(candidates_app)
    app.add_typer(candidates_app, name="candidates")


def check(
    files: Annotated[list[str], typer.Argument(help="Candidate files, CSV or JSONL.")],
    tasks: Annotated[
        str | None, typer.Option(help="Folder of task files; else the spec's own.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="A shipped spec, for its models.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A spec file, for its models.")
    ] = None,
    source: Annotated[
        str, typer.Option("--candidate-source", help="auto (by suffix), csv or jsonl.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Check the files and print what is in them."""
    from harness.candidates import candidate_hashes, check_candidates
    from harness.settings import load_spec, spec_source
    from harness.tasks import load_tasks

    spec = load_spec(spec_source(profile, config, DEFAULT_PROFILE)).spec
    any_model = profile is None and config is None
    candidates = check_candidates(
        files,
        population=load_tasks(tasks or spec.tasks),
        models=None if any_model else spec.models,
        source=source,
    )
    hashes = candidate_hashes(files)
    counts = {name: _counts(candidates, name) for name in (*_SLICES, "original_direction")}
    if as_json:
        content = {"candidates": len(candidates), "files": hashes, "slices": counts}
        typer.echo(json.dumps(content, ensure_ascii=False))
        return
    for file, digest in hashes.items():
        typer.echo(f"{file}  sha256 {digest}")
    typer.echo(f"{len(candidates)} candidates")
    for name, slices in counts.items():
        line = ", ".join(f"{value} {count}" for value, count in slices.items())
        typer.echo(f"  {name:18} {line or '-'}")


def _counts(candidates: tuple[Candidate, ...], column: str) -> dict[str, int]:
    """How many candidates have each value of a column; rows without one are not counted."""
    values = [getattr(candidate, column) for candidate in candidates]
    return {str(key): n for key, n in sorted(Counter(v for v in values if v is not None).items())}
