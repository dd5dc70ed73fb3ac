"""What verbs share: options that several take, how a result is printed, what a process needs."""

import errno
import inspect
import io
import json
import os
import re
import resource
import shlex
import signal
import sys
import threading
from _thread import interrupt_main
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from typer import Argument, Option

from harness.errors import NOT_SET, EnvironmentError_, UsageError, shown
from harness.hostile import visible
from harness.jobs import Done, Remark
from harness.numbers import size_text
from harness.places import archive
from harness.refused import insist_on_place, trouble

if TYPE_CHECKING:
    from harness.settings import LoadedSpec

    Loaded: TypeAlias = LoadedSpec
else:
    Loaded = object  # a list of verbs does not wait for the run spec's model
Verb = Callable[..., None]
_DIFFERS = re.compile("⟪[^⟫]*(⟫|$)")
_COLOURS = {"FAILED": "red", "FAIL": "red", "pass": "green", "ok ": "green", "warning": "yellow"}
_LEAST_ROOM = 512 << 20
"""Bytes of address space in which numpy, scipy and a run's threads are loaded and work."""
_SOON_S, _M_ARENA_MAX = 0.02, -8
_PLACES = ("--results", "--out", "-o", "--output")
"""Flags of where to write."""
_STREAMS = {1: "stdout", 2: "stderr"}
SPEC_VERBS: dict[Verb, Verb] = {}
"""Verbs with the spec flags, by what stands for them until one is asked for."""


def run_place(run: Path | None) -> Path | None:
    """The path of a run that was named as `harness runs` lists it."""
    if run is None or run.is_file():
        return run
    from harness import jobs

    return jobs.run_list.place_of(run, RESULTS)


def results_place(path: Path) -> Path:
    """The folder of run folders: one that this user may list and not enter seems to hold none."""
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        hint = f"chmod u+rwX {shlex.quote(str(path))}, or name another with --results"
        raise UsageError("this user may not enter it", file=path, hint=hint)
    return path


def out_place(path: Path | None) -> Path | None:
    """The file of a verb that works for long before it writes it."""
    if path is not None:
        insist_on_place(path)
    return path


def out_folder(path: Path | None) -> Path | None:
    """The folder of a verb that may work for long before it writes there."""
    if path is not None:
        insist_on_place(path / "report")
    return path


Results = Annotated[Path, Option(help="Folder of run folders.", callback=results_place)]
Lock = Annotated[Path, Option(help="The lock file of images.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress.")]
RetryErrors = Annotated[bool, Option("--retry-errors", help="Ask failed records again.")]
RunId = Annotated[str | None, Option(help="Name of the run folder.")]
GpuPrice = Annotated[float | None, Option("--gpu-price", help="USD an hour of one GPU.")]
Workers = Annotated[
    int | None,
    Option("--jobs", help="Servers at once, each its own process."),
]
On = Annotated[str | None, Option("--on", help="Ray cluster for --jobs: local or address.")]
SummaryJson = Annotated[bool, Option("--json", help="Print the summary as JSON.")]
MaxFlipRate = Annotated[
    float | None,
    Option(min=0, max=1, metavar="SHARE", help="Gate: most label flips of B, 0 to 1."),
]
ReportFolder = Annotated[
    Path | None, Option("-o", "--out", callback=out_folder, help="Folder for the reports.")
]
RESULTS = Path("results")
RunPath = Annotated[Path, Argument(help="Run folder or records file.", callback=run_place)]
LOCK = Path("docker/images.lock.yaml")


class _Lasting(io.FileIO):
    """A standard stream that may be closed or full: what then is written is dropped."""

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write, or note why not."""
        try:
            return super().write(data) or 0
        except OSError as error:
            self.lost = error
            return len(data)


def hold_streams() -> Callable[[], None]:
    """Give this process standard streams that last, whatever becomes of those it was given.

    A closed descriptor is opened to /dev/null, so that no file of ours gets its number. Lost
    progress is no reason to stop a run, and a letter that the terminal lacks none for a traceback:
    it is written escaped. Streams that a caller has replaced stay as they are.

    Returns:
        What to call when all is said: it raises ``OSError`` where stdout could not be written. A
        reader that has left, as ``head`` does, is no error.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    raw = {name: _Lasting(number, "w", closefd=False) for number, name in _STREAMS.items()}
    for name, file in raw.items():
        found, original = getattr(sys, name), getattr(sys, f"__{name}__")
        if found is None or found is original:
            lines = name == "stderr" or file.isatty()
            stream = io.TextIOWrapper(
                io.BufferedWriter(file),
                encoding=found.encoding if found else "utf-8",
                errors="backslashreplace",
                line_buffering=lines,
            )
            setattr(sys, name, stream)

    def check() -> None:
        sys.stdout.flush()
        lost = raw["stdout"].lost
        if lost is not None and lost.errno != errno.EPIPE:
            raise EnvironmentError_(os.strerror(lost.errno or 0), file="standard output")

    return check


def insist_installed() -> None:
    """Refuse to run out of an archive, where what ships lies in no folder.

    Raises:
        EnvironmentError_: it is one, such as a wheel in ``PYTHONPATH``.
    """
    if (wheel := archive()) is not None:
        why = "the harness does not run out of an archive"
        raise EnvironmentError_(why, file=wheel, hint=f"install it: python -m pip install {wheel}")


