"""What lies beside a records file: metadata, start-up files and the selected candidates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os.path import lexists
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from harness.errors import UsageError
from harness.files import read_json, read_rows
from harness.records.record import RecordKey
from harness.words import PROVEN, Asking, Mode, Verdict

Json = Mapping[str, Any]
RECORDS = "vllm_records.jsonl"
METADATA = "metadata.json"
CANDIDATES = "selected_candidates.jsonl"
PROMPT_HASHES = "prompt_hashes.jsonl"
"""Each prompt of the population in its order, by key and hash: what batches are cut from."""
RUN_SCHEMA = frozenset({1})
INTERRUPTED = "Interrupted"
"""The type of the error of a start that a signal to the harness ended."""


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
    """The process of ``/metrics``, and its processor time before and after the asking."""

    started: float
    cpu_s_before: float
    cpu_s_after: float


class WorkersSay(Struct, frozen=True):
    """What the workers said of their kernels (`harness.prove.WorkerProof`)."""

    verdict: str
    ranks: int = 0
    expected_ranks: int | None = None
    lines: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


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
        return _object(self.facts, "sampling_defaults") if overridden else None

    @property
    def context_length(self) -> int | None:
        """Tokens that a prompt and its answer may have together; ``None`` where it is not told."""
        told = _object(self.facts, "engine").get("max_seq_len")
        return int(told) if isinstance(told, str) and told.isdigit() else None

    @property
    def speculation(self) -> str | None:
        """Speculative decoding in the server's words, empty for none; ``None``: not told."""
        told = [_object(self.facts, name) for name in ("engine", "arguments")]
        told.append(_object(self.server_info or {}, "vllm_config"))
        said = [str(config.get("speculative_config")) for config in told if config]
        return next((one for one in said if one not in ("None", "{}")), "") if said else None

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
        image = _object(self.server, "docker").get("image_id")
        version, device = self.evidence.vllm_version, self.evidence.device
        parts = (image and f"image {image}", version and f"vLLM {version}", device)
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Startup:
    """One ``startup_<mode>_<model>.json``: every start of a server of one (model, mode).

    Attributes:
        attempts: the starts, oldest first, as written.
        starts: the same, read.
    """

    file: str
    model: str
    mode: str
    attempts: tuple[Json, ...]
    starts: tuple[Start, ...]

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


def _object(value: Json, key: str) -> Json:
    return inner if isinstance(inner := value.get(key), Mapping) else {}


class _Model(Struct):
    name: str
    hf_id: str | None = None


class _Controls(Struct):
    askings: tuple[Asking, ...] | None = None
    prefix_caching: str | None = None
    worker_proof: bool | None = None


class _Candidates(Struct):
    rows: int | None = None


class _Spec(Struct):
    """What is read of a run's settings, and of what types it is."""

    backend: str | None = None
    modes: tuple[Mode, ...] | None = None
    models: tuple[_Model, ...] | None = None
    controls: _Controls | None = None
    request: dict[str, Any] | None = None
    expect: dict[str, int | None] | None = None
    server: dict[str, Any] | None = None


class _Session(Struct):
    started_at: str | None = None
    ended_at: str | None = None
    exit: int | None = None
    error: str | None = None


class _Metadata(Struct):
    """What is read of ``metadata.json``, and of what types it is; older ones lack some of it."""

    run_id: str | None = None
    kind: str | None = None
    complete: bool = False
    does_not_count: str | None = None
    planned_records: int | None = None
    spec: dict[str, Any] | None = None
    resolved_spec: _Spec | None = None
    versions: dict[str, str | None] | None = None
    host: dict[str, Any] | None = None
    device: dict[str, str | None] | None = None
    gpus: tuple[dict[str, Any], ...] | None = None
    image: dict[str, Any] | None = None
    candidates: _Candidates | None = None
    command_line: tuple[str, ...] | None = None
    dispatch_notes: dict[str, str] | None = None
    not_controlled: tuple[str, ...] | None = None
    sessions: tuple[_Session, ...] | None = None


