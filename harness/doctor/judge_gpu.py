"""GPU findings: access from containers, driver against CUDA, capability, attention, memory."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.machine_facts import Facts
from harness.findings import Finding, Status
from harness.prove import parse_version
from harness.settings import RunSpec
from harness.words import BackendName, Mode

_TOOLKIT = (
    "install the NVIDIA Container Toolkit, then: sudo nvidia-ctk runtime configure "
    "--runtime=docker && sudo systemctl restart docker; or CDI: sudo nvidia-ctk cdi generate "
    "--output=/etc/cdi/nvidia.yaml"
)
_OLD_DRIVER = "update the driver (CUDA 13 needs 580), or an older image"
_OLDER_DRIVER = (
    "it may start by minor-version compatibility; if the engine says "
    "'unsatisfied condition: cuda>=', update the driver"
)
_FULL = "end what uses the GPU (nvidia-smi, harness clean) or lower --gpu-memory-utilization"
_GIB = 2**30
_HOPPER = (9, 0)
_LOWEST = (8, 0)
_SINCE: dict[tuple[int, int], tuple[tuple[int, ...], tuple[int, ...]]] = {
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
        access, unseen = facts.engine.gpu_access, "the engine has no way to the GPU"
        case = access == "none", Status.FAILED, unseen, _TOOLKIT
        yield Finding.first("GPU in containers", case, ok=f"through {access}")
    wanted, cuda = spec.server.gpu_device_ids, facts.image.cuda if facts.image else None
    gpus = [gpu for gpu in facts.gpus if wanted is None or str(gpu.index) in wanted]
    if not gpus:
        remedy = "install the NVIDIA driver, or try make demo, which needs no GPU"
        yield Finding.failed("GPU", "nvidia-smi shows none", remedy)
        return
    for gpu in gpus:
        yield Finding.ok("GPU", f"{gpu.index}: {gpu.name}, driver {gpu.driver}")
        if cuda and gpu.driver_cuda:
            has, needs = release(gpu.driver_cuda), release(cuda)
            found = f"runs CUDA up to {gpu.driver_cuda}; the image is built for {cuda}"
            yield Finding.first(
                "driver",
                (has[:1] < needs[:1], Status.FAILED, found, _OLD_DRIVER),
                (has < needs, Status.WARNING, found, _OLDER_DRIVER),
                ok=found,
            )
        need = (spec.server.gpu_memory_utilization or 0.9) * gpu.memory_total
        free, total = gpu.memory_free, gpu.memory_total
        found = f"{gpu.index}: {free / _GIB:.0f} of {total / _GIB:.0f} GiB free"
        small = f"{found}, the server asks for {need / _GIB:.0f}"
        case = free < need, Status.FAILED, small, _FULL
        yield Finding.first("GPU memory", case, ok=found)
    if Mode.BATCH_INVARIANT in spec.modes:
        eager, backend = "--enforce-eager" in spec.server.extra_args, spec.server.attention_backend
        for gpu in gpus:
            yield capability_finding(gpu.capability, facts.vllm, enforce_eager=eager)
        refuses = (0, 12, 0) <= (parse_version(facts.vllm) or (0,)) < (0, 20, 0)
        yield Finding.first(
            "attention backend",
            (
                backend is None and refuses,
                Status.FAILED,
                f"vLLM {facts.vllm} refuses batch_invariant without an explicit one",
                "set --attention-backend FLASH_ATTN (both modes get it)",
            ),
            (
                backend is None,
                Status.WARNING,
                "left to the server, which may choose another one in each mode",
                "set --attention-backend, so that the modes differ in one thing only",
            ),
            (
                backend == "FLASH_ATTN" and gpus[0].capability == _HOPPER,
                Status.WARNING,
                "FLASH_ATTN on Hopper is not quite batch-invariant (vllm#51902)",
                "expect a few changes in batch_invariant mode; TRITON_ATTN showed none",
            ),
            ok=f"{backend}, the same in both modes",
        )


def release(text: str) -> tuple[int, ...]:
    """The first two numbers of a version; less than that where they are none."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


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
    gpu, version = ".".join(map(str, capability)), parse_version(vllm)
    since, compiled = _SINCE.get(capability, ((0,), (0,)))
    first, first_compiled = (".".join(map(str, numbers)) for numbers in (since, compiled))
    has = version or (0,)
    return Finding.first(
        "compute capability",
        (
            capability < _LOWEST,
            Status.FAILED,
            f"{gpu}: batch-invariant kernels need 8.0 or more",
            "use another GPU, or --modes standard",
        ),
        (
            version is None,
            Status.WARNING,
            f"{gpu}; the vLLM release is not known, so it cannot be judged",
            "pin the image (harness pin), which reads the release",
        ),
        (
            capability not in _SINCE,
            Status.WARNING,
            f"{gpu} is in no list of vLLM {vllm}; it takes Hopper's kernels",
            "treat changed answers in batch_invariant mode as a finding about this GPU",
        ),
        (
            has < since,
            Status.FAILED,
            f"{gpu}: the mode is batch-invariant from vLLM {first} on, this is {vllm}",
            f"use an image of vLLM {first} or later",
        ),
        (
            has < compiled and not enforce_eager,
            Status.FAILED,
            f"{gpu}: compiled mode is batch-invariant from vLLM {first_compiled} on, "
            f"this is {vllm}",
            "add --enforce-eager to server.extra_args (both modes get it), or use a later image",
        ),
        ok=f"{gpu} is supported by vLLM {vllm}",
    )
