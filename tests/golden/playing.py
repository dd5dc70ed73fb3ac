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

from .cases import Case
from .folders import FOLDERS, ROOT

EXPECTED = Path(__file__).parent / "expected"
_ENVIRONMENT = {"COLUMNS": "80", "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb"}


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
        os.utime(path, (1_700_000_000, 1_700_000_000))


def play(case: Case, folder: Path) -> dict[str, str]:
    """Texts by the name of their file in `EXPECTED`: what was said, and the files collected.

    What was said ends with every file that was written or changed; those that are not collected
    are there with their hash.
    """
    lay_out(case, folder)
    before = _files(folder)
    said = "".join(_said(arguments, folder) for arguments in case.commands)
    written = {name: text for name, text in _files(folder).items() if before.get(name) != text}
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


def _files(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    texts = ((path, path.read_bytes().decode("utf-8", "surrogateescape")) for path in paths)
    return {
        str(path.relative_to(folder)): normalised(text, folder)
        .encode("utf-8", "surrogateescape")
        .decode("utf-8", "backslashreplace")
        for path, text in texts
    }


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
