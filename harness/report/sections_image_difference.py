"""The report of two images against each other: what came, went and changed.

Names, versions and defaults come from inside the images; each format escapes them for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from harness import __version__
from harness.numbers import NONE, size_text
from harness.report.document import (
    Document,
    Entry,
    Look,
    Measure,
    Section,
    Table,
    table,
)

if TYPE_CHECKING:
    from harness.images import (
        CapabilityChange,
        Change,
        ImageDifference,
        SideFacts,
    )

ANSWERS_PAGE = "comparison.html"
"""The comparison of the answers, beside the page that names it."""
_MOST_CHARACTERS = 300


def image_difference_document(
    difference: ImageDifference, answers: Document | None = None, clauses: Sequence[str] = ()
) -> Document:
    """The report of a difference.

    Args:
        answers: the comparison of runs on both images; its report is `ANSWERS_PAGE`.
        clauses: what the images answered, a clause a mode.
    """
    names = (difference.a.image, difference.b.image)
    packages = (
        *_changed("Python packages", "package", difference.python_packages),
        *_changed("System packages", "package", difference.os_packages),
    )
    container = (
        *_changed("Start of a container", "setting", difference.configuration),
        *_changed("Environment", "variable", difference.environment),
        *_changed("Labels", "label", difference.labels),
        *_changed("Plugins of vLLM", "plugin", difference.plugins),
    )
    same = "Entrypoint, environment, labels and plugins are the same."
    prose = "The same candidates were run on both images. Every answer that changed, side by side:"
    link = Section("answers", "Answers", (prose,), page=ANSWERS_PAGE) if answers else None
    sections = (
        _stack_section(difference),
        _argument_section(difference),
        _mode_section(difference),
        _kernel_section(difference),
        Section("packages", "Packages", () if packages else ("No package differs.",), packages),
        Section("container", "Container", () if container else (same,), container),
        Section("gaps", "Not compared", difference.not_compared)
        if difference.not_compared
        else None,
    )
    kicker = "Image against image"
    return Document(
        look=Look.IMAGES,
        kicker=f"{kicker}, with the answers of both" if answers else kicker,
        title=f"{names[0]} against {names[1]}: image difference",
        heading="",
        names=names,
        banner=answers.banner if answers else None,
        headline=(difference.headline, *clauses),
        nature=answers.nature if answers else "",
        measures=(
            *_measures(difference),
            *(replace(m, wide=True) for m in (answers.measures if answers else ())),
        ),
        sections=(
            *((link,) if link else ()),
            *(replace(s, figure=None, listed=False) for s in (answers.sections if answers else ())),
            *(section for section in sections if section is not None),
        ),
        made_with=f"harness {__version__}",
        promise="every name in it that came from an image is escaped",
    )


def _measures(difference: ImageDifference) -> tuple[Measure, ...]:
    arguments, kernels = difference.arguments, difference.kernels
    defaults = sum(argument.default_changed for argument in arguments)
    came = sum(argument.change == "added" for argument in arguments)
    went = sum(argument.change == "removed" for argument in arguments)
    other = sum(kernel.change != "same" for kernel in kernels)
    module = difference.batch_invariant
    state = ("changed" if module.changed else "same") if any(module.sha256) else "none"
    packages = {"Python": difference.python_packages, "system": difference.os_packages}
    counts = []
    for name, found in packages.items():
        kinds = Counter(change.change for change in found)
        split = (f"{kinds[kind]} {kind}" for kind in ("added", "removed") if kinds[kind])
        counts.append(Entry(name, str(len(found)), ", ".join(split)))
    moved = (
        Entry("defaults changed", str(defaults)),
        Entry("added and removed", f"+{came} −{went}"),
    )
    mode = (
        Entry("module", state),
        Entry("kernel files", str(other), f"of {len(kernels)} changed"),
    )
    return (
        Measure("Packages changed", tuple(counts)),
        Measure("Server arguments", moved),
        Measure("Batch-invariant mode", mode),
    )


def _shown(value: object) -> object:
    """Bounded, since it comes from inside an image."""
    text = NONE if value is None or value == "" else str(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} …"


def _sides(caption: str, rows: Iterable[Sequence[object]], note: str = "") -> Table:
    return table(caption, ("", "A", "B"), (tuple(map(_shown, row)) for row in rows), note)


def _counted(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[object]], note: str = ""
) -> tuple[Table, ...]:
    shown = (tuple(map(_shown, row)) for row in rows)
    return (table(f"{caption}: {len(rows)}", heads, shown, note),) if rows else ()


def _changed(caption: str, name: str, changes: Sequence[Change]) -> tuple[Table, ...]:
    return _counted(caption, (f"@{name}", "A", "B"), [(c.name, c.a, c.b) for c in changes])


def _stack_section(difference: ImageDifference) -> Section:
    """What each image is, with what changed in its stack."""
    a, b, sizes = difference.a, difference.b, difference.sizes
    known = {"vLLM": "vllm", "torch": "torch", "CUDA": "cuda", "Python": "python"}
    versions = ((n, getattr(a.versions, key), getattr(b.versions, key)) for n, key in known.items())
    rows = [
        ("image", a.image, b.image),
        ("digest", _identity(a), _identity(b)),
        ("platform", a.platform, b.platform),
        ("size, unpacked", size_text(sizes.a), size_text(sizes.b)),
        ("layers", sizes.layers_a, sizes.layers_b),
        *versions,
        *((c.name, c.a, c.b) for c in difference.versions if c.name not in known),
    ]
    note = f"the lowest {sizes.shared_layers} layers are the same in both"
    return Section("stack", "Stack", (), (_sides("The two images", rows, note),))


def _identity(side: SideFacts) -> str:
    digests = [digest.partition("@")[2] for digest in side.digests]
    return digests[0] if digests else f"{side.id} (image id on this machine)"


def _argument_section(difference: ImageDifference) -> Section | None:
    """The server's arguments: defaults first, since they change a server without a word."""
    arguments = difference.arguments
    if not arguments and None in difference.argument_source:
        return None
    changed: list[Sequence[object]] = []
    inside: list[Sequence[object]] = []
    others: list[Sequence[object]] = []
    for one in arguments:
        for detail in one.details:
            kind, _, key = detail.name.partition(".")
            name = f"{one.name}.{key}" if key else f"{one.name} ({detail.name})"
            if kind != "default":
                others.append((name, detail.a, detail.b))
                continue
            row = (name if key else one.name, detail.a, detail.b)
            (changed if detail.change == "changed" else inside).append(row)
    added, removed = (
        [(one.name, one.default) for one in arguments if one.change == change]
        for change in ("added", "removed")
    )
    heads, with_default = ("@argument", "A", "B"), ("@argument", "default")
    tables = (
        *_counted("Changed defaults", heads, changed),
        *_counted("Added arguments", with_default, added),
        *_counted("Removed arguments", with_default, removed),
        *_counted("Settings that came or went inside a default", heads, inside),
        *_counted(
            "Changed choices, kinds and spellings",
            heads,
            others,
            "of choices only those that went (A) and came (B) are shown",
        ),
    )
    prose = (
        "What the server's own parser says. None is not nothing: vLLM replaces it later, by "
        "device and model."
        if tables
        else "No argument differs."
    )
    return Section("arguments", "Server arguments", (prose,), tables)


