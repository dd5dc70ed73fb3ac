"""What the doctor found, as values; judged by `harness.doctor.judge` without looking again."""

from dataclasses import dataclass
from pathlib import Path

from harness.machine import Gpu


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The Docker engine.

    Attributes:
        error: why it cannot be used; ``None`` when it answers.
        remedy: what to do about ``error``.
        gpu_access: ``runtime``, ``cdi`` or ``none``.
        free_bytes: on the disk of its images; ``None`` if that folder cannot be seen.
    """

    error: str | None = None
    remedy: str | None = None
    version: str = ""
    gpu_access: str = "none"
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The image of the spec.

    Attributes:
        status: of the lock's entry: ``pinned``, ``local``, ``unpinned`` or ``not in the lock``.
        here: whether this machine has the image that is meant.
        other: another image has its name here.
        needs_gpu: whether it is for GPUs; assumed so when it is not here.
        vllm: version inside, from the lock or from the tag.
        cuda: version of PyTorch's CUDA, from the lock.
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

    Attributes:
        local: a folder of this machine.
        cached: complete enough in the Hugging Face cache to have a configuration there.
        gated: whether the hub asks for a token; ``None`` if it was not asked or did not answer.
        weight_bytes: estimated from the size in its name; ``None`` if it says none.
    """

    name: str
    hf_id: str
    local: bool
    cached: bool
    gated: bool | None = None
    weight_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NativeFacts:
    """The native server command.

    Attributes:
        found: whether the program is an executable file here.
        vllm: version in that environment; ``None`` if vLLM is not installed there.
        shm_bytes: free in ``/dev/shm``.
        is_cpu_engine: whether the command is that of the repository's CPU engine.
    """

    program: str
    found: bool
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
    unreachable: tuple[str, ...] = ()

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
