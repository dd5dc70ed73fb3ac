"""An inventory for people: a few lines for a terminal, tables as Markdown for a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from harness.report.markdown import code

if TYPE_CHECKING:
    from harness.images import CapabilityEffects, Inventory

_GIGABYTE = 1_000_000_000


def inventory_lines(inventory: Inventory) -> Iterator[str]:
    """The inventory in short."""
    config, contents = inventory.config, inventory.contents
    yield inventory.image
    for name, value in _facts(inventory):
        yield f"  {name:<11}{value}"
    module = contents.batch_invariant
    if module is not None:
        yield f"  {'invariant':<11}{module.path} sha256 {module.sha256[:12]}"
        for capabilities, effects in _replaced(inventory):
            replaced = ", ".join(name.removeprefix("aten::") for name in effects.operators)
            yield f"  {'':<11}sm {capabilities}: {replaced or 'nothing'}"
    else:
        yield f"  {'invariant':<11}no batch-invariant module"
    for note in contents.notes:
        yield f"  {'not read':<11}{note}"
    for label in sorted(config.labels):
        yield f"  {'label':<11}{label}={config.labels[label]}"


def _facts(inventory: Inventory) -> Iterator[tuple[str, str]]:
    config, contents = inventory.config, inventory.contents
    for digest in config.digests:
        yield "digest", digest
    yield "id", config.id
    yield "platform", f"{config.platform}, {len(config.layers)} layers, " + _size(config.size_bytes)
    yield "versions", _versions(inventory)
    yield "entrypoint", " ".join((*config.entrypoint, *config.command)) or "none"
    yield "user", f"{config.user} in {config.working_directory}"
    python = contents.python
    yield "system", python.os if python else "not read"
    kind = contents.os_packages.format
    listed = f"{len(contents.python_packages)} Python"
    yield "packages", f"{listed}, {len(contents.os_packages.packages)} {kind or 'system'}"
    source = contents.arguments.source
    yield (
        "arguments",
        f"{len(contents.arguments.arguments)} of the server, from its {source}"
        if source
        else "not read",
    )
    size = sum(kernel.size_bytes for kernel in contents.kernels)
    yield "kernels", f"{len(contents.kernels)} shared objects, {_size(size)}"
    for plugin in contents.plugins:
        yield "plugin", f"{plugin.name}: {plugin.target} ({plugin.package})"


def _versions(inventory: Inventory) -> str:
    commit = f" ({inventory.versions.vllm_commit[:12]})" if inventory.versions.vllm_commit else ""
    python = inventory.contents.python
    named = {
        "vLLM": f"{inventory.versions.vllm}{commit}" if inventory.versions.vllm else None,
        "torch": inventory.versions.torch,
        "CUDA": inventory.versions.cuda,
        "Python": python.version if python else None,
    }
    return ", ".join(f"{name} {value}" for name, value in named.items() if value) or "none found"


def _size(size: int) -> str:
    return f"{size / _GIGABYTE:.2f} GB"


def _replaced(inventory: Inventory) -> Iterator[tuple[str, CapabilityEffects]]:
    from harness.images import grouped_effects

    return grouped_effects(inventory)


def inventory_markdown(inventory: Inventory) -> str:
    """The whole inventory as Markdown tables; foreign text stands in code spans."""
    return "\n".join(_markdown(inventory)) + "\n"


def _markdown(inventory: Inventory) -> Iterator[str]:
    config, contents = inventory.config, inventory.contents
    yield f"# Inventory of {code(inventory.image)}"
    yield from _table("Image", ("", ""), _facts(inventory))
    layers = {
        layer.diff_id: f"{'' if layer.size_bytes is None else layer.size_bytes} {layer.created_by}"
        for layer in config.layers
    }
    yield from _table("Layers, lowest first", ("digest", "bytes and step"), layers.items())
    yield from _table("Labels", ("label", "value"), config.labels.items())
    yield from _table("Environment", ("variable", "value"), config.environment.items())
    operators = {
        capabilities: ", ".join((*effects.operators, *effects.variables)) or "nothing"
        for capabilities, effects in _replaced(inventory)
    }
    yield from _table(
        "Batch-invariant mode", ("compute capability", "replaces, sets"), operators.items()
    )
    kernels = {k.path: f"{k.size_bytes} bytes, sha256 {k.sha256}" for k in contents.kernels}
    yield from _table("Kernels", ("shared object", ""), kernels.items())
    defaults = {
        argument.name: json.dumps(argument.default, ensure_ascii=False)
        for argument in contents.arguments.arguments
    }
    yield from _table("Server arguments", ("argument", "default"), defaults.items())
    yield from _table("Python packages", ("package", "version"), contents.python_packages.items())
    yield from _table(
        "System packages", ("package", "version"), contents.os_packages.packages.items()
    )
    for note in (*contents.notes, *contents.arguments.reasons):
        yield f"- not read: {code(note)}"


def _table(title: str, heads: tuple[str, str], rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    pairs = list(rows)
    if not pairs:
        return
    yield ""
    yield f"## {title}"
    yield ""
    yield f"| {heads[0]} | {heads[1]} |"
    yield "| --- | --- |"
    for name, value in pairs:
        yield f"| {code(name)} | {code(value)} |"