def _mode_section(difference: ImageDifference) -> Section:
    """The batch-invariant module, what it replaces on which GPU, and the evidence to expect."""
    module = difference.batch_invariant
    prose, tables = module.notes, []
    if any(module.sha256):
        tables.append(_sides("The module", [("file", *module.path), ("SHA-256", *module.sha256)]))
    else:
        prose = ("Neither image has a batch-invariant module.", *prose)
    if any(row.operators_a or row.operators_b for row in module.capabilities):
        tables.append(_capability_table(module.capabilities))
    sides = (difference.a.evidence, difference.b.evidence)
    rows = (
        ("batch-invariant must show, standard must not", *("\n".join(s.required) for s in sides)),
        ("remarks", *("\n".join(s.notes) for s in sides)),
    )
    tables.append(_sides("Activation evidence to expect in a server's log", rows))
    return Section("mode", "Batch-invariant mode", prose, tuple(tables))


def _capability_table(capabilities: Sequence[CapabilityChange]) -> Table:
    """A row for all capabilities on which the same operators are replaced."""

    def of_a(row: CapabilityChange) -> tuple[Sequence[str], ...]:
        return row.operators_a, row.variables_a, row.uncertain_a

    def of_b(row: CapabilityChange) -> tuple[Sequence[str], ...]:
        return row.operators_b, row.variables_b, row.uncertain_b

    def effects(
        operators: Sequence[str], variables: Sequence[str], uncertain: Sequence[str]
    ) -> tuple[str, str]:
        unsure = (f"{name} (not certain)" for name in uncertain)
        return ", ".join((*map(_operator, operators), *unsure)) or NONE, ", ".join(variables)

    rows = []
    for _, group in groupby(capabilities, key=lambda row: (of_a(row), of_b(row))):
        row, *others = group
        names = ", ".join(member.capability for member in (row, *others))
        rows.append((names, effects(*of_a(row)), effects(*of_b(row)), _effect_change(row)))
    return table(
        "Replaced operators by compute capability of the GPU",
        ("capability", "A", "B", "change"),
        rows,
        "read from the module's source for NVIDIA GPUs; below the operators: variables that the "
        "switch itself sets",
    )


def _operator(name: str) -> str:
    return name.removeprefix("aten::")


def _effect_change(row: CapabilityChange) -> str:
    if not row.changed:
        return "same"
    a, b = row.operators_a, row.operators_b
    parts = [f"+{_operator(name)}" for name in b if name not in a]
    parts += [f"−{_operator(name)}" for name in a if name not in b]
    if not parts and a != b:
        parts.append("other order")
    if row.variables_a != row.variables_b:
        parts.append("other variables")
    return ", ".join(parts) or "conditions that are not certain"


def _kernel_section(difference: ImageDifference) -> Section | None:
    """vLLM's shared objects."""
    if not difference.kernels:
        return None
    rows = (
        (
            _shown(kernel.path),
            (size_text(kernel.size_a), (kernel.sha256_a or "")[:12]),
            (size_text(kernel.size_b), (kernel.sha256_b or "")[:12]),
            kernel.change,
        )
        for kernel in difference.kernels
    )
    note = "below each size the begin of its SHA-256"
    kernels = table("Shared objects", ("@file", "#A", "#B", "change"), rows, note)
    return Section("kernels", "Kernels", (), (kernels,))
