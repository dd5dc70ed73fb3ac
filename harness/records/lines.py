"""A line of a records file: its checksum, and what no line may hold.

Every record that is written ends in ``"sum"``: the CRC-32 of the line without it. It tells damage
(every flip of up to 32 neighbouring bits, and of any others all but one in four thousand million),
not forgery, and costs a tenth of what reading a line costs. A line without one, from elsewhere or
of an older version, is looked at as a whole instead.
"""

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any
from zlib import crc32

import msgspec

_SEAL = re.compile(rb', "sum": "([0-9a-f]{8})"}\s*$')
_SEAL_BYTES = len(', "sum": "01234567"}')
_DEEPEST, _MOST_DIGITS = 64, 300
_ANY = msgspec.json.Decoder()
_HOLDERS = frozenset({dict, list})


class LineFault(ValueError):
    """Why a line is no record."""


def sealed(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the checksum of its line as its last key."""
    rest = {name: value for name, value in row.items() if name != "sum"}
    return {**rest, "sum": f"{crc32(json.dumps(rest).encode('ascii')):08x}"}


def sealed_line(row: Mapping[str, Any]) -> str:
    """The row as one line of ASCII JSON, its checksum and its line end included."""
    return f"{json.dumps(sealed(row))}\n"


def plan_seal(facts: Mapping[str, Any]) -> str:
    """SHA-256 of what a run was planned by, as ``metadata.json`` holds it; it tells an edit."""
    planned = ("fingerprint", "resolved_spec", "model_files", "candidates", "planned_records")
    known = {name: facts.get(name) for name in planned}
    return sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def is_sealed(line: bytes) -> bool:
    """Whether a line ends in a checksum, which is then its own.

    Raises:
        LineFault: the checksum is another one: the line was damaged after it was written.
    """
    body = line.rstrip(b"\r\n")
    found = _SEAL.match(body, max(0, len(body) - _SEAL_BYTES))
    if found is None:
        return False
    if crc32(b"}", crc32(memoryview(body)[:-_SEAL_BYTES])) != int(found[1], 16):
        raise LineFault("damaged: the line does not have its checksum")
    return True


def value_of(line: bytes) -> Any:
    """What a line holds, read as Python's own writer may have written it.

    JSON knows no ``NaN`` for a missing score, no ``8.0`` for a batch size and no half of a
    surrogate pair; these are read. A key that stands there twice, an infinite or an endless number
    and what is nested more than 64 deep are not.

    Raises:
        LineFault: it is not readable.
    """
    try:
        row = json.loads(
            line.decode("utf-8").rstrip("\r\n"),
            parse_constant=_missing,
            parse_int=_whole,
            parse_float=_finite,
            object_pairs_hook=_once,
        )
    except UnicodeDecodeError as error:
        raise LineFault(f"not UTF-8: byte 0x{line[error.start]:02x}") from None
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        raise LineFault(f"not JSON: {what} at column {error.colno}") from None
    except RecursionError:
        raise LineFault("nested too deeply") from None
    _measure(row)
    if isinstance(row, dict) and isinstance(size := row.get("batch_size"), float):
        row["batch_size"] = int(size) if size.is_integer() else size
    return row


def look_closely(line: bytes) -> bool:
    """Whether a line without a checksum is plain JSON; where it is not, `value_of` may read it.

    Raises:
        LineFault: a key stands in it twice, or it is nested too deeply.
    """
    try:
        keys = _measure(_ANY.decode(line))
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError) as error:
        if isinstance(error, LineFault):
            raise
        return False
    if keys != line.count(b'":'):  # a blank before a colon, or a key twice
        value_of(line)
    return True


def _measure(value: Any, depth: int = 1) -> int:
    """How many keys there are in a value, at every depth."""
    if depth > _DEEPEST:
        raise LineFault("nested too deeply")
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value
    keys = len(value) if isinstance(value, dict) else 0
    if isinstance(value, dict | list) and _HOLDERS.isdisjoint(map(type, inner)):
        return keys  # most lines from elsewhere are flat
    for one in inner if isinstance(value, dict | list) else ():
        if isinstance(one, dict | list):
            keys += _measure(one, depth + 1)
    return keys


def _missing(name: str) -> None:
    if name != "NaN":
        raise LineFault(f"{name} is no number")


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise LineFault(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    if (value := float(digits)) in (float("inf"), float("-inf")):
        raise LineFault("a number out of range")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise LineFault(f"the key {twice!r} stands there twice")
    return row
