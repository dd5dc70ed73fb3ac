"""What changed from one image to another, as values that go to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = [
    "ArgumentChange",
    "CapabilityChange",
    "Change",
    "ExpectedEvidence",
    "ImageDifference",
    "KernelChange",
    "ModuleChange",
    "SideFacts",
    "Sizes",
]

_LISTS = (
    "versions",
    "python_packages",
    "os_packages",
    "environment",
    "labels",
    "configuration",
    "plugins",
    "arguments",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One named value; ``None`` where that side does not have it."""

    name: str
    a: str | None
    b: str | None

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        if self.a is None:
            return "added"
        return "removed" if self.b is None else "changed"

    def as_json(self) -> dict[str, Any]:
        """The change as JSON values."""
        return {"name": self.name, "change": self.kind, "a": self.a, "b": self.b}


@dataclass(frozen=True, slots=True)
class ArgumentChange:
    """One option of the server.

    Attributes:
        change: ``added``, ``removed`` or ``changed``.
        default: its default in the image that has it, where only one has it.
        details: what changed, such as ``default`` or ``default.backend`` with both values, or
            ``choices`` with what came and what went.
    """

    name: str
    change: str
    default: str | None = None
    details: tuple[Change, ...] = ()

    @property
    def default_changed(self) -> bool:
        """Whether a default has another value: not only a key more or less inside a mapping."""
        return any(
            detail.name.partition(".")[0] == "default" and detail.kind == "changed"
            for detail in self.details
        )

    def as_json(self) -> dict[str, Any]:
        """The change as JSON values."""
        return {
            "name": self.name,
            "change": self.change,
            "default": self.default,
            "default_changed": self.default_changed,
            "details": [detail.as_json() for detail in self.details],
        }


@dataclass(frozen=True, slots=True)
class CapabilityChange:
    """What the batch-invariant mode replaces on a GPU of one compute capability, in A and in B.

    ``uncertain_a`` and ``uncertain_b`` hang on conditions that could not be decided from the
    source.
    """

    capability: str
    operators_a: tuple[str, ...]
    operators_b: tuple[str, ...]
    variables_a: tuple[str, ...]
    variables_b: tuple[str, ...]
    uncertain_a: tuple[str, ...] = ()
    uncertain_b: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether anything is replaced or pinned in one image only, or in another order."""
        a = self.operators_a, self.variables_a, self.uncertain_a
        return a != (self.operators_b, self.variables_b, self.uncertain_b)


@dataclass(frozen=True, slots=True)
class ModuleChange:
    """The batch-invariant module; a side without one has ``None``.

    Attributes:
        path, sha256: of A's and B's module.
        capabilities: what each replaces, for every capability that is judged.
        notes: why a side's operators are not known.
    """

    path: tuple[str | None, str | None]
    sha256: tuple[str | None, str | None]
    capabilities: tuple[CapabilityChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether the two are different files."""
        return self.sha256[0] != self.sha256[1]

    def as_json(self) -> dict[str, Any]:
        """The change as JSON values."""
        rows = [{**asdict(row), "changed": row.is_changed} for row in self.capabilities]
        return {**asdict(self), "changed": self.is_changed, "capabilities": rows}


@dataclass(frozen=True, slots=True)
class KernelChange:
    """A shared object of vLLM; sizes in bytes, ``None`` where that side lacks the file."""

    path: str
    change: str
    size_a: int | None
    size_b: int | None
    sha256_a: str | None
    sha256_b: str | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """Unpacked sizes in bytes, and how many of the lowest layers both images have."""

    a: int
    b: int
    layers_a: int
    layers_b: int
    shared_layers: int


@dataclass(frozen=True, slots=True)
class ExpectedEvidence:
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


@dataclass(frozen=True, slots=True)
class SideFacts:
    """One image in short."""

    image: str
    id: str
    digests: tuple[str, ...]
    platform: str
    versions: Mapping[str, str | None]
    evidence: ExpectedEvidence
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDifference:
    """Image A against image B.

    Attributes:
        headline: the difference in one line.
        versions: vLLM, its commit, its source, PyTorch, CUDA, Python, the operating system.
        configuration: entrypoint, command, user, working directory, ports, platform.
        argument_source: how each side's arguments were read; defaults are compared only where
            both came from the parser.
        not_compared: parts that one side or both do not tell.
    """

    a: SideFacts
    b: SideFacts
    headline: str
    same_image: bool
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
    not_compared: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The content of ``image-difference.json`` (schema version 1)."""
        return {
            "schema_version": 1,
            "kind": "images",
            "headline": self.headline,
            "same_image": self.same_image,
            "a": asdict(self.a),
            "b": asdict(self.b),
            **{name: [item.as_json() for item in getattr(self, name)] for name in _LISTS},
            "argument_source": list(self.argument_source),
            "batch_invariant": self.batch_invariant.as_json(),
            "kernels": [asdict(kernel) for kernel in self.kernels],
            "sizes": asdict(self.sizes),
            "not_compared": list(self.not_compared),
        }
