"""The command: one typer application, one place where errors become exit codes.

A verb lives in a file of its own and registers itself here by a ``register(app)`` function, so
that two verbs never share a file.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

import typer

from harness.errors import HarnessError

__all__ = ["app", "main"]

VERBS = (
    "run",
    "plan",
    "summarize",
    "validate",
    "report",
    "score",
    "scan",
    "tasks",
    "candidates",
    "doctor",
    "pin",
    "images",
    "compare",
    "compose",
    "clean",
    "adjudicate",
)

app = typer.Typer(
    name="harness",
    help="Paired batch-invariance ablation for vLLM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _register_verbs() -> None:
    for verb in VERBS:
        name = f"harness.cli.{verb}"
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).register(app)


def main(argv: list[str] | None = None) -> Any:
    """Run the command line; an expected error is one message on stderr and its exit code."""
    _register_verbs()
    try:
        app(argv)
    except HarnessError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
