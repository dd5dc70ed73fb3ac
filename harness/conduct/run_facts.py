"""``metadata.json``: everything needed to say what a run was, and never a secret."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from harness.conduct.one_server import (
    differences,
    insist_on_one_server,
    releases,
    told_here,
)
from harness.conduct.prepare import Prepared
from harness.conduct.site import Site
from harness.conduct.stream import ServerTold
from harness.errors import EnvironmentError_, HarnessError, UsageError
from harness.hostile import shaped
from harness.machine import (
    git_commit,
    gpu_facts,
    harness_versions,
    host_facts,
    interpreter_versions,
)
from harness.models import PREFIX, model_config, telling
from harness.prove import ActivationEvidence, Device, Difference
from harness.records import NEVER_ANEW, SIDE_SCHEMA, RunFolder, experiment_of, plan_seal
from harness.score import scorer_versions
from harness.secrets import redact_command
from harness.serve import LaunchOptions
from harness.settings import RunSpec
from harness.vllm_arguments import read_arguments
from harness.words import Asking, BackendName, DispatchMode, RequestEndpoint

NAME = "metadata.json"
_SET_S = 1.0
"""A clock that is kept right drifts by less while a run works."""


class Session(msgspec.Struct):
    """One call of the harness that worked on the run.

    Attributes:
        clock_moved_s: how far two settings of the clock were apart while it worked, at the most,
            and one before it that put it back; not told if it was not set.
    """

    started_at: str
    ended_at: str | None
    exit: int | None
    command_line: list[str]
    versions: dict[str, str | None]
    git_commit: str | None
    error: str | UnsetType | None = UNSET
    clock_moved_s: float | UnsetType = UNSET


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
    task_files: dict[str, str] | UnsetType = UNSET
    scorers: dict[str, int] | UnsetType = UNSET
    does_not_count: str | UnsetType = UNSET
    plan_sha256: str | UnsetType = UNSET
    model_configs: dict[str, Any] | UnsetType = UNSET
    server_files: dict[str, str] | UnsetType = UNSET


def told_by(options: LaunchOptions, evidence: ActivationEvidence) -> ServerTold:
    """What a server that runs tells of itself; of a container its image says the packages."""
    native = options.backend is BackendName.NATIVE
    packages = interpreter_versions(options.command[0]).packages if native else {}
    return ServerTold(evidence.vllm_version, evidence.device, dict(packages))


class Learns(Protocol):
    """Who writes down what a server tells of itself."""

    def learn_from_server(self, told: ServerTold) -> None:
        """Write it down.

        Raises:
            UsageError: it is another release than the one that gave the records so far.
        """


class Metadata:
    """The file of one run, kept current while it works.

    Args:
        beside: folders whose answers are compared with the run's: one server has to answer all.

    Raises:
        UsageError: the run's records, or those beside it, are of another server.
    """

    def __init__(
        self,
        folder: RunFolder,
        prepared: Prepared,
        site: Site,
        *,
        kind: str,
        beside: Sequence[Path] = (),
    ) -> None:
        self._folder = folder
        self._beside = beside
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
        if known is not None:
            _insist_on_the_same(known, prepared, site, folder.path / NAME)
        if beside:
            insist_on_one_server(beside, told_here(prepared, site))
        ahead = _ahead_s()
        self._clock = ahead, ahead + _put_back_s(known.sessions if known else ())
        self._facts = known or _first_facts(folder.run_id, prepared, site, kind, session)
        if known is None:
            self._facts.plan_sha256 = plan_seal(msgspec.to_builtins(self._facts, enc_hook=str))
        self._models = prepared.spec.models
        self._learn_models()
        self._facts.sessions.append(session)
        self._facts.complete = False
        self.save()

    def save(self) -> None:
        """Write it, and by how much the clock was set."""
        ahead = _ahead_s()
        self._clock = min(ahead, self._clock[0]), max(ahead, self._clock[1])
        if (moved := round(self._clock[1] - self._clock[0], 1)) > _SET_S:
            self._facts.sessions[-1].clock_moved_s = moved
        self._folder.write_sealed(NAME, msgspec.to_builtins(self._facts, enc_hook=str))

    def learn_from_server(self, told: ServerTold) -> None:
        """Put down what only a running server tells: its device and its versions.

        Raises:
            UsageError: it is another release than the one that gave the records so far.
        """
        facts, before = self._facts, self._facts.versions.get("vllm")
        if facts.device is not None and told.vllm not in (None, before):
            raise _another(
                self._folder.path / NAME, [f"vLLM: {before}, now {told.vllm}"], facts.kind
            )
        insist_on_one_server(self._beside, releases({"vllm": told.vllm}))
        facts.versions |= self._site.versions()
        facts.versions |= told.packages
        facts.versions["vllm"] = told.vllm or facts.versions.get("vllm")
        if told.device is not None:
            gpus = (gpu["name"] for gpu in facts.gpus)
            name = facts.host["processor"] if told.device is Device.CPU else next(gpus, None)
            facts.device = {"kind": str(told.device), "name": name}
        self._learn_models()  # a start may have fetched them
        self.save()

    def _learn_models(self) -> None:
        """Put down what each model's configuration says, where it is at hand and was not yet."""
        facts = self._facts
        known = {} if facts.model_configs is UNSET else facts.model_configs
        for model in self._models:
            config = None if model.name in known else model_config(model.hf_id, model.revision)
            if config is not None:
                known[model.name] = telling(config)
        facts.model_configs = known or UNSET

    def complete(self, parity: Mapping[str, tuple[Difference, ...]]) -> None:
        """Every planned record is there and good; what the two modes' servers differ in."""
        self._facts.mode_parity = dict(parity)
        self._facts.complete = True
        self.save()

    def count_no_more(self, why: str) -> None:
        """Say for good that these records do not count: every later session reads it."""
        self._facts.does_not_count = why
        self.save()

    def end(self, error: HarnessError) -> None:
        """End this session in an error, which a full disk does not hide behind its own."""
        with suppress(EnvironmentError_):
            self.close(exit_code=error.exit_code, error=str(error))

    def close(self, *, exit_code: int, error: str | None = None) -> None:
        """End this session."""
        session = self._facts.sessions[-1]
        session.ended_at, session.exit, session.error = now(), exit_code, error
        self.save()


