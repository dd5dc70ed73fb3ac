"""Rows of a data file: JSONL, JSON, CSV or Parquet, told apart by the file's suffix."""

from __future__ import annotations

import csv
import importlib
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentError_, UsageError
from harness.files import read_text

__all__ = ["plain_columns", "read_rows"]

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def read_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a data file, in file order, with their published column names.

    Raises:
        UsageError: unreadable, or of a kind that is not known, with file and line.
        EnvironmentError_: a Parquet file without pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return _jsonl(path)
    if suffix == ".json":
        return _json(path)
    if suffix in (".csv", ".tsv"):
        return _csv(path, "\t" if suffix == ".tsv" else ",")
    if suffix == ".parquet":
        return _parquet(path)
    raise UsageError(
        f"cannot tell what kind of file this is: suffix '{suffix}'",
        file=path,
        hint=f"known: {', '.join(SUFFIXES)}",
    )


def plain_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with column names in lower case and ``_`` for spaces."""
    return {str(name).strip().lower().replace(" ", "_"): value for name, value in row.items()}


def _jsonl(path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield _object(_parse(line, path, number), path, number)


def _json(path: Path) -> Iterator[Mapping[str, Any]]:
    value = _parse(read_text(path), path, 1)
    if not isinstance(value, list):
        raise UsageError("expected a JSON list of rows", file=path, line=1)
    return (_object(row, path, 1) for row in value)


def _parse(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        at = line + (error.lineno - 1 if isinstance(error, json.JSONDecodeError) else 0)
        raise UsageError("not readable as JSON", file=path, line=at) from error


def _object(value: Any, path: Path, line: int) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UsageError("expected a JSON object", file=path, line=line)
    return value


def _csv(path: Path, delimiter: str) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if None in row or None in row.values():
                line = reader.line_num
                raise UsageError("a row has not as many cells as the header", file=path, line=line)
            yield row
    except csv.Error as error:
        raise UsageError(f"not readable as CSV: {error}", file=path) from error


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise EnvironmentError_(
            "reading Parquet needs pyarrow, which is not installed",
            file=path,
            hint="pip install 'harness[datasets]', or give the file as JSONL or CSV",
        ) from error
    try:
        batches: Iterable[Any] = parquet.ParquetFile(path).iter_batches()
        for batch in batches:
            yield from batch.to_pylist()
    except FileNotFoundError as error:
        raise UsageError("no such file", file=path) from error
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"not readable as Parquet: {reason}", file=path) from error
