"""What a person sees while a run works: on a terminal a bar, elsewhere a line now and then.

All of it goes to stderr; stdout is for results. The time left is an estimate: measured seconds
per record and per server start, and a stated guess until there is a measurement.
"""

import sys
import time
from dataclasses import dataclass, field
from statistics import fmean

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from harness.records import Record
from harness.words import Mode


class RunProgress:
    """What the conductor tells while it works; this one says nothing."""

    def begin(self, *, records: int, done: int, lifetimes: int) -> None:
        """Work starts: records in all, those done already, and servers still to start."""

    def server_starting(self, model: str, mode: Mode) -> None:
        """A server is being started."""

    def server_ready(self, model: str, mode: Mode, seconds: float, verdict: str) -> None:
        """It answered after that many seconds, and the log says this of its mode."""

    def record_done(self, record: Record) -> None:
        """A record was written."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def end(self) -> None:
        """Nothing more will come."""


@dataclass
class Estimate:
    """Seconds left, from the seconds that each server start and each record took so far.

    The guesses stand for a start-up or a record until one was measured.
    """

    start_guess_s: float = 45.0
    record_guess_s: float = 1.5
    starts: list[float] = field(default_factory=list)
    records: list[float] = field(default_factory=list)

    def seconds_left(self, records: int, starts: int) -> float:
        """For that many records and server starts still to come."""
        start = fmean(self.starts) if self.starts else self.start_guess_s
        record = fmean(self.records) if self.records else self.record_guess_s
        return records * record + starts * start


class ConsoleProgress(RunProgress):
    """A bar on a terminal; plain lines, one for each tenth of the work, anywhere else."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._estimate = Estimate()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._total = self._done = self._starts_left = 0
        self._flips = self._changes = self._errors = 0
        self._last = 0.0
        self._where = ""

    def begin(self, *, records: int, done: int, lifetimes: int) -> None:
        """Draw the bar, or say what there is to do."""
        self._total, self._done, self._starts_left = records, done, lifetimes
        if done:
            self.note(f"{done} of {records} records are there already; {records - done} to do")
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[status]}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("starting", total=records, completed=done, status="")
            self._bar.start()

    def server_starting(self, model: str, mode: Mode) -> None:
        """Name the server."""
        self._where = f"{model} / {mode}"
        self._update(f"{self._where}: server starting")
        if self._bar is None:
            self.note(f"{self._where}: starting the server ({self._left()} left)")

    def server_ready(self, model: str, mode: Mode, seconds: float, verdict: str) -> None:
        """Say how long it took and what the log proves."""
        self._estimate.starts.append(seconds)
        self._starts_left = max(0, self._starts_left - 1)
        self._last = time.monotonic()
        self._where = f"{model} / {mode}"
        self.note(f"{self._where}: ready after {seconds:.0f} s, mode {verdict}")
        self._update(self._where)

    def record_done(self, record: Record) -> None:
        """Count it."""
        now = time.monotonic()
        self._estimate.records.append(now - self._last)
        self._last = now
        self._done += 1
        self._flips += record.label_flip
        self._changes += record.text_change
        self._errors += not record.ok
        self._update(self._where)
        step = max(1, self._total // 10)
        if self._bar is None and (self._done % step == 0 or self._done == self._total):
            self.note(f"{self._done}/{self._total} records, {self._status()}")

    def note(self, text: str) -> None:
        """A line of its own, above the bar."""
        console = self._bar.console if self._bar is not None else self._console
        console.print(escape(text))

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _update(self, description: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                description=escape(description),
                completed=self._done,
                status=self._status(),
            )

    def _status(self) -> str:
        errors = f", {self._errors} errors" if self._errors else ""
        return (
            f"{self._changes} text changes, {self._flips} label flips{errors}, {self._left()} left"
        )

    def _left(self) -> str:
        seconds = self._estimate.seconds_left(self._total - self._done, self._starts_left)
        minutes, rest = divmod(round(seconds), 60)
        return f"about {minutes} min {rest:02d} s" if minutes else f"about {rest} s"
