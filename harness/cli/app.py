"""The command: one typer application, one place where errors become exit codes.

Every verb is imported and registered here by name. What a verb needs beyond its flags it imports
when it is called, so that ``harness --help`` stays quick.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from harness.cli import (
    ablation,
    adjudicate,
    candidates,
    clean,
    compare,
    compose,
    doctor,
    images,
    plan,
    report,
    run,
    scan,
    score,
    summarize,
    tasks,
    validate,
)
from harness.errors import EnvironmentError_, HarnessError

app = typer.Typer(
    name="harness",
    help="Paired batch-invariance ablation for vLLM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# in the order of the help
app.command("run")(run.run)
app.command("ablation")(ablation.ablation)
app.command("plan")(plan.plan)
app.command("summarize")(summarize.summarize)
app.command("validate")(validate.validate)
app.command("report")(report.report)
app.command("score")(score.score)
app.command("scan")(scan.scan)
app.command("doctor")(doctor.doctor)
app.command("pin", epilog=images.PIN_EXAMPLE)(images.pin)
app.command("bisect")(images.bisect)
app.command("compare")(compare.compare)
app.command("compose")(compose.compose)
app.command("clean", epilog=clean.EXAMPLE)(clean.clean)
app.add_typer(tasks.parts, name="tasks")
app.add_typer(candidates.parts, name="candidates")
app.add_typer(images.parts, name="images")
app.add_typer(adjudicate.parts, name="adjudicate")


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line; an expected error is one message on stderr and its exit code.

    A file that cannot be read or written is the environment's fault, whichever verb met it.
    """
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
