"""From what the script printed to `Contents`: each section read for itself, every bound checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from harness.images.inventory_effects import read_effects
from harness.images.inventory_help import read_help
from harness.images.inventory_model import (
    Contents,
    InvariantModule,
    KernelFile,
    OsPackages,
    Plugin,
    PythonFacts,
    ServerArgument,
    ServerArguments,
    TorchFacts,
    Versions,
    VllmFacts,
    read_as,
)
from harness.images.inventory_redaction import REDACTED, is_secret_name, redacted_text

__all__ = ["read_contents"]

T = TypeVar("T")
_MOST_LINES = 50
_MOST_NOTE = 500


@dataclass(slots=True)
class _Sections:
    """The printed sections, and a note for each one that is missing or does not fit."""

    values: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)

    def read(self, name: str, kind: type[T]) -> T | None:
        if name not in self.values:
            self.notes.append(f"{name}: not said")
            return None
        value = self.values[name]
        if isinstance(value, _Failed):
            self.notes.append(f"{name}: {value.reason}")
            return None
        try:
            return None if value is None else read_as(kind, value)
        except ValueError as error:
            self.notes.append(f"{name}: does not have the expected form: {error}")
            return None


@dataclass(frozen=True, slots=True)
class _Failed:
    reason: str


def read_contents(text: str, notes: tuple[str, ...] = ()) -> Contents:
    """Read the script's lines; a part that is missing or malformed becomes a note.

    Args:
        text: JSON lines, from inside the image.
        notes: what is known to be wrong already; with an empty ``text`` they say it all.
    """
    if not text.strip():
        return Contents(notes=notes or ("the image said nothing",))
    sections = _Sections(_values(text))
    module, arguments = _module(sections), _arguments(sections)
    contents = Contents(
        python=sections.read("python", PythonFacts),
        os_packages=sections.read("os_packages", OsPackages) or OsPackages(),
        python_packages=sections.read("python_packages", Versions) or {},
        plugins=sections.read("plugins", tuple[Plugin, ...]) or (),
        torch=sections.read("torch", TorchFacts),
        vllm=sections.read("vllm", VllmFacts),
        batch_invariant=module,
        kernels=sections.read("kernels", tuple[KernelFile, ...]) or (),
        arguments=arguments,
    )
    return replace(contents, notes=tuple(note[:_MOST_NOTE] for note in (*notes, *sections.notes)))


def _values(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in text.splitlines()[:_MOST_LINES]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("section"), str):
            error = row.get("error")
            value = _Failed(redacted_text(str(error))) if error is not None else row.get("value")
            found.setdefault(row["section"], value)
    return found


def _module(sections: _Sections) -> InvariantModule | None:
    value = sections.values.get("batch_invariant")
    source = value.pop("source", None) if isinstance(value, dict) else None
    module = sections.read("batch_invariant", InvariantModule)
    if module is None:
        return None
    if not isinstance(source, str):
        return replace(module, note="too long to be read for the operators that it replaces")
    try:
        return replace(module, effects=read_effects(source))
    except ValueError as error:
        return replace(module, note=str(error))


def _arguments(sections: _Sections) -> ServerArguments:
    value = sections.values.get("arguments")
    if isinstance(value, dict) and value.get("source") == "help":
        found = read_help(str(value.get("help") or ""))
        source = "help" if found else None
        reasons = sections.read("arguments", ServerArguments)
        return ServerArguments(source, found, reasons.reasons if reasons else ())
    read = sections.read("arguments", ServerArguments) or ServerArguments()
    return replace(read, arguments=tuple(_without_secret(one) for one in read.arguments))


def _without_secret(argument: ServerArgument) -> ServerArgument:
    """A default that the image's environment set may be a key."""
    if is_secret_name(argument.name) and isinstance(argument.default, str | list):
        return replace(argument, default=REDACTED)
    return argument
