"""Cells as data sets publish them: lists as JSON, ``;``-joined or real; answers in three forms."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

__all__ = ["Row", "RowSkipped", "answer_index", "column", "nested", "optional", "text", "text_list"]

Row = Mapping[str, Any]
"""A row with its column names in lower case and ``_`` for spaces."""


class RowSkipped(Exception):
    """A row that cannot be converted without a guess; the message is the reason, for counting."""


def column(row: Row, *names: str) -> Any:
    """The first column of these names that has a value.

    Raises:
        RowSkipped: none has.
    """
    value = optional(row, *names)
    if value is None:
        raise RowSkipped(f"no {' or '.join(names)}")
    return value


def optional(row: Row, *names: str) -> Any:
    """The first column of these names that has a value, else ``None``."""
    for name in names:
        value = row.get(name)
        is_gap = value is None or value == "" or (isinstance(value, float) and isnan(value))
        if not is_gap:
            return value
    return None


def text(row: Row, *names: str) -> str:
    """A column as text without outer whitespace.

    Raises:
        RowSkipped: it is missing or empty.
    """
    found = str(column(row, *names)).strip()
    if not found:
        raise RowSkipped(f"empty {names[0]}")
    return found


def nested(value: Any) -> Any:
    """A list or mapping, also one written as JSON or as a Python literal in a text cell."""
    if not isinstance(value, str) or value.strip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        pass
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def text_list(value: Any) -> list[str]:
    """A list of texts: real, JSON, or joined by ``;``; empty items and repetitions are dropped."""
    value = nested(value)
    if isinstance(value, str) and value.lstrip().startswith("["):
        raise RowSkipped("a list of answers is not readable")
    items = value.split(";") if isinstance(value, str) else value
    if not isinstance(items, Sequence):
        raise RowSkipped("a list of answers is missing")
    return list(dict.fromkeys(text for item in items if (text := str(item).strip())))


def answer_index(value: Any, options: Sequence[str]) -> int:
    """The right option from an index, a letter or the option's own text.

    Raises:
        RowSkipped: it names no option.
    """
    said = str(value).strip()
    if said.removesuffix(".0").isdecimal():
        index = int(said.removesuffix(".0"))
    elif len(said) == 1 and said.isalpha():
        index = ord(said.upper()) - ord("A")
    else:
        index = options.index(said) if said in options else -1
    if not 0 <= index < len(options):
        raise RowSkipped("the answer names no option")
    return index
