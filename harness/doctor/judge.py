"""From facts to findings: what would stop a run, what may spoil it, and the remedy. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.judge_gpu import gpu_findings, release
from harness.doctor.machine_facts import Facts
from harness.findings import Finding, Status
from harness.settings import RunSpec
from harness.words import BackendName

_GB = 1e9
_IMAGE_BYTES = int(35 * _GB)
"""Unpacked size of a vLLM image for GPUs with the layers that are being unpacked beside it."""
_SHM_BYTES = int(0.25 * _GB)
"""The engine asks for 160 MiB of shared memory on one device."""
_WEIGHTS_RESERVE = 1.1


def judge(facts: Facts, spec: RunSpec) -> tuple[Finding, ...]:
    """Every finding, in the order in which a run would meet them."""
    findings = [*_server(facts), *gpu_findings(facts, spec), *_models(facts)]
    if spec.backend is not BackendName.EXTERNAL:
        taken, remedy = (
            facts.port_problem or "",
            "stop what listens there, or choose another --port",
        )
        case = taken, Status.FAILED, taken, remedy
        findings.append(Finding.first("port", case, ok=f"{facts.port} is free"))
    left = "; ".join(facts.leftovers)
    case = left, Status.WARNING, left, "harness clean"
    return *findings, Finding.first("leftovers", case, ok="nothing of a killed run is left")


def _server(facts: Facts) -> Iterator[Finding]:
    """What is to start it, or whether it answers."""
    engine, image, native = facts.engine, facts.image, facts.native
    if engine is not None:
        old = f"{engine.version} is older than what is tested"
        yield Finding.first(
            "Docker engine",
            (engine.error, Status.FAILED, engine.error or "", engine.remedy or "start it"),
            (release(engine.version) < (20, 10), Status.WARNING, old, "update to 20.10 or later"),
            ok=f"version {engine.version}",
        )
    if image is not None:
        yield Finding.first(
            "image",
            (
                image.other,
                Status.FAILED,
                f"another image is called {image.name} here than the one that the lock names",
                f"accept it with harness pin {image.name}, or remove that tag",
            ),
            (
                image.status in {"unpinned", "not in the lock"},
                Status.WARNING,
                f"{image.name} is {image.status}: its first use pins it",
                f"pin it beforehand: harness pin {image.name}",
            ),
            ok=f"{image.name} is {image.status}",
        )
    if image is not None and engine is not None and facts.engine_answers:
        wanted, unseen = f"{_IMAGE_BYTES / _GB:.0f} GB", "the engine's disk cannot be seen"
        space, gone = engine.free_bytes or 0, f"{image.name} was built and is gone"
        free, remedy = (
            f"{space / _GB:.0f} GB free",
            "free space: docker system df shows what uses it",
        )
        small = f"{free}, a vLLM image takes about {wanted}"
        yield Finding.first(
            "disk for the image",
            (image.here, Status.OK, "the image is on this machine", ""),
            (image.status == "local", Status.FAILED, gone, "build or load it again"),
            (engine.free_bytes is None, Status.WARNING, unseen, f"see that {wanted} are free"),
            (space < _IMAGE_BYTES, Status.FAILED, small, remedy),
            ok=f"{free}; the image will be pulled",
        )
    if native is not None:
        remedy = "install vLLM there, or set --native-command"
        if native.is_cpu_engine:
            remedy = "install the CPU engine: make engine"
        yield Finding.first(
            "server command",
            (not native.found, Status.FAILED, f"{native.program} is not there", remedy),
            (native.vllm is None, Status.FAILED, f"{native.program} has no vLLM", remedy),
            ok=f"{native.program}: vLLM {native.vllm}, torch {native.torch}",
        )
        free_shm = native.shm_bytes
        if native.found and native.vllm and free_shm is not None and free_shm < _SHM_BYTES:
            yield Finding.failed(
                "shared memory",
                f"{free_shm / 1e6:.0f} MB free in /dev/shm",
                "give the machine or the container more: --shm-size=1g or --ipc=host",
            )
    for url in facts.unreachable:
        away = f"{url} does not answer"
        yield Finding.failed("external server", away, "start it, or correct external:")


def _models(facts: Facts) -> Iterator[Finding]:
    """A line a model that is not here, and one for the disk that they need."""
    missing = [model for model in facts.models if not (model.local or model.cached)]
    if facts.models and not missing:
        yield Finding.ok("model weights", "all on this machine")
    for model in missing:
        yield Finding.first(
            f"model {model.name}",
            (
                model.gated and not facts.has_token,
                Status.FAILED,
                f"{model.hf_id} is gated and HF_TOKEN is not set",
                "accept its licence on the hub and export HF_TOKEN=<your token>",
            ),
            (
                model.gated is None,
                Status.WARNING,
                f"{model.hf_id} is not on this machine and the hub did not answer",
                "check the network, or give the path of a local folder as hf_id",
            ),
            ok=f"{model.hf_id} will be downloaded",
        )
    if missing:
        free = (facts.weights_free_bytes or 0) / _GB
        known = [model.weight_bytes for model in missing if model.weight_bytes is not None]
        wanted = _WEIGHTS_RESERVE * sum(known) / _GB
        folder, unseen = facts.weights_folder, facts.weights_free_bytes is None
        place = f"{free:.0f} GB free at {folder}"
        found = f"{place}, about {wanted:.0f} GB needed"
        remedy = "free space there, or set HF_HOME to a larger disk"
        unknown = f"{place}; not every model's size is known"
        yield Finding.first(
            "disk for weights",
            (unseen, Status.WARNING, f"{folder} cannot be seen", "check HF_HOME"),
            (free < wanted, Status.FAILED, found, remedy),
            (len(known) < len(missing), Status.WARNING, unknown, "see that it suffices"),
            ok=found,
        )
