"""Names of server logs, and reading them as text whatever bytes they hold."""

import codecs
import itertools
from collections.abc import Callable
from pathlib import Path

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""How a log begins that a shell wrote in an encoding of its own (PowerShell's ``>``)."""


def new_log(run_folder: Path, stem: str) -> Path:
    """Create the log of one lifetime: ``<stem>.log``, on a later attempt ``<stem>.2.log`` ...

    A log proves the records of its lifetime, so no attempt ever writes over an earlier one.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        path = run_folder / (f"{stem}.log" if number == 1 else f"{stem}.{number}.log")
        try:
            path.open("xb").close()
        except FileExistsError:
            continue
        return path
    raise AssertionError("there is always another number")


def read_log(path: Path) -> str:
    """The log as text; a missing file is an empty log, and no byte makes this fail."""
    try:
        data = path.read_bytes()
    except OSError:
        return ""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    return data.removeprefix(codecs.BOM_UTF8).decode(encoding or "utf-8", errors="replace")


def copy_log(source: Path, target: Path, cleaned: Callable[[str], str]) -> None:
    """Keep a copy of a log as it is now; only where ``cleaned`` takes something out is it changed.

    A log that is gone meanwhile leaves the copy as it was.
    """
    try:
        data = source.read_bytes()
    except OSError:
        return
    text = read_log(source)
    kept = cleaned(text)
    target.write_bytes(data if kept == text else kept.encode())


def last_lines(path: Path, count: int = 10, width: int = 300) -> tuple[str, ...]:
    """The last non-empty lines, cut to ``width`` characters each."""
    lines = [line for line in read_log(path).splitlines() if line.strip()]
    return tuple(line[:width] for line in lines[-count:])
