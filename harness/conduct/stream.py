"""What a worker and its driver say to each other: frames of msgpack, each behind its length.

The driver sends one `Request` and then an `Ack` for each message that waits for one. Whatever a
worker says arrives in the order in which it was said, so that a record is never there before the
bytes of the log that prove it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import msgspec

from harness import errors
from harness.errors import HarnessError, RunError
from harness.prove import Device

_LENGTH_BYTES = 4


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One lifetime, or a part of one, to be played.

    Attributes:
        run_id: of the run whose records these are.
        spec: the resolved run spec, as JSON has it.
        model, mode: of the server.
        tasks: the population's task files, by name.
        candidates: the rows to ask, in order, as JSON has them.
        mark: of what is to be asked; the one that the worker makes itself has to agree.
        schedules: how the batches of the whole run are sent.
        image: the reference that the driver resolved; ``None`` without containers.
        place: which of the runs that are done at once; ``slot`` which of its servers.
        moved: how many ports of that slot were given up before.
    """

    run_id: str
    spec: Mapping[str, Any]
    model: str
    mode: str
    tasks: Mapping[str, bytes]
    candidates: tuple[Mapping[str, Any], ...]
    mark: str
    schedules: tuple[str, ...]
    image: str | None
    place: int
    slot: int
    moved: int


class Ack(msgspec.Struct, frozen=True, tag=True):
    """What waited for it is on disk."""


class ServerTold(msgspec.Struct, frozen=True, tag=True):
    """What only a running server tells of itself: waits for an `Ack`.

    Attributes:
        vllm: its release; ``None`` where the log does not show it.
        device: what it computes on, likewise.
        packages: of the interpreter that runs it, where it is no container's.
    """

    vllm: str | None
    device: Device | None
    packages: dict[str, str]


class Seen(msgspec.Struct, frozen=True, tag=True):
    """Where the server stands, for whoever watches: ``starting``, ``ready`` or ``ended``."""

    what: str
    seconds: float = 0.0
    verdict: str = ""


class Bytes(msgspec.Struct, frozen=True, tag=True):
    """What came to a file: the server's log, or with ``events`` the harness's own events."""

    data: bytes
    events: bool = False


class Began(msgspec.Struct, frozen=True, tag=True):
    """The start of the server as its file describes it now; the first one names its log."""

    start: dict[str, Any]


class Line(msgspec.Struct, frozen=True, tag=True):
    """A record as its line: waits for an `Ack`."""

    text: str


class Failed(msgspec.Struct, frozen=True, tag=True):
    """What ended the work before its time; the fields are those of a `HarnessError`."""

    kind: str
    message: str
    hint: str | None
    file: str | None
    line: int | None
    detail: tuple[str, ...]

    @classmethod
    def of(cls, error: HarnessError) -> Failed:
        """As it is sent."""
        told = error.message, error.hint, error.file, error.line, error.detail
        return cls(type(error).__name__, *told)

    def error(self, file: str | None = None) -> HarnessError:
        """As it is raised again; ``file`` stands for the worker's own."""
        kind = getattr(errors, self.kind, RunError)
        return kind(
            self.message,
            hint=self.hint,
            file=file or self.file,
            line=self.line,
            detail=self.detail,
        )


class Done(msgspec.Struct, frozen=True, tag=True):
    """All was asked, and the server has ended."""


Said = ServerTold | Seen | Bytes | Began | Line | Failed | Done
"""What a worker says."""
_SAID: msgspec.msgpack.Decoder[Said] = msgspec.msgpack.Decoder(Said)


def said(frame: bytes) -> Said:
    """A worker's message.

    Raises:
        msgspec.MsgspecError: the frame is none.
    """
    return _SAID.decode(frame)


def send(stream: IO[bytes], message: msgspec.Struct) -> None:
    """Write one message, whole, and see it off.

    Raises:
        OSError: whoever should read it is gone.
    """
    frame = msgspec.msgpack.encode(message, enc_hook=str)
    stream.write(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """The next frame; ``None`` where whoever wrote has ended, be it in the middle of one."""
    length = int.from_bytes(head, "big") if len(head := _exactly(stream, _LENGTH_BYTES)) else 0
    frame = _exactly(stream, length)
    return frame if len(head) == _LENGTH_BYTES and len(frame) == length else None


def _exactly(stream: IO[bytes], count: int) -> bytes:
    found = b""
    while len(found) < count and (more := stream.read(count - len(found))):
        found += more
    return found
