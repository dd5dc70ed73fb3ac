"""From facts to findings: what would stop a run, what may spoil it, and the remedy. Pure.

Here is when each case of a check holds; its status and its words are in ``findings.yaml``.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from math import prod

from msgspec import Struct, yaml

from harness.cause import VARIABLES_GONE, VARIABLES_READ
from harness.doctor.machine_facts import Facts
from harness.doctor.memory import ALLOWANCE, need_of, shape_of, ways_to_fit
from harness.findings import Finding, Status
from harness.machine import Gpu
from harness.models import PREFIX
from harness.prove import beyond_read, parse_version
from harness.settings import RunSpec
from harness.vllm_arguments import number_of, read_arguments
from harness.words import BackendName, Mode

_GB = 1e9
_GIB = 2**30
_IMAGE_BYTES = int(35 * _GB)
"""Unpacked size of a vLLM image for GPUs with the layers that are being unpacked beside it."""
_SHM_BYTES = int(0.25 * _GB)
"""The engine asks for 160 MiB of shared memory on one device."""
_WEIGHTS_RESERVE = 1.1
_HOPPER = (9, 0)
_WORKERS = tuple(f"{kind}_parallel_size" for kind in ("tensor", "pipeline", "data"))
_NO_DRIVER = ("communicate with the NVIDIA driver", "Driver/library version mismatch")
"""Where ``nvidia-smi`` says so, CUDA does not work either."""
_LOWEST = (8, 0)
_INVARIANT_FLASH = ("2",)
"""Generations of FlashAttention without the defect of vllm#51902 on Hopper."""
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

Read from the sources of 25 releases, 0.11.0 to 0.33.0."""
_TUNED: dict[tuple[int, int], tuple[int, ...]] = {(12, 0): (0, 32, 0), (12, 1): (0, 32, 0)}
"""In no list of supported ones, but with a table of tuned kernels of its own from a release on."""
_Check = Callable[[Facts, RunSpec], Iterator[Finding]]
_CHECKS: list[_Check] = []


class _Words(Struct, array_like=True):
    status: Status
    message: str
    remedy: str = ""


@cache
def _words() -> dict[str, dict[str, _Words]]:
    text = files("harness.doctor").joinpath("findings.yaml").read_text(encoding="utf-8")
    return yaml.decode(text, type=dict[str, dict[str, _Words]])


def _say(check: str, cases: Mapping[str, object], **facts: object) -> Finding:
    """The first case that holds, in its words; ``ok`` where none does."""
    case = next((name for name, holds in cases.items() if holds), "ok")
    said = _words()[check][case]
    message, remedy = said.message.format(**facts), said.remedy.format(**facts)
    return Finding(check.format(**facts), said.status, message, remedy)


def judge(facts: Facts, spec: RunSpec) -> tuple[Finding, ...]:
    """Every finding, in the order in which a run would meet them."""
    return tuple(finding for check in _CHECKS for finding in check(facts, spec))


def _check(check: _Check) -> _Check:
    """The next check of `judge`."""
    _CHECKS.append(check)
    return check


@_check
def _docker(facts: Facts, spec: RunSpec) -> Iterator[Finding]:
    engine, image = facts.engine, facts.image
    if engine is not None:
        old = _release(engine.version) < (20, 10) and not engine.podman
        cases = {"away": engine.error, "old": old}
        remedy = engine.remedy or "start it"
        yield _say("Docker engine", cases, engine=engine, remedy=remedy)
    if image is not None:
        unpinned = image.status in {"unpinned", "not in the lock"}
        yield _say("image", {"other": image.other, "unpinned": unpinned}, image=image)
    if image is not None and engine is not None and facts.engine_answers:
        free = engine.free_bytes
        cases = {
            "here": image.here,
            "gone": image.status == "local",
            "unseen": free is None,
            "small": (free or 0) < _IMAGE_BYTES,
        }
        sizes = {"free": (free or 0) / _GB, "wanted": _IMAGE_BYTES / _GB}
        yield _say("disk for the image", cases, image=image, **sizes)


@_check
def _server(facts: Facts, spec: RunSpec) -> Iterator[Finding]:
    native = facts.native
    if native is not None:
        remedy = "install vLLM there, or set --native-command"
        if native.is_cpu_engine:
            remedy = "install the CPU engine: harness engine"
        empty = native.vllm is None
        cases = {"away": not native.found, "unread": empty and not native.is_python, "empty": empty}
        yield _say("server command", cases, native=native, remedy=remedy)
        free = native.shm_bytes
        if native.found and native.vllm and free is not None and free < _SHM_BYTES:
            yield _say("shared memory", {"small": True}, free=free / 1e6)
    for refusal in facts.refusals:
        hint = refusal.hint or ""
        yield _say("external server", {"away": True}, message=refusal.message, hint=hint)


@_check
def _gpu(facts: Facts, spec: RunSpec) -> Iterator[Finding]:
    """Access from containers, the driver against the image's CUDA, and memory."""
    if spec.backend is BackendName.EXTERNAL:
        return
    if not facts.needs_gpu:
        yield _say("GPU", {"unneeded": True})
        return
    if facts.engine is not None and facts.engine_answers:
        none = facts.engine.gpu_access == "none"
        cases = {"podman": facts.engine.ignores_gpus, "none": none}
        yield _say("GPU in containers", cases, engine=facts.engine)
    cuda = facts.image.cuda if facts.image else None
    gpus, used = _gpus(facts, spec), _used(facts, spec)
    for gpu in gpus:
        yield _say("GPU", {}, gpu=gpu)
        if cuda and gpu.driver_cuda:
            has, needs = _release(gpu.driver_cuda), _release(cuda)
            cases = {"old": has[:1] < needs[:1], "older": has < needs}
            yield _say("driver", cases, gpu=gpu, cuda=cuda)
        total, free = gpu.memory_total or 0, gpu.memory_free or 0
        need = (spec.server.gpu_memory_utilization or 0.9) * total
        lacks = gpu.memory_total is not None and free < need
        cases = {
            "unknown": gpu.memory_total is None or gpu.memory_free is None,
            "full": lacks and gpu in used,
            "busy": lacks,
        }
        sizes = {"free": free, "total": total, "need": need}
        in_gib = {name: size / _GIB for name, size in sizes.items()}
        yield _say("GPU memory", cases, gpu=gpu, **in_gib)
    trouble = "; ".join(facts.gpu_trouble)
    gone = any(words in trouble for words in _NO_DRIVER)
    cases = {"gone": gone, "unread": bool(trouble), "unmatched": bool(facts.gpus), "none": True}
    if trouble or not gpus:
        ids = ", ".join(_wanted(facts, spec) or ())
        yield _say("GPU", cases, trouble=trouble, ids=ids)


