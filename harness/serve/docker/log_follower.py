"""A container's log, copied to a file from its first byte while it grows."""

import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from docker.errors import DockerException, NotFound
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from harness.prove import GAP

_RETRY_S = 0.5
_JOIN_S = 10.0
_TROUBLE = (DockerException, RequestException, HTTPError, OSError, ValueError)
"""A stream that breaks raises urllib3's own errors, past the SDK."""


class _Container(Protocol):
    attrs: Any

    def logs(self, **kwargs: Any) -> Any: ...

    def reload(self) -> None: ...


class LogFollower:
    """Follows one container's log in a thread until the container has ended.

    After a broken stream the engine's log is read again from its start and compared with what is
    written, so nothing is doubled. An engine that has rotated its log meanwhile shows less of it:
    where what it shows joins the written end, it is joined; where it does not, lines are lost, and
    a line that begins with `harness.prove.GAP` stands in their place.

    Args:
        container: an SDK container of a client that no other thread uses.
        path: the file to write; truncated first.
    """

    def __init__(self, container: _Container, path: Path) -> None:
        self._container = container
        self._path = path
        self._seen = 0
        """Bytes of the engine's log, as it shows it now, that are in the file."""
        self._begins = 0
        """Where in the file the first byte stands that the engine still shows."""
        self._stopping = threading.Event()
        self._stream: Any = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("wb")
        self._thread = threading.Thread(target=self._follow, name="docker-log", daemon=True)

    def start(self) -> None:
        """Begin following."""
        self._thread.start()

    def finish(self) -> None:
        """Wait until the ended container's log is complete in the file, and close it.

        Never raises; what the engine no longer has is left out.
        """
        self._stopping.set()
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            with suppress(*_TROUBLE, AttributeError):
                self._stream.close()
            self._thread.join(_JOIN_S)
        if not self._thread.is_alive() and not self._file.closed:
            self._copy_quietly(follow=False)
            self._file.close()

    def _follow(self) -> None:
        while True:
            ended = False
            if self._copy_quietly(follow=True):
                try:
                    self._container.reload()
                    state = self._container.attrs.get("State") or {}
                    ended = state.get("Status") in {"exited", "dead", "removing"}
                except NotFound:
                    ended = True
                except _TROUBLE:
                    ended = False
            if ended or self._stopping.wait(_RETRY_S):
                return

    def _copy_quietly(self, *, follow: bool) -> bool:
        """Copy what is new; whether the engine gave it all."""
        try:
            if self._seen or not follow:
                self._catch_up()
            return not follow or self._copy_stream()
        except NotFound:
            return True
        except _TROUBLE:
            return False

    def _catch_up(self) -> None:
        """Write what the engine shows now and the file does not have."""
        shown = b"".join(self._opened(follow=False))
        written = self._path.read_bytes()
        if written[self._begins :].startswith(shown):
            return  # nothing new; a rotation takes the beginning away, not the end
        if shown[: self._seen] != written[self._begins :]:
            joined = _joined(written, shown)
            if not joined and self._seen:
                self._write(b"" if written.endswith(b"\n") else b"\n")
                self._write(f"{GAP}the engine rotated it, and what came between is lost\n".encode())
            self._begins, self._seen = self._file.tell() - joined, joined
        self._write(shown[self._seen :])
        self._seen = len(shown)

    def _copy_stream(self) -> bool:
        """Copy what comes until the stream ends; false where it does not begin as the file does."""
        known = self._path.read_bytes()[self._begins :]
        place = 0
        for chunk in self._opened(follow=True):
            old = chunk[: max(0, len(known) - place)]
            if old != known[place : place + len(old)]:
                self._stream.close()
                return False
            place += len(chunk)
            self._write(chunk[len(old) :])
            self._seen = max(self._seen, place)
        return True

    def _opened(self, *, follow: bool) -> Iterable[bytes]:
        self._stream = self._container.logs(stream=True, follow=follow, stdout=True, stderr=True)
        return self._stream  # type: ignore[no-any-return]

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()


def _joined(written: bytes, shown: bytes) -> int:
    """How many bytes at the beginning of ``shown`` are those at the end of ``written``."""
    line = shown[: shown.find(b"\n") + 1]
    place = written.find(line) if line else -1
    while place >= 0:
        if shown.startswith(written[place:]):
            return len(written) - place
        place = written.find(line, place + 1)
    return 0
