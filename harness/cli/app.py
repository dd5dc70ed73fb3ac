"""The command: one typer application, one place where errors become exit codes.

Every verb is imported and registered here by name. What a verb needs beyond its flags is loaded
when it is called, so that ``harness --help`` stays quick.
"""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer import Option
from typer.exceptions import TyperException

from harness import __version__
from harness.cli.cause_verbs import bench, certify, matrix, replay, shrink
from harness.cli.experiment_verbs import sample, trace
from harness.cli.image_verbs import PIN_EXAMPLE, bisect, images, pin
from harness.cli.input_verbs import candidates, init, models, schema, tasks
from harness.cli.misuse import misuse
from harness.cli.result_verbs import (
    adjudicate,
    compare,
    export,
    open_,
    report,
    runs,
    score,
    show,
    summarize,
    validate,
)
from harness.cli.run_verbs import (
    CLEAN_EXAMPLE,
    ablation,
    clean,
    compose,
    demo,
    doctor,
    engine,
    plan,
    run,
    scan,
    template,
    where,
)
from harness.cli.runpod_verbs import runpod
from harness.cli.terminal import (
    SPEC_VERBS,
    examples_first,
    hold_signals,
    hold_streams,
    hold_umask,
    insist_installed,
    insist_on_room,
    insist_on_text,
    why_refused,
)
from harness.errors import EnvironmentError_, HarnessError, Interrupted
from harness.hostile import visible

