"""GPU findings: access from containers, driver against CUDA, capability, attention, memory."""

from __future__ import annotations

from harness.doctor.capability import capability_check
from harness.doctor.checks import Check, failed, ok, warning
from harness.doctor.facts import Facts, ImageFacts
from harness.machine import Gpu
from harness.prove import parse_version
from harness.settings import RunSpec
from harness.words import BackendName, Mode

__all__ = ["gpu_checks"]

_TOOLKIT = (
    "install the NVIDIA Container Toolkit, then: sudo nvidia-ctk runtime configure "
    "--runtime=docker && sudo systemctl restart docker; or CDI: sudo nvidia-ctk cdi generate "
    "--output=/etc/cdi/nvidia.yaml"
)
_HOPPER = (9, 0)
_GIB = 2**30


def gpu_checks(facts: Facts, spec: RunSpec) -> list[Check]:
    """All GPU findings; one line where no GPU is needed."""
    if spec.backend is BackendName.EXTERNAL:
        return []
    if not _needs_gpu(facts):
        return [ok("GPU", "none needed: the server is a CPU engine")]
    gpus = _chosen(facts.gpus, spec)
    if not gpus:
        return [
            *_access(facts),
            failed(
                "GPU",
                "nvidia-smi shows none",
                "install the NVIDIA driver, or try make demo, which needs no GPU",
            ),
        ]
    vllm = _vllm(facts)
    checks = _access(facts)
    for gpu in gpus:
        checks += [
            ok("GPU", f"{gpu.index}: {gpu.name}, driver {gpu.driver}"),
            *_driver(gpu, facts.image),
            _memory(gpu, spec),
        ]
    if Mode.BATCH_INVARIANT in spec.modes:
        eager = "--enforce-eager" in spec.server.extra_args
        checks += [capability_check(gpu.capability, vllm, enforce_eager=eager) for gpu in gpus]
        checks += _attention(gpus[0], vllm, spec)
    return checks


def _needs_gpu(facts: Facts) -> bool:
    if facts.native is not None:
        return not (facts.native.is_cpu_engine or "cpu" in (facts.native.torch or ""))
    return facts.image is None or facts.image.needs_gpu


def _chosen(gpus: tuple[Gpu, ...], spec: RunSpec) -> tuple[Gpu, ...]:
    wanted = spec.server.gpu_device_ids
    return gpus if wanted is None else tuple(gpu for gpu in gpus if str(gpu.index) in wanted)


def _vllm(facts: Facts) -> str | None:
    if facts.native is not None:
        return facts.native.vllm
    return facts.image.vllm if facts.image else None


def _access(facts: Facts) -> list[Check]:
    if facts.engine is None or facts.engine.error is not None:
        return []
    if facts.engine.gpu_access == "none":
        return [failed("GPU in containers", "the engine has no way to the GPU", _TOOLKIT)]
    return [ok("GPU in containers", f"through {facts.engine.gpu_access}")]


def _driver(gpu: Gpu, image: ImageFacts | None) -> list[Check]:
    if image is None or image.cuda is None or gpu.driver_cuda is None:
        return []
    name = "driver"
    wanted, has = _numbers(image.cuda), _numbers(gpu.driver_cuda)
    found = f"runs CUDA up to {gpu.driver_cuda}; the image is built for {image.cuda}"
    if has[:1] < wanted[:1]:
        return [failed(name, found, "update the driver (CUDA 13 needs 580), or an older image")]
    if has < wanted:
        return [
            warning(
                name,
                found,
                "it may start by minor-version compatibility; if the engine says "
                "'unsatisfied condition: cuda>=', update the driver",
            )
        ]
    return [ok(name, found)]


def _memory(gpu: Gpu, spec: RunSpec) -> Check:
    name = "GPU memory"
    share = spec.server.gpu_memory_utilization or 0.9
    wanted = share * gpu.memory_total
    found = f"{gpu.index}: {gpu.memory_free / _GIB:.0f} of {gpu.memory_total / _GIB:.0f} GiB free"
    if gpu.memory_free < wanted:
        return failed(
            name,
            f"{found}, the server asks for {wanted / _GIB:.0f}",
            "end what uses the GPU (nvidia-smi, harness clean) or lower --gpu-memory-utilization",
        )
    return ok(name, found)


def _attention(gpu: Gpu, vllm: str | None, spec: RunSpec) -> list[Check]:
    name = "attention backend"
    backend = spec.server.attention_backend
    version = parse_version(vllm)
    if backend is None and version is not None and (0, 12, 0) <= version < (0, 20, 0):
        return [
            failed(
                name,
                f"vLLM {vllm} refuses batch_invariant without an explicit one",
                "set --attention-backend FLASH_ATTN (both modes get it)",
            )
        ]
    if backend is None:
        return [
            warning(
                name,
                "left to the server, which may choose another one in each mode",
                "set --attention-backend, so that the modes differ in one thing only",
            )
        ]
    if backend == "FLASH_ATTN" and gpu.capability == _HOPPER:
        return [
            warning(
                name,
                "FLASH_ATTN on Hopper is not quite batch-invariant (vllm#51902)",
                "expect a few changes in batch_invariant mode; TRITON_ATTN showed none",
            )
        ]
    return [ok(name, f"{backend}, the same in both modes")]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
