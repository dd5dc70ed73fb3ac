"""A YAML file with the line of every value, and no surprises of YAML 1.1.

Plain ``on``, ``off``, ``yes``, ``no``, dates and numbers with a leading zero stay text, as in
YAML 1.2: a control may be written ``prefix_caching: off``, and a reference ``No`` or an id ``007``
is what it looks like. Keys given twice, custom tags and aliases that hold themselves are errors.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from harness.errors import UsageError, raise_all
from harness.files import read_text
from harness.hostile import unreadable

if TYPE_CHECKING:
    _Base = yaml.SafeLoader
else:
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

KeyPath = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_DIGITS = r"(?:0|[1-9][0-9]*)"
_PLAIN = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (rf"[-+]?{_DIGITS}", "-+0123456789"),
    "float": (
        rf"[-+]?(?:{_DIGITS}?\.[0-9]+|{_DIGITS}\.|{_DIGITS}(?=[eE]))(?:[eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "merge": ("<<", "<"),
}
"""What a plain scalar must look like to be no text, and what it may begin with."""
_CORE_TAGS = {_TAG + kind for kind in (*_PLAIN, "str", "seq", "map")}


_MOST_VALUES = 1_000_000


class _Loader(_Base):
    """The safe loader with the resolution rules of YAML 1.2's core schema (decimal only)."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _kind, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), list(_first))


@dataclass(frozen=True, slots=True)
class YamlFile:
    """What a YAML file says, and where it says it.

    ``path`` is the file as it was named, for messages; ``root`` the node tree, which knows the
    lines, ``None`` for an empty file.
    """

    path: str
    data: Any
    root: Node | None

    def line(self, key: KeyPath) -> int | None:
        """The 1-based line of the key or list item at ``key``; ``None`` if the file lacks it."""
        node, line = self.root, 1 if self.root is not None else None
        for part in key:
            steps: list[tuple[Node, Node]] = []
            if isinstance(node, MappingNode):
                # the last entry of a key wins, as in the data
                pairs = reversed(node.value)
                steps = [
                    (k, v) for k, v in pairs if isinstance(k, ScalarNode) and k.value == str(part)
                ]
            elif isinstance(node, SequenceNode) and isinstance(part, int):
                steps = [(item, item) for item in node.value[part : part + 1]]
            if not steps:
                return None
            at, node = steps[0]
            line = at.start_mark.line + 1
        return line

    def __contains__(self, key: KeyPath) -> bool:
        return self.line(key) is not None


def read_yaml(path: Path | str) -> YamlFile:
    """Read one YAML document.

    Raises:
        UsageError: unreadable, not UTF-8, not YAML, or with a key given twice; with file and line.
    """
    loader = _Loader(text := read_text(Path(path)))
    why, line, hint = "", None, None
    try:
        root = loader.get_single_node()
        raise_all([*_mistakes(path, root, (), set())] if root is not None else [])
        if root is not None and _expanded(root, {}) > _MOST_VALUES:
            raise UsageError(f"its aliases stand for more than {_MOST_VALUES:,} values", file=path)
        return YamlFile(str(path), loader.construct_document(root) if root else None, root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        began = error.context_mark.line + 1 if error.context_mark else line
        hint = f"{error.context}, from line {began}" if began != line else None
        why = " ".join(str(error.problem or error.context).split())
    except ReaderError as error:
        why, line = error.reason, text.count("\n", 0, int(error.position)) + 1
    except (ValueError, RecursionError) as error:
        why = unreadable(error)
    finally:
        loader.dispose()
    raise UsageError(f"not readable as YAML: {why}", hint=hint, file=path, line=line)


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, SequenceNode):
        yield from node.value
    elif isinstance(node, MappingNode):
        yield from (part for pair in node.value for part in pair)


def _expanded(node: Node, known: dict[int, int]) -> int:
    """How many values it stands for, each alias counted as what it repeats."""
    if id(node) not in known:
        known[id(node)] = 1 + sum(_expanded(child, known) for child in _children(node))
    return known[id(node)]


def _mistakes(
    path: Path | str, node: Node, above: tuple[Node, ...], done: set[int]
) -> Iterator[UsageError]:
    """Double keys, foreign tags and self-containing aliases, in the order of the file."""
    line = node.start_mark.line + 1
    if any(node is one for one in above):
        yield UsageError("an alias contains itself", file=path, line=line)
    if id(node) in done:  # an alias is its anchor's node again
        return
    done.add(id(node))
    if node.tag not in _CORE_TAGS:
        yield UsageError(f"tag '{node.tag}' is not allowed", file=path, line=line)
    pairs = node.value if isinstance(node, MappingNode) else []
    first: dict[str, int] = {}
    for key, _ in pairs:
        if isinstance(key, ScalarNode) and key.tag != _MERGE:
            line = key.start_mark.line + 1
            if key.value in first:
                why = f"key '{key.value}' is given twice, first in line {first[key.value]}"
                yield UsageError(why, file=path, line=line)
            first.setdefault(key.value, line)
    for child in _children(node):
        yield from _mistakes(path, child, (*above, node), done)
