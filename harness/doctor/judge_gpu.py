"""GPU findings: access from containers, driver against CUDA, capability, attention, memory."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.machine_facts import Facts
from harness.findings import Finding
from harness.machine import Gpu
from harness.prove import parse_version
from harness.settings import RunSpec
from harness.words import BackendName, Mode

_TOOLKIT = (
    "install the NVIDIA Container Toolkit, then: sudo nvidia-ctk runtime configure "
    "--runtime=docker && sudo systemctl restart docker; or CDI: sudo nvidia-ctk cdi generate "
    "--output=/etc/cdi/nvidia.yaml"
)
_GIB = 2**30
_HOPPER = (9, 0)
_LOWEST = (8, 0)
_SINCE = {
    (9, 0): ((0, 11, 1), (0, 11, 1)),
    (10, 0): ((0, 11, 1), (0, 11, 1)),
    (10, 3): ((0, 13, 0), (0, 13, 0)),
    (8, 0): ((0, 13, 0), (0, 21, 0)),
    (8, 9): ((0, 13, 0), (0, 21, 0)),
    (8, 6): ((0, 20, 0), (0, 21, 0)),
    (8, 7): ((0, 20, 0), (0, 21, 0)),
}
"""By compute capability: from which release on the mode works, and from which also compiled.

Read from the sources of 24 releases, 0.11.0 to 0.32.0."""


def gpu_findings(facts: Facts, spec: RunSpec) -> Iterator[Finding]:
    """All GPU findings; one line where no GPU is needed."""
    if spec.backend is BackendName.EXTERNAL:
        return
    if not facts.needs_gpu:
        yield Finding.ok("GPU", "none needed: the server is a CPU engine")
        return
    if facts.engine is not None and facts.engine_answers:
        access, name = facts.engine.gpu_access, "GPU in containers"
        if access == "none":
            yield Finding.failed(name, "the engine has no way to the GPU", _TOOLKIT)
        else:
            yield Finding.ok(name, f"through {access}")
    wanted = spec.server.gpu_device_ids
    gpus = [gpu for gpu in facts.gpus if wanted is None or str(gpu.index) in wanted]
    if not gpus:
        yield Finding.failed(
            "GPU",
            "nvidia-smi shows none",
            "install the NVIDIA driver, or try make demo, which needs no GPU",
        )
        return
    for gpu in gpus:
        yield Finding.ok("GPU", f"{gpu.index}: {gpu.name}, driver {gpu.driver}")
        if facts.image is not None and facts.image.cuda and gpu.driver_cuda:
            yield _driver(gpu.driver_cuda, facts.image.cuda)
        yield _memory(gpu, spec.server.gpu_memory_utilization or 0.9)
    if Mode.BATCH_INVARIANT in spec.modes:
        eager = "--enforce-eager" in spec.server.extra_args
        for gpu in gpus:
            yield capability_finding(gpu.capability, facts.vllm, enforce_eager=eager)
        yield _attention(gpus[0], facts.vllm, spec.server.attention_backend)


def _driver(runs: str, built_for: str) -> Finding:
    """Two CUDA versions against each other: the driver's newest and PyTorch's."""
    has, wanted = (
        tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
        for text in (runs, built_for)
    )
    found = f"runs CUDA up to {runs}; the image is built for {built_for}"
    if has[:1] < wanted[:1]:
        remedy = "update the driver (CUDA 13 needs 580), or an older image"
        return Finding.failed("driver", found, remedy)
    if has < wanted:
        return Finding.warning(
            "driver",
            found,
            "it may start by minor-version compatibility; if the engine says "
            "'unsatisfied condition: cuda>=', update the driver",
        )
    return Finding.ok("driver", found)


def _memory(gpu: Gpu, share: float) -> Finding:
    wanted = share * gpu.memory_total
    found = f"{gpu.index}: {gpu.memory_free / _GIB:.0f} of {gpu.memory_total / _GIB:.0f} GiB free"
    if gpu.memory_free < wanted:
        return Finding.failed(
            "GPU memory",
            f"{found}, the server asks for {wanted / _GIB:.0f}",
            "end what uses the GPU (nvidia-smi, harness clean) or lower --gpu-memory-utilization",
        )
    return Finding.ok("GPU memory", found)


def _attention(gpu: Gpu, vllm: str | None, backend: str | None) -> Finding:
    name = "attention backend"
    version = parse_version(vllm)
    if backend is None and version is not None and (0, 12, 0) <= version < (0, 20, 0):
        return Finding.failed(
            name,
            f"vLLM {vllm} refuses batch_invariant without an explicit one",
            "set --attention-backend FLASH_ATTN (both modes get it)",
        )
    if backend is None:
        return Finding.warning(
            name,
            "left to the server, which may choose another one in each mode",
            "set --attention-backend, so that the modes differ in one thing only",
        )
    if backend == "FLASH_ATTN" and gpu.capability == _HOPPER:
        return Finding.warning(
            name,
            "FLASH_ATTN on Hopper is not quite batch-invariant (vllm#51902)",
            "expect a few changes in batch_invariant mode; TRITON_ATTN showed none",
        )
    return Finding.ok(name, f"{backend}, the same in both modes")


def capability_finding(
    capability: tuple[int, int], vllm: str | None, *, enforce_eager: bool
) -> Finding:
    """Judge a GPU against a vLLM release for ``VLLM_BATCH_INVARIANT=1``.

    No release checks this itself: on a GPU that is too old or not supported yet, the mode starts
    and is silently something else.

    Args:
        capability: of the GPU.
        vllm: the release; ``None`` if it is not known.
        enforce_eager: whether the server is started with ``--enforce-eager``.
    """
    name, gpu = "compute capability", f"{capability[0]}.{capability[1]}"
    if capability < _LOWEST:
        return Finding.failed(
            name,
            f"{gpu}: batch-invariant kernels need 8.0 or more",
            "use another GPU, or --modes standard",
        )
    version = parse_version(vllm)
    if version is None:
        return Finding.warning(
            name,
            f"{gpu}; the vLLM release is not known, so it cannot be judged",
            "pin the image (harness pin), which reads the release",
        )
    if capability not in _SINCE:
        return Finding.warning(
            name,
            f"{gpu} is in no list of vLLM {vllm}; it takes Hopper's kernels",
            "treat changed answers in batch_invariant mode as a finding about this GPU",
        )
    since, compiled_since = _SINCE[capability]
    if version < since:
        first = ".".join(map(str, since))
        return Finding.failed(
            name,
            f"{gpu}: the mode is batch-invariant from vLLM {first} on, this is {vllm}",
            f"use an image of vLLM {first} or later",
        )
    if version < compiled_since and not enforce_eager:
        first = ".".join(map(str, compiled_since))
        return Finding.failed(
            name,
            f"{gpu}: compiled mode is batch-invariant from vLLM {first} on, this is {vllm}",
            "add --enforce-eager to server.extra_args (both modes get it), or use a later image",
        )
    return Finding.ok(name, f"{gpu} is supported by vLLM {vllm}")
