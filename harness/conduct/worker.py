"""A process that plays one server's lifetime and tells its driver all of it: the other end of
`harness.conduct.workforce`.

``python -m harness.conduct.worker FOLDER PARENT`` reads a `Request` from its standard input and
writes what it has to say to its standard output; what anything else prints goes to stderr. It works
in a folder of its own and touches nothing of the run's. Where the driver is gone it ends as after
``kill -9``, and its server with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
import structlog

from harness.conduct.asking import launch_of, play
from harness.conduct.errand import lifetime_of
from harness.conduct.lifetime import Bench, signals_deferred, sigterm_is_interrupt
from harness.conduct.logbook import open_logbook
from harness.conduct.progress import RunProgress
from harness.conduct.site import find_site
from harness.conduct.stream import (
    Began,
    Bytes,
    Done,
    Failed,
    Line,
    Request,
    Seen,
    ServerTold,
    receive,
    send,
)
from harness.errors import HarnessError, ImageMismatch, Interrupted
from harness.machine import end_with_parent
from harness.records import Record, RunFolder
from harness.refused import trouble
from harness.words import DispatchMode, Mode


@dataclass(slots=True)
class _Line:
    """The way to the driver and back."""

    into: IO[bytes]
    out: IO[bytes]

    def say(self, message: msgspec.Struct) -> None:
        """Tell it."""
        with signals_deferred():  # half a message would make the rest unreadable
            send(self.out, message)

    def insist(self, message: msgspec.Struct) -> None:
        """Tell it, and go on only when it is on disk.

        Raises:
            Interrupted: nobody is there any more to write it down.
        """
        self.say(message)
        if receive(self.into) is None:
            raise Interrupted("the driver of this worker is gone")


class _Told(RunProgress):
    """What a person would see here is seen where the driver is."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def server_starting(self, model: str, mode: Mode, theirs: str = "") -> None:
        """Tell the driver."""
        self._line.say(Seen("starting"))

    def server_ready(self, model: str, mode: Mode, seconds: float, verdict: str) -> None:
        """Tell the driver."""
        self._line.say(Seen("ready", seconds, verdict))

    def server_ended(self, model: str, mode: Mode) -> None:
        """Tell the driver."""
        self._line.say(Seen("ended"))


class _Scratch(RunFolder):
    """A folder of the worker's own, of which the driver is told what belongs into the run's."""

    def __init__(self, path: Path, line: _Line) -> None:
        super().__init__(path)
        self._line, self._log = line, ""
        self._sent: dict[str, int] = {}

    def append_record(self, record: Record) -> None:
        """Tell the driver the record, behind all that the log says until now."""
        self.send_logs()
        self.appended[record.model, record.mode] += 1  # whatever comes while it waits
        self._line.insist(Line(record.line()))

    def write_sealed(self, name: str, value: Mapping[str, Any]) -> None:
        """Write it here; of a start-up file the driver is told its one start."""
        super().write_sealed(name, value)
        start = value["attempts"][-1]
        if self._log:
            self.send_logs()
        self._line.say(Began(start))
        self._log = start["log"]

    def send_logs(self) -> None:
        """Send what came to the server's log and to the events since it was asked last."""
        for name, events in (("harness.jsonl", True), (self._log, False)):
            path = self.path / name
            if name and path.is_file():
                with path.open("rb") as stream:
                    stream.seek(self._sent.get(name, 0))
                    data = stream.read()
                self._sent[name] = self._sent.get(name, 0) + len(data)
                if data:
                    self._line.say(Bytes(data, events))


@dataclass(frozen=True, slots=True)
class _Learns:
    """What the server tells of itself is the driver's to write down."""

    line: _Line

    def learn_from_server(self, told: ServerTold) -> None:
        """Tell the driver, and go on when it agrees."""
        self.line.insist(told)


def main(folder: str, parent: str) -> int:
    """Play what is asked for; the exit code says how it ended, as the messages do."""
    end_with_parent(int(parent))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    line = _Line(sys.stdin.buffer, out)
    frame = receive(line.into)
    if frame is None:
        return Interrupted.exit_code
    request = msgspec.msgpack.decode(frame, type=Request)
    try:
        with sigterm_is_interrupt():
            _play(request, Path(folder), line)
        line.say(Done())
    except KeyboardInterrupt:
        return _failed(line, Interrupted("stopped by a signal"))
    except HarnessError as error:
        return _failed(line, error)
    except OSError as error:
        return _failed(line, trouble(error, folder))
    return 0


def _failed(line: _Line, error: HarnessError) -> int:
    with suppress(OSError):  # there may be nobody to tell
        line.say(Failed.of(error))
    return error.exit_code


def _play(request: Request, folder: Path, line: _Line) -> None:
    spec, lifetime = lifetime_of(request, folder / "tasks")
    with _Scratch(folder / request.run_id, line) as scratch:
        open_logbook(scratch.path / "harness.jsonl")
        structlog.contextvars.bind_contextvars(run_id=request.run_id)
        progress = _Told(line)
        site = find_site(spec, progress)
        if site.image_reference != request.image:
            raise ImageMismatch(
                f"the image is {site.image_reference} here, and {request.image} for the driver"
            )
        bench = Bench(spec, scratch, site, progress, _Learns(line))
        own = spec.at_place(request.place, request.slot, request.moved)
        schedules = [*map(DispatchMode, request.schedules)]
        launch = launch_of(own, lifetime, request.run_id, site, schedules)
        try:
            play(bench, [(lifetime, launch)])
        finally:
            scratch.send_logs()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