def _insist_on_the_same(known: RunFacts, prepared: Prepared, site: Site, file: Path) -> None:
    """Refuse to add records to those of another experiment, server build, image or scorer.

    Raises:
        UsageError: with each difference.
    """
    if known.does_not_count is not UNSET:
        what, hint = f"this run does not count: {known.does_not_count}", _new(known.kind)
        raise UsageError(what, file=file, hint=hint)
    spec, differing = prepared.spec, list[str]()
    if known.fingerprint != prepared.fingerprint:
        now = experiment_of(spec.model_dump(mode="json"))
        differing += differences(_leaves(known.resolved_spec), _leaves(now))
        weights = {f"weights of {name}": sha for name, sha in known.model_files.items()}
        now = {f"weights of {name}": sha for name, sha in prepared.model_files.items()}
        differing += differences(weights, now)
        differing = differing or ["the candidates, or the prompts of their tasks"]
    if known.task_files is not UNSET:
        tasks = differences(known.task_files, prepared.population.files, "task file ")
        differing += tasks if known.fingerprint == prepared.fingerprint else []
    if known.server_files is not UNSET:
        differing += differences(known.server_files, prepared.server_files, "the server's ")
    if known.scorers is not UNSET:
        differing += differences(known.scorers, scorer_versions(), "scorer ")
    if known.image is not UNSET and site.image is not None:
        names = ("reference", "image_id")
        image = {name: told for name in names if (told := known.image.get(name)) is not None}
        differing += differences(image, site.image.to_json(), "image ")
    if known.device is not None:  # before that these are the harness's own packages
        differing += differences(releases(known.versions), releases(site.server_packages(spec)))
    if differing:
        raise _another(file, differing, known.kind)


