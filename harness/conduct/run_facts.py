"""``metadata.json``: everything needed to say what a run was, and never a secret."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from harness.conduct.prepare import Prepared
from harness.conduct.site import Site
from harness.errors import UsageError
from harness.machine import (
    git_commit,
    gpu_facts,
    harness_versions,
    host_facts,
    interpreter_versions,
)
from harness.prove import ActivationEvidence, Device, Difference
from harness.records import RunFolder
from harness.secrets import redact_command
from harness.serve import LaunchOptions
from harness.settings import RunSpec
from harness.words import Asking, BackendName, DispatchMode

NAME = "metadata.json"


class Session(msgspec.Struct):
    """One call of the harness that worked on the run."""

    started_at: str
    ended_at: str | None
    exit: int | None
    command_line: list[str]
    versions: dict[str, str | None]
    git_commit: str | None
    error: str | UnsetType | None = UNSET


class RunFacts(msgspec.Struct):
    """The file; its names and their order."""

    schema_version: int
    run_id: str
    kind: str
    fingerprint: str
    spec: dict[str, Any]
    resolved_spec: dict[str, Any]
    command_line: list[str]
    versions: dict[str, str | None]
    git_commit: str | None
    host: dict[str, Any]
    gpus: list[dict[str, str]]
    device: dict[str, str | None] | None
    declared_image: str | None
    candidates: dict[str, Any]
    model_files: dict[str, str]
    planned_records: int
    dispatch_notes: dict[str, str]
    not_controlled: list[str]
    sessions: list[Session]
    complete: bool
    image: dict[str, Any] | UnsetType = UNSET
    mode_parity: dict[str, Any] | UnsetType = UNSET


class Metadata:
    """The file of one run, kept current while it works."""

    def __init__(self, folder: RunFolder, prepared: Prepared, site: Site, *, kind: str) -> None:
        self._folder = folder
        self._site = site
        session = Session(
            started_at=now(),
            ended_at=None,
            exit=None,
            command_line=redact_command(sys.argv),
            versions=harness_versions(),
            git_commit=git_commit(),
        )
        known = read_own(folder, NAME, RunFacts)
        self._facts = known or _first_facts(folder.run_id, prepared, kind, session)
        self._facts.sessions.append(session)
        self._facts.complete = False
        if site.image is not None:
            self._facts.image = site.image.to_json()
        self.save()

    def save(self) -> None:
        """Write it."""
        self._folder.write(NAME, msgspec.to_builtins(self._facts, enc_hook=str))

    def learn_from_server(self, options: LaunchOptions, evidence: ActivationEvidence) -> None:
        """Put down what only a running server tells: its device and its versions."""
        facts = self._facts
        facts.versions |= self._site.versions()
        if options.backend is BackendName.NATIVE:  # a container's image says
            facts.versions |= interpreter_versions(options.command[0]).packages
        facts.versions["vllm"] = evidence.vllm_version or facts.versions.get("vllm")
        if evidence.device is not None:
            gpus = (gpu["name"] for gpu in facts.gpus)
            on_cpu = evidence.device is Device.CPU
            name = facts.host["processor"] if on_cpu else next(gpus, None)
            facts.device = {"kind": str(evidence.device), "name": name}
        self.save()

    def complete(self, parity: Mapping[str, tuple[Difference, ...]]) -> None:
        """Every planned record is there and good; what the two modes' servers differ in."""
        self._facts.mode_parity = dict(parity)
        self._facts.complete = True
        self.save()

    def close(self, *, exit_code: int, error: str | None = None) -> None:
        """End this session."""
        session = self._facts.sessions[-1]
        session.ended_at, session.exit, session.error = now(), exit_code, error
        self.save()


def _first_facts(run_id: str, prepared: Prepared, kind: str, session: Session) -> RunFacts:
    spec = prepared.spec
    used = {candidate.dispatch_mode for candidate in prepared.candidates}
    return RunFacts(
        schema_version=1,
        run_id=run_id,
        kind=kind,
        fingerprint=prepared.fingerprint,
        spec=dict(prepared.loaded.given),
        resolved_spec=spec.model_dump(mode="json"),
        command_line=session.command_line,
        versions=dict(session.versions),
        git_commit=session.git_commit,
        host=host_facts(),
        gpus=gpu_facts(),
        device=None,
        declared_image=os.environ.get("HARNESS_IMAGE"),
        candidates={"sha256": dict(prepared.candidate_files), "rows": len(prepared.candidates)},
        model_files=dict(prepared.model_files),
        planned_records=len(prepared.plan.records),
        dispatch_notes={
            **{str(mode): mode.note for mode in DispatchMode if mode in used},
            **prepared.dispatch_notes,
        },
        not_controlled=not_controlled(spec),
        sessions=[],
        complete=False,
    )


def not_controlled(spec: RunSpec) -> list[str]:
    """What this run leaves to the server or to chance, in words for a report."""
    controls, arguments = spec.controls, " ".join(spec.server.extra_args)
    default, asked = "server_default", set(controls.askings)
    hub = (m for m in spec.models if not m.hf_id.startswith((".", "/", "docker/")))
    open_points = {
        "prefix caching is left at the server's default": controls.prefix_caching == default,
        "prefix caching is on": controls.prefix_caching == "on",
        "asynchronous scheduling is left at the server's default": (
            controls.async_scheduling == default
        ),
        "no solo repeat measures change without a batch": not {Asking.S1, Asking.S2} <= asked,
        "no batched repeat measures change between equal batches": Asking.B2 not in asked,
        "solo is always asked before batched": Asking.S2 not in asked,
        "the scheduler's batch limits are left at their defaults": (
            "--max-num-seqs" not in arguments
        ),
        "synchronized and prompt_list do not admit a whole batch in one engine step": True,
        "one server lifetime for each model and mode": True,
        "a model revision is not pinned": any(model.revision is None for model in hub),
        "the temperature is not 0": spec.request.temperature != 0,
    }
    return [text for text, is_open in open_points.items() if is_open]


Own = TypeVar("Own", bound=msgspec.Struct)


def read_own(folder: RunFolder, name: str, kind: type[Own]) -> Own | None:
    """A file that this program wrote into the folder; ``None`` when there is none yet.

    Raises:
        UsageError: it is not of this form, so the run cannot be gone on with.
    """
    value = folder.read(name)
    try:
        return None if value is None else msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"written by another version: {error}",
            file=folder.path / name,
            hint="choose another --run-id",
        ) from error


def now() -> str:
    """The time in UTC, to the second, as a run's files have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
