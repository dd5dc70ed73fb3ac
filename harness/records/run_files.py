"""What lies beside a records file: metadata, start-up files and the selected candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import read_json, read_rows
from harness.records.record import RecordKey
from harness.words import PROVEN, Mode, Verdict

Json = Mapping[str, Any]
RECORDS = "vllm_records.jsonl"
METADATA = "metadata.json"
CANDIDATES = "selected_candidates.jsonl"
_BEFORE_RECORDS = frozenset({"StartupFailed", "ModeNotProven"})


@dataclass(frozen=True, slots=True)
class Startup:
    """One ``startup_<mode>_<model>.json``: every start of a server of one (model, mode).

    Attributes:
        attempts: the starts, oldest first, as written.
    """

    file: str
    model: str
    mode: str
    attempts: tuple[Json, ...]

    @property
    def last_error(self) -> str | None:
        """The error of the last start, ``None`` if it had none; no start at all is an error."""
        if not self.attempts:
            return "no start is recorded"
        error = self.attempts[-1].get("error")
        if error is None:
            return None
        return str(error.get("message", error)) if isinstance(error, Mapping) else str(error)

    def unproven(self) -> list[tuple[int, str]]:
        """Starts (from 1) whose server may have answered without its mode proven: the verdict."""
        expected = PROVEN.get(Mode(self.mode)) if self.mode in set(Mode) else None
        return [
            (number, str(attempt.get("verdict")))
            for number, attempt in enumerate(self.attempts, start=1)
            if _may_have_answered(attempt) and attempt.get("verdict") != expected
        ]

    def answered(self) -> int:
        """How many starts may have produced records."""
        return sum(map(_may_have_answered, self.attempts))

    def counter(self, name: str) -> float | None:
        """An engine counter summed over the starts that read it, ``None`` if none did."""
        read = [_metric(attempt, name) for attempt in self.attempts]
        known = [value for value in read if value is not None]
        return sum(known) if known else None

    def builds(self) -> list[str]:
        """Image and vLLM version of each start that may have answered, as far as recorded."""
        named = (_build(attempt) for attempt in self.attempts if _may_have_answered(attempt))
        return [build for build in named if build]


def _build(attempt: Json) -> str:
    """``image sha256:… , vLLM 0.19.1, cuda`` of one start; empty where nothing is recorded."""
    server, evidence = _object(attempt, "server"), _object(attempt, "evidence")
    image = _object(server, "docker").get("image_id")
    version, device = evidence.get("vllm_version"), evidence.get("device")
    parts = (f"image {image}" if image else "", f"vLLM {version}" if version else "", device or "")
    return ", ".join(part for part in parts if part)


def _object(value: Json, key: str) -> Json:
    inner = value.get(key)
    return inner if isinstance(inner, Mapping) else {}


def _metric(attempt: Json, name: str) -> float | None:
    value = _object(attempt, "metrics").get(name)
    return float(value) if isinstance(value, int | float) else None


def _may_have_answered(attempt: Json) -> bool:
    """Whether records can come from this start.

    None can where the server was never ready, its log was never judged, or the run stopped
    because the mode was not proven: the harness asks nothing before that. A start that was
    closed in order says how many ``records`` it gave; a killed one still has the 0 it began with.
    """
    records = attempt.get("records")
    if isinstance(records, int) and (records or attempt.get("ended_at")):
        return bool(records)
    kind = _object(attempt, "error").get("type")
    if attempt.get("ready_after_s") is None or kind in _BEFORE_RECORDS:
        return False
    return bool(attempt.get("evidence")) or attempt.get("verdict") != Verdict.INCONCLUSIVE


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
    def startup_errors(self) -> int:
        """Start-up files whose last start failed."""
        return sum(startup.last_error is not None for startup in self.startups)

    @property
    def run_id(self) -> str | None:
        """The run's id; ``None`` where it is not recorded."""
        run_id = self.metadata.get("run_id")
        return run_id if isinstance(run_id, str) else None

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
        raise UsageError(
            "no such run", file=path, hint="give a run folder or a records file (JSONL)"
        )
    if path.name == RECORDS and (path.parent / METADATA).is_file():
        return _from_folder(path.parent)
    return RunFiles(records_path=path, folder=path.parent)


def _from_folder(folder: Path) -> RunFiles:
    known = [folder / RECORDS, folder / METADATA]
    if not any(file.is_file() for file in known):
        raise UsageError(
            f"no {RECORDS} in this folder",
            file=folder,
            hint="give a run folder (results/<run_id>) or a records file (JSONL)",
        )
    metadata = read_json(folder / METADATA) if known[1].is_file() else {}
    candidates = folder / CANDIDATES
    return RunFiles(
        records_path=folder / RECORDS,
        folder=folder,
        metadata=metadata,
        startups=tuple(_startup(file) for file in sorted(folder.glob("startup_*.json"))),
        candidates=_candidates(candidates) if candidates.is_file() else None,
    )


def _startup(path: Path) -> Startup:
    value = read_json(path)
    attempts = value.get("attempts")
    if not isinstance(attempts, list):
        attempts = [value]
    return Startup(
        file=path.name,
        model=str(value.get("model")),
        mode=str(value.get("mode")),
        attempts=tuple(attempt for attempt in attempts if isinstance(attempt, dict)),
    )


def _candidates(path: Path) -> tuple[RecordKey, ...]:
    keys: list[RecordKey] = []
    for number, row in read_rows(path):
        try:
            names = str(row["model"]), str(row["task_name"]), str(row["sample_id"])
            keys.append((*names, int(row["batch_size"]), str(row["dispatch_mode"])))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"not a candidate: {error}", file=path, line=number) from error
    return tuple(keys)
