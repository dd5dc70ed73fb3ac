"""From the pod to here: how its run stands, and its files copied whole, each checked by its hash.

A file comes in parts that are appended to ``.NAME.part`` beside its place; the next fetch goes on
where a cut leaves it. It gets its name once its SHA-256 is the pod's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import quote

import httpx
import msgspec

from harness.errors import EnvironmentError_, HarnessError, IncompleteRun
from harness.files import append_bytes, cut, sha256_of, write_whole
from harness.hostile import visible
from harness.numbers import count_of, size_text
from harness.runpod.account import (
    NAMES_ITSELF,
    Pod,
    Sleep,
    Unavailable,
    insist_https,
    told,
    unavailable,
    unheard,
    with_patience,
)
from harness.runpod.giving import LARGEST_PART, Item, Manifest, State
from harness.runpod.order import PORT, TOKEN
from harness.wire import Heard, NotHeard, ask, line_to

_PROXY, _DEFAULT = "HARNESS_RUNPOD_PROXY", "https://{pod}-{port}.proxy.runpod.net"
_TIMEOUT_S = 95.0  # the proxy ends what takes 100
_ROUNDS, _MOST_FILES, _LONGEST_NAME = 3, 20_000, 200
_T = TypeVar("_T")


class Door:
    """The way to a pod's own server, through RunPod's HTTP proxy.

    Args:
        pod: running, with the token of its server among its variables.
        sleep: waits so many seconds between two attempts.

    Raises:
        EnvironmentError_: the pod has no such server.
    """

    def __init__(self, pod: Pod, sleep: Sleep) -> None:
        token = pod.env.get(TOKEN, "")
        if not re.fullmatch(r"[\w-]+", token, re.ASCII):
            raise EnvironmentError_(
                f"pod {pod.id} has no server to fetch from: it was not started by "
                "`harness runpod launch`",
                hint="docs/runpod.md tells how to copy its /workspace/results over SSH",
            )
        self._pod, self._sleep = pod, sleep
        pattern = os.environ.get(_PROXY) or _DEFAULT
        url = insist_https(pattern.replace("{pod}", pod.id).replace("{port}", str(PORT)), _PROXY)
        headers = {**NAMES_ITSELF, "Authorization": f"Bearer {token}"}
        self._client = httpx.Client(**line_to(f"{url}/", timeout=_TIMEOUT_S, headers=headers))

    def state(self) -> State | None:
        """How the run stands; ``None`` where the server is not there, yet or any more."""
        try:
            return self._read(self._once("state", 10.0), State)
        except Unavailable:
            return None

    def manifest(self) -> Manifest:
        """What there is to fetch.

        Raises:
            EnvironmentError_: no answer, or files that no run folder has.
        """
        manifest = self._read(self._patiently("manifest"), Manifest)
        names = [item.path for item in manifest.items]
        if len(set(names)) < len(names) or len(names) > _MOST_FILES or not all(map(_plain, names)):
            raise EnvironmentError_(
                f"pod {self._pod.id} offers files that no run folder has",
                hint="look at the pod in RunPod's console; nothing was written",
            )
        return manifest

    def part(self, path: str, start: int, size: int) -> bytes:
        """Bytes of a file; fewer where it ends before."""
        return self._patiently(f"part?path={quote(path, safe='')}&from={start}&size={size}").body

    def _patiently(self, path: str) -> Heard:
        return with_patience(lambda: self._once(path, _TIMEOUT_S), self._sleep)

    def _once(self, path: str, timeout_s: float) -> Heard:
        hint = f"`harness runpod status {self._pod.id}` says how it stands"
        try:
            heard = ask(self._client, path, timeout_s=timeout_s)
        except NotHeard as error:
            raise unheard(error, "the pod's server", hint) from error
        if heard.status == httpx.codes.UNAUTHORIZED:
            raise EnvironmentError_("the pod's server refused its own token (401)", hint=hint)
        if not heard.ok:
            raise unavailable(f"the pod's server answered HTTP {heard.status}", hint)
        return heard

    def _read(self, heard: Heard, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(heard.body, type=kind)
        except msgspec.MsgspecError as error:
            hint = f"`harness runpod logs {self._pod.id}` shows what runs there"
            raise unavailable(f"no answer of the pod's server: {told(str(error))}", hint) from error


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch came to; ``files`` are all that the pod has, whole and of its hashes.

    Attributes:
        files: how many.
        size: their bytes.
        kept: how many of them were here before.
        exit_code: of the pod's script; ``None`` while it works, so that more will come.
    """

    files: int
    size: int
    kept: int
    exit_code: int | None


