"""The sections of an image difference: tables of what came, went and changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from harness.report.model import Cell, Column, Kind, Section, Table
from harness.report.numbers import NONE

__all__ = [
    "argument_section",
    "container_section",
    "gaps_section",
    "kernel_section",
    "mode_section",
    "package_section",
    "stack_section",
]

Json = Mapping[str, Any]
_SIDES = (Column("A", Kind.TEXT), Column("B", Kind.TEXT))
_MOST_CHARACTERS = 300
_MEGABYTE = 1_000_000


def _cell(value: object) -> Cell:
    text = NONE if value is None or value == "" else str(value)
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[:_MOST_CHARACTERS]} …"
    return Cell(text)


def _change_rows(changes: Iterable[Json]) -> tuple[tuple[Cell, ...], ...]:
    return tuple((_cell(c["name"]), _cell(c["a"]), _cell(c["b"])) for c in changes)


def _change_table(caption: str, name: str, changes: Sequence[Json]) -> tuple[Table, ...]:
    if not changes:
        return ()
    columns = (Column(name, Kind.ID), *_SIDES)
    return (Table(f"{caption}: {len(changes)}", columns, _change_rows(changes)),)


def _size(size: int | None) -> str:
    return NONE if size is None else f"{size / _MEGABYTE:,.1f} MB"


def stack_section(difference: Json) -> Section:
    """What each image is, with what changed in its stack."""
    a, b = difference["a"], difference["b"]
    sizes = difference["sizes"]
    rows = [
        ("image", a["image"], b["image"]),
        ("digest", *(_identity(side) for side in (a, b))),
        ("platform", a["platform"], b["platform"]),
        ("size, unpacked", _size(sizes["a"]), _size(sizes["b"])),
        ("layers", sizes["layers_a"], sizes["layers_b"]),
    ]
    known = {"vLLM": "vllm", "torch": "torch", "CUDA": "cuda", "Python": "python"}
    rows += [(name, a["versions"][key], b["versions"][key]) for name, key in known.items()]
    rows += [(c["name"], c["a"], c["b"]) for c in difference["versions"] if c["name"] not in known]
    table = Table(
        "The two images",
        (Column(""), *_SIDES),
        tuple(tuple(_cell(value) for value in row) for row in rows),
        f"the lowest {sizes['shared_layers']} layers are the same in both",
    )
    return Section("stack", "Stack", tables=(table,))


def _identity(side: Json) -> str:
    digests = [digest.partition("@")[2] for digest in side["digests"]]
    return digests[0] if digests else f"{side['id']} (image id on this machine)"


def argument_section(difference: Json) -> Section | None:
    """The server's arguments: defaults first, since they change a server without a word."""
    arguments = difference["arguments"]
    if not arguments and None in difference["argument_source"]:
        return None
    changed = [argument for argument in arguments if argument["change"] == "changed"]
    details = [(one["name"], detail) for one in changed for detail in one["details"]]
    of_defaults = [row for row in details if row[1]["name"].partition(".")[0] == "default"]
    defaults = [row for row in of_defaults if row[1]["change"] == "changed"]
    keys = [row for row in of_defaults if row not in defaults]
    others = [row for row in details if row not in of_defaults]
    tables = (
        *_detail_table("Changed defaults", defaults),
        *_named_table("Added arguments", arguments, "added"),
        *_named_table("Removed arguments", arguments, "removed"),
        *_detail_table("Settings that came or went inside a default", keys),
        *_detail_table("Changed choices, kinds and spellings", others),
    )
    prose = (
        "What the server's own parser says. None is not nothing: vLLM replaces it later, by "
        "device and model.",
    )
    return Section(
        "arguments", "Server arguments", prose if tables else ("No argument differs.",), tables
    )


def _detail_table(caption: str, rows: Sequence[tuple[str, Json]]) -> tuple[Table, ...]:
    if not rows:
        return ()
    cells = tuple(
        (_cell(_dotted(name, detail["name"])), _cell(detail["a"]), _cell(detail["b"]))
        for name, detail in rows
    )
    columns = (Column("argument", Kind.ID), *_SIDES)
    note = (
        "of choices only those that went (A) and came (B) are shown" if "choices" in caption else ""
    )
    return (Table(f"{caption}: {len(rows)}", columns, cells, note),)


def _dotted(argument: str, detail: str) -> str:
    """``--kernel-config.mode`` for a key of a default; ``--x (choices)`` for another detail."""
    if detail == "default":
        return argument
    key = detail.removeprefix("default.")
    return f"{argument}.{key}" if key != detail else f"{argument} ({detail})"


def _named_table(caption: str, arguments: Sequence[Json], change: str) -> tuple[Table, ...]:
    rows = [one for one in arguments if one["change"] == change]
    if not rows:
        return ()
    cells = tuple((_cell(one["name"]), _cell(one["default"])) for one in rows)
    columns = (Column("argument", Kind.ID), Column("default"))
    return (Table(f"{caption}: {len(rows)}", columns, cells),)


