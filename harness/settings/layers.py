"""Where the keys of a run spec come from: profiles below, the file, and the flags on top.

A layer knows its keys and can point a problem at one of them, by file and line or by flag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.settings.flags import MORE_ARGUMENTS, flag_of
from harness.settings.problems import Problem, nearest, shown
from harness.settings.spec_keys import tidy
from harness.settings.yaml_file import KeyPath, YamlFile, read_yaml

__all__ = [
    "Layer",
    "file_layers",
    "is_profile",
    "locate",
    "merged",
    "override_layer",
    "profile_names",
]

_PROFILES = Path(__file__).resolve().parent.parent / "profiles"
_EXTENDS = "extends"


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of keys.

    Attributes:
        data: its keys, tidied.
        has: whether it says anything at a path.
        place: a problem with the value at a path, pointing to this source.
    """

    data: dict[str, Any]
    has: Callable[[KeyPath], bool]
    place: Callable[[KeyPath, str, str | None], Problem]


def profile_names() -> tuple[str, ...]:
    """The profiles that ship with the harness, in alphabetical order."""
    return tuple(sorted(path.stem for path in _PROFILES.glob("*.yaml")))


def is_profile(source: str | Path) -> bool:
    """Whether ``source`` names a profile; a bare word that is no file is taken for one."""
    if isinstance(source, Path):
        return False
    path = Path(source)
    looks_like_file = "/" in source or path.suffix != "" or path.is_file()
    return source in profile_names() or not looks_like_file


def file_layers(source: str | Path) -> list[Layer]:
    """The layers of a file: first those of the profiles it ``extends``, last its own.

    Raises:
        UsageError: unreadable, no mapping, or extending what is no shipped profile.
    """
    path = _profile_path(str(source)) if is_profile(source) else Path(source)
    document = read_yaml(path)
    if not isinstance(document.data, dict):
        raise UsageError("a run spec is a mapping of keys", file=path, line=document.line(()))
    data = {str(key): value for key, value in document.data.items()}
    base = data.pop(_EXTENDS, None)
    if base is None:
        return [_file_layer(document, data)]
    line = document.line((_EXTENDS,))
    if not isinstance(base, str) or base not in profile_names():
        message = f"extends names no profile: {shown(base)}"
        raise UsageError(message, hint=_profile_hint(base), file=path, line=line)
    return [*file_layers(base), _file_layer(document, data)]


def override_layer(overrides: Mapping[str, object], below: Mapping[str, Any]) -> Layer:
    """The layer of the flags, by dotted key; ``below`` is what the files said together."""
    data: dict[str, Any] = {}
    for key, value in _with_added_arguments(overrides, below).items():
        *sections, last = key.split(".")
        here = data
        for section in sections:
            here = here.setdefault(section, {})
        here[last] = value
    tidied = tidy(data)

    def has(key: KeyPath) -> bool:
        here: Any = tidied
        for part in key:
            entries = dict(enumerate(here)) if isinstance(here, list) else here
            if not isinstance(entries, dict) or part not in entries:
                return False
            here = entries[part]
        return bool(key)

    def place(key: KeyPath, message: str, hint: str | None) -> Problem:
        return Problem(f"{flag_of(key)}: {message}", hint)

    return Layer(tidied, has, place)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Key by key; a mapping over a mapping is merged, anything else replaces."""
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        out[key] = merged(old or {}, value) if both else value
    return out


def locate(layers: list[Layer], key: KeyPath, message: str, hint: str | None) -> Problem:
    """The problem at the uppermost layer that has the key, or else the nearest key above it."""
    for length in range(len(key), -1, -1):
        for layer in reversed(layers):
            if layer.has(key[:length]):
                return layer.place(key[:length], message, hint)
    return Problem(message, hint)


def _profile_path(name: str) -> Path:
    if name not in profile_names():
        raise UsageError(f"no profile and no file named '{name}'", hint=_profile_hint(name))
    return _PROFILES / f"{name}.yaml"


def _profile_hint(name: object) -> str:
    return nearest(name, profile_names()) or f"profiles: {', '.join(profile_names())}"


def _file_layer(document: YamlFile, data: dict[str, Any]) -> Layer:
    def place(key: KeyPath, message: str, hint: str | None) -> Problem:
        return Problem(message, hint, document.path, document.line(key))

    return Layer(tidy(data), document.__contains__, place)


def _with_added_arguments(
    overrides: Mapping[str, object], below: Mapping[str, Any]
) -> dict[str, object]:
    """The overrides with ``server.extra_args+`` put after the arguments that stand so far."""
    out = dict(overrides)
    added = out.pop(".".join(map(str, MORE_ARGUMENTS)), None)
    if isinstance(added, list):
        section = below.get("server")
        standing = section.get("extra_args") if isinstance(section, dict) else None
        out["server.extra_args"] = [*_list(out.get("server.extra_args", standing)), *added]
    return out


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