@_check
def _mode(facts: Facts, spec: RunSpec) -> Iterator[Finding]:
    """Whether these GPUs and this release can be batch-invariant."""
    gpus, variables = _used(facts, spec), spec.server.env
    if not gpus or Mode.BATCH_INVARIANT not in spec.modes:
        return
    given = read_arguments(spec.server.extra_args)
    eager = given.get("enforce_eager") is True or given.get("optimization_level") == "0"
    for gpu in gpus:
        yield capability_finding(gpu.capability, facts.vllm, enforce_eager=eager)
    version = parse_version(facts.vllm) or (0,)
    refuses = (0, 12, 0) <= version < (0, 20, 0)
    group = given.get("attention_config")
    group = group if isinstance(group, dict) else {}
    backend = spec.server.attention_backend or group.get("backend")
    if backend is None and version < VARIABLES_READ:
        backend = variables.get("VLLM_ATTENTION_BACKEND")
    hopper = backend == "FLASH_ATTN" and gpus[0].capability == _HOPPER
    stated = group.get("flash_attn_version")
    if stated is None and version < VARIABLES_GONE:
        stated = variables.get("VLLM_FLASH_ATTN_VERSION")
    flash = None if stated is None else str(stated)
    cases = {
        "refused": backend is None and refuses,
        "open": backend is None,
        "hopper_newer": hopper and flash not in _INVARIANT_FLASH and beyond_read(facts.vllm),
        "hopper": hopper and flash not in _INVARIANT_FLASH,
        "flash": hopper,
    }
    told = {"vllm": facts.vllm, "backend": backend, "flash": flash}
    yield _say("attention backend", cases, newer=beyond_read(facts.vllm), **told)


def _wanted(facts: Facts, spec: RunSpec) -> tuple[str, ...] | None:
    ids = spec.server.gpu_device_ids
    return facts.visible if ids is None else ids


def _gpus(facts: Facts, spec: RunSpec) -> list[Gpu]:
    """Those that the server would see: by number or by the beginning of the identifier."""
    wanted = _wanted(facts, spec)
    if not facts.needs_gpu or spec.backend is BackendName.EXTERNAL:
        return []
    return [
        gpu
        for gpu in facts.gpus
        if wanted is None
        or str(gpu.index) in wanted
        or any(len(one) > 4 and gpu.uuid.startswith(one) for one in wanted)
    ]


