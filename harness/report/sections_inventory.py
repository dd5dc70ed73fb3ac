"""The report of what one image is and holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from harness.numbers import gigabytes_text
from harness.report.document import Document, Look
from harness.report.wording import wording

if TYPE_CHECKING:
    from harness.images import Inventory


def inventory_document(inventory: Inventory) -> Document:
    """Everything that was read, as tables; foreign text stands in them as identifiers."""
    from harness.images import grouped_effects  # with it comes the engine's client

    config, contents = inventory.config, inventory.contents
    operators = (
        (capabilities, ", ".join((*effects.operators, *effects.variables)) or "nothing")
        for capabilities, effects in grouped_effects(inventory)
    )
    layers = (
        (one.diff_id, f"{'' if one.size_bytes is None else one.size_bytes} {one.created_by}")
        for one in config.layers
    )
    kernels = ((k.path, f"{k.size_bytes} bytes, sha256 {k.sha256}") for k in contents.kernels)
    defaults = (
        (argument.name, json.dumps(argument.default, ensure_ascii=False))
        for argument in contents.arguments.arguments
    )
    found: dict[str, dict[str, Iterable[Sequence[object]]]] = {
        "image": {"facts": inventory_facts(inventory)},
        "container": {
            "environment": config.environment.items(),
            "labels": config.labels.items(),
            "layers": layers,
        },
        "mode": {"operators": operators, "kernels": kernels},
        "arguments": {"defaults": defaults},
        "packages": {
            "python": contents.python_packages.items(),
            "system": contents.os_packages.packages.items(),
        },
    }
    sections = [
        told.section(*(told.table(name, rows) for name, rows in tables.items()))
        for anchor, tables in found.items()
        for told in (wording(f"inventory/{anchor}"),)
    ]
    not_read = (f"not read: {n}" for n in (*contents.notes, *contents.arguments.reasons))
    sections.append(wording("inventory/gaps").section(more=not_read))
    return Document(
        look=Look.IMAGES,
        kicker="Inventory of an image",
        title=f"{inventory.image}: inventory",
        heading="Inventory",
        names=(inventory.image,),
        headline=(_versions(inventory),),
        context=config.platform,
        sections=tuple(filter(None, sections)),
    )


def inventory_lines(inventory: Inventory) -> Iterator[str]:
    """The inventory in short."""
    from harness.images import grouped_effects

    config, contents = inventory.config, inventory.contents
    yield inventory.image
    for name, value in inventory_facts(inventory):
        yield f"  {name:<11}{value}"
    module = contents.batch_invariant
    if module is not None:
        yield f"  {'invariant':<11}{module.path} sha256 {module.sha256[:12]}"
        for capabilities, effects in grouped_effects(inventory):
            replaced = ", ".join(name.removeprefix("aten::") for name in effects.operators)
            yield f"  {'':<11}sm {capabilities}: {replaced or 'nothing'}"
    else:
        yield f"  {'invariant':<11}no batch-invariant module"
    for note in contents.notes:
        yield f"  {'not read':<11}{note}"
    for label in sorted(config.labels):
        yield f"  {'label':<11}{label}={config.labels[label]}"


def inventory_facts(inventory: Inventory) -> Iterator[tuple[str, str]]:
    """The image in short: a word and what is known of it, a few of them more than once."""
    config, contents = inventory.config, inventory.contents
    for digest in config.digests:
        yield "digest", digest
    yield "id", config.id
    size = gigabytes_text(config.size_bytes)
    yield "platform", f"{config.platform}, {len(config.layers)} layers, {size}"
    yield "versions", _versions(inventory)
    yield "entrypoint", " ".join((*config.entrypoint, *config.command)) or "none"
    yield "user", f"{config.user} in {config.working_directory}"
    yield "system", contents.python.os if contents.python else "not read"
    kind = contents.os_packages.format
    listed = f"{len(contents.python_packages)} Python"
    yield "packages", f"{listed}, {len(contents.os_packages.packages)} {kind or 'system'}"
    source, arguments = contents.arguments.source, len(contents.arguments.arguments)
    yield "arguments", f"{arguments} of the server, from its {source}" if source else "not read"
    size = gigabytes_text(sum(kernel.size_bytes for kernel in contents.kernels))
    yield "kernels", f"{len(contents.kernels)} shared objects, {size}"
    for plugin in contents.plugins:
        yield "plugin", f"{plugin.name}: {plugin.target} ({plugin.package})"


def _versions(inventory: Inventory) -> str:
    found, python = inventory.versions, inventory.contents.python
    commit = f" ({found.vllm_commit[:12]})" if found.vllm_commit else ""
    named = {
        "vLLM": f"{found.vllm}{commit}" if found.vllm else None,
        "torch": found.torch,
        "CUDA": found.cuda,
        "Python": python.version if python else None,
    }
    return ", ".join(f"{name} {value}" for name, value in named.items() if value) or "none found"