def fetch(door: Door, into: Path, again: str, say: Callable[[str], object]) -> Fetched:
    """Copy all that a pod has below ``into``.

    Args:
        door: the way to the pod.
        into: a folder; what is there and whole stays.
        again: the command that goes on, for messages.
        say: told of each file.

    Raises:
        IncompleteRun: it broke off; what came stays.
        EnvironmentError_: the pod offers what is no run, or it cannot be written here.
    """
    kept: set[str] = set()
    for _ in range(_ROUNDS):
        manifest = door.manifest()
        moved = False
        for number, item in enumerate(manifest.items, 1):
            target = _place(into, item.path)
            if _is_whole(target, item):
                kept.add(item.path)
                continue
            kept.discard(item.path)
            say(f"{number}/{len(manifest.items)}  {size_text(item.size):>12}  {item.path}")
            try:
                moved |= not _taken(door, item, target)
            except Unavailable as error:
                raise _broken_off(number - 1, manifest, str(error), again) from error
        if not moved:
            total = sum(item.size for item in manifest.items)
            return Fetched(len(manifest.items), total, len(kept), manifest.exit_code)
    raise _broken_off(0, manifest, "files changed while they were copied", again)


def _broken_off(whole: int, manifest: Manifest, why: str, again: str) -> HarnessError:
    count = count_of(len(manifest.items), "file")
    message = f"the fetch broke off: at least {whole} of {count} are here whole; {why}"
    return IncompleteRun(message, hint=f"it goes on there: {again}")


def _plain(path: str) -> bool:
    """Whether a foreign path is one below a folder, of names that every system takes."""
    parts = PurePosixPath(path).parts
    return (
        path == "/".join(parts) == visible(path)
        and not path.startswith("/")
        and "\\" not in path
        and all(len(p.encode()) <= _LONGEST_NAME and not p.startswith(".") for p in parts)
        and bool(parts)
    )


def _place(into: Path, path: str) -> Path:
    """Where a file of the pod comes to lie; no link here leads it elsewhere.

    Raises:
        EnvironmentError_: one does, or something else is there.
    """
    target = into / path
    inside = target.parent.resolve().is_relative_to(into.resolve())
    if not inside or target.is_symlink() or (target.exists() and not target.is_file()):
        raise EnvironmentError_(
            "something else is there", file=target, hint="fetch into another folder"
        )
    return target


def _is_whole(target: Path, item: Item) -> bool:
    same = target.is_file() and target.stat().st_size == item.size
    return same and sha256_of(target) == item.sha256


def _taken(door: Door, item: Item, target: Path) -> bool:
    """Copy a file; whether it is the one that the pod listed."""
    part = target.with_name(f".{target.name}.part")
    for _ in range(2):
        if not part.exists():
            write_whole(part, b"", parents=True)
        if part.stat().st_size > item.size:
            cut(part, 0)
        for data in _parts(door, item, part.stat().st_size):
            append_bytes(part, data)
        if _is_whole(part, item):
            part.replace(target)
            return True
        part.unlink()  # the file changed, here or there, between two parts
    return False


def _parts(door: Door, item: Item, start: int) -> Iterator[bytes]:
    while start < item.size:
        data = door.part(item.path, start, min(LARGEST_PART, item.size - start))
        if not data:
            return
        yield data[: item.size - start]
        start += len(data)
