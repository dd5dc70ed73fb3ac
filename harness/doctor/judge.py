"""From facts to findings: what would stop a run, what may spoil it, and the remedy. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.judge_gpu import gpu_findings
from harness.doctor.machine_facts import EngineFacts, Facts, ImageFacts, ModelFacts, NativeFacts
from harness.findings import Finding
from harness.settings import RunSpec
from harness.words import BackendName

_GB = 1e9
_OLDEST_ENGINE = (20, 10)
_IMAGE_BYTES = int(35 * _GB)
"""Unpacked size of a vLLM image for GPUs with the layers that are being unpacked beside it."""
_SHM_BYTES = int(0.25 * _GB)
"""The engine asks for 160 MiB of shared memory on one device."""
_WEIGHTS_RESERVE = 1.1


def judge(facts: Facts, spec: RunSpec) -> tuple[Finding, ...]:
    """Every finding, in the order in which a run would meet them."""
    findings: list[Finding] = []
    if facts.engine is not None:
        findings.append(_engine(facts.engine))
    if facts.image is not None:
        findings.append(_image(facts.image))
        if facts.engine is not None and facts.engine_answers:
            findings.append(_image_disk(facts.image, facts.engine.free_bytes))
    if facts.native is not None:
        findings += _native(facts.native)
    findings += (
        Finding.failed(
            "external server", f"{url} does not answer", "start it, or correct external:"
        )
        for url in facts.unreachable
    )
    findings += gpu_findings(facts, spec)
    findings += _models(facts)
    if facts.port_problem is not None:
        remedy = "stop what listens there, or choose another --port"
        port = Finding.failed("port", facts.port_problem, remedy)
    else:
        port = Finding.ok("port", f"{facts.port} is free")
    if spec.backend is not BackendName.EXTERNAL:
        findings.append(port)
    left = "; ".join(facts.leftovers)
    if left:
        findings.append(Finding.warning("leftovers", left, "harness clean"))
    else:
        findings.append(Finding.ok("leftovers", "nothing of a killed run is left"))
    return tuple(findings)


def _engine(engine: EngineFacts) -> Finding:
    name = "Docker engine"
    if engine.error is not None:
        return Finding.failed(name, engine.error, engine.remedy or "start it")
    numbers = tuple(int(part) for part in engine.version.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST_ENGINE:
        old = f"{engine.version} is older than what is tested"
        return Finding.warning(name, old, "update to 20.10 or later")
    return Finding.ok(name, f"version {engine.version}")


def _image(image: ImageFacts) -> Finding:
    if image.other:
        return Finding.failed(
            "image",
            f"another image is called {image.name} here than the one that the lock names",
            f"accept it with harness pin {image.name}, or remove that tag",
        )
    if image.status in {"unpinned", "not in the lock"}:
        return Finding.warning(
            "image",
            f"{image.name} is {image.status}: its first use pins it",
            f"pin it beforehand: harness pin {image.name}",
        )
    return Finding.ok("image", f"{image.name} is {image.status}")


def _image_disk(image: ImageFacts, free_bytes: int | None) -> Finding:
    name, wanted = "disk for the image", f"{_IMAGE_BYTES / _GB:.0f} GB"
    if image.here:
        return Finding.ok(name, "the image is on this machine")
    if image.status == "local":
        gone = f"{image.name} was built and is gone"
        return Finding.failed(name, gone, "build or load it again")
    if free_bytes is None:
        unseen = "the engine's disk cannot be seen"
        return Finding.warning(name, unseen, f"see that {wanted} are free")
    free = f"{free_bytes / _GB:.0f} GB free"
    if free_bytes < _IMAGE_BYTES:
        return Finding.failed(
            name,
            f"{free}, a vLLM image takes about {wanted}",
            "free space: docker system df shows what uses it",
        )
    return Finding.ok(name, f"{free}; the image will be pulled")


def _native(native: NativeFacts) -> Iterator[Finding]:
    name = "server command"
    remedy = (
        "install the CPU engine: make engine"
        if native.is_cpu_engine
        else "install vLLM there, or set --native-command"
    )
    if not native.found:
        yield Finding.failed(name, f"{native.program} is not there", remedy)
    elif native.vllm is None:
        yield Finding.failed(name, f"{native.program} has no vLLM", remedy)
    else:
        versions = f"vLLM {native.vllm}, torch {native.torch}"
        yield Finding.ok(name, f"{native.program}: {versions}")
        if native.shm_bytes is not None and native.shm_bytes < _SHM_BYTES:
            yield Finding.failed(
                "shared memory",
                f"{native.shm_bytes / 1e6:.0f} MB free in /dev/shm",
                "give the machine or the container more: --shm-size=1g or --ipc=host",
            )


def _models(facts: Facts) -> Iterator[Finding]:
    """A line a model that is not here, and one for the disk that they need."""
    missing = [model for model in facts.models if not (model.local or model.cached)]
    if not missing:
        if facts.models:
            yield Finding.ok("model weights", "all on this machine")
        return
    for model in missing:
        name = f"model {model.name}"
        if model.gated and not facts.has_token:
            yield Finding.failed(
                name,
                f"{model.hf_id} is gated and HF_TOKEN is not set",
                "accept its licence on the hub and export HF_TOKEN=<your token>",
            )
        elif model.gated is None:
            yield Finding.warning(
                name,
                f"{model.hf_id} is not on this machine and the hub did not answer",
                "check the network, or give the path of a local folder as hf_id",
            )
        else:
            yield Finding.ok(name, f"{model.hf_id} will be downloaded")
    yield _weights_disk(missing, facts)


def _weights_disk(missing: list[ModelFacts], facts: Facts) -> Finding:
    name = "disk for weights"
    if facts.weights_free_bytes is None:
        return Finding.warning(name, f"{facts.weights_folder} cannot be seen", "check HF_HOME")
    free = facts.weights_free_bytes / _GB
    known = [model.weight_bytes for model in missing if model.weight_bytes is not None]
    wanted = _WEIGHTS_RESERVE * sum(known) / _GB
    place = f"{free:.0f} GB free at {facts.weights_folder}"
    found = f"{place}, about {wanted:.0f} GB needed"
    if free < wanted:
        return Finding.failed(name, found, "free space there, or set HF_HOME to a larger disk")
    if len(known) < len(missing):
        return Finding.warning(
            name, f"{place}; not every model's size is known", "see that it suffices"
        )
    return Finding.ok(name, found)
