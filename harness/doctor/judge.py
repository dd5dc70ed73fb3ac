"""From facts to findings: what would stop a run, what may spoil it, and the remedy. Pure."""

from __future__ import annotations

from harness.doctor.checks import Check, failed, ok, warning
from harness.doctor.facts import EngineFacts, Facts, ImageFacts, NativeFacts
from harness.doctor.judge_gpu import gpu_checks
from harness.doctor.judge_models import model_checks
from harness.settings import RunSpec
from harness.words import BackendName

__all__ = ["judge"]

_GB = 1e9
_OLDEST_ENGINE = (20, 10)
_IMAGE_BYTES = int(35 * _GB)
"""Unpacked size of a vLLM image for GPUs with the layers that are being unpacked beside it."""
_SHM_BYTES = int(0.25 * _GB)
"""The engine asks for 160 MiB of shared memory on one device."""


def judge(facts: Facts, spec: RunSpec) -> tuple[Check, ...]:
    """Every finding, in the order in which a run would meet them."""
    checks: list[Check] = []
    if facts.engine is not None:
        checks += _engine(facts.engine)
    if facts.image is not None:
        checks += _image(facts.image, facts.engine)
    if facts.native is not None:
        checks += _native(facts.native)
    for url in facts.unreachable:
        checks.append(
            failed("external server", f"{url} does not answer", "start it, or correct external:")
        )
    checks += gpu_checks(facts, spec)
    checks += model_checks(facts)
    if spec.backend is not BackendName.EXTERNAL:
        checks.append(_port(facts))
    checks.append(_leftovers(facts))
    return tuple(checks)


def _engine(engine: EngineFacts) -> list[Check]:
    name = "Docker engine"
    if engine.error is not None:
        return [failed(name, engine.error, engine.remedy or "start it")]
    numbers = tuple(int(part) for part in engine.version.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST_ENGINE:
        return [
            warning(
                name, f"{engine.version} is older than what is tested", "update to 20.10 or later"
            )
        ]
    return [ok(name, f"version {engine.version}")]


def _image(image: ImageFacts, engine: EngineFacts | None) -> list[Check]:
    name = "image"
    checks: list[Check] = []
    if image.other:
        checks.append(
            failed(
                name,
                f"another image is called {image.name} here than the one that the lock names",
                f"accept it with harness pin {image.name}, or remove that tag",
            )
        )
    elif image.status in {"unpinned", "not in the lock"}:
        checks.append(
            warning(
                name,
                f"{image.name} is {image.status}: its first use pins it",
                f"pin it beforehand: harness pin {image.name}",
            )
        )
    else:
        checks.append(ok(name, f"{image.name} is {image.status}"))
    if engine is not None and engine.error is None:
        checks.append(_image_disk(image, engine))
    return checks


def _image_disk(image: ImageFacts, engine: EngineFacts) -> Check:
    name = "disk for the image"
    if image.here:
        return ok(name, "the image is on this machine")
    if image.status == "local":
        return failed(name, f"{image.name} was built and is gone", "build or load it again")
    if engine.free_bytes is None:
        return warning(
            name, "the engine's disk cannot be seen", f"see that {_gb(_IMAGE_BYTES)} are free"
        )
    if engine.free_bytes < _IMAGE_BYTES:
        return failed(
            name,
            f"{_gb(engine.free_bytes)} free, a vLLM image takes about {_gb(_IMAGE_BYTES)}",
            "free space: docker system df shows what uses it",
        )
    return ok(name, f"{_gb(engine.free_bytes)} free; the image will be pulled")


def _native(native: NativeFacts) -> list[Check]:
    name = "server command"
    remedy = (
        "install the CPU engine: make engine"
        if native.is_cpu_engine
        else "install vLLM there, or set --native-command"
    )
    if not native.found:
        return [failed(name, f"{native.program} is not there", remedy)]
    if native.vllm is None:
        return [failed(name, f"{native.program} has no vLLM", remedy)]
    checks = [ok(name, f"{native.program}: vLLM {native.vllm}, torch {native.torch}")]
    if native.shm_bytes is not None and native.shm_bytes < _SHM_BYTES:
        checks.append(
            failed(
                "shared memory",
                f"{native.shm_bytes / 1e6:.0f} MB free in /dev/shm",
                "give the machine or the container more: --shm-size=1g or --ipc=host",
            )
        )
    return checks


def _port(facts: Facts) -> Check:
    if facts.port_problem is None:
        return ok("port", f"{facts.port} is free")
    return failed("port", facts.port_problem, "stop what listens there, or choose another --port")


def _leftovers(facts: Facts) -> Check:
    if not facts.leftovers:
        return ok("leftovers", "nothing of a killed run is left")
    return warning("leftovers", "; ".join(facts.leftovers), "harness clean")


def _gb(count: float) -> str:
    return f"{count / _GB:.0f} GB"
