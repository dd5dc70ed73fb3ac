"""What lies beside a records file: metadata, start-up files and the selected candidates."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from os.path import lexists
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from harness.errors import UsageError
from harness.files import read_json, read_lines, read_rows
from harness.hostile import shaped
from harness.records.record import RecordKey
from harness.records.sealed_file import SIDE_SCHEMA, UNSEALED_SCHEMA, read_side_file
from harness.records.start_up_file import (
    Startup,
    is_misnamed,
    object_in,
    startup_file,
    startup_of,
)
from harness.refused import TO_MOVE
from harness.words import Asking, BackendName, Mode

Json = Mapping[str, Any]
RECORDS = "vllm_records.jsonl"
METADATA = "metadata.json"
CANDIDATES = "selected_candidates.jsonl"
SUPERSEDED = "superseded_records.jsonl"
"""Records that were asked again, as they were."""
TORN = "vllm_records.torn"
"""What is left of last lines that were cut."""
PROMPT_HASHES = "prompt_hashes.jsonl"
"""Each prompt of the population in its order, by key and hash: what batches are cut from."""
RUN_SCHEMA = frozenset({1, SIDE_SCHEMA})
RUN_FIELDS = frozenset(
    (
        *("schema_version", "run_id", "kind", "fingerprint", "spec", "resolved_spec"),
        *("command_line", "versions", "git_commit", "host", "gpus", "device", "declared_image"),
        *("candidates", "model_files", "planned_records", "dispatch_notes", "not_controlled"),
        *("sessions", "complete"),
    )
)
"""What metadata.json tells of every run whose plan is sealed, be it ``null``."""
_ANEW = "the same `harness run` writes it anew"
ASKED_ANEW = (
    "move it away, and the same `harness run` with --retry-errors asks its server's records again"
)
"""What mends a start-up file that cannot be gone on with."""
NEVER_ANEW = "no command makes it anew: put back a copy that is whole, or start a new run (--fresh)"
"""What is to be done where the file that tells of a run is damaged or gone."""
_JUDGED = (
    *(RECORDS, METADATA, CANDIDATES, SUPERSEDED, TORN, PROMPT_HASHES),
    *(f"{backend}_*.log*" for backend in BackendName),
)


class _Model(Struct):
    name: str
    hf_id: str | None = None


class _Controls(Struct):
    askings: tuple[Asking, ...] | None = None
    prefix_caching: str | None = None
    worker_proof: bool | None = None
    warmup_requests: int | None = None
    order: str | None = None


class _Request(Struct):
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    endpoint: str | None = None


class _Server(Struct):
    dtype: str | None = None
    max_model_len: int | str | None = None
    extra_args: tuple[str, ...] | str | None = None
    env: dict[str, Any] | None = None


class _Candidates(Struct):
    rows: int | None = None


class _Spec(Struct):
    """What is read of a run's settings, and of what types it is."""

    backend: str | None = None
    modes: tuple[Mode, ...] | None = None
    models: tuple[_Model, ...] | None = None
    controls: _Controls | None = None
    request: _Request | None = None
    tasks: str | None = None
    expect: dict[str, int | None] | None = None
    server: _Server | None = None


class _Session(Struct):
    started_at: str | None = None
    ended_at: str | None = None
    exit: int | None = None
    error: str | None = None
    clock_moved_s: float | None = None