def _new(kind: str) -> str:
    """What begins anew; a verb that names its folders itself has no ``--run-id``."""
    if kind in ("run", "scan"):
        return "choose another --run-id, --fresh for a new run, or move its folder away"
    return "choose another --results" if kind == "shrink" else "--fresh for new runs"


def _another(file: Path, differing: Sequence[str], kind: str) -> UsageError:
    return UsageError(
        "the run's records were made otherwise: it asks other questions, or of another server",
        file=file,
        hint=f"give what it was started with, or {_new(kind)}",
        detail=tuple(differing),
    )


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Every leaf of nested objects by its dotted path."""
    if not isinstance(value, dict):
        return {name: value}
    inner = (_leaves(held, f"{name}.{key}" if name else key) for key, held in value.items())
    return {path: leaf for one in inner for path, leaf in one.items()}


def _first_facts(
    run_id: str, prepared: Prepared, site: Site, kind: str, session: Session
) -> RunFacts:
    spec = prepared.spec
    used = {candidate.dispatch_mode for candidate in prepared.candidates}
    return RunFacts(
        schema_version=SIDE_SCHEMA,
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
            **{
                str(mode): mode.note.replace(
                    RequestEndpoint.COMPLETIONS.path, spec.request.endpoint.path
                )
                for mode in DispatchMode
                if mode in used
            },
            **prepared.dispatch_notes,
        },
        not_controlled=not_controlled(spec),
        sessions=[],
        complete=False,
        image=UNSET if site.image is None else site.image.to_json(),
        task_files=dict(prepared.population.files),
        scorers=scorer_versions(),
        server_files=dict(prepared.server_files) or UNSET,
    )


def not_controlled(spec: RunSpec) -> list[str]:
    """What this run leaves to the server or to chance, in words for a report."""
    controls, arguments = spec.controls, read_arguments(spec.server.extra_args)
    default, asked = "server_default", set(controls.askings)
    hub = (m for m in spec.models if not m.hf_id.startswith((".", "/", "docker/", PREFIX)))
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
            "max_num_seqs" not in arguments
        ),
        "synchronized and prompt_list do not admit a whole batch in one engine step": True,
        "one server lifetime for each model and mode": True,
        "a model revision is not pinned": any(model.revision is None for model in hub),
        "the temperature is not 0": spec.request.temperature != 0,
    }
    return [text for text, is_open in open_points.items() if is_open]


Own = TypeVar("Own", bound=msgspec.Struct)


def read_own(folder: RunFolder, name: str, kind: type[Own], hint: str = NEVER_ANEW) -> Own | None:
    """A file that this program wrote into the folder; ``None`` when there is none yet.

    Raises:
        UsageError: it is not of this form, so the run cannot be gone on with.
    """
    value = folder.read(name)
    try:
        return None if value is None else shaped(value, kind)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"written by another version: {error}",
            file=folder.path / name,
            hint=hint,
        ) from error


def _ahead_s() -> float:
    """How far the clock is ahead of one that nobody sets, which runs on while a machine sleeps."""
    steady = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.time() - time.clock_gettime(steady)


def _put_back_s(sessions: Sequence[Session]) -> float:
    """By how much the clock is behind the times that earlier sessions told; they came before."""
    told = (one for session in sessions for one in (session.started_at, session.ended_at))
    with suppress(ValueError):
        times = [datetime.fromisoformat(one).timestamp() for one in told if one]
        return max(0.0, max(times, default=0.0) - time.time())
    return 0.0


def now() -> str:
    """The time in UTC, to the second, as a run's files have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
