"""The driver of workers: each plays one server in a process of its own, and this one writes.

All that workers say goes through here, into the one run folder: records appended and on disk
before their worker asks on, the log's bytes before the record that they prove, starts and metadata.
A worker that is lost, however, is as a server whose harness was killed; what it had not answered is
asked by another one, on another port.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from harness.conduct.asking import begin, launches_of
from harness.conduct.errand import request_of
from harness.conduct.lifetime import Bench, signals_deferred
from harness.conduct.prepare import Prepared
from harness.conduct.startups import RelayedStart
from harness.conduct.stream import (
    Ack,
    Began,
    Bytes,
    Done,
    Failed,
    Line,
    Seen,
    ServerTold,
    said,
)
from harness.conduct.workers import HERE, Worker, Workers, of_this_machine
from harness.errors import RunError
from harness.files import append_bytes
from harness.plan import Lifetime, Plan, sharded
from harness.records import decode_record

_LOST_IN_A_ROW = 3
"""Workers of one part that may be lost without a record in between."""
_POLL_S = 0.5


@dataclass(slots=True)
class _Part:
    """A part of the plan and the worker that plays it.

    Attributes:
        lifetime: what is left to be asked; records go out of it as they come.
        slot: which of the servers that run at once.
        lost: how many workers of it were lost since the last record.
        silent: set once its worker has said its last.
    """

    lifetime: Lifetime
    lost: int = 0
    slot: int = 0
    done: bool = False
    worker: Worker = field(init=False)
    start: RelayedStart = field(init=False)
    answered: set[str] = field(default_factory=set)
    silent: threading.Event = field(default_factory=threading.Event)

    def __str__(self) -> str:
        return f"{self.lifetime.model.name} / {self.lifetime.mode}"

    @property
    def left(self) -> Lifetime:
        """What nobody has answered yet."""
        records = (one for one in self.lifetime.records if one.record_id not in self.answered)
        return replace(self.lifetime, records=tuple(records))


def ask_by_workers(prepared: Prepared, plan: Plan, bench: Bench, place: int, on: str) -> None:
    """Have every lifetime of a plan played by workers, so many at once.

    Args:
        on: where they are, as in `RunOptions.workers`.

    Raises:
        HarnessError: as `run_lifetimes`; the first failure ends the others.
        RunError: workers of one part are lost again and again.
    """
    with _workers(bench, on) as workers:
        parts = sharded(plan, workers.servers)
        launches = launches_of(prepared, parts, bench.folder.path, bench.site, place=place)
        begin(prepared, parts, bench, launches, workers.servers if workers.here else 0)
        crew = _Crew(prepared, bench, place, workers.hire)
        with crew.ended():
            crew.work(deque(map(_Part, parts.lifetimes)), workers.servers)


def _workers(bench: Bench, on: str) -> AbstractContextManager[Workers]:
    if on == HERE:
        return of_this_machine(bench)
    from harness.conduct.ray_workers import of_a_cluster

    return of_a_cluster(on, bench)


class _Crew:
    """The workers that play now, and what they say, one message after the other."""

    def __init__(
        self, prepared: Prepared, bench: Bench, place: int, hire: Callable[[], Worker]
    ) -> None:
        self._bench, self._hire = bench, hire
        folder = bench.folder.path / "tasks"
        self._request = partial(
            request_of,
            prepared,
            tasks={name: (folder / name).read_bytes() for name in prepared.population.files},
            run_id=bench.folder.run_id,
            image=bench.site.image_reference,
            place=place,
        )
        self._moved = [0] * prepared.spec.server.overlap
        self._at_work = list[_Part]()
        self._heard: queue.SimpleQueue[tuple[_Part, bytes | None]] = queue.SimpleQueue()

    def work(self, waiting: deque[_Part], servers: int) -> None:
        """Do all parts, so many at a time.

        Raises:
            HarnessError: what a worker ended with, or what cannot be written.
        """
        free = list(range(servers))
        while waiting or self._at_work:
            while waiting and free:
                self._begin(waiting.popleft(), free.pop(0))
            part, frame = self._heard.get()
            if frame is not None:
                with signals_deferred():  # what came is written whole, and counted
                    self._hear(part, frame)
                continue
            with signals_deferred():
                last = self._dismissed(part)
            free.append(part.slot)
            if not part.done:
                waiting.extendleft(self._lost(part, last))

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Whatever happens in the block, no worker is left, and what each had to say is written."""
        try:
            yield
        finally:
            with signals_deferred():
                for part in self._at_work:
                    part.worker.interrupt()
                while self._at_work:
                    silent = [part for part in self._at_work if part.silent.is_set()]
                    try:
                        part, frame = self._heard.get(timeout=_POLL_S)
                    except queue.Empty:  # a signal came when their end had just been heard
                        for part in silent:
                            self._dismissed(part)
                        continue
                    if frame is None:
                        self._dismissed(part)
                        continue
                    with suppress(Exception):  # the first failure is the one that is told
                        self._hear(part, frame)

    def _dismissed(self, part: _Part) -> tuple[str, ...]:
        """Wait until a worker that has said its last is gone; its last words."""
        last = part.worker.ended()
        self._at_work.remove(part)
        return last

    def _begin(self, part: _Part, slot: int) -> None:
        """Have a worker play a part; what it says arrives in `_heard`."""
        part.slot, part.start = slot, RelayedStart(self._bench.folder, part.lifetime)
        request = self._request(part.lifetime, slot=slot, moved=self._moved[slot])
        with signals_deferred():
            part.worker = self._hire()
            self._at_work.append(part)
            threading.Thread(target=self._listen, args=(part, part.worker), daemon=True).start()
        part.worker.tell(request)

    def _listen(self, part: _Part, worker: Worker) -> None:
        try:
            for frame in worker.frames():
                self._heard.put((part, frame))
        finally:
            self._heard.put((part, None))
            part.silent.set()

    def _hear(self, part: _Part, frame: bytes) -> None:
        """Write down what a worker said, and let it go on."""
        folder, progress = self._bench.folder, self._bench.progress
        model, mode = part.lifetime.model.name, part.lifetime.mode
        match said(frame):
            case Line(text):
                record = decode_record(text.encode("ascii"))
                folder.append_record(msgspec.structs.replace(record, start=part.start.number))
                part.answered.add(record.record_id or "")
                part.lost = 0
                part.worker.tell(Ack())
                progress.record_done(record)
            case Bytes(data, events):
                append_bytes(folder.path / "harness.jsonl" if events else part.start.log, data)
            case Began(start):
                part.start.tell(start)
            case ServerTold() as told:
                self._bench.metadata.learn_from_server(told)
                part.worker.tell(Ack())
            case Seen("starting"):
                progress.server_starting(model, mode)
            case Seen("ready", seconds, verdict):
                progress.server_ready(model, mode, seconds, verdict)
            case Seen():
                progress.server_ended(model, mode)
            case Failed() as failed:
                part.done = True
                its_log = bool(part.start.number) and (failed.file or "").endswith(".log")
                raise failed.error(str(part.start.log) if its_log else None)
            case Done():
                part.done = True

    def _lost(self, part: _Part, last: tuple[str, ...]) -> Iterator[_Part]:
        """What a lost worker leaves to be asked by another one, if anything.

        Raises:
            RunError: too many in a row were lost.
        """
        why = f"its worker was lost ({last[0]})"
        part.start.lost(why)
        self._bench.progress.server_ended(part.lifetime.model.name, part.lifetime.mode)
        self._bench.site.backend.sweep(self._bench.folder.path)  # its server may be there still
        if part.lost + 1 >= _LOST_IN_A_ROW:
            raise RunError(
                f"{part}: {_LOST_IN_A_ROW} workers were lost one after the other without a record",
                hint="the same command goes on",
                detail=last,
            )
        self._moved[part.slot] += 1
        left = part.left
        if left.records:
            self._bench.progress.note(f"{part}: {why}; another asks its {len(left.records)} left")
            yield _Part(left, lost=part.lost + 1)
