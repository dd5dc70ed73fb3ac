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
from harness.report.document import Document, Entry, Look, Measure, Section, Table
from harness.report.wording import Told, wording

if TYPE_CHECKING:
    from harness.images import ArgumentChange, CapabilityChange, ImageDifference

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
    names, kicker = (difference.a.image, difference.b.image), "Image against image"
    measures, sections = _measures(difference), tuple(filter(None, _sections(difference)))
    if answers is not None:
        kicker = f"{kicker}, with the answers of both"
        measures += tuple(replace(measure, wide=True) for measure in answers.measures)
        words = wording("images/answers")
        link = Section(words.anchor, words.title, (words.otherwise,), page=ANSWERS_PAGE)
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


def _bounded(told: Told, name: str, rows: Iterable[Iterable[object]], **facts: object) -> Table:
    return told.table(name, (tuple(map(_shown, row)) for row in rows), **facts)


def _sections(difference: ImageDifference) -> Iterator[Section | None]:
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
    told = wording("images/stack")
    yield told.section(_bounded(told, "images", rows, layers=sizes.shared_layers))
    if difference.arguments or None not in difference.argument_source:
        yield _argument_section(difference.arguments)
    yield _mode_section(difference)
    told = wording("images/kernels")
    kernels = (
        (
            _shown(kernel.path),
            (size_text(kernel.size_a), (kernel.sha256_a or "")[:12]),
            (size_text(kernel.size_b), (kernel.sha256_b or "")[:12]),
            kernel.change,
        )
        for kernel in difference.kernels
    )
    yield told.section(told.table("files", kernels))
    for name, tables in {
        "packages": {"python": difference.python_packages, "system": difference.os_packages},
        "container": {
            "start": difference.configuration,
            "environment": difference.environment,
            "labels": difference.labels,
            "plugins": difference.plugins,
        },
    }.items():
        told = wording(f"images/{name}")
        yield told.section(
            *(_bounded(told, n, ((c.name, c.a, c.b) for c in found)) for n, found in tables.items())
        )
    yield wording("images/gaps").section(more=difference.not_compared)


def _argument_section(arguments: Sequence[ArgumentChange]) -> Section | None:
    """Defaults first, since they change a server without a word."""
    rows: dict[str, list[Sequence[object]]] = {
        name: [] for name in ("changed", "added", "removed", "inside", "others")
    }
    for one in arguments:
        if one.change in ("added", "removed"):
            rows[one.change].append((one.name, one.default))
        for detail in one.details:
            kind, _, key = detail.name.partition(".")
            name = f"{one.name}.{key}" if key else one.name
            if kind != "default":
                name = name if key else f"{name} ({detail.name})"
                rows["others"].append((name, detail.a, detail.b))
            else:
                found = "changed" if detail.change == "changed" else "inside"
                rows[found].append((name, detail.a, detail.b))
    told = wording("images/arguments")
    return told.section(*(_bounded(told, name, found) for name, found in rows.items()))


def _mode_section(difference: ImageDifference) -> Section | None:
    """The batch-invariant module, what it replaces on which GPU, and the evidence to expect."""
    module, a, b = difference.batch_invariant, difference.a.evidence, difference.b.evidence
    told, known = wording("images/mode"), any(module.sha256)
    replaced = any(row.operators_a or row.operators_b for row in module.capabilities)
    files = ("file", *module.path), ("SHA-256", *module.sha256)
    expected = (
        ("batch-invariant must show, standard must not", a.required, b.required),
        ("remarks", a.notes, b.notes),
    )
    return told.section(
        _bounded(told, "module", files if known else ()),
        told.table("operators", _capability_rows(module.capabilities) if replaced else ()),
        _bounded(told, "evidence", ((name, *map("\n".join, of)) for name, *of in expected)),
        more=(*(() if known else ("Neither image has a batch-invariant module.",)), *module.notes),
    )


def _capability_rows(capabilities: Sequence[CapabilityChange]) -> Iterator[tuple[object, ...]]:
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
        yield (names, *effects, change if row.changed else "same")


def _operator(name: str) -> str:
    return name.removeprefix("aten::")
