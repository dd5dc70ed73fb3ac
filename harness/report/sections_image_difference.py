"""The report of two images against each other: what came, went and changed.

Names, versions and defaults come from inside the images; each format escapes them for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from harness.numbers import NONE, size_text
from harness.report.document import Document, Entry, Look, Measure, Section, Table, filled, table

if TYPE_CHECKING:
    from harness.images import ArgumentChange, CapabilityChange, Change, ImageDifference

ANSWERS_PAGE = "comparison.html"
"""The comparison of the answers, beside the page that names it."""
_MOST_CHARACTERS = 300
_SIDES = ("", "A", "B")
_SAME = "Entrypoint, environment, labels and plugins are the same."
_LINK = "The same candidates were run on both images. Every answer that changed, side by side:"
_PARSER = (
    "What the server's own parser says. None is not nothing: vLLM replaces it later, by device and "
    "model."
)
_OPERATORS = (
    "read from the module's source for NVIDIA GPUs; below the operators: variables that the switch "
    "itself sets"
)
_DIGEST = "below each size the begin of its SHA-256"


def image_difference_document(
    difference: ImageDifference, answers: Document | None = None, clauses: Sequence[str] = ()
) -> Document:
    """The report of a difference.

    Args:
        answers: the comparison of runs on both images; its report is `ANSWERS_PAGE`.
        clauses: what the images answered, a clause a mode.
    """
    names, kicker = (difference.a.image, difference.b.image), "Image against image"
    measures, sections = _measures(difference), tuple(_sections(difference))
    if answers is not None:
        kicker = f"{kicker}, with the answers of both"
        measures += tuple(replace(measure, wide=True) for measure in answers.measures)
        link = Section("answers", "Answers", (_LINK,), page=ANSWERS_PAGE)
        told = (
            replace(one, anchor=f"answers-{one.anchor}", figure=None, listed=False)
            for one in answers.sections
        )
        sections = (link, *told, *sections)
    return Document(
        look=Look.IMAGES,
        kicker=kicker,
        title=f"{names[0]} against {names[1]}: image difference",
        heading="",
        names=names,
        banner=answers.banner if answers else None,
        headline=(difference.headline, *clauses),
        nature=answers.nature if answers else "",
        measures=measures,
        sections=sections,
        promise="every name in it that came from an image is escaped",
    )


def _measures(difference: ImageDifference) -> tuple[Measure, ...]:
    counts = []
    packages = {"Python": difference.python_packages, "system": difference.os_packages}
    for name, found in packages.items():
        kinds = Counter(change.change for change in found)
        split = (f"{kinds[kind]} {kind}" for kind in ("added", "removed") if kinds[kind])
        counts.append(Entry(name, str(len(found)), ", ".join(split)))
    arguments, kernels = difference.arguments, difference.kernels
    moved, module = Counter(one.change for one in arguments), difference.batch_invariant
    defaults = sum(argument.default_changed for argument in arguments)
    other = sum(kernel.change != "same" for kernel in kernels)
    state = ("changed" if module.changed else "same") if any(module.sha256) else "none"
    cards = {
        "Packages changed": counts,
        "Server arguments": [
            Entry("defaults changed", str(defaults)),
            Entry("added and removed", f"+{moved['added']} −{moved['removed']}"),
        ],
        "Batch-invariant mode": [
            Entry("module", state),
            Entry("kernel files", str(other), f"of {len(kernels)} changed"),
        ],
    }
    return tuple(Measure(label, tuple(entries)) for label, entries in cards.items())


def _shown(value: object) -> object:
    """Bounded, since it comes from inside an image."""
    text = NONE if value is None or value == "" else str(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} …"


def _bounded(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]], note: str = ""
) -> Table:
    return table(caption, heads, (tuple(map(_shown, row)) for row in rows), note)


def _counted(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[object]], note: str = ""
) -> Table:
    return _bounded(f"{caption}: {len(rows)}", heads, rows, note)


def _changed(caption: str, name: str, changes: Sequence[Change]) -> Table:
    return _counted(caption, (f"@{name}", "A", "B"), [(c.name, c.a, c.b) for c in changes])


def _sections(difference: ImageDifference) -> Iterator[Section]:
    a, b, sizes = difference.a, difference.b, difference.sizes
    digests = (
        next((d.partition("@")[2] for d in side.digests), f"{side.id} (image id on this machine)")
        for side in (a, b)
    )
    known = {"vLLM": "vllm", "torch": "torch", "CUDA": "cuda", "Python": "python"}
    rows = [
        ("image", a.image, b.image),
        ("digest", *digests),
        ("platform", a.platform, b.platform),
        ("size, unpacked", size_text(sizes.a), size_text(sizes.b)),
        ("layers", sizes.layers_a, sizes.layers_b),
        *((n, getattr(a.versions, key), getattr(b.versions, key)) for n, key in known.items()),
        *((c.name, c.a, c.b) for c in difference.versions if c.name not in known),
    ]
    note = f"the lowest {sizes.shared_layers} layers are the same in both"
    yield Section("stack", "Stack", (), (_bounded("The two images", _SIDES, rows, note),))
    if difference.arguments or None not in difference.argument_source:
        tables = _argument_tables(difference.arguments)
        prose = _PARSER if tables else "No argument differs."
        yield Section("arguments", "Server arguments", (prose,), tables)
    yield _mode_section(difference)
    kernels = [
        (
            _shown(kernel.path),
            (size_text(kernel.size_a), (kernel.sha256_a or "")[:12]),
            (size_text(kernel.size_b), (kernel.sha256_b or "")[:12]),
            kernel.change,
        )
        for kernel in difference.kernels
    ]
    if kernels:
        files = table("Shared objects", ("@file", "#A", "#B", "change"), kernels, _DIGEST)
        yield Section("kernels", "Kernels", (), (files,))
    packages = filled(
        _changed("Python packages", "package", difference.python_packages),
        _changed("System packages", "package", difference.os_packages),
    )
    yield Section("packages", "Packages", () if packages else ("No package differs.",), packages)
    container = filled(
        _changed("Start of a container", "setting", difference.configuration),
        _changed("Environment", "variable", difference.environment),
        _changed("Labels", "label", difference.labels),
        _changed("Plugins of vLLM", "plugin", difference.plugins),
    )
    yield Section("container", "Container", () if container else (_SAME,), container)
    if difference.not_compared:
        yield Section("gaps", "Not compared", difference.not_compared)


def _argument_tables(arguments: Sequence[ArgumentChange]) -> tuple[Table, ...]:
    """Defaults first, since they change a server without a word."""
    changed: list[Sequence[object]] = []
    inside: list[Sequence[object]] = []
    others: list[Sequence[object]] = []
    for one in arguments:
        for detail in one.details:
            kind, _, key = detail.name.partition(".")
            name = f"{one.name}.{key}" if key else one.name
            if kind != "default":
                others.append((name if key else f"{name} ({detail.name})", detail.a, detail.b))
            else:
                found = changed if detail.change == "changed" else inside
                found.append((name, detail.a, detail.b))
    added, removed = (
        [(one.name, one.default) for one in arguments if one.change == change]
        for change in ("added", "removed")
    )
    heads, with_default = ("@argument", "A", "B"), ("@argument", "default")
    shown = "of choices only those that went (A) and came (B) are shown"
    return filled(
        _counted("Changed defaults", heads, changed),
        _counted("Added arguments", with_default, added),
        _counted("Removed arguments", with_default, removed),
        _counted("Settings that came or went inside a default", heads, inside),
        _counted("Changed choices, kinds and spellings", heads, others, shown),
    )


def _mode_section(difference: ImageDifference) -> Section:
    """The batch-invariant module, what it replaces on which GPU, and the evidence to expect."""
    module, a, b = difference.batch_invariant, difference.a.evidence, difference.b.evidence
    prose, tables = module.notes, []
    if any(module.sha256):
        files = ("file", *module.path), ("SHA-256", *module.sha256)
        tables.append(_bounded("The module", _SIDES, files))
    else:
        prose = ("Neither image has a batch-invariant module.", *prose)
    if any(row.operators_a or row.operators_b for row in module.capabilities):
        tables.append(_capability_table(module.capabilities))
    rows = (
        (
            "batch-invariant must show, standard must not",
            *("\n".join(side.required) for side in (a, b)),
        ),
        ("remarks", *("\n".join(side.notes) for side in (a, b))),
    )
    tables.append(_bounded("Activation evidence to expect in a server's log", _SIDES, rows))
    return Section("mode", "Batch-invariant mode", prose, tuple(tables))


def _capability_table(capabilities: Sequence[CapabilityChange]) -> Table:
    """A row for all capabilities on which the same operators are replaced."""
    rows = []
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
            unsure = (f"{name} (not certain)" for name in uncertain)
            replaced = ", ".join((*map(_operator, operators), *unsure)) or NONE
            effects.append((replaced, ", ".join(variables)))
        a, b = row.operators_a, row.operators_b
        parts = [f"+{_operator(name)}" for name in b if name not in a]
        parts += [f"−{_operator(name)}" for name in a if name not in b]
        parts += ["other order"] if not parts and a != b else []
        parts += ["other variables"] if row.variables_a != row.variables_b else []
        change = ", ".join(parts) or "conditions that are not certain"
        names = ", ".join(member.capability for member in (row, *others))
        rows.append((names, *effects, change if row.changed else "same"))
    caption = "Replaced operators by compute capability of the GPU"
    return table(caption, ("capability", "A", "B", "change"), rows, _OPERATORS)


def _operator(name: str) -> str:
    return name.removeprefix("aten::")
