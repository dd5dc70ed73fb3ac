"""What an image is and what it holds, as one value that goes to JSON and comes back.

Everything in `Contents` was said by a program inside the image, so every text and list is bounded
where it is read (`read_as`); nothing of it is ever run or used as a path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

__all__ = [
    "Contents",
    "Effect",
    "ImageConfig",
    "InvariantModule",
    "Inventory",
    "KernelFile",
    "Layer",
    "OsPackages",
    "Plugin",
    "PythonFacts",
    "ServerArgument",
    "ServerArguments",
    "TorchFacts",
    "VllmFacts",
    "read_as",
]

Short = Annotated[str, Field(max_length=1000)]
Text = Annotated[str, Field(max_length=20_000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Versions = Annotated[dict[Short, Short], Field(max_length=20_000)]
Bytes = Annotated[int, Field(ge=0)]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, from the bottom up; ``diff_id`` is the digest of its unpacked content."""

    diff_id: Short
    size_bytes: int | None = None
    created_by: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What ``docker inspect`` says, with secret-looking values taken out.

    Attributes:
        id: the engine's own id of the image.
        digests: ``name@sha256:...`` for every repository it came from or went to.
        size_bytes: unpacked.
        needs_gpu: False for an image that says that it is for a CPU.
    """

    id: Short
    digests: tuple[Short, ...] = ()
    platform: Short = ""
    created: Short = ""
    size_bytes: Bytes = 0
    layers: tuple[Layer, ...] = ()
    labels: dict[Short, Text] = field(default_factory=dict)
    environment: dict[Short, Text] = field(default_factory=dict)
    entrypoint: tuple[Text, ...] = ()
    command: tuple[Text, ...] = ()
    user: Short = ""
    working_directory: Short = ""
    ports: tuple[Short, ...] = ()
    needs_gpu: bool = True


@dataclass(frozen=True, slots=True)
class PythonFacts:
    """The interpreter that runs vLLM, and the operating system under it."""

    version: Short
    executable: Short
    os: Short


@dataclass(frozen=True, slots=True)
class OsPackages:
    """Packages of the operating system; ``format`` is dpkg, apk, rpm or ``None``."""

    format: Short | None = None
    packages: Versions = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TorchFacts:
    """PyTorch's version file; ``cuda`` and ``hip`` are what it was built for."""

    version: Short
    cuda: Short | None = None
    hip: Short | None = None
    xpu: Short | None = None
    git_version: Short | None = None


@dataclass(frozen=True, slots=True)
class VllmFacts:
    """vLLM itself; ``source_sha256`` covers the path and content of each of its Python files."""

    version: Short | None
    package: Short | None = None
    commit: Short | None = None
    source_files: int = 0
    source_sha256: Sha256 | None = None


@dataclass(frozen=True, slots=True)
class KernelFile:
    """A shared object of vLLM."""

    path: Short
    sha256: Sha256
    size_bytes: Bytes


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point for vLLM, with the package that brings it."""

    name: Short
    group: Short
    target: Short
    package: Short


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that the batch-invariant module does to a process.

    Attributes:
        kind: ``operator`` (replaced in PyTorch's dispatcher) or ``variable`` (set).
        name: ``aten::mm``, or the variable's name.
        value: the dispatch key, or the variable's value.
        function: the function of the module that does it.
        conditions: Python expressions that must all hold; empty for always.
    """

    kind: Short
    name: Short
    value: Short
    function: Short = ""
    conditions: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class InvariantModule:
    """vLLM's module of the batch-invariant mode; ``note`` says why effects are not known."""

    path: Short
    sha256: Sha256
    size_bytes: Bytes
    effects: Annotated[tuple[Effect, ...], Field(max_length=2000)] = ()
    note: Text = ""


@dataclass(frozen=True, slots=True)
class ServerArgument:
    """One option of the server.

    Attributes:
        flags: every spelling, the long one first.
        default: as the parser holds it; vLLM replaces many a ``None`` later, by device and model.
        choices: what it allows, where it is a list.
        kind: the parser's action, such as ``BooleanOptionalAction``.
    """

    flags: Annotated[tuple[Short, ...], Field(min_length=1, max_length=100)]
    default: JsonValue = None
    choices: Annotated[list[JsonValue], Field(max_length=5000)] | None = None
    kind: Short = ""

    @property
    def name(self) -> str:
        """The first long flag."""
        return next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])


@dataclass(frozen=True, slots=True)
class ServerArguments:
    """What the server can be told.

    Attributes:
        source: ``parser`` (vLLM's own, complete), ``help`` (read from the printed help, defaults
            as text) or ``None``.
        reasons: why not the parser.
    """

    source: Short | None = None
    arguments: Annotated[tuple[ServerArgument, ...], Field(max_length=5000)] = ()
    reasons: tuple[Text, ...] = ()

    def by_name(self) -> dict[str, ServerArgument]:
        """The arguments by their first long flag."""
        return {argument.name: argument for argument in self.arguments}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is inside; ``notes`` says for each missing part why it is missing."""

    python: PythonFacts | None = None
    os_packages: OsPackages = OsPackages()
    python_packages: Versions = field(default_factory=dict)
    plugins: Annotated[tuple[Plugin, ...], Field(max_length=1000)] = ()
    torch: TorchFacts | None = None
    vllm: VllmFacts | None = None
    batch_invariant: InvariantModule | None = None
    kernels: Annotated[tuple[KernelFile, ...], Field(max_length=2000)] = ()
    arguments: ServerArguments = ServerArguments()
    notes: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """An image, by the name that it was asked for."""

    image: Short
    config: ImageConfig
    contents: Contents
    schema_version: int = 1

    @property
    def vllm_version(self) -> str | None:
        """vLLM's version, if it is there."""
        return self.contents.vllm.version if self.contents.vllm else None

    @property
    def torch_version(self) -> str | None:
        """PyTorch's version, if it is there."""
        return self.contents.torch.version if self.contents.torch else None

    @property
    def cuda_version(self) -> str | None:
        """What PyTorch was built for; else what the image says of itself."""
        built_for = self.contents.torch.cuda if self.contents.torch else None
        return built_for or self.config.environment.get("CUDA_VERSION")

    @property
    def vllm_commit(self) -> str | None:
        """The commit that vLLM was built from, from the first source that names one."""
        labels, environment = self.config.labels, self.config.environment
        found = (
            labels.get("ai.vllm.build.commit"),
            environment.get("VLLM_BUILD_COMMIT"),
            self.contents.vllm.commit if self.contents.vllm else None,
            _commit_in(self.vllm_version),
        )
        return next((commit for commit in found if commit), None)

    def to_json(self) -> dict[str, Any]:
        """JSON values, with what most readers look for in front."""
        versions = {
            "vllm": self.vllm_version,
            "vllm_commit": self.vllm_commit,
            "torch": self.torch_version,
            "cuda": self.cuda_version,
            "python": self.contents.python.version if self.contents.python else None,
        }
        return {"image": self.image, "versions": versions, **asdict(self)}


def _commit_in(version: str | None) -> str | None:
    """``0.20.2rc1.dev3+g1a2b3c4`` names the commit after the ``g``."""
    _, plus, local = (version or "").partition("+g")
    return local.split(".")[0] if plus else None


def read_as(kind: type[T], value: Any) -> T:
    """A value that came from outside as one of these types, every bound checked.

    Raises:
        ValueError: it does not fit, in one line.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first: Mapping[str, Any] = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where or 'value'}: {first['msg']}") from None