@dataclass(frozen=True, slots=True)
class RunFiles:
    """A run folder, or a records file from elsewhere, with what came with it.

    Attributes:
        records_path: the records file.
        folder: where ``summary.json`` and ``validation.json`` go.
        metadata: ``metadata.json``; empty where there is none.
        startups: the start-up files, by name; empty for a file from elsewhere.
        candidates: keys of ``selected_candidates.jsonl``, ``None`` where there is none.
    """

    records_path: Path
    folder: Path
    metadata: Json = field(default_factory=dict)
    startups: tuple[Startup, ...] = ()
    candidates: tuple[RecordKey, ...] | None = None

    @property
    def is_run_folder(self) -> bool:
        """Whether the files beside the records are of these records and of no others."""
        return self.records_path.name == RECORDS

    @property
    def made_by_the_harness(self) -> bool:
        """Whether the metadata is the harness's own: then no file of a run may be missing."""
        return bool(self.metadata.get("sessions"))

    def prompts(self) -> list[tuple[str, str]] | None:
        """Key and hash of each prompt of the population; ``None`` where no file tells them.

        Raises:
            UsageError: the file is damaged.
        """
        path = self.folder / PROMPT_HASHES
        if not (self.is_run_folder and lexists(path)):
            return None
        return [(str(row.get("prompt")), str(row.get("sha256"))) for _, row in read_rows(path)]

    @property
    def startup_errors(self) -> int:
        """Start-up files whose last start failed."""
        return sum(startup.last_error is not None for startup in self.startups)

    @property
    def run_id(self) -> str | None:
        """The run's id; ``None`` where it is not recorded."""
        run_id = self.metadata.get("run_id")
        return run_id if isinstance(run_id, str) else None

    @property
    def versions(self) -> Json:
        """Of the packages, by name; empty where they are not recorded."""
        return _object(self.metadata, "versions")

    @property
    def device_name(self) -> str | None:
        """The device's own name; ``None`` where it is not recorded."""
        return _object(self.metadata, "device").get("name")

    @property
    def device_kind(self) -> str | None:
        """``cpu`` or ``cuda``; ``None`` where it is not recorded."""
        kind = _object(self.metadata, "device").get("kind")
        return kind if isinstance(kind, str) else None

    @property
    def spec(self) -> Json:
        """The resolved run spec, empty where it is not known."""
        spec = self.metadata.get("resolved_spec") or self.metadata.get("spec")
        return spec if isinstance(spec, Mapping) else {}


def read_run_files(path: Path | str) -> RunFiles:
    """Find the records of ``path`` (a run folder or a records file) and read what lies beside.

    Raises:
        UsageError: there is nothing at ``path``, or a file beside it is not JSON.
    """
    path = Path(path)
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        message = "not a regular file" if path.exists() else "no such run"
        raise UsageError(message, file=path, hint="give a run folder or a records file (JSONL)")
    if path.name == RECORDS:
        return _from_folder(path.parent)
    return RunFiles(records_path=path, folder=path.parent)


def _from_folder(folder: Path) -> RunFiles:
    known = [folder / RECORDS, folder / METADATA]
    if not any(map(lexists, known)):
        raise UsageError(
            f"no {RECORDS} in this folder",
            file=folder,
            hint="give a run folder (results/<run_id>) or a records file (JSONL)",
        )
    metadata = _metadata(known[1]) if lexists(known[1]) else {}  # what is there must be readable
    candidates = folder / CANDIDATES
    return RunFiles(
        records_path=folder / RECORDS,
        folder=folder,
        metadata=metadata,
        startups=tuple(_startup(file) for file in sorted(folder.glob("startup_*.json"))),
        candidates=_candidates(candidates) if lexists(candidates) else None,
    )


def _metadata(path: Path) -> Json:
    """The file as written, once all that is read of it is known to be of its type."""
    value = read_json(path)
    try:
        shaped = msgspec.convert(value, _Metadata)
        if shaped.resolved_spec is None:
            msgspec.convert(shaped.spec or {}, _Spec)
    except msgspec.ValidationError as error:
        raise UsageError(f"not a run's metadata: {error}", file=path) from error
    return value


def startup_of(file: str, value: Json) -> Startup:
    """What a start-up file says; one of an older form is one start.

    Raises:
        msgspec.ValidationError: a start holds something of another type.
    """
    attempts = value.get("attempts")
    listed = attempts if isinstance(attempts, list) else [value]
    starts = tuple(attempt for attempt in listed if isinstance(attempt, Mapping))
    known = [{key: told for key, told in one.items() if told not in (None, {})} for one in starts]
    model, mode = str(value.get("model")), str(value.get("mode"))
    return Startup(file, model, mode, starts, msgspec.convert(known, tuple[Start, ...]))


def _startup(path: Path) -> Startup:
    try:
        return startup_of(path.name, read_json(path))
    except msgspec.ValidationError as error:
        raise UsageError(f"not a start-up file: {error}", file=path) from error


def _candidates(path: Path) -> tuple[RecordKey, ...]:
    keys: list[RecordKey] = []
    for number, row in read_rows(path):
        try:
            names = str(row["model"]), str(row["task_name"]), str(row["sample_id"])
            keys.append((*names, int(row["batch_size"]), str(row["dispatch_mode"])))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"not a candidate: {error}", file=path, line=number) from error
    return tuple(keys)
