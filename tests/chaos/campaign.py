"""The rows of the campaign, and how a trial of one is played.

A row is a function of a `Play`; it raises `Broken` where an invariant does not hold. All its
choices come from the trial's seed, so that a failure is repeated with
``make chaos ONLY=row SEED=seed``.
"""

from __future__ import annotations

import functools
import gc
import os
import random
import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .bench import Bench, Broken, Json, content, free_port


@dataclass
class Play:
    """What a trial plays with.

    Attributes:
        rng: all of the trial's choices.
        place: the worker's folder.
        notes: what was chosen, for the message of a failure.
        counted: what is no failure and is told of how many trials; the table shows it.
    """

    rng: random.Random
    place: Path
    number: int
    notes: list[str] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    benches: list[Bench] = field(default_factory=list)

    def note(self, *words: object) -> None:
        """Write down a choice."""
        self.notes.append(" ".join(map(str, words)))

    def models(self) -> int:
        """One model or two, for a run of this trial."""
        count = self.rng.choice((1, 2, 2))
        self.note(f"models {count}")
        return count

    def bench(self, backend: str = "native", name: str = "trial", models: int = 1) -> Bench:
        """A workplace with fresh inputs."""
        port = free_port(_first_port(self.number) + os.getpid() % 80)
        bench = Bench(self.place / name, port, backend, self.rng, models)
        bench.lay_out()
        bench.run_ids = set()
        self.benches.append(bench)
        return bench

    def undisturbed(self, backend: str = "native", models: int = 1) -> tuple[Path, dict[str, Json]]:
        """The folder of a run that nobody disturbed, and its records' content by id."""
        place = self.place / f"undisturbed_{backend}_{models}"
        return place, _undisturbed(place, backend, self.number, models)

    def saved(self, name: str = "trial", models: int = 1) -> tuple[Bench, dict[str, Json]]:
        """A bench with a copy of the undisturbed run in its results, as ``r``."""
        place, records = self.undisturbed(models=models)
        bench = self.bench(name=name, models=models)
        shutil.copytree(place / "results", bench.folder / "results")
        return bench, records


def _first_port(number: int) -> int:
    """Of a worker's own ports; the workers of another campaign that goes on have others."""
    return 21000 + 600 * ((number + 4 * os.getppid()) % 18)


@functools.cache
def _undisturbed(place: Path, backend: str, number: int, models: int) -> dict[str, Json]:
    bench = Bench(place, free_port(_first_port(number) + 500), backend, random.Random(0), models)
    bench.lay_out()
    bench.run(*bench.command()).insist_on(0)  # else a check failed
    _load_readers(bench.path())
    return {row["record_id"]: content(row) for row in bench.lines()}


def _load_readers(run: Path) -> None:
    """Read the run here once: what every fork then needs is loaded, and its templates are."""
    from harness.analyse import summarise_run, validate_run
    from harness.report import write_reports

    write_reports(run, summary=summarise_run(run), validation=validate_run(run))
    gc.collect()
    gc.freeze()


Trial = Callable[[Play], None]


@dataclass(frozen=True)
class Row:
    """A family of trials.

    Attributes:
        share: how many of a hundred trials are its own.
        docker: whether it needs a Docker engine.
        compiler: whether it needs a C compiler.
        fast: how many of its trials the part has that runs with the tests.
    """

    name: str
    trial: Trial
    share: float
    docker: bool
    fast: int
    compiler: bool = False


ROWS: dict[str, Row] = {}


def row(
    name: str,
    *,
    share: float,
    docker: bool = False,
    fast: int = 0,
    compiler: bool = False,
) -> Callable[[Trial], Trial]:
    """Register a row."""

    def register(trial: Trial) -> Trial:
        ROWS[name] = Row(name, trial, share, docker, fast, compiler)
        return trial

    return register


@dataclass
class Outcome:
    """How a trial went."""

    row: str
    seed: int
    seconds: float
    problem: str | None
    notes: list[str]
    counted: list[str] = field(default_factory=list)


def play(name: str, seed: int, place: Path, number: int) -> Outcome:
    """One trial of a row, from its seed."""
    playing = Play(random.Random(f"{name} {seed}"), place, number)
    began, problem = time.monotonic(), None
    try:
        ROWS[name].trial(playing)
    except Broken as broken:
        problem = str(broken)
    except Exception:  # noqa: BLE001 - a fault of the campaign itself is told as a failure
        problem = "the trial itself failed: " + traceback.format_exc(limit=-4)
    finally:
        for bench in playing.benches:
            bench.tidy()
    seconds = time.monotonic() - began
    return Outcome(name, seed, seconds, problem, playing.notes, playing.counted)
