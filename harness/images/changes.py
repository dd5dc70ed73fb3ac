"""What changed from one image to another, as values: the content of ``image-difference.json``."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from harness.images.inventory import StackVersions


class Change(Struct, frozen=True):
    """One named value; ``None`` where that side does not have it.

    Attributes:
        change: ``added``, ``removed`` or ``changed``.
    """

    name: str
    change: str
    a: str | None
    b: str | None

    @classmethod
    def between(cls, name: str, a: str | None, b: str | None) -> Change:
        """From A's value to B's, which differs."""
        return cls(name, "added" if a is None else "removed" if b is None else "changed", a, b)


class ArgumentChange(Struct, frozen=True):
    """One option of the server.

    Attributes:
        change: ``added``, ``removed`` or ``changed``.
        default: its default in the image that has it, where only one has it.
        default_changed: a default has another value: not only a key more or less in a mapping.
        details: what changed, such as ``default`` or ``default.backend`` with both values, or
            ``choices`` with what came and what went.
    """

    name: str
    change: str
    default: str | None = None
    default_changed: bool = False
    details: tuple[Change, ...] = ()


class CapabilityChange(Struct, frozen=True, kw_only=True):
    """What the batch-invariant mode replaces on a GPU of one compute capability, in A and in B.

    Attributes:
        uncertain_a, uncertain_b: hang on conditions that could not be decided from the source.
        changed: something is replaced or pinned in one image only, or in another order.
    """

    capability: str
    operators_a: tuple[str, ...]
    operators_b: tuple[str, ...]
    variables_a: tuple[str, ...]
    variables_b: tuple[str, ...]
    uncertain_a: tuple[str, ...]
    uncertain_b: tuple[str, ...]
    changed: bool


class ModuleChange(Struct, frozen=True):
    """The batch-invariant module; a side without one has ``None``.

    Attributes:
        path, sha256: of A's and B's module.
        capabilities: what each replaces, for every capability that is judged.
        notes: why a side's operators are not known.
        changed: the two are different files.
    """

    path: tuple[str | None, str | None]
    sha256: tuple[str | None, str | None]
    capabilities: tuple[CapabilityChange, ...]
    notes: tuple[str, ...]
    changed: bool


class KernelChange(Struct, frozen=True):
    """A shared object of vLLM; sizes in bytes, ``None`` where that side lacks the file.

    Attributes:
        change: ``added``, ``removed``, ``changed`` or ``same``.
    """

    path: str
    change: str
    size_a: int | None
    size_b: int | None
    sha256_a: str | None
    sha256_b: str | None


class Sizes(Struct, frozen=True):
    """Unpacked sizes in bytes, and how many of the lowest layers both images have."""

    a: int
    b: int
    layers_a: int
    layers_b: int
    shared_layers: int


class ExpectedEvidence(Struct, frozen=True):
    """What a server of this image must show before its mode counts as proven.

    Attributes:
        device: ``cuda`` or ``cpu``; ``None`` where there is no rule.
        supported: whether this version has the batch-invariant mode.
        required: what a batch-invariant server must show, and a standard one must not.
        notes: what else holds for this version, or why there is no rule.
    """

    device: str | None
    supported: bool
    required: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class SideFacts(Struct, frozen=True):
    """One image in short."""

    image: str
    id: str
    digests: tuple[str, ...]
    platform: str
    versions: StackVersions
    evidence: ExpectedEvidence
    notes: tuple[str, ...]


class ImageDifference(Struct, frozen=True, kw_only=True):
    """Image A against image B.

    Attributes:
        headline: the difference in one line.
        versions: vLLM, its commit, its source, PyTorch, CUDA, Python, the operating system.
        configuration: entrypoint, command, user, working directory, ports, platform.
        argument_source: how each side's arguments were read; defaults are compared only where
            both came from the parser.
        not_compared: parts that one side or both do not tell.
    """

    schema_version: Literal[1] = 1
    kind: Literal["images"] = "images"
    headline: str
    same_image: bool
    a: SideFacts
    b: SideFacts
    versions: tuple[Change, ...]
    python_packages: tuple[Change, ...]
    os_packages: tuple[Change, ...]
    environment: tuple[Change, ...]
    labels: tuple[Change, ...]
    configuration: tuple[Change, ...]
    plugins: tuple[Change, ...]
    arguments: tuple[ArgumentChange, ...]
    argument_source: tuple[str | None, str | None]
    batch_invariant: ModuleChange
    kernels: tuple[KernelChange, ...]
    sizes: Sizes
    not_compared: tuple[str, ...]
