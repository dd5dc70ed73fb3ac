"""Why a server did not start or died, read from its log: the cause, not the last generic line.

A table of signatures comes first (``failures.yaml``), because it carries remedies. What it does not
know is found by its form: the first exception that is not a mere report of another one.
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TypeVar

import yaml
from msgspec import Struct, convert

from harness.prove import ServerLog

_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_][\w]*\.)*[A-Z]\w*(?:(?:Error|Exception)(?:_\w+)?|Exit|Interrupt|Repo|NotFound"
    r"|Died)(?::|$)|^(?:[a-z_]\w*\.)*(?:errors?|exceptions?)\.[A-Z]\w+: |^Exception: "
)
_ECHO = re.compile(
    r"Engine core initialization failed|WorkerProc initialization failed|EngineDeadError"
    r"|see (?:the )?stack trace|check the stack trace|See root cause above|KeyboardInterrupt",
    re.IGNORECASE,
)
_ABOUT_A_REQUEST = re.compile(
    r"^(?:INFO|WARNING|ERROR|DEBUG) [\d: -]+\[(?:serving\w*|logger|request_logger|dump_input)\.py"
)
_REQUEST_OPENS = re.compile(r"(?:Received request|Generated response)\b.*(?:prompt|output): ['\"]")
_REQUEST_CLOSES = re.compile(r"['\"], (?:params|output_token_ids|lora_request)\b")
"""A prompt with line breaks goes on until its parameters, or the next line of a logger."""
_LIBRARIES = r"\b(?:NCCL|RCCL|UCX|UCC|NVSHMEM|OFI|HCCL)"
_CHATTER = re.compile(
    rf"{_LIBRARIES}\s+(?:INFO|TRACE|VERSION|DEBUG|ABORT\sinfo)\b|^\[?(?:INFO|DEBUG|TRACE)\b"
    r"|^(?:\[rank\d+\]:?)?\[?[IV]\d{4}\s"
)
"""What a library tells of its own work, such as a plug-in that it does without."""
_LIBRARY_WARNS = re.compile(rf"{_LIBRARIES}\s+WARN\b")
_WARNED = re.compile(
    rf"^WARNING |{_LIBRARY_WARNS.pattern}|^(?:\[rank\d+\]:?)?\[?W\d{{4}}\s|\b\w*Warning: "
)
_LEVELLED = re.compile(r"^(?:INFO|WARNING|ERROR|DEBUG|CRITICAL) \d\d-\d\d [\d:]+ \[[^\]]*\] ")
_QUOTE_WIDTH = 400
_FALLBACK_LINES = 5


class FailureKind(StrEnum):
    """What sort of failure it is; ``unsupported`` means this mode cannot run here at all."""

    ARCHITECTURE = "architecture"
    ARGUMENTS = "arguments"
    CUDA = "cuda"
    DISK_FULL = "disk_full"
    ENGINE_DIED = "engine_died"
    EXCEPTION = "exception"
    GATED_MODEL = "gated_model"
    HUB_LIMIT = "hub_limit"
    HUB_UNREACHABLE = "hub_unreachable"
    IMAGE = "image"
    KILLED = "killed"
    KV_CACHE = "kv_cache"
    LIMIT = "limit"
    MISSING_LIBRARY = "missing_library"
    MISSING_PACKAGE = "missing_package"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_UNSUPPORTED = "model_unsupported"
    NCCL = "nccl"
    NETWORK = "network"
    NO_DEVICE = "no_device"
    NO_ENGINE = "no_engine"
    OUT_OF_MEMORY = "out_of_memory"
    PERMISSION = "permission"
    PORT_IN_USE = "port_in_use"
    READ_ONLY = "read_only"
    SHARED_MEMORY = "shared_memory"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"
    UNSUPPORTED = "unsupported"
    WRONG_MODEL = "wrong_model"


class Meaning(Struct, frozen=True, forbid_unknown_fields=True):
    """What an end means, in one sentence, and what to do next."""

    kind: FailureKind
    cause: str
    remedy: str


class Signature(Meaning, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts and what they mean; ``with_exception`` quotes the exception beside the text."""

    says: tuple[str, ...]
    with_exception: bool = False


class KnownFailures(Struct, frozen=True, forbid_unknown_fields=True):
    """``failures.yaml``: what a log says, by name the signal that ended a server, an OOM mark."""

    signatures: tuple[Signature, ...]
    signals: dict[str, Meaning]
    out_of_memory: Meaning