def mode_section(difference: Json) -> Section:
    """The batch-invariant module, what it replaces on which GPU, and the evidence to expect."""
    module = difference["batch_invariant"]
    files = Table(
        "The module",
        (Column(""), *_SIDES),
        (
            (_cell("file"), *(_cell(path) for path in module["path"])),
            (_cell("SHA-256"), *(_cell(digest) for digest in module["sha256"])),
        ),
    )
    tables = [files] if any(module["sha256"]) else []
    if any(row["operators_a"] or row["operators_b"] for row in module["capabilities"]):
        tables.append(_capability_table(module["capabilities"]))
    tables.append(_evidence_table(difference))
    prose = tuple(module["notes"])
    if not any(module["sha256"]):
        prose = ("Neither image has a batch-invariant module.", *prose)
    return Section("mode", "Batch-invariant mode", prose, tuple(tables))


def _capability_table(capabilities: Sequence[Json]) -> Table:
    rows = []
    keys = (
        "operators_a",
        "operators_b",
        "variables_a",
        "variables_b",
        "uncertain_a",
        "uncertain_b",
    )
    for _, group in groupby(capabilities, key=lambda row: [row[key] for key in keys]):
        members = list(group)
        row = members[0]
        rows.append(
            (
                Cell(", ".join(member["capability"] for member in members)),
                _effects(row, "a"),
                _effects(row, "b"),
                _cell(_effect_change(row)),
            )
        )
    return Table(
        "Replaced operators by compute capability of the GPU",
        (Column("capability"), *_SIDES, Column("change")),
        tuple(rows),
        "read from the module's source for NVIDIA GPUs; below the operators: variables that the "
        "switch itself sets",
    )


def _effects(row: Json, side: str) -> Cell:
    operators = [name.removeprefix("aten::") for name in row[f"operators_{side}"]]
    unsure = [f"{name} (not certain)" for name in row[f"uncertain_{side}"]]
    return Cell(", ".join((*operators, *unsure)) or NONE, ", ".join(row[f"variables_{side}"]))


def _effect_change(row: Json) -> str:
    if not row["changed"]:
        return "same"
    a, b = row["operators_a"], row["operators_b"]
    parts = [f"+{name.removeprefix('aten::')}" for name in b if name not in a]
    parts += [f"−{name.removeprefix('aten::')}" for name in a if name not in b]
    if not parts and a != b:
        parts.append("other order")
    if row["variables_a"] != row["variables_b"]:
        parts.append("other variables")
    return ", ".join(parts) or "conditions that are not certain"


def _evidence_table(difference: Json) -> Table:
    sides = [difference[side]["evidence"] for side in ("a", "b")]
    rows = (
        (
            "batch-invariant must show, standard must not",
            *("\n".join(s["required"]) for s in sides),
        ),
        ("remarks", *("\n".join(side["notes"]) for side in sides)),
    )
    return Table(
        "Activation evidence to expect in a server's log",
        (Column(""), *_SIDES),
        tuple(tuple(_cell(value) for value in row) for row in rows),
    )


def kernel_section(difference: Json) -> Section | None:
    """vLLM's shared objects."""
    kernels = difference["kernels"]
    if not kernels:
        return None
    rows = tuple(
        (
            _cell(kernel["path"]),
            Cell(_size(kernel["size_a"]), (kernel["sha256_a"] or "")[:12]),
            Cell(_size(kernel["size_b"]), (kernel["sha256_b"] or "")[:12]),
            _cell(kernel["change"]),
        )
        for kernel in kernels
    )
    columns = (
        Column("file", Kind.ID),
        Column("A", Kind.NUMBER),
        Column("B", Kind.NUMBER),
        Column("change"),
    )
    table = Table("Shared objects", columns, rows, "below each size the begin of its SHA-256")
    return Section("kernels", "Kernels", tables=(table,))


def package_section(difference: Json) -> Section:
    """Packages of Python and of the operating system."""
    tables = (
        *_change_table("Python packages", "package", difference["python_packages"]),
        *_change_table("System packages", "package", difference["os_packages"]),
    )
    prose = () if tables else ("No package differs.",)
    return Section("packages", "Packages", prose, tables)


def container_section(difference: Json) -> Section:
    """How a container of each is started, and what plugs into vLLM."""
    tables = (
        *_change_table("Start of a container", "setting", difference["configuration"]),
        *_change_table("Environment", "variable", difference["environment"]),
        *_change_table("Labels", "label", difference["labels"]),
        *_change_table("Plugins of vLLM", "plugin", difference["plugins"]),
    )
    prose = () if tables else ("Entrypoint, environment, labels and plugins are the same.",)
    return Section("container", "Container", prose, tables)


def gaps_section(difference: Json) -> Section | None:
    """What could not be compared."""
    gaps = difference["not_compared"]
    return Section("gaps", "Not compared", tuple(gaps)) if gaps else None
