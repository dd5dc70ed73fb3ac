"""What the servers of several lifetimes were given: what is alike in all, and what is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.records import RunFiles, Start, object_in
from harness.words import MODES, Mode

Given = Mapping[str, Any]


def answering(files: RunFiles) -> Iterator[tuple[Mode, Start]]:
    """Each start that may have answered, of a mode that is one."""
    for startup in files.startups:
        if startup.mode in set(Mode):
            yield from ((Mode(startup.mode), start) for _, start in startup.answering())


def given_in(files: RunFiles) -> dict[Mode, Given]:
    """What each mode's servers of a run logged that they were given.

    Where several starts were given different values, they stand with a bar between.
    """
    found: dict[Mode, dict[str, list[Any]]] = {mode: {} for mode in MODES}
    for mode, start in answering(files):
        for name, value in object_in(start.facts, "arguments").items():
            values = found[mode].setdefault(name, [])
            values += [] if value in values else [value]
    return {
        mode: {
            name: values[0] if len(values) == 1 else " | ".join(map(str, values))
            for name, values in names.items()
        }
        for mode, names in found.items()
    }


def alike(lifetimes: Sequence[Given]) -> dict[str, Any]:
    """Arguments that every lifetime was given with one value."""
    first, *rest = lifetimes
    return {
        name: value
        for name, value in first.items()
        if all(name in one and one[name] == value for one in rest)
    }


def unlike(lifetimes: Sequence[Given]) -> dict[str, tuple[Any, ...]]:
    """The other arguments, each with a value a lifetime; ``None`` where it was not given."""
    same = alike(lifetimes)
    names = dict.fromkeys(name for one in lifetimes for name in one if name not in same)
    return {name: tuple(one.get(name) for one in lifetimes) for name in names}
