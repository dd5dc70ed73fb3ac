"""The command: one typer application, one place where errors become exit codes.

A verb lives in a file of its own and registers itself here by a ``register(app)`` function, so
that two verbs never share a file.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from harness.errors import EnvironmentError_, HarnessError

__all__ = ["app", "main"]

VERBS = (
    "run",
    "ablation",
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
    "bisect",
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


@cache
def _register_verbs() -> None:
    for verb in VERBS:
        name = f"harness.cli.{verb}"
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).register(app)


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line; an expected error is one message on stderr and its exit code.

    A file that cannot be read or written is the environment's fault, whichever verb met it.
    """
    _register_verbs()
    try:
        result = typer.main.get_command(app).main(argv, prog_name="harness", standalone_mode=False)
        sys.exit(result if isinstance(result, int) else 0)
    except HarnessError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}", EnvironmentError_.exit_code)
    except TyperException as error:
        _usage(error)
    except typer.Abort:
        _fail("aborted", 130)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _usage(error: TyperException) -> NoReturn:
    """One line for a flag that does not exist or fit; the help where nothing was typed."""
    message = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(message + "\n")
        sys.exit(2)
    where = f" (see `{context.command_path} --help`)" if context is not None else ""
    _fail(f"{message}{where}", getattr(error, "exit_code", 2))


def _fail(message: str, exit_code: int) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(exit_code)
