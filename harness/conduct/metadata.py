"""``metadata.json``: everything needed to say what a run was, and never a secret."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from harness.conduct.prepare import Prepared
from harness.conduct.site import Site
from harness.machine import (
    git_commit,
    gpu_facts,
    harness_versions,
    host_facts,
    interpreter_versions,
)
from harness.prove import ActivationEvidence, Device
from harness.records import RunFolder
from harness.secrets import redact_command
from harness.serve import LaunchOptions
from harness.settings import RunSpec
from harness.words import BackendName, DispatchMode

__all__ = ["Metadata"]

NAME = "metadata.json"
DISPATCH_NOTES = {
    DispatchMode.SYNCHRONIZED: "N concurrent one-prompt requests to /v1/completions, each on a "
    "connection of its own that was warmed just before",
    DispatchMode.PROMPT_LIST: "one request to /v1/completions with a list of N prompts; answers "
    "matched by choices[].index",
}


class Metadata:
    """The file of one run, kept current while it works."""

    def __init__(self, folder: RunFolder, prepared: Prepared, site: Site, *, kind: str) -> None:
        self._folder = folder
        self._site = site
        self._value = folder.read(NAME) or _fresh(folder.run_id, prepared, kind)
        self._session: dict[str, Any] = {
            "started_at": _now(),
            "ended_at": None,
            "exit": None,
            "command_line": redact_command(sys.argv),
            "versions": harness_versions(),
            "git_commit": git_commit(),
        }
        self._value["sessions"].append(self._session)
        self._value["complete"] = False
        self._value.update(site.facts())
        self.save()

    def save(self) -> None:
        """Write it."""
        self._folder.write(NAME, self._value)

    @property
    def value(self) -> Mapping[str, Any]:
        """What is in the file."""
        return self._value

    def learn_from_server(self, options: LaunchOptions, evidence: ActivationEvidence) -> None:
        """Put down what only a running server tells: its device and its versions."""
        versions = {**self._value["versions"], **self._site.versions()}
        if options.backend is BackendName.NATIVE:  # a container's image says
            versions |= interpreter_versions(options.command[0]).packages
        versions["vllm"] = evidence.vllm_version or versions.get("vllm")
        self.note(versions=versions, device=self._device(evidence))

    def _device(self, evidence: ActivationEvidence) -> dict[str, Any] | None:
        if evidence.device is None:
            known: dict[str, Any] | None = self._value["device"]
            return known
        if evidence.device is Device.CPU:
            name = self._value["host"].get("processor")
        else:
            name = next((gpu.get("name") for gpu in self._value["gpus"]), None)
        return {"kind": str(evidence.device), "name": name}

    def note(self, **facts: Any) -> None:
        """Add facts that became known on the way."""
        self._value.update(facts)
        self.save()

    def complete(self) -> None:
        """Every planned record is there and good."""
        self._value["complete"] = True
        self.save()

    def close(self, *, exit_code: int, error: str | None = None) -> None:
        """End this session."""
        self._session.update(ended_at=_now(), exit=exit_code, error=error)
        self.save()


def _fresh(run_id: str, prepared: Prepared, kind: str) -> dict[str, Any]:
    spec = prepared.spec
    return {
        "schema_version": 1,
        "run_id": run_id,
        "kind": kind,
        "fingerprint": prepared.fingerprint,
        "spec": prepared.loaded.given,
        "resolved_spec": spec.model_dump(mode="json"),
        "command_line": redact_command(sys.argv),
        "versions": harness_versions(),
        "git_commit": git_commit(),
        "host": host_facts(),
        "gpus": gpu_facts(),
        "device": None,
        "declared_image": os.environ.get("HARNESS_IMAGE"),
        "candidates": {"sha256": dict(prepared.candidate_files), "rows": len(prepared.candidates)},
        "model_files": dict(prepared.model_files),
        "planned_records": len(prepared.plan.records),
        "dispatch_notes": _dispatch_notes(prepared),
        "not_controlled": not_controlled(spec),
        "sessions": [],
        "complete": False,
    }


def _dispatch_notes(prepared: Prepared) -> dict[str, str]:
    used = {candidate.dispatch_mode for candidate in prepared.candidates}
    return {str(mode): text for mode, text in DISPATCH_NOTES.items() if mode in used}


def not_controlled(spec: RunSpec) -> list[str]:
    """What this run leaves to the server or to chance, in words for a report."""
    controls, arguments = spec.controls, " ".join(spec.server.extra_args)
    open_points = {
        "prefix caching is left at the server's default": controls.prefix_caching
        == "server_default",
        "prefix caching is on": controls.prefix_caching == "on",
        "asynchronous scheduling is left at the server's default": controls.async_scheduling
        == "server_default",
        "no solo repeat measures change without a batch": controls.solo_repeats == 0,
        "no batched repeat measures change between equal batches": controls.batched_repeats == 0,
        "solo is always asked before batched": controls.order == "solo_first",
        "the scheduler's batch limits are left at their defaults": "--max-num-seqs"
        not in arguments,
        "synchronized and prompt_list do not admit a whole batch in one engine step": True,
        "one server lifetime for each model and mode": True,
        "a model revision is not pinned": any(
            m.revision is None and not m.hf_id.startswith((".", "/", "docker/"))
            for m in spec.models
        ),
        "the temperature is not 0": spec.request.temperature != 0,
    }
    return [text for text, is_open in open_points.items() if is_open]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
