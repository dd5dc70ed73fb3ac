"""Looking at this machine for the doctor: nothing here judges, changes or raises."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
from pathlib import Path

import httpx

from harness.doctor.facts import EngineFacts, Facts, ImageFacts, ModelFacts, NativeFacts
from harness.doctor.probe_docker import probe_engine
from harness.errors import EnvironmentError_
from harness.machine import Versions, interpreter_versions, read_gpus, this_host
from harness.serve import check_port_free, sweep_everything
from harness.settings import ModelSpec, RunSpec
from harness.words import BackendName

__all__ = ["probe"]

_HUB = "https://huggingface.co/api/models/"
_HUB_TIMEOUT_S = 3.0


def probe(spec: RunSpec, *, lock: Path, results: Path) -> Facts:
    """Look at everything that a run of ``spec`` would need.

    Args:
        spec: the run.
        lock: the lock file of images.
        results: the folder of run folders, for what killed runs left.
    """
    engine: EngineFacts | None = None
    image: ImageFacts | None = None
    if spec.backend is BackendName.DOCKER:
        engine, image = probe_engine(spec.image, lock)
    weights = this_host().huggingface_home
    swept = sweep_everything(results, run_id=None, dry_run=True)
    return Facts(
        engine=engine,
        image=image,
        native=_native(spec) if spec.backend is BackendName.NATIVE else None,
        gpus=read_gpus(),
        models=tuple(_model(model, weights) for model in spec.models),
        weights_folder=weights,
        weights_free_bytes=free_bytes(weights),
        has_token=bool(os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")),
        port=spec.server.port,
        port_problem=_port_problem(spec.server.port),
        leftovers=tuple(line.removeprefix("would ") for line in swept.lines),
        unreachable=_unreachable(spec),
    )


def free_bytes(folder: Path) -> int | None:
    """Free space where ``folder`` is or will be."""
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(place).free
    return None


def _native(spec: RunSpec) -> NativeFacts:
    """Whether the native command is there and has vLLM, without importing it."""
    program = next(iter(shlex.split(spec.server.native_command)), "")
    found = shutil.which(program) is not None
    versions = interpreter_versions(program) if found else Versions()
    try:
        shm = shutil.disk_usage("/dev/shm").free
    except OSError:
        shm = None
    return NativeFacts(
        program=program,
        found=found,
        vllm=versions.vllm,
        torch=versions.torch,
        shm_bytes=shm,
        is_cpu_engine=".venv-cpu" in program,
    )


def _port_problem(port: int) -> str | None:
    try:
        check_port_free(port)
    except EnvironmentError_ as error:
        return error.message
    return None


def _model(model: ModelSpec, weights: Path) -> ModelFacts:
    local = Path(model.hf_id).expanduser().is_dir()
    cached = not local and _in_cache(model.hf_id, weights)
    return ModelFacts(
        name=model.name,
        hf_id=model.hf_id,
        local=local,
        cached=cached,
        gated=None if local or cached else _gated(model.hf_id),
        weight_bytes=weight_bytes(model.hf_id),
    )


def _in_cache(hf_id: str, weights: Path) -> bool:
    folder = weights / "hub" / f"models--{hf_id.replace('/', '--')}"
    return any(folder.glob("snapshots/*/config.json"))


def _gated(hf_id: str) -> bool | None:
    """Whether the hub wants a token for it; ``None`` where it does not answer at once."""
    try:
        answer = httpx.get(_HUB + hf_id, timeout=_HUB_TIMEOUT_S)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            return True
        return bool(answer.json().get("gated")) if answer.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, ValueError, AttributeError):
        return None


def weight_bytes(hf_id: str) -> int | None:
    """Two bytes a parameter, from a name such as ``Llama-3.2-1B``; ``None`` if it has no size."""
    found = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)[bB](?![a-zA-Z])", hf_id.replace("-", " "))
    return int(float(found.group(1)) * 2e9) if found else None


def _unreachable(spec: RunSpec) -> tuple[str, ...]:
    if spec.backend is not BackendName.EXTERNAL:
        return ()
    return tuple(server.url for server in spec.external.values() if not _healthy(server.url))


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url.rstrip('/')}/health", timeout=_HUB_TIMEOUT_S).is_success
    except httpx.HTTPError:
        return False
