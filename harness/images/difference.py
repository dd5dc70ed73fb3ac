"""Two inventories set against each other; pure."""

import json
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from msgspec.structs import replace

from harness.images.changes import (
    ArgumentChange,
    Change,
    ImageDifference,
    KernelChange,
    ModuleChange,
    SideFacts,
    Sizes,
)
from harness.images.inventory.contents import Contents, Inventory, ServerArgument, ServerArguments

_EMPTY = Contents()
_PARTS = {
    "python": "the Python inside",
    "python_packages": "Python packages",
    "os_packages": "system packages",
    "torch": "torch",
    "vllm": "vLLM",
    "kernels": "kernel files",
    "batch_invariant": "vLLM's batch-invariant module",
    "plugins": "plugins",
}
"""Parts of what is inside, of which one that is not told was not read."""
_SOURCE = "vLLM source (SHA-256 of its Python files)"
_IN_HEADLINE = ("vLLM", "torch", "CUDA", "Python")


def compare_images(a: Inventory, b: Inventory) -> ImageDifference:
    """Everything that differs between two images, as far as both inventories tell."""
    gaps = [f"{side.image}: {gap}" for side in (a, b) for gap in _gaps(side.contents)]
    sources = (a.contents.arguments.source, b.contents.arguments.source)
    if len(set(sources) - {None}) > 1:
        gaps.append("defaults and choices of arguments, since each side's were read another way")
    told, unread = read_in_both(a, b)
    difference = _difference(*told)
    same_id = bool(a.config.id) and a.config.id == b.config.id
    unchanged = not difference.anything_changed and a.contents == b.contents
    if same_id and not unchanged:
        gaps.append("both have one id, and what was read of them differs: one was changed since")
    difference = replace(
        difference,
        same_image=same_id and unchanged,
        a=SideFacts.of(a),
        b=SideFacts.of(b),
        not_compared=(*gaps, *unread),
    )
    readable = a.contents.python is not None and b.contents.python is not None
    return replace(difference, headline=_headline(difference, readable=readable))


def _difference(a: Inventory, b: Inventory) -> ImageDifference:
    """What differs, without its headline."""
    kernels = [{one.path: one for one in side.contents.kernels} for side in (a, b)]
    plugins = [
        {  # a package's version stands among the packages
            f"{p.group} {p.name}": f"{p.target} ({p.package.partition(' ')[0]})"
            for p in side.contents.plugins
        }
        for side in (a, b)
    ]
    pairs = zip(a.config.layers, b.config.layers, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0].diff_id == pair[1].diff_id, pairs))
    return ImageDifference(
        headline="",
        same_image=False,
        a=SideFacts.of(a),
        b=SideFacts.of(b),
        versions=_changes(_versions(a), _versions(b)),
        python_packages=_changes(a.contents.python_packages, b.contents.python_packages),
        os_packages=_changes(a.contents.os_packages.packages, b.contents.os_packages.packages),
        environment=_changes(a.config.environment, b.config.environment),
        labels=_changes(a.config.labels, b.config.labels),
        configuration=_changes(_configuration(a), _configuration(b)),
        plugins=_changes(*plugins),
        arguments=argument_changes(a.contents.arguments, b.contents.arguments),
        argument_source=(a.contents.arguments.source, b.contents.arguments.source),
        batch_invariant=ModuleChange.between(a, b),
        kernels=tuple(
            KernelChange.between(path, *(side.get(path) for side in kernels))
            for path in sorted({*kernels[0], *kernels[1]})
        ),
        sizes=Sizes(
            *(a.config.size_bytes, b.config.size_bytes),
            *(len(a.config.layers), len(b.config.layers)),
            shared,
        ),
        not_compared=(),
    )


def read_in_both(a: Inventory, b: Inventory) -> tuple[tuple[Inventory, Inventory], tuple[str, ...]]:
    """Both without the parts that one of them does not tell, and which these are.

    A part that was not read is not one that the image has lost.
    """
    unread, blank = list[str](), dict[str, Any]()
    for part, words in _PARTS.items():
        lacking = [side for side in (a, b) if _is_unread(side.contents, part)]
        if lacking:
            blank[part] = getattr(_EMPTY, part)
            known = (side for side in lacking if part == "python" or side.contents.python)
            unread += (f"{side.image}: {words}: not read" for side in known)
    sides = (replace(side, contents=replace(side.contents, **blank)) for side in (a, b))
    one, other = sides
    return (one, other), tuple(unread)


def _is_unread(inside: Contents, part: str) -> bool:
    """Whether a part that is not told may be there nevertheless."""
    if getattr(inside, part) != getattr(_EMPTY, part):
        return False
    if part in ("vllm", "torch"):
        named = (one == part or one.startswith(f"{part}-") for one in inside.python_packages)
        return any(named) or not inside.python_packages
    if part == "plugins":  # most images have none
        return not inside.python_packages
    if part in ("kernels", "batch_invariant"):
        return _is_unread(inside, "vllm") or (part == "kernels" and inside.vllm is not None)
    return True


def _gaps(inside: Contents) -> Iterator[str]:
    """What is not told of one side, and why."""
    yield from inside.notes
    source, reasons = inside.arguments.source, inside.arguments.reasons
    if inside.python is not None and (source is None or not inside.arguments.arguments):
        yield f"the server's arguments: {reasons[-1] if reasons else 'not read'}"
    elif source == "help":
        yield f"arguments read from --help, not from the parser: {reasons[0] if reasons else ''}"


