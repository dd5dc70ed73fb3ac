"""The files that a server's settings name: what they hold is part of what answers."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from harness.errors import UsageError
from harness.files import sha256_of
from harness.settings import RunSpec
from harness.words import BackendName

_WORD = re.compile(r"""[^\s"'=,:{}\[\]]+""")
"""A path may stand alone, behind ``name=``, or in JSON."""
_GROWS = re.compile("log|cache|debug|trac|dump|profil|download|media|offload", re.IGNORECASE)
"""In the name of an argument or variable that names a place to which a server writes."""
_FOLDERS = ("VLLM_TUNED_CONFIG_FOLDER",)
"""Variables whose folder is read; most name a search path or a cache."""


def sha256_over(folder: Path) -> str:
    """SHA-256 over the names and bytes of the files that lie in a folder itself, in hexadecimal."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    text = "".join(f"{file.name} {sha256_of(file)}\n" for file in files)
    return hashlib.sha256(text.encode()).hexdigest()


def server_files(spec: RunSpec) -> dict[str, str]:
    """What the files and folders hold that command, arguments and variables of a server name.

    A path of a container is looked for in what is mounted there, and a file that is mounted is one
    of them. Model folders have their own place, and a server of somebody else its own machine.

    Returns:
        SHA-256 by the path as it is told, of those that are there.
    """
    if spec.backend is BackendName.EXTERNAL:
        return {}
    found: dict[str, str] = {}
    for told, folders in _told(spec):
        path = _here(told, spec)
        with suppress(OSError, UsageError):  # too long for a name, or not ours to read
            if path is not None and path.is_file():
                found[told] = sha256_of(path)
            elif folders and path is not None and path.is_dir():
                found[told] = sha256_over(path)
    return found


def _told(spec: RunSpec) -> Iterator[tuple[str, bool]]:
    """Words that may be paths, and whether what a folder of the name holds is read."""
    server = spec.server
    if spec.backend is BackendName.NATIVE:
        yield from ((word, False) for word in shlex.split(server.native_command)[1:])
    else:
        yield from ((volume.split(":")[1], False) for volume in server.volumes if ":" in volume)
    flag = ""
    for word in server.extra_args:
        flag = word.partition("=")[0] if word.startswith("-") else flag
        if not _GROWS.search(flag):
            yield from ((part, True) for part in _WORD.findall(word) if not part.startswith("-"))
    for name, value in server.env.items():
        if not _GROWS.search(name):
            yield from ((part, name in _FOLDERS) for part in _WORD.findall(value))


def _here(told: str, spec: RunSpec) -> Path | None:
    """Where a path lies on this machine; ``None`` if it is a container's alone."""
    if spec.backend is BackendName.NATIVE:
        return Path(told)
    for volume in spec.server.volumes:
        source, _, rest = volume.partition(":")
        target = rest.partition(":")[0].rstrip("/")
        if target and (told == target or told.startswith(f"{target}/")):
            return Path(source) / told[len(target) + 1 :]
    return None
