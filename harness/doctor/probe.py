"""Looking at this machine for the doctor: nothing here judges, changes or raises."""

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from harness.doctor.machine_facts import EngineFacts, Facts, ImageFacts, ModelFacts, NativeFacts
from harness.errors import EnvironmentError_, UsageError
from harness.files import read_json
from harness.images import ImageLock, ImageVersions, Presence, find_image, presence
from harness.machine import Versions, interpreter_versions, read_gpus, this_host
from harness.models import PREFIX, weights_folder
from harness.places import is_of_engine
from harness.serve import check_port_free, external_refusal, sweep_everything
from harness.serve.docker import (
    PODMAN_HEEDS_CDI,
    connect_for_servers,
    engine_gpu_access,
    podman_release,
)
from harness.settings import ModelSpec, RunSpec
from harness.wire import Heard, NotHeard, ask
from harness.words import BackendName

_HUB = "https://huggingface.co/api/models/"
_FILES = "https://huggingface.co/"
_HUB_TIMEOUT_S = 3.0
_ENGINE_TIMEOUT_S = 10.0
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def probe(spec: RunSpec, *, lock: Path, results: Path) -> Facts:
    """Look at everything that a run of ``spec`` would need.

    By the lock file ``lock``; ``results`` is the folder where killed runs may have left something.
    """
    docker, native = spec.backend is BackendName.DOCKER, spec.backend is BackendName.NATIVE
    engine, image = _engine_and_image(spec.image, lock) if docker else (None, None)
    weights = this_host().huggingface_home
    places = (_free_bytes(place) for place in (weights, *weights.parents))
    asked = spec.modes if spec.backend is BackendName.EXTERNAL else ()
    refusals = (external_refusal(mode, spec.external[mode]) for mode in asked)
    gpus, visible = read_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES") if native else None
    token = Path(os.environ.get("HF_TOKEN_PATH") or weights / "token")
    port_problem = None
    try:
        check_port_free(spec.server.port)
    except EnvironmentError_ as error:
        port_problem = error.message
    swept = sweep_everything(results, run_id=None, dry_run=True)
    return Facts(
        engine=engine,
        image=image,
        native=_native(spec.server.native_argv[0]) if native else None,
        gpus=gpus.found,
        gpu_trouble=gpus.trouble,
        visible=None if visible is None else tuple(filter(None, visible.split(","))),
        models=tuple(_model(model, weights) for model in spec.models),
        weights_folder=weights,
        weights_free_bytes=next((free for free in places if free is not None), None),
        has_token=any(os.environ.get(name) for name in _TOKENS) or token.is_file(),
        port=spec.server.port,
        port_problem=port_problem,
        leftovers=tuple(line.removeprefix("would ") for line in swept.lines),
        refusals=tuple(refusal for refusal in refusals if refusal),
    )


def _native(program: str) -> NativeFacts:
    found = shutil.which(program) is not None
    versions = interpreter_versions(program) if found else Versions()
    return NativeFacts(
        program=program,
        found=found,
        is_python=Path(program).name.startswith(("python", "pypy")),
        vllm=versions.vllm,
        torch=versions.torch,
        shm_bytes=_free_bytes(Path("/dev/shm")),
        is_cpu_engine=is_of_engine(program),
    )


def _free_bytes(place: Path) -> int | None:
    """Free space there; ``None`` where it cannot be seen."""
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None


def _answer(url: str) -> Heard | None:
    """What the hub says; unlike a server it may be behind a proxy."""
    try:
        with httpx.Client(timeout=_HUB_TIMEOUT_S, follow_redirects=True) as client:
            return ask(client, url)
    except NotHeard:
        return None


def _engine_and_image(image: str, lock: Path) -> tuple[EngineFacts, ImageFacts]:
    """Ask the engine for itself and for the image; an engine that is away is a fact."""
    try:
        entry = ImageLock.load(lock).get(image)
    except UsageError:
        entry = None
    versions = entry.versions if entry else ImageVersions()
    in_tag = re.search(r":v?(\d+\.\d+\.\d+)", image)
    status = entry.status if entry else "not in the lock"
    vllm = versions.vllm or (in_tag[1] if in_tag else None)
    known = ImageFacts(image, status, here=False, vllm=vllm, cuda=versions.cuda)
    try:
        with closing(connect_for_servers(_ENGINE_TIMEOUT_S)) as client:
            info, access = client.info(), engine_gpu_access(client).value
            release = podman_release(client)
            found = find_image(client, image)
            is_here = presence(entry, client) if entry else None
    except EnvironmentError_ as error:
        return EngineFacts(error=error.message, remedy=error.hint), known
    disk = _free_bytes(Path(str(info.get("DockerRootDir") or "/var/lib/docker")))
    here = is_here in {Presence.HERE, Presence.UNPINNED} if is_here else found is not None
    needs_gpu = found.needs_gpu if found else "+cpu" not in (versions.torch or "")
    other = is_here is Presence.OTHER
    engine = EngineFacts(
        version=str(info.get("ServerVersion", "")),
        gpu_access=access,
        free_bytes=disk,
        podman=".".join(map(str, release or ())),
        ignores_gpus=release is not None and release < PODMAN_HEEDS_CDI,
    )
    return engine, replace(known, here=here, other=other, needs_gpu=needs_gpu)


def _model(model: ModelSpec, weights: Path) -> ModelFacts:
    found = weights_folder(model.hf_id)
    local, on_shelf = found is not None and found.is_dir(), model.hf_id.startswith(PREFIX)
    folder = weights / "hub" / f"models--{model.hf_id.replace('/', '--')}"
    cached = not local and any(folder.glob("snapshots/*/config.json"))
    said = None if local or cached or on_shelf else _answer(_HUB + model.hf_id)
    # who has no token is told 401 of what does not exist, too; a gated model shows its card to all
    unknown = said is not None and said.status in (401, 403, 404)
    gated = None
    with suppress(NotHeard):
        gated = bool(said.member("gated")) if said and said.ok else None
    size = weight_bytes(model.hf_id)
    here = found if local and found is not None else next(folder.glob("snapshots/*"), None)
    config = _config(None if on_shelf and not local else here, model, ask=gated is False)
    return ModelFacts(model.name, model.hf_id, local, cached, gated, unknown, size, config)


def _config(folder: Path | None, model: ModelSpec, *, ask: bool) -> Mapping[str, Any] | None:
    """A model's ``config.json`` from its folder, else from the hub where ``ask`` says so."""
    with suppress(UsageError, NotHeard):
        if folder is not None and (folder / "config.json").is_file():
            return read_json(folder / "config.json")
        url = f"{_FILES}{model.hf_id}/resolve/{model.revision or 'main'}/config.json"
        said = _answer(url) if ask else None
        if said is not None and said.ok and isinstance(value := said.json(), dict):
            return value
    return None


def weight_bytes(hf_id: str) -> int | None:
    """Two bytes a parameter, from a name such as ``Llama-3.2-1B``; ``None`` if it has no size."""
    found = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)[bB](?![a-zA-Z])", hf_id.replace("-", " "))
    return int(float(found.group(1)) * 2e9) if found else None
