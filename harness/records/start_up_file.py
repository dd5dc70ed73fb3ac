"""A start-up file: each start of one model's server in one mode, and what it showed of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from harness.hostile import shaped
from harness.words import MODES, PROVEN, Mode, Verdict, safe_name

Json = Mapping[str, Any]
INTERRUPTED = "Interrupted"
"""The type of the error of a start that a signal to the harness ended."""


def object_in(value: Json, key: str) -> Json:
    """The object under a key; empty where there is none."""
    return inner if isinstance(inner := value.get(key), Mapping) else {}


class LogQuote(Struct, frozen=True):
    """A line of a server's log, its number, and the process that wrote it."""

    line: int | None = None
    text: str | None = None
    process: str | None = None


class LogEvidence(Struct, frozen=True):
    """What a log showed of the kernel path (`harness.prove.ActivationEvidence`)."""

    verdict: str | None = None
    device: str | None = None
    vllm_version: str | None = None
    torch_version: str | None = None
    lines: tuple[LogQuote, ...] = ()
    expected: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    workers: int | None = None


class Process(Struct, frozen=True):
    """The process of ``/metrics``, and its processor time before and after the asking.

    After it is ``None`` where nobody could ask again, as of a server that had died.
    """

    started: float
    cpu_s_before: float
    cpu_s_after: float | None


class WorkersSay(Struct, frozen=True):
    """What the workers said of their kernels (`harness.prove.WorkerProof`)."""

    verdict: str
    ranks: int = 0
    expected_ranks: int | None = None
    lines: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class _Form(Struct):
    """The form of a file, and of what type it is."""

    schema_version: int | None = None


class _Server(Struct):
    """What is read of a server's settings, and of what types it is."""

    command: tuple[str, ...] | str | None = None
    environment: dict[str, str | None] | None = None


