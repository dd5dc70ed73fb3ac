"""What an image is and what it holds, as one value that goes to JSON and comes back.

Everything in `Contents` was said by a program inside the image, so every text and list is bounded
where it is decoded; nothing of it is ever run or used as a path.
"""

import re
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

Short = Annotated[str, Meta(max_length=1000)]
Text = Annotated[str, Meta(max_length=20_000)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Versions = Annotated[dict[Short, Short], Meta(max_length=20_000)]
Bytes = Annotated[int, Meta(ge=0)]
_HASH = re.compile(r"^g([0-9a-f]{7,40})$")
"""A commit as `git describe` writes it and vLLM's wheels keep it."""


class Layer(Struct, frozen=True):
    """One layer, from the bottom up; ``diff_id`` is the digest of its unpacked content."""

    diff_id: Short
    size_bytes: int | None = None
    created_by: Text = ""


class ImageConfig(Struct, frozen=True, kw_only=True):
    """What ``docker inspect`` says, with secret-looking values taken out.

    Attributes:
        id: the engine's own id. Its meaning changed with Docker 29 (configuration digest before,
            manifest digest since), so it is compared on one engine only, never across machines.
        digests: ``name@sha256:...`` for every repository it came from or went to.
        size_bytes: unpacked.
        needs_gpu: all images are for GPUs, but those that say that they are for a CPU.
    """

    id: Short
    digests: tuple[Short, ...] = ()
    platform: Short = ""
    created: Short = ""
    size_bytes: Bytes = 0
    layers: tuple[Layer, ...] = ()
    labels: dict[Short, Text] = {}
    environment: dict[Short, Text] = {}
    entrypoint: tuple[Text, ...] = ()
    command: tuple[Text, ...] = ()
    user: Short = ""
    working_directory: Short = ""
    ports: tuple[Short, ...] = ()
    needs_gpu: bool = True

    def digests_in(self, repository: str) -> tuple[str, ...]:
        """The digests under which the image is known there."""
        pairs = (entry.partition("@") for entry in self.digests)
        return tuple(digest for name, _, digest in pairs if name == repository)


class PythonFacts(Struct, frozen=True):
    """The interpreter that runs vLLM, and the operating system under it."""

    version: Short
    executable: Short
    os: Short


class OsPackages(Struct, frozen=True):
    """Packages of the operating system; ``format`` is dpkg, apk, rpm or ``None``."""

    format: Short | None = None
    packages: Versions = {}


class TorchFacts(Struct, frozen=True):
    """PyTorch's version file; ``cuda`` and ``hip`` are what it was built for."""

    version: Short
    cuda: Short | None = None
    hip: Short | None = None
    xpu: Short | None = None
    git_version: Short | None = None


class VllmFacts(Struct, frozen=True):
    """vLLM itself; ``source_sha256`` covers the path and content of each of its Python files."""

    version: Short | None
    package: Short | None = None
    commit: Short | None = None
    source_files: int = 0
    source_sha256: Sha256 | None = None


class KernelFile(Struct, frozen=True):
    """A shared object of vLLM."""

    path: Short
    sha256: Sha256
    size_bytes: Bytes


class Plugin(Struct, frozen=True):
    """An entry point for vLLM, with the package that brings it."""

    name: Short
    group: Short
    target: Short
    package: Short


class Effect(Struct, frozen=True):
    """One thing that the batch-invariant module does to a process.

    An ``operator`` such as ``aten::mm`` is replaced in PyTorch's dispatcher under the key
    ``value``, a ``variable`` is set to it, by the module's ``function``, where all ``conditions``
    (Python expressions) hold.
    """

    kind: Short
    name: Short
    value: Short
    function: Short = ""
    conditions: tuple[Text, ...] = ()


class InvariantModule(Struct, frozen=True):
    """vLLM's module of the batch-invariant mode; ``note`` says why effects are not known."""

    path: Short
    sha256: Sha256
    size_bytes: Bytes
    effects: Annotated[tuple[Effect, ...], Meta(max_length=2000)] = ()
    note: Text = ""


class ServerArgument(Struct, frozen=True):
    """One option of the server.

    ``flags`` are its spellings, the long one first; the default is as the parser holds it: vLLM
    replaces many a ``None`` later, by device and model; ``kind`` is the parser's action, such as
    ``BooleanOptionalAction``.
    """

    flags: Annotated[tuple[Short, ...], Meta(min_length=1, max_length=100)]
    default: Any = None
    choices: Annotated[list[Any], Meta(max_length=5000)] | None = None
    kind: Short = ""

    @property
    def name(self) -> str:
        """The first long flag."""
        return next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])


class ServerArguments(Struct, frozen=True):
    """What the server can be told.

    From vLLM's own ``parser`` (complete), or from the printed ``help`` (defaults as text), or from
    nowhere (``None``); ``reasons`` say why not the parser. ``told_device`` is the device that the
    parser was told, since it needs one and the reading has none.
    """

    source: Short | None = None
    arguments: Annotated[tuple[ServerArgument, ...], Meta(max_length=5000)] = ()
    reasons: tuple[Text, ...] = ()
    told_device: Short | None = None

    def by_name(self) -> dict[str, ServerArgument]:
        """The arguments by their first long flag."""
        return {argument.name: argument for argument in self.arguments}


class Contents(Struct, frozen=True, kw_only=True):
    """What is inside; ``notes`` says for each missing part why it is missing."""

    python: PythonFacts | None = None
    os_packages: OsPackages = OsPackages()
    python_packages: Versions = {}
    plugins: Annotated[tuple[Plugin, ...], Meta(max_length=1000)] = ()
    torch: TorchFacts | None = None
    vllm: VllmFacts | None = None
    batch_invariant: InvariantModule | None = None
    kernels: Annotated[tuple[KernelFile, ...], Meta(max_length=2000)] = ()
    arguments: ServerArguments = ServerArguments()
    notes: tuple[Text, ...] = ()


class StackVersions(Struct, frozen=True):
    """The versions that most readers look for; ``None`` where it is not there.

    vLLM's commit is by the first source that names one; ``cuda`` is what PyTorch was built for,
    else what the image says of itself.
    """

    vllm: str | None = None
    vllm_commit: str | None = None
    torch: str | None = None
    cuda: str | None = None
    python: str | None = None


class Inventory(Struct, frozen=True, kw_only=True):
    """An image, by the name that it was asked for.

    ``versions`` stand in front for readers of the file, always those of the other two.
    """

    image: Short
    versions: StackVersions = StackVersions()
    config: ImageConfig
    contents: Contents
    schema_version: Literal[1] = 1

    def __post_init__(self) -> None:
        python, torch, vllm = self.contents.python, self.contents.torch, self.contents.vllm
        labels, environment = self.config.labels, self.config.environment
        version = vllm.version if vllm else None
        # 0.20.2rc1.dev3+g1a2b3c4 names the commit after the g
        _, _, local = (version or "").partition("+g")
        versions = StackVersions(
            vllm=version,
            vllm_commit=labels.get("ai.vllm.build.commit")
            or environment.get("VLLM_BUILD_COMMIT")
            or (_HASH.sub(r"\1", vllm.commit) if vllm and vllm.commit else None)
            or local.split(".")[0]
            or None,
            torch=torch.version if torch else None,
            cuda=(torch.cuda if torch else None) or environment.get("CUDA_VERSION"),
            python=python.version if python else None,
        )
        force_setattr(self, "versions", versions)
