"""A container's log, copied to a file from its first byte while it grows."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from docker.errors import DockerException, NotFound
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

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

    The engine keeps the log as one ordered file, so after a broken stream it is read again from
    the start and what was already written is skipped: nothing is lost, nothing doubled.

    Args:
        container: an SDK container of a client that no other thread uses.
        path: the file to write; truncated first.
    """

    def __init__(self, container: _Container, path: Path) -> None:
        self._container = container
        self._written = 0
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
            self._stream = self._container.logs(
                stream=True, follow=follow, stdout=True, stderr=True
            )
            skip = self._written
            for chunk in self._stream:
                new = chunk[skip:]
                skip = max(0, skip - len(chunk))
                self._file.write(new)
                self._file.flush()
                self._written += len(new)
        except NotFound:
            return True
        except _TROUBLE:
            return False
        return True
