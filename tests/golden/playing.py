"""Plays a case: its command lines in a folder of its own, and everything that came of them.

The command is called through `harness.cli.main`, as ``python -m harness`` does; no other name of
the harness is used here, since all of them may move.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from unittest import mock

from harness.locks import LOCK

from .cases import Case
from .folders import FOLDERS, ROOT

EXPECTED = Path(__file__).parent / "expected"
_ENVIRONMENT = {"COLUMNS": "80", "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb"}
_LAID_OUT_NS = 1_700_000_000 * 10**9


def normalised(text: str, folder: Path) -> str:
    """The text without what differs from machine to machine: where the case and the project lie.

    Nothing else differs. Times, versions and names come from the saved runs.
    """
    for place, name in ((folder, "<here>"), (ROOT, "<project>")):
        text = re.sub(rf"{re.escape(str(place))}(?![\w.-])", name, text)
    return text


def environment(folder: Path) -> dict[str, str]:
    """All that a case sees of the environment."""
    return {"PATH": os.environ["PATH"], "HOME": f"{folder}/home", **_ENVIRONMENT}


def lay_out(case: Case, folder: Path) -> None:
    """Fresh copies of what the case reads; all of one age, so that none is stale."""
    for name in case.reads:
        FOLDERS[name](folder / name)
    for path in folder.rglob("*"):
        os.utime(path, ns=(_LAID_OUT_NS, _LAID_OUT_NS))


def play(case: Case, folder: Path) -> dict[str, str]:
    """Texts by the name of their file in `EXPECTED`: what was said, and the files collected.

    What was said ends with every file that was written; those that are not collected
    are there with their hash.
    """
    lay_out(case, folder)
    said = "".join(_said(arguments, folder) for arguments in case.commands)
    written = dict(_written(folder))
    collected: dict[str, str] = {}
    for name, text in written.items():
        file = f"{case.name}.{Path(name).name}"
        if Path(name).name not in case.collects:
            said += f"wrote {name}  sha256 {sha256(text.encode()).hexdigest()}\n"
            continue
        if file in collected:
            raise ValueError(f"{case.name}: two files are named {Path(name).name}")
        collected[file] = text
        said += f"wrote {name}\n"
    missing = set(case.collects) - {file.removeprefix(f"{case.name}.") for file in collected}
    return {f"{case.name}.txt": said + "".join(f"missing {n}\n" for n in sorted(missing))} | (
        collected
    )


def _written(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each file that is younger than what was laid out; a lock names a process."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.stat().st_mtime_ns != _LAID_OUT_NS and path.name != LOCK:
            text = path.read_bytes().decode("utf-8", "backslashreplace")
            yield str(path.relative_to(folder)), normalised(text, folder)


def _said(arguments: tuple[str, ...], folder: Path) -> str:
    out, err = io.StringIO(), io.StringIO()
    with _as_a_process(arguments, folder, out, err):
        code = _exit_code(arguments)
    return as_text(arguments, code, out.getvalue(), err.getvalue(), folder)


def as_text(arguments: tuple[str, ...], code: object, out: str, err: str, folder: Path) -> str:
    """One command, its exit code and what it said, as it is in the expected file."""
    said = f"$ {shlex.join(('harness', *arguments))}\nexit {code}\n"
    for name, text in (("stdout", out), ("stderr", err)):
        said += f"--- {name}\n{normalised(text, folder)}" if text else ""
        said += "" if not text or text.endswith("\n") else "\n(no line end)\n"
    return said


def _exit_code(arguments: tuple[str, ...]) -> object:
    from harness.cli import main

    try:
        main(list(arguments))
    except SystemExit as ended:
        return ended.code
    return "none: main returned"


@contextlib.contextmanager
def _as_a_process(
    arguments: tuple[str, ...], folder: Path, out: io.StringIO, err: io.StringIO
) -> Iterator[None]:
    """Environment, folder, command line and streams as a process of its own has them."""
    import typer.rich_utils as help_pages

    with (
        mock.patch.dict(os.environ, environment(folder), clear=True),
        mock.patch.object(sys, "argv", ["harness", *arguments]),
        mock.patch.multiple(help_pages, FORCE_TERMINAL=None, MAX_WIDTH=None),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        yield