T = TypeVar("T")


@cache
def read_table(package: str, name: str, kind: type[T]) -> T:
    """A table of data that lies beside the code of ``package``, read once."""
    text = files(package).joinpath(name).read_text(encoding="utf-8")
    return convert(yaml.safe_load(text), kind)


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


def classify_startup_failure(
    log_text: str, exit_code: int | None = None, *, oom_killed: bool = False
) -> StartupFailure:
    """Find the cause of a failed start or of a death in the middle.

    What is known comes before what is read: the mark of the out-of-memory killer, a signal, then
    what the log complains of after its last start.

    Args:
        log_text: the server's log, whole or cut.
        exit_code: the exit status, negative for a signal, where known.
        oom_killed: whether the container's engine says that it was killed for its memory.
    """
    known = read_table("harness.serve", "failures.yaml", KnownFailures)
    read = ServerLog.read(log_text)
    tail = tuple(line.text.strip()[:_QUOTE_WIDTH] for line in read.lines if line.text.strip())
    tail = tail[-_FALLBACK_LINES:]
    if meaning := known.out_of_memory if oom_killed else _of_signal(known, exit_code):
        return StartupFailure(meaning.kind, meaning.cause, tail, meaning.remedy)
    errors, warnings = _complaints(read)
    reports = (line for line in errors if _EXCEPTION.match(line) and not _ECHO.search(line))
    root = next((line[:_QUOTE_WIDTH] for line in reports), None)
    if found := _known_failure(known, errors, root, read.complaints):
        told = [line for line in warnings if _LIBRARY_WARNS.search(line)]
        if found.kind is FailureKind.NCCL and told:  # it says of what it failed in a warning
            return _known_failure(known, told, root, told) or found
        return found
    if root is not None:
        return StartupFailure(
            FailureKind.EXCEPTION,
            f"the server raised {root.split(':')[0].rpartition('.')[2]}",
            (root,),
            "read the traceback in the log; it is vLLM's own",
        )
    if found := _known_failure(known, warnings, None, warnings):
        return found
    cause, remedy = "the server ended by itself without an error", "something asked it to stop"
    if exit_code != 0:
        code = "" if exit_code is None else f" (exit code {exit_code})"
        cause = f"the log names no cause{code}"
        remedy = "try the command line of the start-up file by hand"
    return StartupFailure(FailureKind.UNKNOWN, cause, tail, f"look into the log; {remedy}")


def _complaints(read: ServerLog) -> tuple[list[str], list[str]]:
    """What the log complains of, its warnings apart: they are read where nothing else is said."""
    asked: set[str] = set()
    open_ = False
    for line in read.lines:
        own = _LEVELLED.match(line.text)
        if (open_ and not own) or _ABOUT_A_REQUEST.match(line.text):
            asked.add(_said(line.text))
        open_ = not _REQUEST_CLOSES.search(line.text) and (
            bool(_REQUEST_OPENS.search(line.text)) or (open_ and not own)
        )
    warned = {_said(line.text) for line in read.lines if _WARNED.search(line.text)}
    said = [line for line in read.complaints if line not in asked and not _CHATTER.search(line)]
    return [line for line in said if line not in warned], [line for line in said if line in warned]


def _said(text: str) -> str:
    """A line without its level, time and place."""
    return text.split("] ", 1)[-1] if _LEVELLED.match(text) else text


def _known_failure(
    known: KnownFailures, lines: Sequence[str], root: str | None, quotable: Sequence[str]
) -> StartupFailure | None:
    """What the first signature that fits a line says; quoted is the first line that it fits.

    ``root`` is the first exception; a warning may say best what an error then only follows from.
    """
    for signature in known.signatures:
        pattern = re.compile("|".join(signature.says))
        if any(map(pattern.search, lines)):
            line = next(line for line in quotable if pattern.search(line))
            quote = [line.strip()[:_QUOTE_WIDTH]]
            if signature.with_exception and root is not None and root not in quote:
                quote.insert(0, root)
            return StartupFailure(signature.kind, signature.cause, tuple(quote), signature.remedy)
    return None


def _of_signal(known: KnownFailures, exit_code: int | None) -> Meaning | None:
    """A container's exit code for a signal is 128 more than the signal's number."""
    if not exit_code:
        return None
    number = -exit_code if exit_code < 0 else exit_code - 128
    named = (meaning for name, meaning in known.signals.items() if signal.Signals[name] == number)
    return next(named, None)
