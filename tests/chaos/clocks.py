"""The machine's clock is set while a run works, and between its sessions.

The real one cannot be set for a trial: harness, supervisor, worker and server have a clock of their
own (``clock.c``, compiled and loaded before the C library), as far ahead as a file says.
"""

from __future__ import annotations

import functools
import random
import signal
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .bench import ENVIRONMENT, FINE, GATE, INCOMPLETE, Bench, insist
from .campaign import Play, row
from .interruptions import NATIVE, SEVERAL, _insist_on_one_run, _moment, _run_id, _runs

STEPS_S = (3, 8, 20, 90, 200, 300, 1200, 3600, 14_400, 43_200, 90_000)
"""By how much a clock is set, forwards or backwards."""
_LATE = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)


class Clock:
    """The time of day of every process that is started with its `environment`."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "clock"
        self._ahead_s = 0
        self._file.write_bytes(struct.pack("q", 0))
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "CHAOS_CLOCK": str(self._file),
        }

    def step(self, rng: random.Random) -> str:
        """Set it; says by how much."""
        by_s = rng.choice((-1, 1)) * int(rng.choice(STEPS_S) * rng.uniform(0.7, 1.3))
        self._ahead_s += by_s
        with self._file.open("r+b") as file:  # in place: it is mapped
            file.write(struct.pack("q", self._ahead_s))
        return f"the clock is set by {by_s:+d} s"


@functools.cache
def _library(place: Path) -> Path:
    """The clock as a library, once for each worker."""
    library = place / "clock.so"
    words = ["cc", "-shared", "-fPIC", "-O1", "-o", library, Path(__file__).with_name("clock.c")]
    subprocess.run([*words, "-ldl"], check=True, capture_output=True)
    return library


@row("clock-steps", share=1.5, compiler=True, fast=1)
def clock_steps(play: Play) -> None:
    """The clock is set while a run works, and between a kill and the resume."""
    rng, models = play.rng, play.models()
    place, undisturbed = play.undisturbed(models=models)
    bench, overlap = play.bench(models=models), rng.choice((1, 1, 2))
    play.note("overlap", overlap)
    spec = bench.spec()
    spec["server"]["overlap"] = overlap
    bench.write_spec(spec)
    clock = Clock(bench.folder, _library(play.place))
    command = bench.command() if rng.random() < 0.7 else bench.command(None)
    kinds = SEVERAL if overlap > 1 else NATIVE
    for _ in range(rng.choice((1, 1, 2))):
        if _session(play, bench, command, clock, rng.choice((None, *kinds))) == FINE:
            break
        if rng.random() < 0.6:
            play.note("between two sessions", clock.step(rng))
        if rng.random() < 0.2:
            bench.clean()
    asked = _complete(bench, command, clock) if not _done(bench) else 0
    play.note(f"completed by {asked} more")
    _insist_on_one_run(place, bench, undisturbed)
    bench.clean()


def _done(bench: Bench) -> bool:
    return bool(_runs(bench)) and bench.concluded(_run_id(bench))


def _session(
    play: Play, bench: Bench, command: tuple[str, ...], clock: Clock, kind: str | None
) -> int:
    """One call of the command in which the clock is set, and which may be interrupted."""
    rng = play.rng
    running = bench.start(*command, real=True, environment=clock.environment)
    for _ in range(rng.choice((0, 1, 1, 2)) if kind else rng.choice((1, 1, 2))):
        moment = _moment(play, bench, running)
        play.note(moment, clock.step(rng))
    codes: tuple[int, ...] = ()
    if kind:
        strike, codes = SEVERAL[kind]
        moment = _moment(play, bench, running)
        strike(bench, running)
        codes += _LATE if "harness" in kind else ()
        play.note(kind, moment)
    said = running.said(bench.insist_whole)
    play.note(f"exit {said.code}")
    if _runs(bench):
        bench.insist_not_wrongly_complete(_run_id(bench))
    return said.insist_on(FINE, *codes).code


def _complete(bench: Bench, command: tuple[str, ...], clock: Clock) -> int:
    """Repeat the command, with what was named, until it ends well; how often."""
    again: tuple[str, ...] = ()
    for tried in range(1, 6):
        said = bench.run(*command, *again, real=True, environment=clock.environment)
        said.insist_on(FINE, GATE, ENVIRONMENT, INCOMPLETE)
        if said.code == FINE:
            return tried
        again = ("--retry-errors",) if "--retry-errors" in said.err else ()
    insist(False, f"the command that was named does not complete the run: {said}")
    return 0
