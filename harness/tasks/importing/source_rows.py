"""Rows of a data file and their cells, as data sets publish them.

A file is JSONL, JSON, CSV or Parquet, told by its suffix. A list in a cell is JSON, joined by ``;``
or real; an answer is an index, a letter or the option's own text.
"""

import ast
import csv
import importlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import isnan
from pathlib import Path
from typing import Any

from harness import files
from harness.errors import EnvironmentError_, UsageError, shown
from harness.hostile import unreadable

Row = Mapping[str, Any]
"""A row with its column names in lower case and ``_`` for spaces."""


class RowSkipped(Exception):
    """A row that cannot be converted without a guess; the message is the reason, for counting."""


def read_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a data file, in file order, with their published column names.

    Raises:
        UsageError: unreadable, or of a kind that is not known, with file and line.
        EnvironmentError_: a Parquet file without pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        why = f"cannot tell what kind of file this is: suffix '{suffix}'"
        raise UsageError(why, file=path, hint="known: .jsonl, .json, .csv, .tsv, .parquet, .eval")
    return _READERS[suffix](path)


def plain_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with column names in lower case and ``_`` for spaces."""
    return {str(name).strip().lower().replace(" ", "_"): value for name, value in row.items()}


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
    with suppress(ValueError, RecursionError):
        return json.loads(value)
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


def _json(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        rows = json.loads(files.read_text(path))
    except json.JSONDecodeError as error:
        why = f"not JSON: {error.msg} at column {error.colno}"
        raise UsageError(why, file=path, line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not readable as JSON: {unreadable(error)}", file=path, line=1) from error
    if isinstance(rows, dict) and isinstance(rows.get("samples"), list):
        rows = rows["samples"]  # a log of inspect
    if not isinstance(rows, list):
        raise UsageError("not a JSON list of rows", file=path, line=1)
    for row in rows:
        if not isinstance(row, dict):
            raise UsageError("not a JSON object", file=path, line=1)
        yield row


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    text = files.read_text(path)
    # spreadsheets write semicolons where a comma is the decimal sign; the header tells
    head = text.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=head.count)
    csv.field_size_limit(sys.maxsize)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if None in row or None in row.values():
                line = reader.line_num
                hint = f"columns of the header: {', '.join(map(shown, reader.fieldnames or ()))}"
                why = "a row has not as many cells as the header"
                raise UsageError(why, file=path, line=line, hint=hint)
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


def _inspect_archive(path: Path) -> Iterator[Mapping[str, Any]]:
    """The samples of an inspect log in its archive form, in the order of their names."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.startswith("samples/")]
            for name in sorted(name for name in names if name.endswith(".json")):
                yield json.loads(archive.read(name))
    except FileNotFoundError as error:
        raise UsageError("no such file", file=path) from error
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"not readable as an inspect log: {error}", file=path) from error


def read_folder(folder: Path, pattern: str) -> Iterator[Mapping[str, Any]]:
    """The rows of every such file of a folder, in file-name order, each document once.

    lm-evaluation-harness writes a line a filter: those of a file's first filter are taken.

    Raises:
        UsageError: no such file is there, or one cannot be read.
    """
    found = sorted(path for path in folder.rglob(pattern) if path.suffix.lower() in _READERS)
    if not found:
        raise UsageError(f"no {pattern} here", file=folder)
    for path in found:
        yield from first_filter(read_rows(path))


def first_filter(rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Rows whose ``filter`` is that of the first row; all where there is none."""
    first: Any = None
    for number, row in enumerate(rows):
        first = row.get("filter") if not number else first
        if row.get("filter") == first:
            yield row


_READERS: Mapping[str, Callable[[Path], Iterator[Mapping[str, Any]]]] = {
    **dict.fromkeys((".jsonl", ".ndjson"), lambda path: (row for _, row in files.read_rows(path))),
    ".json": _json,
    ".eval": _inspect_archive,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
}
