"""Two inventories set against each other; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from msgspec.structs import replace

from harness.images.changes import (
    ArgumentChange,
    CapabilityChange,
    Change,
    ExpectedEvidence,
    ImageDifference,
    KernelChange,
    ModuleChange,
    SideFacts,
    Sizes,
)
from harness.images.inventory import (
    Inventory,
    Plugin,
    ServerArgument,
    ServerArguments,
    effects_by_capability,
)
from harness.prove import Device, EvidenceTag, evidence_rule, parse_version

_SOURCE = "vLLM source (SHA-256 of its Python files)"
_IN_HEADLINE = ("vLLM", "torch", "CUDA", "Python")


def compare_images(a: Inventory, b: Inventory) -> ImageDifference:
    """Everything that differs between two images, as far as both inventories tell."""
    pairs = zip(a.config.layers, b.config.layers, strict=False)
    shared = takewhile(lambda pair: pair[0].diff_id == pair[1].diff_id, pairs)
    difference = ImageDifference(
        headline="",
        same_image=a.config.id == b.config.id,
        a=_side(a),
        b=_side(b),
        versions=_changes(_versions(a), _versions(b)),
        python_packages=_changes(a.contents.python_packages, b.contents.python_packages),
        os_packages=_changes(a.contents.os_packages.packages, b.contents.os_packages.packages),
        environment=_changes(a.config.environment, b.config.environment),
        labels=_changes(a.config.labels, b.config.labels),
        configuration=_changes(_configuration(a), _configuration(b)),
        plugins=_changes(_plugins(a.contents.plugins), _plugins(b.contents.plugins)),
        arguments=argument_changes(a.contents.arguments, b.contents.arguments),
        argument_source=(a.contents.arguments.source, b.contents.arguments.source),
        batch_invariant=_module(a, b),
        kernels=tuple(_kernels(a, b)),
        sizes=Sizes(
            a=a.config.size_bytes,
            b=b.config.size_bytes,
            layers_a=len(a.config.layers),
            layers_b=len(b.config.layers),
            shared_layers=sum(1 for _ in shared),
        ),
        not_compared=tuple(_gaps(a, b)),
    )
    readable = a.contents.python is not None and b.contents.python is not None
    return replace(difference, headline=_headline(difference, readable=readable))


def _side(side: Inventory) -> SideFacts:
    return SideFacts(
        image=side.image,
        id=side.config.id,
        digests=side.config.digests,
        platform=side.config.platform,
        versions=side.versions,
        evidence=_expected_evidence(side),
        notes=side.contents.notes,
    )


def _changes(a: Mapping[str, str | None], b: Mapping[str, str | None]) -> tuple[Change, ...]:
    names = sorted({*a, *b})
    return tuple(
        Change.between(name, a.get(name), b.get(name))
        for name in names
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


def _plugins(plugins: tuple[Plugin, ...]) -> dict[str, str | None]:
    return {f"{p.group} {p.name}": f"{p.target} ({p.package})" for p in plugins}


def _module(a: Inventory, b: Inventory) -> ModuleChange:
    ours, theirs = a.contents.batch_invariant, b.contents.batch_invariant
    rows = zip(
        effects_by_capability(ours.effects if ours else (), a.versions.torch),
        effects_by_capability(theirs.effects if theirs else (), b.versions.torch),
        strict=True,
    )
    sha256 = ours.sha256 if ours else None, theirs.sha256 if theirs else None
    return ModuleChange(
        path=(ours.path if ours else None, theirs.path if theirs else None),
        sha256=sha256,
        capabilities=tuple(
            CapabilityChange(
                capability=one.capability,
                operators_a=one.operators,
                operators_b=other.operators,
                variables_a=one.variables,
                variables_b=other.variables,
                uncertain_a=one.uncertain,
                uncertain_b=other.uncertain,
                changed=one != other,
            )
            for one, other in rows
        ),
        notes=tuple(
            f"{side.image}: {module.note}"
            for side, module in ((a, ours), (b, theirs))
            if module is not None and module.note
        ),
        changed=sha256[0] != sha256[1],
    )


def _kernels(a: Inventory, b: Inventory) -> Iterator[KernelChange]:
    ours = {kernel.path: kernel for kernel in a.contents.kernels}
    theirs = {kernel.path: kernel for kernel in b.contents.kernels}
    for path in sorted({*ours, *theirs}):
        one, other = ours.get(path), theirs.get(path)
        size_a, sha256_a = (one.size_bytes, one.sha256) if one else (None, None)
        size_b, sha256_b = (other.size_bytes, other.sha256) if other else (None, None)
        change = "same" if sha256_a == sha256_b else Change.between(path, sha256_a, sha256_b).change
        yield KernelChange(path, change, size_a, size_b, sha256_a, sha256_b)


def _gaps(a: Inventory, b: Inventory) -> Iterator[str]:
    for side in (a, b):
        yield from (f"{side.image}: {note}" for note in side.contents.notes)
    for side in (a, b):
        arguments = side.contents.arguments
        if arguments.source is None and side.contents.python is not None:
            reason = arguments.reasons[-1] if arguments.reasons else "not read"
            yield f"{side.image}: the server's arguments: {reason}"
        elif arguments.source == "help":
            reason = arguments.reasons[0] if arguments.reasons else ""
            yield f"{side.image}: arguments read from --help, not from the parser: {reason}"
    if len({side.contents.arguments.source for side in (a, b)} - {None}) > 1:
        yield "defaults and choices of arguments, since each side's were read another way"


def _headline(difference: ImageDifference, *, readable: bool) -> str:
    """``torch 2.10.0 → 2.11.0, 14 packages changed``: what a reader wants to know first.

    Args:
        difference: its own headline is not looked at.
        readable: whether both images' contents could be read.
    """
    if difference.same_image:
        return "the same image"
    versions = {change.name: change for change in difference.versions}
    parts = [
        f"{name} {step.a} → {step.b}"
        if step.change == "changed"
        else f"{name} {step.b or step.a} {step.change}"
        for name, step in ((name, versions[name]) for name in _IN_HEADLINE if name in versions)
    ]
    if not readable:
        return ", ".join([*parts, "what is inside could not be compared"])
    counts = {
        "package": len(difference.python_packages),
        "system package": len(difference.os_packages),
        "server default": sum(change.default_changed for change in difference.arguments),
        "environment variable": len(difference.environment),
    }
    parts += [f"{_count(number, word)} changed" for word, number in counts.items() if number]
    if any(change.name == "entrypoint" for change in difference.configuration):
        parts.append("entrypoint changed")
    if difference.batch_invariant.changed:
        parts.append("batch-invariant module changed")
    if other := sum(kernel.change != "same" for kernel in difference.kernels):
        parts.append(f"{_count(other, 'kernel file')} changed")
    if "vLLM" not in versions and _SOURCE in versions:
        parts.append("vLLM's own code changed under the same version")
    if not parts and difference.labels:
        return "only labels changed"
    return ", ".join(parts) or "no difference in what was read"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


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
            default_changed = any(
                detail.name.partition(".")[0] == "default" and detail.change == "changed"
                for detail in details
            )
            changes.append(
                ArgumentChange(
                    other.name, "changed", default_changed=default_changed, details=details
                )
            )
    for other in b.arguments:
        if other.name not in met:
            changes.append(ArgumentChange(other.name, "added", _text(other.default)))
    return tuple(sorted(changes, key=lambda change: change.name))


def _details(a: ServerArgument, b: ServerArgument) -> Iterator[Change]:
    yield from _value_changes("default", a.default, b.default)
    if a.choices is None or b.choices is None:
        if a.choices != b.choices:
            one, other = (None if c is None else _text(c) for c in (a.choices, b.choices))
            yield Change.between("choices", one, other)
    else:
        gone = [choice for choice in a.choices if choice not in b.choices]
        new = [choice for choice in b.choices if choice not in a.choices]
        if gone or new:
            yield Change.between("choices", _names(gone), _names(new))
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


def _names(values: list[Any]) -> str | None:
    return ", ".join(value if isinstance(value, str) else _text(value) for value in values) or None


def _text(value: Any) -> str:
    """A default as it would be typed: bare words, else JSON."""
    if isinstance(value, str):
        return value or '""'
    return "None" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _expected_evidence(inventory: Inventory) -> ExpectedEvidence:
    """What must be in the log of a batch-invariant server, and must not be in a standard one's."""
    torch, vllm = inventory.contents.torch, inventory.versions.vllm
    version = parse_version(vllm)
    if version is None:
        note = f"vLLM {vllm} names no release" if vllm else "no vLLM was found in the image"
        return ExpectedEvidence(None, supported=False, notes=(note,))
    if torch is not None and (torch.hip or torch.xpu):
        note = "the image is for a device that no rule is known for"
        return ExpectedEvidence(None, supported=False, notes=(note,))
    device = Device.CUDA if inventory.config.needs_gpu else Device.CPU
    rule = evidence_rule(version, device, inventory.versions.torch)
    if not rule.supported:
        note = f"vLLM {vllm} has no batch-invariant mode (it came with 0.11.1)"
        return ExpectedEvidence(device.value, supported=False, notes=(note,))
    notes = []
    if rule.beyond_source:
        notes.append("newer than the newest release whose source was read: the rule may have moved")
    if device is Device.CUDA and not rule.requires(EvidenceTag.OVERRIDE):
        notes.append("PyTorch 2.12 and later print no override report: import torch uses it up")
    plugged = [plugin.name for plugin in inventory.contents.plugins]
    if device is Device.CPU and not any("batch_invariant" in name for name in plugged):
        notes.append("no batch-invariant plugin: the mode starts on a CPU and dies at once")
    required = rule.in_words()
    return ExpectedEvidence(device.value, supported=True, required=required, notes=tuple(notes))