_HELP = """Paired batch-invariance ablation for vLLM.

The whole of it on any machine, and a run's first screen:

\b
  harness demo
  harness show RUN
"""
app = typer.Typer(
    name="harness",
    help=_HELP,
    epilog="`harness VERB -h` shows examples; with --help-all every setting of a run too.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_RUN, _READ = "Run", "Read what a run left"
_CAUSE = "From a change to its cause"
_INPUTS, _VERSIONS = "Prompts, candidates, models", "Images and versions"
_VERBS: tuple[tuple[Any, str, str], ...] = (
    (demo, _RUN, "The whole ablation on this machine's CPU, set-up included."),
    (run, _RUN, "Ask every candidate alone and in its batch, and compare."),
    (ablation, _RUN, "The whole ablation: check, smoke, scan, run, report."),
    (plan, _RUN, "What a run would do; no server is started."),
    (scan, _RUN, "Find the prompts that change in a batch."),
    (doctor, _RUN, "Check this machine, or a stack, for a run."),
    (compose, _RUN, "A Docker Compose file with both servers."),
    (template, _RUN, "A run's job for Kubernetes or Slurm."),
    (engine, _RUN, "Install the CPU engine that the demo runs on."),
    (runpod, _RUN, "A run on a rented GPU: launch, status, logs, fetch, stop."),
    (where, _RUN, "Where a file that ships with the harness lies."),
    (clean, _RUN, "End what a killed run left behind."),
    (certify, _CAUSE, "One verdict for one stack, within a bound."),
    (matrix, _CAUSE, "Which axis takes a change away."),
    (shrink, _CAUSE, "The smallest batch that changes an answer, as a file."),
    (replay, _CAUSE, "Ask a server for such a case again."),
    (bench, _CAUSE, "What the mode costs, with intervals."),
    (trace, _CAUSE, "Production traffic replayed, against each request alone."),
    (sample, _CAUSE, "Answers drawn above temperature 0, alone and in a batch."),
    (runs, _READ, "The runs that are here, with their state."),
    (show, _READ, "A run's first screen, or one of its changes."),
    (open_, _READ, "A run's report in the browser."),
    (summarize, _READ, "Recompute a run's numbers."),
    (validate, _READ, "Whether a run counts; exit 1 if not."),
    (report, _READ, "Markdown, HTML, JUnit XML, step summary."),
    (score, _READ, "Score the saved answers of a run again."),
    (export, _READ, "The records as a table, the rates as a drawing."),
    (compare, _READ, "Set two runs, or two modes, against each other; a gate."),
    (adjudicate, _READ, "Have people judge the flips, blinded."),
    (init, _INPUTS, "Three small files of your own that run as they are."),
    (schema, _INPUTS, "The JSON Schema of those files, for an editor."),
    (tasks, _INPUTS, "Check task files, and make them from data sets."),
    (candidates, _INPUTS, "Check candidate files, and export them from a run."),
    (models, _INPUTS, "Models that the Python index carries."),
    (images, _VERSIONS, "What is in an image, and what changed."),
    (pin, _VERSIONS, "Pin images by digest in the lock file."),
    (bisect, _VERSIONS, "As images bisect."),
)
"""Each verb, or group of verbs, with its panel and its line in the list, in their order."""
_EPILOGS = {pin: PIN_EXAMPLE, clean: CLEAN_EXAMPLE}
_HELP_ALL = "--help-all"
_LISTED: dict[int, Any] = {}
"""What stands for a verb in lists, by its registration."""

for verb, panel, line in _VERBS:
    if isinstance(verb, typer.Typer):
        app.add_typer(verb, rich_help_panel=panel, short_help=line)
    else:
        name = verb.__name__.rstrip("_")
        added = app.command(
            name,
            epilog=_EPILOGS.get(verb),
            rich_help_panel=panel,
            short_help=line,
            help=examples_first(verb),
            hidden=verb is bisect,  # its name is images bisect; this one is still taken
        )
        added(verb)
for group in (tasks, candidates, models, images, adjudicate, runpod):
    for part in group.registered_commands:
        part.help = examples_first(part.callback)


@app.callback()
def _of_all_verbs(
    version: Annotated[bool, Option("--version", "-V", help="Print the version and exit.")] = False,
) -> None:
    """Options before any verb."""


def with_flags_of(words: Sequence[str], *, whole_help: bool) -> None:
    """Give the verbs among these words their flags of the run spec; others need none loaded."""
    for info in (*app.registered_commands, *images.registered_commands):
        listed = _LISTED.setdefault(id(info), info.callback)
        if listed in SPEC_VERBS and listed.__name__ in words:
            from harness.settings import with_spec_flags

            info.callback = with_spec_flags(SPEC_VERBS[listed], whole_help=whole_help)


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line; an expected error is one message on stderr and its exit code.

    A file that cannot be read or written is the environment's fault, whichever verb met it.
    """
    done = hold_signals() if argv is None else lambda: None
    hold_umask()
    gc.set_threshold(50_000)  # what imports leave stays; to look through it costs a short verb 4%
    words = sys.argv[1:] if argv is None else argv
    try:
        code, message = _outcome(words, hold_streams())
    except KeyboardInterrupt:
        code, message = Interrupted.exit_code, Interrupted.told
    done()
    if message is not None:
        sys.stderr.write(f"{message}\n")
    sys.exit(code)


def _outcome(words: list[str], insist_on_output: Callable[[], None]) -> tuple[int, str | None]:
    """Play a command line; its exit code, and what is left to say on stderr."""
    if words[:1] in (["--version"], ["-V"]):
        sys.stdout.write(f"harness {__version__}\n")
        return 0, None
    try:
        insist_installed()
        insist_on_text(words)
        whole = _HELP_ALL in words
        words = ["--help" if word == _HELP_ALL else word for word in words]
        with_flags_of([*words, *os.environ.get("COMP_WORDS", "").split()], whole_help=whole)
        if not {"--help", "-h"} & set(words):
            insist_on_room()
        result = typer.main.get_command(app).main(words, prog_name="harness", standalone_mode=False)
        insist_on_output()
    except HarnessError as error:
        return error.exit_code, f"error: {visible(str(error))}"
    except TyperException as error:
        return _usage(error)
    except typer.Abort:
        return Interrupted.exit_code, "error: aborted"
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None  # a compiled module was loading: it made another of it
        if (why := why_refused(error)) is None:
            raise
        return EnvironmentError_.exit_code, f"error: {why}"
    code = result if isinstance(result, int) else 0
    return code, Interrupted.told if code == Interrupted.exit_code else None  # typer's Ctrl-C


def _usage(error: TyperException) -> tuple[int, str]:
    """One line for a flag that does not exist or fit; the help where nothing was typed."""
    message = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return 2, message
    return getattr(error, "exit_code", 2), f"error: {misuse(message, context)}"
