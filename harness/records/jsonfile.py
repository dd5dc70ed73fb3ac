"""JSON on disk: objects are replaced atomically, rows are read with their line numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError

__all__ = ["read_json", "read_lines", "write_json"]


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace ``path`` by ``value`` so that a reader sees the old file or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=2, default=str)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in ``path``.

    Raises:
        UsageError: the file is missing, unreadable or not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError("no such file", file=path) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"not readable as JSON: {error}", file=path) from error
    if not isinstance(value, dict):
        raise UsageError("expected a JSON object", file=path, line=1)
    return value


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row of a JSONL file with its 1-based line number.

    Raises:
        UsageError: a line is not a JSON object; the message names file and line.
    """
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(f"not a JSON row: {error}", file=path, line=number) from error
            if not isinstance(row, dict):
                raise UsageError("expected a JSON object", file=path, line=number)
            yield number, row
