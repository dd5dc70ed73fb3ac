"""In the pod: a small server that says how the run stands and gives its files, part by part.

It listens behind RunPod's HTTP proxy, so anybody can reach it and nothing is told without the token
of the pod. It reads only, and only regular files below the results folder. A file is given in parts
because the proxy ends what takes more than 100 seconds.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

from harness.errors import HarnessError, UsageError
from harness.records import RECORDS, read_run_files
from harness.runpod.order import TOKEN

LARGEST_PART = 8 << 20
"""Bytes that are given at once."""
_CODE = "runpod_exit_code"
_CHUNK = 1 << 20


class State(msgspec.Struct, frozen=True):
    """How the run of a pod stands.

    Attributes:
        exit_code: of the whole script; ``None`` while it works.
        run: the newest run folder's name.
        records: lines of its records; ``planned`` of them are to come, where that is known.
    """

    exit_code: int | None = None
    run: str | None = None
    records: int = 0
    planned: int | None = None


class Item(msgspec.Struct, frozen=True):
    """A file: its path below the results folder with slashes, its bytes, their SHA-256."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """All that a pod has to give, and the exit code of its script once that has ended."""

    items: list[Item]
    exit_code: int | None = None


def give(results: Path, host: str, port: int) -> None:
    """Serve a results folder until the process is ended.

    Raises:
        UsageError: `TOKEN` is not in the environment.
    """
    server(results, os.environ.pop(TOKEN, ""), host, port).serve_forever()


def server(results: Path, token: str, host: str, port: int) -> ThreadingHTTPServer:
    """The server, bound and not yet serving.

    Raises:
        UsageError: there is no token, or one that is too short to be a secret.
    """
    if len(token) < 16:
        raise UsageError(
            f"{TOKEN} holds no token of 16 characters or more", hint="see docs/runpod.md"
        )
    shelf = _Shelf(results)

    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                return self._say(401, b"")
            asked = urlsplit(self.path)
            answer = shelf.answer(asked.path, parse_qs(asked.query))
            return self._say(404, b"") if answer is None else self._say(200, answer)

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    return ThreadingHTTPServer((host, port), Handler)


class _Shelf:
    """The results folder, with the hashes of what has not changed since they were taken."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._hashes: dict[tuple[str, int, int], str] = {}

    def answer(self, path: str, asked: dict[str, list[str]]) -> bytes | None:
        match path:
            case "/state":
                return msgspec.json.encode(self._state())
            case "/manifest":
                items = [self._item(name, file) for name, file in self._files()]
                return msgspec.json.encode(Manifest(items, self._exit_code()))
            case "/part":
                return self._part(asked)
        return None

    def _files(self) -> Iterator[tuple[str, Path]]:
        for folder, folders, names in os.walk(self._results):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                file = Path(folder, name)
                if not name.startswith(".") and file.is_file() and not file.is_symlink():
                    yield file.relative_to(self._results).as_posix(), file

    def _item(self, name: str, file: Path) -> Item:
        found = file.stat()
        key, left = (name, found.st_size, found.st_mtime_ns), found.st_size
        if key not in self._hashes:
            digest = hashlib.sha256()
            with file.open("rb") as stream:
                while left and (chunk := stream.read(min(left, _CHUNK))):
                    digest.update(chunk)
                    left -= len(chunk)
            self._hashes[key] = digest.hexdigest()
        return Item(name, found.st_size, self._hashes[key])

    def _part(self, asked: dict[str, list[str]]) -> bytes | None:
        with suppress(KeyError, ValueError, OSError):
            start, size = int(asked["from"][0]), int(asked["size"][0])
            file = dict(self._files())[asked["path"][0]]
            with file.open("rb") as stream:
                stream.seek(start)
                return stream.read(max(0, min(size, LARGEST_PART)))
        return None

    def _exit_code(self) -> int | None:
        with suppress(OSError, ValueError):
            return int((self._results / _CODE).read_text("ascii"))
        return None

    def _state(self) -> State:
        found = [file.parent for name, file in self._files() if file.name == RECORDS]
        if not found:
            return State(self._exit_code())
        newest = max(found, key=lambda folder: (folder / RECORDS).stat().st_mtime_ns)
        planned = None
        with suppress(HarnessError):
            planned = read_run_files(newest).metadata.get("planned_records")
        with (newest / RECORDS).open("rb") as stream:
            records = sum(1 for _ in stream)
        told = planned if isinstance(planned, int) else None
        return State(self._exit_code(), newest.name, records, told)
