"""What an image is and holds, and what came, went and changed to another, section by section.

Names, versions and defaults come from inside the images; each format escapes them for itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from harness.numbers import NONE, gigabytes_text, size_text
from harness.report.document import Entry, Measure, Section
from harness.report.wording import wording

if TYPE_CHECKING:
    from harness.images import CapabilityChange, Change, ImageDifference, Inventory

_MOST_CHARACTERS = 300

Rows = Iterable[Iterable[object]]


def difference_cards(difference: ImageDifference) -> list[Measure]:
    """How many packages and arguments changed, and whether the batch-invariant mode did."""
    counts = []
    packages = {"Python": difference.python_packages, "system": difference.os_packages}
    for name, found in packages.items():
        kinds = Counter(change.change for change in found)
        split = (f"{kinds[kind]} {kind}" for kind in ("added", "removed") if kinds[kind])
        counts.append(Entry(name, str(len(found)), ", ".join(split)))
    arguments, kernels = difference.arguments, difference.kernels
    moved, module = Counter(one.change for one in arguments), difference.batch_invariant
    defaults = str(sum(argument.default_changed for argument in arguments))
    came_and_went = Entry("added and removed", f"+{moved['added']} −{moved['removed']}")
    state = ("changed" if module.changed else "same") if any(module.sha256) else "none"
    other = str(sum(kernel.change != "same" for kernel in kernels))
    files = Entry("kernel files", other, f"of {len(kernels)} changed")
    return [
        Measure("Packages changed", tuple(counts)),
        Measure("Server arguments", (Entry("defaults changed", defaults), came_and_went)),
        Measure("Batch-invariant mode", (Entry("module", state), files)),
    ]


def _section(
    name: str, tables: Mapping[str, Rows], more: Iterable[str] = (), **facts: object
) -> Section | None:
    """A section of a difference: texts have a limit; a pair, a text and its remark, is ours."""
    told, most, shown = wording(f"images/{name}"), _MOST_CHARACTERS, []
    for table, rows in tables.items():
        cells = (
            (v if isinstance(v, tuple) else NONE if v in (None, "") else str(v) for v in row)
            for row in rows
        )
        bounded = (
            [f"{v[:most]} …" if isinstance(v, str) and len(v) > most else v for v in row]
            for row in cells
        )
        shown.append(told.table(table, bounded, **facts))
    return told.section(*shown, more=more)


def image_stack(difference: ImageDifference) -> Section | None:
    """Names, digests, sizes and versions."""
    a, b, sizes = difference.a, difference.b, difference.sizes
    digests = (
        next((d.partition("@")[2] for d in side.digests), f"{side.id} (image id on this machine)")
        for side in (a, b)
    )
    known = {"vLLM": "vllm", "torch": "torch", "CUDA": "cuda", "Python": "python"}
    rows = (
        ("image", a.image, b.image),
        ("digest", *digests),
        ("platform", a.platform, b.platform),
        ("size, unpacked", size_text(sizes.a), size_text(sizes.b)),
        ("layers", sizes.layers_a, sizes.layers_b),
        *((n, getattr(a.versions, key), getattr(b.versions, key)) for n, key in known.items()),
        *((c.name, c.a, c.b) for c in difference.versions if c.name not in known),
    )
    return _section("stack", {"images": rows}, layers=sizes.shared_layers)


def changed_arguments(difference: ImageDifference) -> Section | None:
    """Arguments of the server; defaults first, since they change a server without a word."""
    if not difference.arguments and None in difference.argument_source:
        return None
    rows: dict[str, list[Sequence[object]]] = {
        name: [] for name in ("changed", "added", "removed", "inside", "others")
    }
    for one in difference.arguments:
        if one.change in ("added", "removed"):
            rows[one.change].append((one.name, one.default))
        for detail in one.details:
            kind, _, key = detail.name.partition(".")
            name = f"{one.name}.{key}" if key else one.name
            if kind == "default":
                table = "changed" if detail.change == "changed" else "inside"
            else:
                table, name = "others", name if key else f"{name} ({detail.name})"
            rows[table].append((name, detail.a, detail.b))
    return _section("arguments", rows)


def changed_mode(difference: ImageDifference) -> Section | None:
    """The batch-invariant module, what it replaces on which GPU, and the evidence to expect."""
    module, a, b = difference.batch_invariant, difference.a.evidence, difference.b.evidence
    known, replaced = any(module.sha256), module.capabilities
    expected = (
        ("batch-invariant must show, standard must not", a.required, b.required),
        ("remarks", a.notes, b.notes),
    )
    if not any(row.operators_a or row.operators_b for row in replaced):
        replaced = ()
    absent = () if known else ("Neither image has a batch-invariant module.",)
    tables: dict[str, Rows] = {
        "module": (("file", *module.path), ("SHA-256", *module.sha256)) if known else (),
        "operators": _capability_rows(replaced),
        "evidence": ((name, *map("\n".join, of)) for name, *of in expected),
    }
    return _section("mode", tables, (*absent, *module.notes))


def _capability_rows(capabilities: Sequence[CapabilityChange]) -> Iterator[Sequence[object]]:
    """A row for all capabilities on which the same operators are replaced."""
    for sides, group in groupby(
        capabilities,
        key=lambda row: (
            (row.operators_a, row.variables_a, row.uncertain_a),
            (row.operators_b, row.variables_b, row.uncertain_b),
        ),
    ):
        row, *others = group
        effects = []
        for operators, variables, uncertain in sides:
            replaced = (*map(_operator, operators), *(f"{n} (not certain)" for n in uncertain))
            effects.append((", ".join(replaced) or NONE, ", ".join(variables)))
        a, b = row.operators_a, row.operators_b
        parts = [f"+{_operator(name)}" for name in b if name not in a]
        parts += [f"−{_operator(name)}" for name in a if name not in b]
        parts += ["other order"] if not parts and a != b else []
        parts += ["other variables"] if row.variables_a != row.variables_b else []
        change = ", ".join(parts) or "conditions that are not certain"
        names = ", ".join(member.capability for member in (row, *others))
        yield names, *effects, (change if row.changed else "same", "")


def _operator(name: str) -> str:
    return name.removeprefix("aten::")


def changed_kernels(difference: ImageDifference) -> Section | None:
    """Shared objects with their sizes and hashes."""
    rows = (
        (
            k.path,
            (size_text(k.size_a), (k.sha256_a or "")[:12]),
            (size_text(k.size_b), (k.sha256_b or "")[:12]),
            k.change,
        )
        for k in difference.kernels
    )
    return _section("kernels", {"files": rows})


def changed_parts(name: str, **found: Iterable[Change]) -> Section | None:
    """A section of tables that say a name and what it is in either image."""
    return _section(name, {t: [(c.name, c.a, c.b) for c in of] for t, of in found.items()})


def inventory_sections(inventory: Inventory) -> Iterator[Section | None]:
    """Everything that was read; foreign text stands in it as identifiers."""
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
    tables: dict[str, dict[str, Rows]] = {
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
    for name, found in tables.items():
        told = wording(f"inventory/{name}")
        yield told.section(*(told.table(table, rows) for table, rows in found.items()))
    not_read = (f"not read: {n}" for n in (*contents.notes, *contents.arguments.reasons))
    yield wording("inventory/gaps").section(more=not_read)


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
            replaced = ", ".join(map(_operator, effects.operators))
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
    yield "versions", versions_of(inventory)
    yield "entrypoint", " ".join((*config.entrypoint, *config.command)) or "none"
    yield "user", f"{config.user} in {config.working_directory}"
    yield "system", contents.python.os if contents.python else "not read"
    kind = contents.os_packages.format
    listed = f"{len(contents.python_packages)} Python"
    yield "packages", f"{listed}, {len(contents.os_packages.packages)} {kind or 'system'}"
    source, arguments = contents.arguments.source, len(contents.arguments.arguments)
    told = contents.arguments.told_device
    asked = f"{source}, told {told}" if told else source
    yield "arguments", f"{arguments} of the server, from its {asked}" if source else "not read"
    size = gigabytes_text(sum(kernel.size_bytes for kernel in contents.kernels))
    yield "kernels", f"{len(contents.kernels)} shared objects, {size}"
    for plugin in contents.plugins:
        yield "plugin", f"{plugin.name}: {plugin.target} ({plugin.package})"


def versions_of(inventory: Inventory) -> str:
    """vLLM, torch, CUDA and Python, as far as they were read."""
    found, python = inventory.versions, inventory.contents.python
    commit = f" ({found.vllm_commit[:12]})" if found.vllm_commit else ""
    named = {
        "vLLM": f"{found.vllm}{commit}" if found.vllm else None,
        "torch": found.torch,
        "CUDA": found.cuda,
        "Python": python.version if python else None,
    }
    return ", ".join(f"{name} {value}" for name, value in named.items() if value) or "none found"
