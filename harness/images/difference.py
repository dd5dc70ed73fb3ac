"""Two inventories set against each other; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import takewhile

from harness.images.difference_arguments import argument_changes
from harness.images.difference_evidence import expected_evidence
from harness.images.difference_headline import headline
from harness.images.difference_model import (
    CapabilityChange,
    Change,
    ImageDifference,
    KernelChange,
    ModuleChange,
    SideFacts,
    Sizes,
)
from harness.images.inventory_effects import effects_by_capability
from harness.images.inventory_model import Inventory, Plugin

__all__ = ["compare_images"]


def compare_images(a: Inventory, b: Inventory) -> ImageDifference:
    """Everything that differs between two images, as far as both inventories tell."""
    difference = ImageDifference(
        a=_side(a),
        b=_side(b),
        headline="",
        same_image=a.config.id == b.config.id,
        versions=_changes(_version_facts(a), _version_facts(b)),
        python_packages=_changes(a.contents.python_packages, b.contents.python_packages),
        os_packages=_changes(a.contents.os_packages.packages, b.contents.os_packages.packages),
        environment=_changes(a.config.environment, b.config.environment),
        labels=_changes(a.config.labels, b.config.labels),
        configuration=_changes(_configuration(a), _configuration(b)),
        plugins=_changes(_plugins(a.contents.plugins), _plugins(b.contents.plugins)),
        arguments=argument_changes(a.contents.arguments, b.contents.arguments),
        argument_source=(a.contents.arguments.source, b.contents.arguments.source),
        batch_invariant=_module(a, b),
        kernels=_kernels(a, b),
        sizes=_sizes(a, b),
        not_compared=_not_compared(a, b),
    )
    readable = a.contents.python is not None and b.contents.python is not None
    return replace(difference, headline=headline(difference, readable=readable))


def _changes(a: Mapping[str, str | None], b: Mapping[str, str | None]) -> tuple[Change, ...]:
    names = sorted({*a, *b})
    return tuple(
        Change(name, a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)
    )


def _version_facts(side: Inventory) -> dict[str, str | None]:
    python, vllm, torch = side.contents.python, side.contents.vllm, side.contents.torch
    return {
        "vLLM": side.vllm_version,
        "vLLM commit": side.vllm_commit,
        "vLLM source (SHA-256 of its Python files)": vllm.source_sha256 if vllm else None,
        "torch": side.torch_version,
        "torch commit": torch.git_version if torch else None,
        "CUDA": side.cuda_version,
        "ROCm": torch.hip if torch else None,
        "Python": python.version if python else None,
        "operating system": python.os if python else None,
    }


def _configuration(side: Inventory) -> dict[str, str | None]:
    config = side.config
    return {
        "entrypoint": " ".join(config.entrypoint) or None,
        "command": " ".join(config.command) or None,
        "user": config.user,
        "working directory": config.working_directory,
        "ports": ", ".join(config.ports) or None,
        "platform": config.platform,
    }


def _plugins(plugins: tuple[Plugin, ...]) -> dict[str, str | None]:
    return {f"{p.group} {p.name}": f"{p.target} ({p.package})" for p in plugins}


def _side(side: Inventory) -> SideFacts:
    return SideFacts(
        image=side.image,
        id=side.config.id,
        digests=side.config.digests,
        platform=side.config.platform,
        versions={
            "vllm": side.vllm_version,
            "vllm_commit": side.vllm_commit,
            "torch": side.torch_version,
            "cuda": side.cuda_version,
            "python": side.contents.python.version if side.contents.python else None,
        },
        evidence=expected_evidence(side),
        notes=side.contents.notes,
    )


def _module(a: Inventory, b: Inventory) -> ModuleChange:
    modules = a.contents.batch_invariant, b.contents.batch_invariant
    per_side = [
        effects_by_capability(module.effects if module else (), side.torch_version)
        for module, side in zip(modules, (a, b), strict=True)
    ]
    rows = tuple(
        CapabilityChange(
            one.capability,
            one.operators,
            other.operators,
            one.variables,
            other.variables,
            one.uncertain,
            other.uncertain,
        )
        for one, other in zip(*per_side, strict=True)
    )
    return ModuleChange(
        path=(modules[0].path if modules[0] else None, modules[1].path if modules[1] else None),
        sha256=(
            modules[0].sha256 if modules[0] else None,
            modules[1].sha256 if modules[1] else None,
        ),
        capabilities=rows,
        notes=tuple(
            f"{side.image}: {module.note}"
            for module, side in zip(modules, (a, b), strict=True)
            if module is not None and module.note
        ),
    )


def _kernels(a: Inventory, b: Inventory) -> tuple[KernelChange, ...]:
    ours = {kernel.path: kernel for kernel in a.contents.kernels}
    theirs = {kernel.path: kernel for kernel in b.contents.kernels}
    found = []
    for path in sorted({*ours, *theirs}):
        one, other = ours.get(path), theirs.get(path)
        if one is None or other is None:
            change = "added" if one is None else "removed"
        else:
            change = "same" if one.sha256 == other.sha256 else "changed"
        found.append(
            KernelChange(
                path,
                change,
                one.size_bytes if one else None,
                other.size_bytes if other else None,
                one.sha256 if one else None,
                other.sha256 if other else None,
            )
        )
    return tuple(found)


def _sizes(a: Inventory, b: Inventory) -> Sizes:
    pairs = zip(a.config.layers, b.config.layers, strict=False)
    shared = takewhile(lambda pair: pair[0].diff_id == pair[1].diff_id, pairs)
    return Sizes(
        a=a.config.size_bytes,
        b=b.config.size_bytes,
        layers_a=len(a.config.layers),
        layers_b=len(b.config.layers),
        shared_layers=sum(1 for _ in shared),
    )


def _not_compared(a: Inventory, b: Inventory) -> tuple[str, ...]:
    notes = [f"{side.image}: {note}" for side in (a, b) for note in side.contents.notes]
    for side in (a, b):
        arguments = side.contents.arguments
        if arguments.source is None and side.contents.python is not None:
            reason = arguments.reasons[-1] if arguments.reasons else "not read"
            notes.append(f"{side.image}: the server's arguments: {reason}")
        elif arguments.source == "help":
            reason = arguments.reasons[0] if arguments.reasons else ""
            notes.append(f"{side.image}: arguments read from --help, not from the parser: {reason}")
    sources = {side.contents.arguments.source for side in (a, b)} - {None}
    if len(sources) > 1:
        notes.append("defaults and choices of arguments, since each side's were read another way")
    return tuple(notes)
