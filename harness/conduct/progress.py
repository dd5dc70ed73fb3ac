"""What a person sees while a run works: on a terminal lines that move, elsewhere one now and then.

All of it goes to stderr; stdout is for results. The time left is an estimate: measured seconds
per record and per server start, and a stated guess until there is a measurement.
"""

import sys
import time
from dataclasses import dataclass, field
from statistics import fmean

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from harness.hostile import visible
from harness.numbers import count_of
from harness.records import Record
from harness.words import Mode


class RunProgress:
    """What the conductor tells while it works; this one says nothing."""

    def record_there(self, record: Record) -> None:
        """A record of an earlier session counts as done."""

    def begin(self, *, records: int, done: int, lifetimes: int) -> None:
        """Work starts: records in all, those done already, and servers still to start."""

    def server_starting(self, model: str, mode: Mode, theirs: str = "") -> None:
        """A server is being started, or asked at its URL where it is somebody else's."""

    def server_ready(self, model: str, mode: Mode, seconds: float, verdict: str) -> None:
        """It answered after that many seconds, and the log says this of its mode."""

    def server_ended(self, model: str, mode: Mode) -> None:
        """It is stopped, whether it ever answered or not."""

    def record_done(self, record: Record) -> None:
        """A record was written."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def remark(self, text: str) -> None:
        """A note on the settings: once is enough where several runs have it in common."""

    def end(self) -> None:
        """Nothing more will come."""


@dataclass
class Estimate:
    """Seconds left, from the seconds that each server start and each record took so far.

    The first record of a batch comes when the whole batch is asked, and the others with it: records
    are measured once their batch is done.
    """

    starts: list[float] = field(default_factory=list)
    records: list[float] = field(default_factory=list)
    _batches: dict[str, tuple[object, list[float]]] = field(default_factory=dict)

    def record(self, server: str, batch: object, seconds: float) -> None:
        """A record of a batch that a server was asked came so long after the one before."""
        asked, pending = self._batches.get(server, (batch, []))
        if asked != batch:
            self.records += pending
            pending = []
        self._batches[server] = batch, [*pending, seconds]

    def seconds_left(
        self, records: int, starts: int, *, starting_s: float = 0.0, asking_s: float = 0.0
    ) -> float | None:
        """For that many records and server starts still to come; ``None`` until each was measured.

        Args:
            starting_s: seconds that the server which starts now has taken already.
            asking_s: seconds since the last record; either counts down what is left.
        """
        if not self.records or (starts and not self.starts):
            return None
        start, record = fmean(self.starts or [0.0]), fmean(self.records)
        passed = min(starting_s, start if starts else 0.0) + min(asking_s, record)
        return max(0.0, records * record + starts * start - passed)


class ConsoleProgress(RunProgress):
    """Two lines that move on a terminal; plain lines, one for each tenth of the work, elsewhere.

    The first line says which servers start or answer, with a spinner and the time since they were
    started; the second has a bar, the records done, and what was found. Both fit 80 columns.

    Args:
        console: where to; stderr.
        told: remarks that runs of the same command have made already.
    """

    def __init__(self, console: Console | None = None, told: set[str] | None = None) -> None:
        self._console = console or Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._told = set[str]() if told is None else told
        self._estimate = Estimate()
        self._live: Live | None = None
        self._spinner = Spinner("dots")
        self._total = self._done = self._starts_left = 0
        self._flips = self._changes = self._errors = 0
        self._last = 0.0
        self._where, self._verb = "preparing", "starting"
        self._starting: dict[str, float] = {}

    def record_there(self, record: Record) -> None:
        """Count what it found, beside which all records that are done are told."""
        self._flips += record.label_flip
        self._changes += record.text_change
        self._errors += not record.ok

    def begin(self, *, records: int, done: int, lifetimes: int) -> None:
        """Draw the lines, or say what there is to do."""
        self._total, self._done, self._starts_left = records, done, lifetimes
        if done:
            self.note(f"{done} of {records} records are there already; {records - done} to do")
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._lines,
                console=self._console,
                transient=True,
                refresh_per_second=4,
            )
            self._live.start()

    def server_starting(self, model: str, mode: Mode, theirs: str = "") -> None:
        """Name the server."""
        self._where = f"{model} / {mode}"
        self._starting[self._where] = time.monotonic()
        self._verb = "asking" if theirs else "starting"
        if self._live is None:
            said = f"asking the server at {theirs}" if theirs else "starting the server"
            self.note(f"{self._where}: {said} ({self._left()})")

    def server_ready(self, model: str, mode: Mode, seconds: float, verdict: str) -> None:
        """Say how long it took and what the log proves."""
        self._estimate.starts.append(seconds)
        self._starts_left = max(0, self._starts_left - 1)
        self._last = time.monotonic()
        self._where = f"{model} / {mode}"
        self._starting.pop(self._where, None)
        self.note(f"{self._where}: ready after {seconds:.0f} s, mode {verdict}")

    def server_ended(self, model: str, mode: Mode) -> None:
        """Nobody waits for it any longer."""
        self._starting.pop(f"{model} / {mode}", None)

    def record_done(self, record: Record) -> None:
        """Count it."""
        now = time.monotonic()
        self._where = f"{record.model} / {record.mode}"
        self._estimate.record(self._where, record.group, now - self._last)
        self._last = now
        self._done += 1
        self.record_there(record)
        step = max(1, self._total // 10)
        if self._live is None and (self._done % step == 0 or self._done == self._total):
            self.note(
                f"{self._done}/{count_of(self._total, 'record')}, {self._found()}, {self._left()}"
            )

    def note(self, text: str) -> None:
        """A line of its own, above the lines that move."""
        self._console.print(escape(visible(text)))

    def remark(self, text: str) -> None:
        """A note, unless it was told before."""
        if text not in self._told:
            self._told.add(text)
            self.note(text)

    def end(self) -> None:
        """Take the lines away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _lines(self) -> RenderableType:
        """What stands on the terminal now."""
        where, since = self._where, ""
        if self._starting:
            where = f"{self._verb} {', '.join(self._starting)}"
            since = f"{round(time.monotonic() - min(self._starting.values()))} s;"
        first, second = Table.grid(padding=(0, 1), expand=True), Table.grid(padding=(0, 1))
        first.add_column(width=1)
        first.add_column(ratio=1)
        first.add_column(justify="right", no_wrap=True)
        left = f"{since} {self._left()}"
        first.add_row(self._spinner, Text(where, no_wrap=True, overflow="ellipsis"), left)
        found = Text(self._found(), no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(self._total, self._done, width=20)
        second.add_row(" ", bar, f"{self._done}/{self._total}", found)
        return Group(first, second)

    def _found(self) -> str:
        found = [(self._changes, "text change"), (self._flips, "label flip")]
        found += [(self._errors, "error")] if self._errors else []
        return ", ".join(count_of(*one) for one in found)

    def _left(self) -> str:
        now = time.monotonic()
        seconds = self._estimate.seconds_left(
            self._total - self._done,
            self._starts_left,
            starting_s=now - min(self._starting.values()) if self._starting else 0.0,
            asking_s=0.0 if self._starting else now - self._last,
        )
        if seconds is None:  # a guess would stand still, and be of another machine
            return "time left not known yet"
        minutes, rest = divmod(round(seconds), 60)
        return f"about {minutes} min {rest:02d} s left" if minutes else f"about {rest} s left"