class Start(Struct, frozen=True):
    """One start of a server, as `harness.conduct` writes it; foreign files may lack anything.

    ``strangers``: ``None`` where nobody looked; of a ``superseded`` start no record is left.
    """

    server: Mapping[str, Any] = {}
    log: str | None = None
    log_sha256: str | None = None
    ready_after_s: float | None = None
    records: int | None = None
    ended_at: str | None = None
    verdict: str | None = None
    judged: LogEvidence | None = msgspec.field(default=None, name="evidence")
    metrics: Mapping[str, Any] = {}
    facts: Mapping[str, Any] = {}
    started_at: str | None = None
    strangers: tuple[str, ...] | None = None
    process: Process | None = None
    worker_proof: WorkersSay | None = None
    server_info: Mapping[str, Any] | None = None
    error: Any = None
    superseded: bool = False

    @property
    def evidence(self) -> LogEvidence:
        """What its log showed; nothing where it was not judged."""
        return self.judged or LogEvidence()

    @property
    def sampling_defaults(self) -> Mapping[str, Any] | None:
        """What the model's own file sets, empty where it is not told; ``None`` if it sets none."""
        overridden = self.facts.get("sampling_defaults_overridden")
        return object_in(self.facts, "sampling_defaults") if overridden else None

    @property
    def context_length(self) -> int | None:
        """Tokens that a prompt and its answer may have together; ``None`` where it is not told."""
        told = object_in(self.facts, "engine").get("max_seq_len")
        return int(told) if isinstance(told, str) and told.isdigit() else None

    @property
    def speculation(self) -> str | None:
        """Speculative decoding in the server's words, empty for none; ``None``: not told."""
        told = [object_in(self.facts, name) for name in ("engine", "arguments")]
        told.append(object_in(self.server_info or {}, "vllm_config"))
        said = [str(config.get("speculative_config")) for config in told if config]
        return next((one for one in said if one not in ("None", "{}")), "") if said else None

    @property
    def lived(self) -> tuple[float, float]:
        """When it started and ended, in seconds; 0 where it is not told."""
        try:
            began, ended = map(datetime.fromisoformat, (self.started_at or "", self.ended_at or ""))
        except ValueError:
            return 0.0, 0.0
        return began.timestamp(), ended.timestamp()

    @property
    def seconds(self) -> float:
        """From its start to its end; 0 where one of them is not told."""
        began, ended = self.lived
        return ended - began

    @property
    def was_cut(self) -> bool:
        """Whether it was killed, died, or was ended by a signal before its work was done."""
        return not self.ended_at or self.error is not None

    @property
    def failure(self) -> str | None:
        """Why it failed; ``None`` if it did not, or a signal to the harness ended it."""
        if self.superseded or self._error_type == INTERRUPTED:
            return None
        if isinstance(self.error, Mapping):
            return str(self.error.get("message", self.error))
        return None if self.error is None else str(self.error)

    @property
    def may_have_answered(self) -> bool:
        """Whether records can come from this start.

        None can where it was never ready, its log never judged, or its mode not proven: nothing is
        asked before that. One that was closed in order says how many ``records`` it gave; a killed
        one still has the 0 it began with.
        """
        if self.superseded or (self.records is not None and (self.records or self.ended_at)):
            return bool(self.records) and not self.superseded
        if self.ready_after_s is None or self._error_type in ("StartupFailed", "ModeNotProven"):
            return False
        return self.judged is not None or self.verdict != Verdict.INCONCLUSIVE

    @property
    def _error_type(self) -> object:
        return self.error.get("type") if isinstance(self.error, Mapping) else None

    @property
    def build(self) -> str:
        """``image sha256:… , vLLM 0.19.1, cuda``; empty where nothing is recorded."""
        image = object_in(self.server, "docker").get("image_id")
        version, device = self.evidence.vllm_version, self.evidence.device
        parts = (image and f"image {image}", version and f"vLLM {version}", device)
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Startup:
    """One ``startup_<mode>_<model>.json``: every start of a server of one (model, mode).

    Attributes:
        attempts: the starts, oldest first, as written.
        starts: the same, read.
        form: its ``schema_version``.
    """

    file: str
    model: str
    mode: str
    attempts: tuple[Json, ...]
    starts: tuple[Start, ...]
    form: int | None = None

    @property
    def last_error(self) -> str | None:
        """The error of the last start, ``None`` if it had none; no start at all is an error."""
        return self.starts[-1].failure if self.starts else "no start is recorded"

    def unproven(self) -> list[tuple[int, str]]:
        """Starts (from 1) whose server may have answered without its mode proven: the verdict."""
        expected = PROVEN.get(Mode(self.mode)) if self.mode in set(Mode) else None
        return [
            (number, str(start.verdict))
            for number, start in self.answering()
            if start.verdict != expected
        ]

    def answering(self) -> list[tuple[int, Start]]:
        """Starts (from 1) that may have produced records."""
        numbered = enumerate(self.starts, start=1)
        return [(number, start) for number, start in numbered if start.may_have_answered]

    def answered(self) -> int:
        """How many starts may have produced records."""
        return len(self.answering())

    def counter(self, name: str) -> float | None:
        """An engine counter summed over the starts that read it, ``None`` if none did."""
        read = (start.metrics.get(name) for start in self.starts if not start.superseded)
        known = [float(value) for value in read if isinstance(value, int | float)]
        return sum(known) if known else None

    def builds(self) -> list[str]:
        """Image and vLLM version of each start that may have answered."""
        return [start.build for _, start in self.answering() if start.build]


def startup_file(model: str, mode: str) -> str:
    """The name of the file that describes the starts of a (model, mode)."""
    return f"startup_{mode}_{safe_name(model)}.json"


def is_misnamed(file: str, model: object, mode: object) -> bool:
    """Whether a start-up file has not the name of what it tells of, as a copy kept beside it has.

    One that does not tell both, or tells a mode that we do not know, may have any name.
    """
    told = isinstance(model, str) and isinstance(mode, str) and mode in MODES
    return told and file != startup_file(str(model), str(mode))


def startup_of(file: str, value: Json) -> Startup:
    """What a start-up file says; one of an older form is one start.

    Raises:
        msgspec.ValidationError: the file or a start holds something of another type.
    """
    attempts = value.get("attempts")
    listed = attempts if isinstance(attempts, list) else [value]
    starts = tuple(attempt for attempt in listed if isinstance(attempt, Mapping))
    known = [{key: told for key, told in one.items() if told not in (None, {})} for one in starts]
    model, mode = str(value.get("model")), str(value.get("mode"))
    read = shaped(known, tuple[Start, ...])
    shaped([start.server for start in read], list[_Server])
    return Startup(file, model, mode, starts, read, shaped(value, _Form).schema_version)
