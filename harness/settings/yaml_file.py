"""A YAML file with the line of every value, and no surprises of YAML 1.1.

Plain ``on``, ``off``, ``yes``, ``no``, dates and numbers with a leading zero stay text, as in
YAML 1.2: a control may be written ``prefix_caching: off``, and a reference ``No`` or an id ``007``
is what it looks like. Keys given twice, custom tags and aliases that hold themselves are errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from harness.errors import UsageError
from harness.settings.problems import Problem, raise_problems

if TYPE_CHECKING:
    _Base = yaml.SafeLoader
else:
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

__all__ = ["KeyPath", "YamlFile", "read_text", "read_yaml"]

KeyPath = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_CORE_TAGS = frozenset(
    _TAG + kind for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge")
)


class _Loader(_Base):
    """The safe loader with the resolution rules of YAML 1.2's core schema (decimal only)."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


def _resolve(kind: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(_TAG + kind, re.compile(pattern), list(first))


_resolve("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_resolve("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789")
_resolve(
    "float",
    r"^[-+]?(?:(?:0|[1-9][0-9]*)?\.[0-9]+|(?:0|[1-9][0-9]*)\.|(?:0|[1-9][0-9]*)(?=[eE]))"
    r"(?:[eE][-+]?[0-9]+)?$",
    "-+.0123456789",
)
_resolve("null", r"^(?:~|null|Null|NULL|)$", "~nN")
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"^$"), [""])
_resolve("merge", r"^<<$", "<")


@dataclass(frozen=True, slots=True)
class YamlFile:
    """What a YAML file says, and where it says it.

    Attributes:
        path: the file as it was named, for messages.
        data: mappings, lists and scalars.
        root: the node tree, which knows the lines; ``None`` for an empty file.
    """

    path: str
    data: Any
    root: Node | None

    def line(self, key: KeyPath) -> int | None:
        """The 1-based line of the key or list item at ``key``; ``None`` if the file lacks it."""
        node = self.root
        line = 1 if node is not None else None
        for part in key:
            found = _child(node, part)
            if found is None:
                return None
            line, node = found
        return line

    def item_lines(self, key: KeyPath) -> tuple[int, ...]:
        """The 1-based line of every item of the list at ``key``."""
        node = self.root
        for part in key:
            found = _child(node, part)
            node = found[1] if found else None
        items = node.value if isinstance(node, SequenceNode) else []
        return tuple(item.start_mark.line + 1 for item in items)

    def __contains__(self, key: KeyPath) -> bool:
        return self.line(key) is not None


def read_text(path: Path | str) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises:
        UsageError: the file cannot be read, or is not UTF-8 (with the line of the first bad byte).
    """
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise UsageError(
            "no such file", file=path, hint="paths start at the current folder"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=path) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"not UTF-8: byte 0x{raw[error.start]:02x}",
            file=path,
            line=line,
            hint="save the file as UTF-8",
        ) from None


def read_yaml(path: Path | str) -> YamlFile:
    """Read one YAML document.

    Raises:
        UsageError: unreadable, not UTF-8, not YAML, or with a key given twice; with file and line.
    """
    text = read_text(path)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        raise_problems([_at(path, problem) for problem in _node_problems(root)])
        data = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        message = " ".join(str(error.problem or error.context).split())
        began = error.context_mark.line + 1 if error.context_mark else line
        hint = f"{error.context}, from line {began}" if began != line else None
        text = f"not readable as YAML: {message}"
        raise UsageError(text, hint=hint, file=path, line=line) from None
    except ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise UsageError(f"not readable as YAML: {error.reason}", file=path, line=line) from None
    except ValueError as error:
        raise UsageError(f"not readable as YAML: {error}", file=path) from None
    except RecursionError:
        raise UsageError("not readable as YAML: nested too deeply", file=path) from None
    finally:
        loader.dispose()
    return YamlFile(str(path), data, root)


def _at(path: Path | str, problem: Problem) -> Problem:
    return Problem(problem.message, problem.hint, str(path), problem.line)


def _child(node: Node | None, part: str | int) -> tuple[int, Node] | None:
    """Line and value of one step down; the last entry of a mapping wins, as in the data."""
    if isinstance(node, MappingNode):
        for key, value in reversed(node.value):
            if isinstance(key, ScalarNode) and key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None


def _node_problems(root: Node | None) -> Iterator[Problem]:
    """Double keys, foreign tags and self-containing aliases, in the order of the file."""
    done: set[int] = set()
    open_nodes: set[int] = set()

    def walk(node: Node) -> Iterator[Problem]:
        line = node.start_mark.line + 1
        if id(node) in open_nodes:
            yield Problem("an alias contains itself", line=line)
            return
        if id(node) in done:
            return
        if node.tag not in _CORE_TAGS:
            yield Problem(f"tag '{node.tag}' is not allowed", line=line)
        open_nodes.add(id(node))
        if isinstance(node, MappingNode):
            yield from _double_keys(node)
        for child in _children(node):
            yield from walk(child)
        open_nodes.discard(id(node))
        done.add(id(node))

    if root is not None:
        yield from walk(root)


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []


def _double_keys(node: MappingNode) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode) or key.tag == _TAG + "merge":
            continue
        line = key.start_mark.line + 1
        if key.value in first:
            yield Problem(
                f"key '{key.value}' is given twice, first in line {first[key.value]}", line=line
            )
        first.setdefault(key.value, line)
