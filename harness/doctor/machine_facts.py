"""What the doctor found, as values; judged by `harness.doctor.judge` without looking again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.machine import Gpu


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The Docker engine.

    ``error`` (why it cannot be used) is ``None`` when it answers, ``gpu_access`` is ``runtime``,
    ``cdi`` or ``none``, and ``free_bytes``, on its images' disk, is ``None`` if that is not seen.
    ``podman`` is the release where it is Podman that answers, which may ignore requests for GPUs.
    """

    error: str | None = None
    remedy: str | None = None
    version: str = ""
    gpu_access: str = "none"
    free_bytes: int | None = None
    podman: str = ""
    ignores_gpus: bool = False


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The image of the spec.

    ``status`` is ``pinned``, ``local``, ``unpinned`` or ``not in the lock``; ``other`` says that
    another image has its name here. It is taken to be for GPUs when it is not here. The version of
    vLLM is from the lock or the tag, that of PyTorch's CUDA from the lock.
    """

    name: str
    status: str
    here: bool
    other: bool = False
    needs_gpu: bool = True
    vllm: str | None = None
    cuda: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model of the spec.

    A folder of this machine (``local``), or ``cached`` completely enough to have a configuration.
    ``unknown``: the hub knows no public model of that name.
    ``gated`` (the hub asks for a token) is ``None`` if the hub was not asked or did not answer, and
    ``weight_bytes``, estimated from the size in its name, if that says none. ``config`` is its
    ``config.json``, ``None`` where that is neither here nor told by the hub.
    """

    name: str
    hf_id: str
    local: bool
    cached: bool
    gated: bool | None = None
    unknown: bool = False
    weight_bytes: int | None = None
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NativeFacts:
    """The native server command.

    ``found``: the program is an executable file here.
    ``is_python``: it can be asked what it has.
    ``vllm`` is ``None`` if that environment has
    none; ``shm_bytes`` are free in ``/dev/shm``; ``is_cpu_engine``: the command
    is that of the repository's CPU engine.
    """

    program: str
    found: bool
    is_python: bool = True
    vllm: str | None = None
    torch: str | None = None
    shm_bytes: int | None = None
    is_cpu_engine: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was looked at; ``None`` for what the backend does not use."""

    engine: EngineFacts | None
    image: ImageFacts | None
    native: NativeFacts | None
    gpus: tuple[Gpu, ...]
    models: tuple[ModelFacts, ...]
    weights_folder: Path
    weights_free_bytes: int | None
    has_token: bool
    port: int
    port_problem: str | None
    leftovers: tuple[str, ...]
    refusals: tuple[HarnessError, ...] = ()
    """What is wrong with the servers that someone else runs."""
    gpu_trouble: tuple[str, ...] = ()
    """What ``nvidia-smi`` says of GPUs that it cannot read."""
    visible: tuple[str, ...] | None = None
    """``CUDA_VISIBLE_DEVICES``, which a server of ours inherits."""

    @property
    def needs_gpu(self) -> bool:
        """Whether the server computes on one: where nothing says otherwise, it does."""
        if self.native is not None:
            return not (self.native.is_cpu_engine or "cpu" in (self.native.torch or ""))
        return self.image is None or self.image.needs_gpu

    @property
    def vllm(self) -> str | None:
        """The release that will run; ``None`` if it is not known."""
        source = self.native or self.image
        return source.vllm if source else None

    @property
    def engine_answers(self) -> bool:
        """Whether there is a Docker engine to judge."""
        return self.engine is not None and self.engine.error is None