def insist_on_room() -> None:
    """Refuse an address space in which a library would hang, or end the process, while it loads.

    The libraries of numpy and scipy start a thread a core, which nothing here has work for. That
    they do not is told to them and, other than by ``os.environ``, to no server.

    Raises:
        EnvironmentError_: ``ulimit -v`` leaves too little.
    """
    os.putenv("OPENBLAS_NUM_THREADS", os.environ.get("OPENBLAS_NUM_THREADS", "1"))
    room, _ = resource.getrlimit(resource.RLIMIT_AS)
    if room == resource.RLIM_INFINITY:
        return
    with suppress(OSError, AttributeError):  # each thread would reserve 64 MiB
        import ctypes

        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    if room < _LEAST_ROOM:
        raise EnvironmentError_(
            f"this process may use {size_text(room)} of address space and needs "
            f"{size_text(_LEAST_ROOM)}",
            hint=f"ulimit -v {_LEAST_ROOM >> 10}, or more for the server, or unlimited",
        )


def insist_on_text(words: Sequence[str]) -> None:
    """Refuse bytes that are no text: a name of them would end in files that nobody can read.

    A place of no name, as an empty variable gives it, is refused too: it is the current folder.

    Raises:
        UsageError: with the word at fault.
    """
    for place, word in enumerate(words):
        flag, given, value = word.partition("=")
        if not (value if given else word):
            flag = flag or words[max(0, place - 1)]
            if flag in _PLACES:
                hint = f"{NOT_SET} . is the current folder"
                raise UsageError(f"{flag}: nothing is named", hint=hint)
        try:
            word.encode()
        except UnicodeEncodeError as error:
            byte = ord(word[error.start]) & 0xFF  # as Python keeps what it could not decode
            flag = words[place - 1] if place and words[place - 1].startswith("--") else ""
            told = f"{flag}: {shown(word)}" if flag else shown(word)
            message, hint = f"{told} is not UTF-8: byte 0x{byte:02x}", "name it in UTF-8"
            raise UsageError(message, hint=hint) from error


def why_refused(error: Exception) -> str | None:
    """What the system refused this process, in a line; ``None`` where it was not the system."""
    if isinstance(error, RuntimeError):
        threads = "no further thread can be started here (ulimit -u, ulimit -v, or a container's)"
        return threads if "start new thread" in str(error) else None
    if isinstance(error, ImportError) and "failed to map segment" not in str(error):
        return None
    if not isinstance(error, OSError):
        return "there is not enough memory (ulimit -v, or this machine's)"
    if error.filename is not None:
        return str(trouble(error, ""))
    try:
        Path.cwd()
    except OSError:
        return "the working folder is gone (cd into one that is there)"
    return str(trouble(error, "this process"))


def hold_umask() -> None:
    """Let this user into the folders and files that are made, and no others in than before.

    An umask that takes its owner's own rights leaves a results folder that nobody can enter.
    """
    os.umask(os.umask(0o077) & 0o077)


def hold_signals() -> Callable[[], None]:
    """See to it that no Ctrl-C is lost: where Python would ignore one, it comes again.

    It may come while Python runs what it ignores the errors of, such as a destructor. SIGTERM and
    SIGHUP are heard as Ctrl-C is, between the steps of a verb too; what is ignored stays ignored.

    Returns:
        What to call when all is done: from then on a signal ends the process and says nothing.
    """
    before = sys.unraisablehook

    def hook(ignored: "sys.UnraisableHookArgs", /) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            threading.Timer(_SOON_S, interrupt_main).start()
        else:
            before(ignored)

    sys.unraisablehook = hook
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)

    def done() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)

    return done


def with_spec(verb: Verb) -> Verb:
    """What stands for a verb in lists: its name and help; `harness.cli.app` gives it its flags."""

    def listed() -> None:
        raise NotImplementedError(verb.__name__)

    listed.__name__, listed.__doc__ = verb.__name__, verb.__doc__
    SPEC_VERBS[listed] = verb
    return listed


def examples_first(verb: Verb | None) -> str:
    """The help of a verb with its examples right after its first sentence."""
    paragraphs = inspect.cleandoc(getattr(verb, "__doc__", "") or "").split("\n\n")
    shown = [text for text in paragraphs[1:] if text.startswith("\b")]
    rest = (" ".join(text.split()) for text in paragraphs[1:] if text not in shown)
    return "\n\n".join([paragraphs[0], *shown, *rest])


def say(lines: Iterable[object]) -> None:
    """Print lines to stdout: a result; a remark among them goes to stderr."""
    for line in lines:
        typer.echo(visible(str(line)), err=isinstance(line, Remark))


def note(line: str) -> None:
    """Print a line to stderr: progress, or a remark on a result."""
    typer.echo(visible(line), err=True)


def coloured(line: str) -> str:
    """A line with colour where it helps: the verdict's box, what differs, what failed.

    In a pipe, or where NO_COLOR is set, the line as it is.
    """
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return line
    if line[:1] in ("┌", "│", "└"):
        return typer.style(line, bold=True)
    for sign, colour in _COLOURS.items():
        if line.startswith(sign):
            return typer.style(sign, fg=colour, bold=True) + line[len(sign) :]
    return _DIFFERS.sub(lambda match: typer.style(match[0], fg="yellow"), line)


def tell(done: Done, as_json: bool = False, *, indent: int | None = None) -> None:
    """Print what a job came to, and let its failure set the exit code.

    Raises:
        HarnessError: the failure.
    """
    if as_json:
        say_json(done.value, indent=indent)
    else:
        for line in done.lines:
            typer.echo(coloured(visible(str(line))), err=isinstance(line, Remark))
    for remark in done.remarks:
        note(remark)
    if done.failure is not None:
        raise done.failure


def say_json(value: Any, *, indent: int | None = None) -> None:
    """Print a value, structs in it included, as JSON with its letters as they are."""
    from msgspec import to_builtins

    typer.echo(json.dumps(to_builtins(value), ensure_ascii=False, indent=indent))