class _Metadata(Struct):
    """What is read of ``metadata.json``, and of what types it is; older ones lack some of it."""

    schema_version: int | None = None
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

    @property
    def clock_moved_s(self) -> float:
        """By how many seconds the machine's clock was set, at the most, while a session worked."""
        told = (session.get("clock_moved_s") for session in self.metadata.get("sessions") or ())
        return max((moved for moved in told if moved), default=0.0)

    @property
    def plan_gone(self) -> list[str]:
        """Files that are missing of those that tell what was planned, by name."""
        return [name for name in (CANDIDATES, PROMPT_HASHES) if not lexists(self.folder / name)]

    def judged_files(self) -> list[Path]:
        """What checks read of a run: its records and, in a run folder, all that tells of them."""
        if not self.is_run_folder:
            return [self.records_path]
        found = [path for pattern in _JUDGED for path in self.folder.glob(pattern)]
        return sorted(path for path in (*found, *startup_paths(self.folder)) if path.is_file())

    def prompts(self) -> list[tuple[str, str]] | None:
        """Key and hash of each prompt of the population; ``None`` where no file tells them.

        Raises:
            UsageError: the file is damaged.
        """
        path = self.folder / PROMPT_HASHES
        return read_prompts(path) if self.is_run_folder and lexists(path) else None

    def lines_set_aside(self) -> Iterator[bytes]:
        """Records, or what is left of them, that were set aside to be asked again."""
        for path in (self.folder / SUPERSEDED, self.folder / TORN):
            if self.is_run_folder and lexists(path):
                yield from (line for _, line in read_lines(path))

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
        return object_in(self.metadata, "versions")

    @property
    def device_name(self) -> str | None:
        """The device's own name; ``None`` where it is not recorded."""
        return object_in(self.metadata, "device").get("name")

    @property
    def device_kind(self) -> str | None:
        """``cpu`` or ``cuda``; ``None`` where it is not recorded."""
        kind = object_in(self.metadata, "device").get("kind")
        return kind if isinstance(kind, str) else None

    @property
    def vllm(self) -> str | None:
        """The servers' release of vLLM; ``None`` where it is not recorded."""
        told = self.versions.get("vllm") or self.versions.get("server_vllm")
        return told if isinstance(told, str) else None

    @property
    def gpu(self) -> Json:
        """The first GPU of the machine; empty where none is recorded, or the CPU computed."""
        gpus = self.metadata.get("gpus")
        return gpus[0] if gpus and self.device_kind != "cpu" else {}

    @property
    def capability(self) -> str | None:
        """The GPU's compute capability, such as ``9.0``; ``None`` where there is none."""
        told = self.gpu.get("compute_cap")
        return None if told is None else str(told)

    @property
    def parity(self) -> list[tuple[str, Json]]:
        """Model and setting of what the two modes' servers logged differently, as it is told."""
        return [
            (model, difference)
            for model, found in object_in(self.metadata, "mode_parity").items()
            for difference in (found if isinstance(found, list) else ())
            if isinstance(difference, Mapping)
        ]

    @property
    def spec(self) -> Json:
        """The resolved run spec, empty where it is not known."""
        spec = self.metadata.get("resolved_spec") or self.metadata.get("spec")
        return spec if isinstance(spec, Mapping) else {}

    @property
    def planned_records(self) -> int | None:
        """How many records the plan asked for; ``None`` where it is not recorded."""
        planned = self.metadata.get("planned_records")
        return planned if isinstance(planned, int) else None

    @property
    def lines_there(self) -> int:
        """Whole lines of the records file; 0 where there is none. A line that was cut is none."""
        if not self.records_path.is_file():
            return 0
        with self.records_path.open("rb") as stream:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))

    @property
    def lacks_logs(self) -> bool:
        """Whether the servers are somebody else's and the run was given no log of theirs."""
        servers = object_in(self.spec, "external").values()
        theirs = self.spec.get("backend") == BackendName.EXTERNAL
        return theirs and not any(isinstance(one, Mapping) and one.get("log") for one in servers)


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
    startups = tuple(_startup(file) for file in startup_paths(folder))
    if lexists(known[1]):
        _insist_on_form(known[1], metadata, startups)
    candidates = folder / CANDIDATES
    return RunFiles(
        records_path=folder / RECORDS,
        folder=folder,
        metadata=metadata,
        startups=startups,
        candidates=read_selected(candidates) if lexists(candidates) else None,
    )


def startup_paths(folder: Path) -> list[Path]:
    """The start-up files of a run folder in order, damaged ones too; a misnamed copy is none."""
    return [path for path in sorted(folder.glob("startup_*.json")) if not _is_copy(path)]


def _is_copy(path: Path) -> bool:
    with suppress(UsageError):  # told where it is read
        told = read_json(path)
        model, mode = told.get("model"), told.get("mode")
        if is_misnamed(path.name, model, mode):  # where none has the name, it is a damaged one
            return path.with_name(startup_file(str(model), str(mode))).exists()
    return False


@contextmanager
def _mended_by(how: str) -> Iterator[None]:
    """What is damaged is told with what mends it."""
    try:
        yield
    except UsageError as error:
        moved = error.hint in TO_MOVE.values() and not how.startswith("move it")
        error.hint = f"{error.hint}; then {how}" if moved else how
        raise


@_mended_by(NEVER_ANEW)
def _metadata(path: Path) -> Json:
    """The file as written, once all that is read of it is known to be of its type."""
    value = read_side_file(path)
    try:
        told = shaped(value, _Metadata)
        if told.resolved_spec is None:
            shaped(told.spec or {}, _Spec)
    except msgspec.ValidationError as error:
        raise UsageError(f"not a run's metadata: {error}", file=path) from error
    if "plan_sha256" in value and (gone := sorted(RUN_FIELDS - value.keys())):
        raise UsageError(f"damaged: a run of this form tells {', '.join(gone)}", file=path)
    return value


@_mended_by(NEVER_ANEW)
def _insist_on_form(path: Path, metadata: Json, startups: Iterable[Startup]) -> None:
    """It is written before any start-up file, and then in no older form than that."""
    later = any(startup.form == SIDE_SCHEMA for startup in startups)
    if later and metadata.get("schema_version") in UNSEALED_SCHEMA:
        raise UsageError("damaged: it has no checksum, and start-up files here do", file=path)


@_mended_by(ASKED_ANEW)
def _startup(path: Path) -> Startup:
    try:
        return startup_of(path.name, read_side_file(path))
    except msgspec.ValidationError as error:
        raise UsageError(f"not a start-up file: {error}", file=path) from error


@_mended_by(_ANEW)
def read_selected(path: Path) -> tuple[RecordKey, ...]:
    """The keys of ``selected_candidates.jsonl``, in order.

    Raises:
        UsageError: it is damaged; with the line.
    """
    keys: list[RecordKey] = []
    for number, row in read_rows(path):
        try:
            names = str(row["model"]), str(row["task_name"]), str(row["sample_id"])
            keys.append((*names, int(row["batch_size"]), str(row["dispatch_mode"])))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"not a candidate: {error}", file=path, line=number) from error
    return tuple(keys)


def read_prompts(path: Path) -> list[tuple[str, str]]:
    """Key and hash of each prompt in ``prompt_hashes.jsonl``, in order.

    Raises:
        UsageError: it is damaged; with the line.
    """
    return [(str(row.get("prompt")), str(row.get("sha256"))) for _, row in read_rows(path)]
