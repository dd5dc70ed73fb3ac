"""The command: one typer application, one place where errors become exit codes.

Every verb is imported and registered here by name. What a verb needs beyond its flags is loaded
when it is called, so that ``harness --help`` stays quick.
"""

import gc
import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from harness.cli.image_verbs import PIN_EXAMPLE, bisect, images, pin
from harness.cli.input_verbs import candidates, models, tasks
from harness.cli.result_verbs import adjudicate, compare, report, score, summarize, validate
from harness.cli.run_verbs import CLEAN_EXAMPLE, ablation, clean, compose, doctor, plan, run, scan
from harness.cli.terminal import SPEC_VERBS, hold_streams
from harness.errors import EnvironmentError_, HarnessError
from harness.files import refusal

app = typer.Typer(
    name="harness",
    help="Paired batch-invariance ablation for vLLM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# in the order of the help
for verb in (run, ablation, plan, summarize, validate, report, score, scan, doctor):
    app.command()(verb)
app.command(epilog=PIN_EXAMPLE)(pin)
for verb in (bisect, compare, compose):
    app.command()(verb)
app.command(epilog=CLEAN_EXAMPLE)(clean)
for group in (tasks, candidates, models, images, adjudicate):
    app.add_typer(group)


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line; an expected error is one message on stderr and its exit code.

    A file that cannot be read or written is the environment's fault, whichever verb met it.
    """
    insist_on_output = hold_streams()
    gc.set_threshold(50_000)  # what imports leave stays; to look through it costs a short verb 4%
    words = sys.argv[1:] if argv is None else argv
    try:
        for info in (*app.registered_commands, *images.registered_commands):
            if (listed := info.callback) in SPEC_VERBS and listed.__name__ in words:
                from harness.settings import with_spec_flags

                info.callback = with_spec_flags(SPEC_VERBS[listed])
        result = typer.main.get_command(app).main(argv, prog_name="harness", standalone_mode=False)
        insist_on_output()
        sys.exit(result if isinstance(result, int) else 0)
    except HarnessError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.filename is not None:
            _fail(f"{error.filename}: {error.strerror}", EnvironmentError_.exit_code)
        _fail(
            str(refusal(error, "this process", "the system refuses it")),
            EnvironmentError_.exit_code,
        )
    except MemoryError:
        _fail("there is not enough memory (ulimit -v, or this machine's)", 3)
    except TyperException as error:
        _usage(error)
    except (typer.Abort, KeyboardInterrupt) as error:
        _fail("aborted" if isinstance(error, typer.Abort) else "interrupted", 130)


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
