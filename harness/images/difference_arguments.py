"""Which of the server's arguments came, went, or behave otherwise by default."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from harness.images.difference_model import ArgumentChange, Change
from harness.images.inventory_model import ServerArgument, ServerArguments

__all__ = ["argument_changes"]


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
            changes.append(ArgumentChange(other.name, "changed", details=details))
    for other in b.arguments:
        if other.name not in met:
            changes.append(ArgumentChange(other.name, "added", _text(other.default)))
    return tuple(sorted(changes, key=lambda change: change.name))


def _details(a: ServerArgument, b: ServerArgument) -> Iterator[Change]:
    yield from _value_changes("default", a.default, b.default)
    if a.choices != b.choices:
        yield from _choices(a.choices, b.choices)
    if a.kind != b.kind:
        yield Change("kind", a.kind, b.kind)
    if set(a.flags) != set(b.flags):
        yield Change("spelling", ", ".join(a.flags), ", ".join(b.flags))


def _value_changes(name: str, a: Any, b: Any) -> Iterator[Change]:
    """One change a value; mappings are compared key by key, to any depth."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in sorted({*a, *b}):
            inner = f"{name}.{key}"
            if key not in a:
                yield Change(inner, None, _text(b[key]))
            elif key not in b:
                yield Change(inner, _text(a[key]), None)
            else:
                yield from _value_changes(inner, a[key], b[key])
    elif a != b or type(a) is not type(b):
        yield Change(name, _text(a), _text(b))


def _choices(a: list[Any] | None, b: list[Any] | None) -> Iterator[Change]:
    if a is None or b is None:
        yield Change("choices", None if a is None else _text(a), None if b is None else _text(b))
        return
    gone = [choice for choice in a if choice not in b]
    new = [choice for choice in b if choice not in a]
    if gone or new:
        yield Change("choices", _names(gone), _names(new))


def _names(values: list[Any]) -> str | None:
    return ", ".join(value if isinstance(value, str) else _text(value) for value in values) or None


def _text(value: Any) -> str:
    """A default as it would be typed: bare words, else JSON."""
    if isinstance(value, str):
        return value or '""'
    return "None" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