def _used(facts: Facts, spec: RunSpec) -> list[Gpu]:
    """Those that it surely uses: the first, as many as it has workers.

    CUDA has an order of its own where they are not all alike; then it may be any.
    """
    gpus = _gpus(facts, spec)
    given = read_arguments(spec.server.extra_args)
    sizes = (number_of(given, name) or 1 for name in _WORKERS)
    alike = len({gpu.name for gpu in gpus}) < 2
    return gpus[: spec.server.workers * prod(sizes)] if alike else gpus


def _release(text: str) -> tuple[int, ...]:
    """The first two numbers of a version; less than that where they are none."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def capability_finding(
    capability: tuple[int, int] | None, vllm: str | None, *, enforce_eager: bool
) -> Finding:
    """Judge a GPU against a vLLM release for ``VLLM_BATCH_INVARIANT=1``.

    No release checks this itself: on a GPU that is too old or not supported yet, the mode starts
    and is silently something else. A release of ``None`` is one that is not known.
    """
    if capability is None:
        return _say("compute capability", {"unread": True})
    since, compiled = _SINCE.get(capability, ((0,), (0,)))
    version = parse_version(vllm)
    cases = {
        "low": capability < _LOWEST,
        "unknown": version is None,
        "newer": beyond_read(vllm),
        "tuned": capability in _TUNED and (version or (0,)) >= _TUNED[capability],
        "unlisted": capability not in _SINCE,
        "early": (version or (0,)) < since,
        "compiled": (version or (0,)) < compiled and not enforce_eager,
        "told": capability != _HOPPER,  # all that is kept of GPUs ran on H100 and H200
    }
    numbers = {"gpu": capability, "since": since, "compiled": compiled}
    words = {name: ".".join(map(str, parts)) for name, parts in numbers.items()}
    return _say("compute capability", cases, vllm=vllm, newer=beyond_read(vllm), **words)


@_check
def _models(facts: Facts, spec: RunSpec) -> Iterator[Finding]:
    """A line a model that is not here, and one for the disk that they need."""
    missing = [model for model in facts.models if not (model.local or model.cached)]
    for model in missing:
        cases = {
            "on_shelf": model.hf_id.startswith(PREFIX),
            "unknown": model.unknown and not facts.has_token,
            "private": model.unknown,
            "gated": model.gated and not facts.has_token,
            "silent": model.gated is None,
        }
        yield _say("model {model.name}", cases, model=model)
    known = [model.weight_bytes for model in missing if model.weight_bytes is not None]
    free, wanted = (facts.weights_free_bytes or 0) / _GB, _WEIGHTS_RESERVE * sum(known) / _GB
    cases = {
        "unseen": facts.weights_free_bytes is None,
        "small": free < wanted,
        "unknown": len(known) < len(missing),
    }
    if missing:
        folder = facts.weights_folder
        yield _say("disk for weights", cases, folder=folder, free=free, wanted=wanted)
    elif facts.models:
        yield _say("model weights", {})


@_check
def _memory(facts: Facts, spec: RunSpec) -> Iterator[Finding]:
    """A line a model: what its configuration asks of each GPU, before anything is started."""
    if spec.backend is BackendName.EXTERNAL or not facts.needs_gpu:
        return
    server = spec.server
    used = _used(facts, spec)
    totals = [gpu.memory_total for gpu in used if gpu.memory_total is not None]
    room = (server.gpu_memory_utilization or 0.9) * min(totals, default=0)
    tensor, pipeline = server.tensor_parallel, server.pipeline_parallel
    for model in facts.models:
        args = server.extra_args
        shape = shape_of(model.config, server.dtype, args) if model.config else None
        if shape is None:
            yield _say("memory for {model.name}", {"unknown": True}, model=model)
            continue
        need = need_of(shape, server.max_model_len, tensor=tensor, pipeline=pipeline)
        ways = next(ways_to_fit(shape, server.max_model_len, room, pipeline), None)
        left = room - need.weights - ALLOWANCE
        cases = {
            "heads": not shape.is_shared_by(tensor),
            "layers": pipeline > shape.layers,
            "few": len(used) < server.workers and totals,
            "unplaced": not totals,
            "small": need.least > room and ways,
            "large": need.least > room,
        }
        sizes = {"weights": need.weights, "sequence": need.sequence, "least": need.least}
        told = {name: size / _GIB for name, size in {**sizes, "room": room}.items()}
        counts = {"requests": int(left // need.sequence), "gpus": len(used), "ways": ways}
        yield _say(
            "memory for {model.name}",
            cases,
            model=model,
            shape=shape,
            server=server,
            **told,
            **counts,
        )


@_check
def _machine(facts: Facts, spec: RunSpec) -> Iterator[Finding]:
    if spec.backend is not BackendName.EXTERNAL:
        yield _say("port", {"taken": facts.port_problem}, facts=facts)
    left = "; ".join(facts.leftovers)
    yield _say("leftovers", {"left": left}, left=left)
