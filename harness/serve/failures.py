"""Why a server did not start or died, read from its log: the cause, not the last generic line.

A table of signatures comes first, because it carries remedies. What it does not know is found by
its form: the first exception that is not a mere report of another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.serve.failure_signatures import SIGNATURES, FailureKind, Signature

__all__ = ["FailureKind", "StartupFailure", "classify_startup_failure"]

_PREFIX = re.compile(r"^(?:\((?:EngineCore|Worker|VllmWorker|APIServer)[^)]*\)\s?)?")
_LEVEL = re.compile(r"^(?:INFO|WARNING|ERROR|DEBUG|CRITICAL) \d\d-\d\d [\d:]+ \[[^\]]*\]\s?")
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_][\w]*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Repo|NotFound|Died)(?::|$)"
    r"|^Exception: "
)
_ECHO = re.compile(
    r"Engine core initialization failed|WorkerProc initialization failed|EngineDeadError"
    r"|see (?:the )?stack trace|check the stack trace|See root cause above|KeyboardInterrupt",
    re.IGNORECASE,
)
_QUOTE_WIDTH = 400
_FALLBACK_LINES = 5


@dataclass(frozen=True, slots=True)
class StartupFailure:
    """A failure as a person should read it.

    Attributes:
        kind: what sort of failure it is.
        cause: one sentence.
        quote: the log lines that say so, without process prefixes.
        remedy: what to do next.
    """

    kind: FailureKind
    cause: str
    quote: tuple[str, ...]
    remedy: str


def classify_startup_failure(log_text: str, exit_code: int | None = None) -> StartupFailure:
    """Find the cause of a failed start or of a death in the middle.

    Args:
        log_text: the server's log, whole or cut.
        exit_code: the exit status, negative for a signal, where known.
    """
    lines = [_bare(line) for line in log_text.splitlines()]
    for signature in SIGNATURES:
        for line in lines:
            if signature.pattern.search(line):
                return _known(signature, line, lines)
    root = _root_exception(lines)
    if root is not None:
        return StartupFailure(
            FailureKind.EXCEPTION,
            f"the server raised {root.split(':')[0].rpartition('.')[2]}",
            (root[:_QUOTE_WIDTH],),
            "read the traceback in the log; it is vLLM's own",
        )
    return _by_exit_code(exit_code, lines)


def _known(signature: Signature, line: str, lines: list[str]) -> StartupFailure:
    quote = [line.strip()[:_QUOTE_WIDTH]]
    if signature.with_exception:
        root = _root_exception(lines)
        if root is not None and root[:_QUOTE_WIDTH] not in quote:
            quote.insert(0, root[:_QUOTE_WIDTH])
    return StartupFailure(signature.kind, signature.cause, tuple(quote), signature.remedy)


def _root_exception(lines: list[str]) -> str | None:
    """The first exception that does not only report another one."""
    for line in lines:
        if _EXCEPTION.match(line) and not _ECHO.search(line):
            return line
    return None


def _by_exit_code(exit_code: int | None, lines: list[str]) -> StartupFailure:
    tail = tuple(line[:_QUOTE_WIDTH] for line in lines if line.strip())[-_FALLBACK_LINES:]
    if exit_code in (137, -9):
        return StartupFailure(
            FailureKind.KILLED,
            "the server was killed (SIGKILL), most often for lack of memory",
            tail,
            "free host memory or lower --gpu-memory-utilization; look into dmesg for oom-kill",
        )
    if exit_code in (143, -15):
        return StartupFailure(
            FailureKind.KILLED,
            "the server was ended from outside (SIGTERM)",
            tail,
            "start the same command again; the run is resumed",
        )
    if exit_code in (135, -7):
        return StartupFailure(
            FailureKind.SHARED_MEMORY,
            "the server hit a bus error, as it does when /dev/shm is too small",
            tail,
            "give it more shared memory: server.shm_size, or --ipc=host",
        )
    if exit_code == 0:
        return StartupFailure(
            FailureKind.UNKNOWN,
            "the server ended by itself without an error",
            tail,
            "look into the log; something asked it to stop",
        )
    code = "" if exit_code is None else f" (exit code {exit_code})"
    return StartupFailure(
        FailureKind.UNKNOWN,
        f"the log names no cause{code}",
        tail,
        "look into the log, and try the command line of the start-up file by hand",
    )


def _bare(line: str) -> str:
    """A line without process prefix, level, time and place."""
    return _LEVEL.sub("", _PREFIX.sub("", line, count=1), count=1)
