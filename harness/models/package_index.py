"""A package fetched by pip from the Python index, by its hash, and why none came."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Final

from harness.errors import EnvironmentError_
from harness.files import write_whole
from harness.machine import end_with_parent
from harness.secrets import without_url_password

_LOG: Final = "pip.log"
_PIP: Final = (
    *("-P", "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"),
    *("--no-deps", "--only-binary=:all:", "--require-hashes", "--retries=2", "--timeout=20"),
)
_NOWHERE: Final = "(from versions: none)"
"""What pip says where no index offered any version: where none answered, too."""
_LOOKED: Final = re.compile(r"^\S+ \* (\S+)$", re.M)
_FAILED: Final = re.compile(r"^\S+ Could not fetch URL \S+?: (.*) - skipping$", re.M)
_NOT_TRUSTED: Final = re.compile(r"^\S+ WARNING: (The repository .*? ignored)\.", re.M)
_CAUSE: Final = re.compile(r"Caused by (.*)\)")
_OBJECT: Final = re.compile(r"<[^<>]* object at 0x[0-9a-f]+>: |HTTPS?Connection\([^()]*\): ")
_NAMED: Final = re.compile(r"^\w+\((.*)\)$")
_SETTINGS: Final = "`python -m pip config list` and PIP_* variables tell them"


def download(package: str, sha256: str, folder: Path, *, instead: str) -> Path:
    """The package's wheel in a folder, checked by pip against its hash.

    Pip ends with this process, however that ends.

    Args:
        package: as pip names it, with its version.
        sha256: of the wheel.
        folder: all that pip writes is in it.
        instead: what works without the package, for the hint.

    Raises:
        EnvironmentError_: it was not downloaded, or is another file.
        OSError: the disk is full.
    """
    pin, log = folder / "pin.txt", folder / _LOG
    write_whole(pin, f"{package} --hash=sha256:{sha256}\n")

    def played(python: Path | str, *words: str) -> subprocess.CompletedProcess[str]:
        # so that what pip leaves goes with the folder
        told = {**os.environ, "TMPDIR": str(folder)}
        return subprocess.run(
            [str(python), *words],
            env=told,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=partial(end_with_parent, os.getpid()),
        )

    words = (*_PIP, "--log", str(log), "--dest", str(folder), "--requirement", str(pin))
    done = played(sys.executable, *words)
    if done.stderr.rstrip().endswith("No module named pip"):  # as in an environment of uv's
        own = folder / "pip"
        if played(sys.executable, "-I", "-m", "venv", str(own)).returncode == 0:
            done = played(own / "bin/python", *words)
    if done.returncode == 0 and (wheels := list(folder.glob("*.whl"))):
        return wheels[0]
    if "DO NOT MATCH THE HASHES" in done.stderr:
        why = "did not arrive as it should: its SHA-256 differs: cut short, or another file"
        hint = "nothing was kept; try again"
    elif os.strerror(errno.ENOSPC) in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    elif _NOWHERE in done.stderr:
        told = log.read_text(errors="replace") if log.is_file() else ""
        why, hint = _unanswered(told, package.partition("==")[0])
        why = f"was not downloaded: {why}"
    else:
        why, hint = f"was not downloaded: {_last_error(done.stderr)}", "try again when it answers"
    raise EnvironmentError_(f"the package {package} {why}", hint=f"{hint}; {instead}")


def _unanswered(log: str, name: str) -> tuple[str, str]:
    """Why no index offered a package, by pip's log, and what to do."""
    places = dict.fromkeys(without_url_password(place) for place in _LOOKED.findall(log))
    if not places:
        why = "pip was told to look in no index (PIP_NO_INDEX, or no-index in its settings)"
        return why, f"check where it looks: {_SETTINGS}"
    where = f"check the network and where pip looked, {', '.join(places)}: {_SETTINGS}"
    if reasons := [*_FAILED.findall(log), *_NOT_TRUSTED.findall(log)]:
        return f"the index did not answer as one does: {_shortest(reasons[0])}", where
    return f"what answered there offers no {name}: a portal's page, or an index without it", where


def _shortest(reason: str) -> str:
    """Pip's reason without the objects and calls that it is wrapped in."""
    if cause := _CAUSE.search(reason):
        reason = cause[1]
    while named := _NAMED.match(reason):
        reason = named[1]
    return without_url_password(_OBJECT.sub("", reason).strip("\"'"))


def _last_error(said: str) -> str:
    """The last line of pip's that is an error; where none is, its last."""
    lines = said.splitlines()
    told = [line for line in lines if line.startswith("ERROR:")] or lines
    return told[-1].removeprefix("ERROR:").strip() if told else "pip gave no reason"
