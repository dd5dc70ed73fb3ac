"""What changed from one image to another, as values: the content of ``image-difference.json``."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from harness.images.inventory.contents import Inventory, KernelFile, StackVersions
from harness.images.inventory.effects import CapabilityEffects, effects_of
from harness.prove import Device, EvidenceTag, evidence_rule, parse_version

_NO_REPORT = "PyTorch 2.12 and later print no override report: import torch uses it up"
_NO_PLUGIN = "no batch-invariant plugin: the mode starts on a CPU and dies at once"


class Change(Struct, frozen=True):
    """One value ``added``, ``removed`` or ``changed``; ``None`` where a side does not have it."""

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


class CapabilityChange(Struct, frozen=True):
    """What the batch-invariant mode replaces on a GPU of one compute capability, in A and in B.

    What is uncertain hangs on conditions that could not be decided from the source. ``changed``:
    something is replaced or pinned in one image only, or in another order.
    """

    capability: str
    operators_a: tuple[str, ...]
    operators_b: tuple[str, ...]
    variables_a: tuple[str, ...]
    variables_b: tuple[str, ...]
    uncertain_a: tuple[str, ...]
    uncertain_b: tuple[str, ...]
    changed: bool

    @classmethod
    def between(cls, a: CapabilityEffects, b: CapabilityEffects) -> CapabilityChange:
        """From A's effects to B's on the same GPU."""
        parts = a.operators, b.operators, a.variables, b.variables, a.uncertain, b.uncertain
        return cls(a.capability, *parts, changed=a != b)


class ModuleChange(Struct, frozen=True):
    """The batch-invariant modules of A and B; a side without one has ``None``.

    ``notes`` say why a side's operators are not known; ``changed``: the two are different files.
    """

    path: tuple[str | None, ...]
    sha256: tuple[str | None, ...]
    capabilities: tuple[CapabilityChange, ...]
    notes: tuple[str, ...]
    changed: bool

    @classmethod
    def between(cls, a: Inventory, b: Inventory) -> ModuleChange:
        """From A's module to B's, on each GPU that is judged."""
        modules = a.contents.batch_invariant, b.contents.batch_invariant
        digests = tuple(module.sha256 if module else None for module in modules)
        notes = [(a.image, modules[0]), (b.image, modules[1])]
        return cls(
            path=tuple(module.path if module else None for module in modules),
            sha256=digests,
            capabilities=tuple(map(CapabilityChange.between, *map(effects_of, (a, b)))),
            notes=tuple(f"{image}: {one.note}" for image, one in notes if one and one.note),
            changed=digests[0] != digests[1],
        )


class KernelChange(Struct, frozen=True):
    """A shared object of vLLM: ``added``, ``removed``, ``changed`` or ``same``.

    Sizes are in bytes, ``None`` where that side lacks the file.
    """

    path: str
    change: str
    size_a: int | None
    size_b: int | None
    sha256_a: str | None
    sha256_b: str | None

    @classmethod
    def between(cls, path: str, a: KernelFile | None, b: KernelFile | None) -> KernelChange:
        """From A's file to B's."""
        size_a, sha256_a = (a.size_bytes, a.sha256) if a else (None, None)
        size_b, sha256_b = (b.size_bytes, b.sha256) if b else (None, None)
        change = "same" if sha256_a == sha256_b else Change.between(path, sha256_a, sha256_b).change
        return cls(path, change, size_a, size_b, sha256_a, sha256_b)


class Sizes(Struct, frozen=True):
    """Unpacked sizes in bytes, and how many of the lowest layers both images have."""

    a: int
    b: int
    layers_a: int
    layers_b: int
    shared_layers: int


class ExpectedEvidence(Struct, frozen=True):
    """What a batch-invariant server of this image must show, and a standard one must not.

    ``device`` is ``cuda`` or ``cpu``, or ``None`` where there is no rule; ``notes`` then say why,
    and else what also holds for this version.
    """

    device: str | None
    supported: bool
    required: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, inventory: Inventory) -> ExpectedEvidence:
        """By the release of vLLM inside and the device that the image is for."""
        torch, vllm = inventory.contents.torch, inventory.versions.vllm
        version = parse_version(vllm)
        device = Device.CUDA if inventory.config.needs_gpu else Device.CPU
        unknown = None
        if version is None:
            unknown = f"vLLM {vllm} names no release" if vllm else "no vLLM was found in the image"
        elif torch is not None and (torch.hip or torch.xpu):
            unknown = "the image is for a device that no rule is known for"
        if version is None or unknown:
            return cls(None, supported=False, notes=(unknown or "",))
        rule = evidence_rule(version, device, inventory.versions.torch)
        if not rule.supported:
            note = f"vLLM {vllm} has no batch-invariant mode (it came with 0.11.1)"
            return cls(device.value, supported=False, notes=(note,))
        plugged = any("batch_invariant" in one.name for one in inventory.contents.plugins)
        on_cuda = device is Device.CUDA
        notes = {
            f"{rule.beyond_source}: the rule may have moved": rule.beyond_source,
            _NO_REPORT: on_cuda and not rule.requires(EvidenceTag.OVERRIDE),
            _NO_PLUGIN: not on_cuda and not plugged,
        }
        told = tuple(note for note, holds in notes.items() if holds)
        return cls(device.value, supported=True, required=rule.in_words(), notes=told)


class SideFacts(Struct, frozen=True):
    """One image in short."""

    image: str
    id: str
    digests: tuple[str, ...]
    platform: str
    versions: StackVersions
    evidence: ExpectedEvidence
    notes: tuple[str, ...]

    @classmethod
    def of(cls, side: Inventory) -> SideFacts:
        """What its inventory says."""
        config, evidence, notes = side.config, ExpectedEvidence.of(side), side.contents.notes
        names = side.image, config.id, config.digests, config.platform
        return cls(*names, side.versions, evidence, notes)


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

    @property
    def anything_changed(self) -> bool:
        """Whether anything that was compared differs, be it a label."""
        read = (
            *(self.versions, self.python_packages, self.os_packages, self.environment),
            *(self.labels, self.configuration, self.plugins, self.arguments),
        )
        moved = any(kernel.change != "same" for kernel in self.kernels)
        return any(read) or moved or self.batch_invariant.changed