def _changes(a: Mapping[str, str | None], b: Mapping[str, str | None]) -> tuple[Change, ...]:
    return tuple(
        Change.between(name, a.get(name), b.get(name))
        for name in sorted({*a, *b})
        if a.get(name) != b.get(name)
    )


def _versions(side: Inventory) -> dict[str, str | None]:
    python, vllm, torch = side.contents.python, side.contents.vllm, side.contents.torch
    return {
        "vLLM": side.versions.vllm,
        "vLLM commit": side.versions.vllm_commit,
        _SOURCE: vllm.source_sha256 if vllm else None,
        "torch": side.versions.torch,
        "torch commit": torch.git_version if torch else None,
        "CUDA": side.versions.cuda,
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


def _headline(difference: ImageDifference, *, readable: bool) -> str:
    """``torch 2.10.0 → 2.11.0, 14 packages changed``: what a reader wants to know first.

    ``readable`` where both images' contents could be read.
    """
    if difference.same_image:
        return "the same image"
    versions = {change.name: change for change in difference.versions}
    steps = [(name, versions[name]) for name in _IN_HEADLINE if name in versions]
    parts = [
        f"{name} {step.a} → {step.b}"
        if step.change == "changed"
        else f"{name} {step.b or step.a} {step.change}"
        for name, step in steps
    ]
    if not readable:
        return ", ".join([*parts, *_outside(difference), "what is inside could not be compared"])
    parts += [*_inside(difference), *_outside(difference)]
    if "vLLM" not in versions and _SOURCE in versions:
        parts.append("vLLM's own code changed under the same version")
    parts = parts or [*_lesser(difference)]
    if not parts and difference.labels:
        return "only labels changed"
    unread = "; some parts could not be compared" if difference.not_compared else ""
    return ", ".join(parts) or f"no difference in what was read{unread}"


def _inside(difference: ImageDifference) -> list[str]:
    return _counted(
        {
            "package": len(difference.python_packages),
            "system package": len(difference.os_packages),
            "server default": sum(change.default_changed for change in difference.arguments),
            "batch-invariant module": difference.batch_invariant.changed,
            "kernel file": sum(kernel.change != "same" for kernel in difference.kernels),
        }
    )


def _outside(difference: ImageDifference) -> list[str]:
    """What the image's configuration says, which is read without a look inside."""
    environment = _counted({"environment variable": len(difference.environment)})
    return [*environment, *(f"{change.name} changed" for change in difference.configuration)]


def _lesser(difference: ImageDifference) -> list[str]:
    """What a headline tells where there is nothing greater."""
    counted = _counted(
        {"plugin": len(difference.plugins), "server argument": len(difference.arguments)}
    )
    return [*(f"{change.name} changed" for change in difference.versions), *counted]


def _counted(counts: Mapping[str, int]) -> list[str]:
    return [
        f"{word} changed" if number is True else f"{number} {word}{'s' * (number != 1)} changed"
        for word, number in counts.items()
        if number
    ]


def argument_changes(a: ServerArguments, b: ServerArguments) -> tuple[ArgumentChange, ...]:
    """Added, removed and changed arguments, by name.

    Arguments are the same if they share a spelling. Defaults, choices and kinds are compared only
    where both sides come from the same source: printed help holds less than the parser.
    """
    if not a.arguments or not b.arguments:
        return ()
    theirs = {flag: argument for argument in b.arguments for flag in argument.flags}
    changes, met = [], set()
    for ours in a.arguments:
        other = next((theirs[flag] for flag in ours.flags if flag in theirs), None)
        if other is None:
            changes.append(ArgumentChange(ours.name, "removed", _text(ours.default)))
            continue
        met.add(other.name)
        if a.source == b.source and (details := tuple(_details(ours, other))):
            moved = any(d.change == "changed" and d.name.startswith("default") for d in details)
            changes.append(ArgumentChange(other.name, "changed", None, moved, details))
    changes += [
        ArgumentChange(other.name, "added", _text(other.default))
        for other in b.arguments
        if other.name not in met
    ]
    return tuple(sorted(changes, key=lambda change: change.name))


def _details(a: ServerArgument, b: ServerArgument) -> Iterator[Change]:
    yield from _value_changes("default", a.default, b.default)
    if a.choices is None or b.choices is None:
        if a.choices != b.choices:
            sides = (None if c is None else _text(c) for c in (a.choices, b.choices))
            yield Change.between("choices", *sides)
    else:
        pairs = ((a.choices, b.choices), (b.choices, a.choices))
        gone, new = ([one for one in ours if one not in theirs] for ours, theirs in pairs)
        if gone or new:
            sides = (
                ", ".join(c if isinstance(c, str) else _text(c) for c in choices) or None
                for choices in (gone, new)
            )
            yield Change.between("choices", *sides)
    if a.kind != b.kind:
        yield Change.between("kind", a.kind, b.kind)
    if set(a.flags) != set(b.flags):
        yield Change.between("spelling", ", ".join(a.flags), ", ".join(b.flags))


def _value_changes(name: str, a: Any, b: Any) -> Iterator[Change]:
    """One change a value; mappings are compared key by key, to any depth."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in sorted({*a, *b}):
            inner = f"{name}.{key}"
            if key not in a:
                yield Change.between(inner, None, _text(b[key]))
            elif key not in b:
                yield Change.between(inner, _text(a[key]), None)
            else:
                yield from _value_changes(inner, a[key], b[key])
    elif a != b or type(a) is not type(b):
        yield Change.between(name, _text(a), _text(b))


def _text(value: Any) -> str:
    """A default as it would be typed: bare words, else JSON."""
    if isinstance(value, str):
        return value or '""'
    return "None" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
