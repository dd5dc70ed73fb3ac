"""Names of server logs, and reading them as text whatever bytes they hold."""

import itertools
from pathlib import Path


def safe_name(text: str) -> str:
    """The text with every character that may trouble a file name replaced by a dash."""
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in text)


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
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def last_lines(path: Path, count: int = 10, width: int = 300) -> tuple[str, ...]:
    """The last non-empty lines, cut to ``width`` characters each."""
    lines = [line for line in read_log(path).splitlines() if line.strip()]
    return tuple(line[:width] for line in lines[-count:])
