"""The keys of a run spec, read off its model: which exist, where, and what each may hold.

Unknown keys get their suggestion here, and the command line gets its flags, so that a key added
to `RunSpec` is known to both at once.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.settings.problems import nearest
from harness.settings.run_spec import RunSpec
from harness.settings.yaml_file import KeyPath

__all__ = [
    "annotation_at",
    "dotted",
    "is_optional",
    "keys_at",
    "leaf_keys",
    "meaning",
    "suggest_key",
    "tidy",
]

_TEXT_LISTS: tuple[KeyPath, ...] = (("server", "extra_args"), ("server", "gpu_device_ids"))
_ONE_OR_MORE: tuple[KeyPath, ...] = (
    ("candidates",),
    ("modes",),
    ("dispatch_modes",),
    ("server", "volumes"),
    *_TEXT_LISTS,
)


def dotted(path: KeyPath) -> str:
    """A path as people write it: ``models[0].hf_id``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def annotation_at(path: KeyPath) -> Any:
    """The type annotation at ``path``, without ``Annotated`` and ``None``; ``None`` if unknown."""
    here: Any = RunSpec
    for part in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(part))
            here = _bare(field.annotation) if field else None
        elif get_origin(here) is dict:
            here = _bare(get_args(here)[1])
        elif get_origin(here) is tuple:
            here = _bare(get_args(here)[0])
        else:
            return None
    return here


def is_optional(path: KeyPath) -> bool:
    """Whether the key at ``path`` may be ``null``."""
    field = _field(path)
    return field is not None and type(None) in get_args(field.annotation)


def meaning(path: KeyPath) -> str:
    """What the key at ``path`` is for: the text under it in the model."""
    field = _field(path)
    return (field.description or "").strip() if field else ""


def keys_at(path: KeyPath) -> list[str]:
    """The keys that a mapping at ``path`` may have; empty where any may stand."""
    here = annotation_at(path)
    if isinstance(here, type) and issubclass(here, BaseModel):
        return list(here.model_fields)
    if get_origin(here) is dict:
        return [str(member) for member in _members(get_args(here)[0])]
    return []


def leaf_keys(path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key that holds a value and not a section, in the order of the model."""
    for name in keys_at(path):
        here = annotation_at((*path, name))
        if isinstance(here, type) and issubclass(here, BaseModel):
            yield from leaf_keys((*path, name))
        else:
            yield (*path, name)


def suggest_key(path: KeyPath) -> str | None:
    """What the unknown key at ``path`` was meant to be: a neighbour, or one of another section."""
    *parent, name = path
    siblings = keys_at(tuple(parent))
    elsewhere = {str(key[-1]): key for key in leaf_keys() if len(key) > 1}
    if str(name) in elsewhere:
        return f"it belongs under '{elsewhere[str(name)][0]}'"
    known = {".".join(map(str, key)): key for key in leaf_keys()}
    far = nearest(name, elsewhere)
    return nearest(name, siblings) or nearest(name, known) or far or _listing(siblings)


def tidy(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with one value written for a list of one, and numbers for text where text is meant.

    ``candidates: a.csv`` becomes a list, and ``gpu_device_ids: [0]``, ``extra_args: [--n, 4]`` and
    ``env: {A: 1}`` hold text.
    """
    out = dict(data)
    for path in _ONE_OR_MORE:
        _change(out, path, lambda value: value if isinstance(value, list) else [value])
    for path in _TEXT_LISTS:
        _change(out, path, lambda value: [_as_text(item) for item in value])
    _change(out, ("server", "env"), _text_values)
    if out.get("dispatch_modes") == ["original"]:
        out["dispatch_modes"] = "original"
    return out


def _field(path: KeyPath) -> FieldInfo | None:
    parent: Any = RunSpec if len(path) == 1 else annotation_at(path[:-1])
    fields: Mapping[str, FieldInfo] = getattr(parent, "model_fields", {})
    return fields.get(str(path[-1]))


def _change(data: dict[str, Any], path: KeyPath, change: Any) -> None:
    *parents, last = path
    here: Any = data
    for name in parents:
        section = here.get(name)
        if not isinstance(section, dict):
            return
        here[name] = dict(section)
        here = here[name]
    if isinstance(here, dict) and here.get(last) is not None:
        here[last] = change(here[last])


def _text_values(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _as_text(item) for name, item in value.items()}


def _as_text(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number else value


def _bare(annotation: Any) -> Any:
    """The annotation without ``Annotated`` and without ``None``; of a union the last member."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return _bare(parts[-1])
    return annotation


def _members(kind: Any) -> list[str]:
    members = getattr(kind, "__members__", {})
    return [str(member) for member in members.values()]


def _listing(keys: list[str]) -> str | None:
    return f"known keys: {', '.join(keys)}" if keys else None
