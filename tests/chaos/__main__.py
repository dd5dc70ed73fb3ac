"""``python -m tests.chaos``: the campaign, or a part of it, with its table and a JSON of results.

python -m tests.chaos --minutes 15 --seed 7        what `make chaos` does
python -m tests.chaos --trials 1500 --seed 7
python -m tests.chaos --only interrupt-native --seed 7001   one trial again
python -m tests.chaos --fast                       the part that runs with the tests
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue

from . import (  # noqa: F401 - the rows
    answers,
    claims,
    clocks,
    disks,
    experiments,
    files,
    images,
    inputs,
    interruptions,
    kept,
    people,
    pods,
    reuse,
    stacks,
    verbs,
)
from .bench import remove_own_images
from .campaign import ROWS, Outcome, Row, play

_APART = 1000
"""Trial n of a campaign with seed s has the seed s * 1000 + n: unique, and told with a failure."""
Task = tuple[str, int]


def main() -> int:
    """Parse, play, tell."""
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--trials", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="rows, separated by commas")
    parser.add_argument("--workers", type=int, default=min(3, os.cpu_count() or 1))
    parser.add_argument("--fast", action="store_true", help="the part that runs with the tests")
    parser.add_argument("--json", type=Path, default=None, help="where the results are written")
    parser.add_argument("--worker", type=int, default=None, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker is not None:
        return work(asked.worker)
    rows = [ROWS[name] for name in asked.only.split(",") if name] or list(ROWS.values())
    if not _docker_answers():
        left = [row.name for row in rows if row.docker]
        rows = [row for row in rows if not row.docker]
        say(f"no Docker engine answers; left out: {', '.join(left) or 'nothing'}")
    if shutil.which("cc") is None:
        left = [row.name for row in rows if row.compiler]
        rows = [row for row in rows if not row.compiler]
        say(f"there is no C compiler; left out: {', '.join(left) or 'nothing'}")
    if not rows:
        return 3
    campaign = Campaign(rows, asked)
    outcomes = campaign.run()
    say(table(rows, outcomes))
    path = asked.json or Path(tempfile.gettempdir()) / f"chaos-{asked.seed}.json"
    path.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    say(f"results  {path}")
    return int(any(outcome.problem for outcome in outcomes))


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


class Campaign:
    """Trials in workers of their own, each with a folder and ports of its own."""

    def __init__(self, rows: list[Row], asked: argparse.Namespace) -> None:
        self.rows, self.asked = rows, asked
        self.outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self.lock = threading.Lock()
        self.tasks = self._tasks()
        self.began = time.monotonic()

    def _tasks(self) -> Iterator[Task]:
        """Rows in turn, by their share, until time or number is up."""
        asked, first = self.asked, self.asked.seed * _APART
        if asked.fast:
            yield from ((row.name, first + n) for row in self.rows for n in range(row.fast))
            return
        if asked.only and asked.trials is None and len(self.rows) == 1 and asked.seed >= _APART:
            yield self.rows[0].name, asked.seed  # one failure again
            return
        given = Counter[str]()
        number = 0
        while asked.trials is None or number < asked.trials:
            if asked.trials is None and time.monotonic() - self.began > asked.minutes * 60:
                return
            row = min(self.rows, key=lambda row: (given[row.name] + 1) / row.share)
            given[row.name] += 1
            yield row.name, first + number
            number += 1

    def run(self) -> list[Outcome]:
        """Play all; tells each failure and, now and then, how far it is."""
        place = Path(tempfile.mkdtemp(prefix="chaos-"))
        threads = [
            threading.Thread(target=self._feed, args=(place, number), daemon=True)
            for number in range(self.asked.workers)
        ]
        for thread in threads:
            thread.start()
        outcomes: list[Outcome] = []
        told = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):  # what is done is told
            while any(thread.is_alive() for thread in threads) or not self.outcomes.empty():
                try:
                    outcomes.append(self.outcomes.get(timeout=0.5))
                except Empty:
                    continue
                if outcomes[-1].problem:
                    say(failure(outcomes[-1]))
                if time.monotonic() - told > 15:
                    told = time.monotonic()
                    failed = sum(outcome.problem is not None for outcome in outcomes)
                    say(f"{told - self.began:6.0f} s  {len(outcomes)} trials, {failed} failed")
        shutil.rmtree(place, ignore_errors=True)
        return outcomes

    def _feed(self, place: Path, number: int) -> None:
        """Give one worker trial after trial; one that dies is a failure of its trial."""
        worker = self._worker(place, number)
        while True:
            with self.lock:
                task = next(self.tasks, None)
            if task is None:
                break
            assert worker.stdin is not None and worker.stdout is not None  # noqa: PT018
            began = time.monotonic()
            try:
                worker.stdin.write(json.dumps(task) + "\n")
                worker.stdin.flush()
                outcome = Outcome(**json.loads(worker.stdout.readline()))
            except (OSError, ValueError):
                problem = f"the worker ended with {worker.wait()}"
                outcome = Outcome(*task, time.monotonic() - began, problem, [])
                worker = self._worker(place, number)
            self.outcomes.put(outcome)
        worker.stdin and worker.stdin.close()
        worker.wait()

    def _worker(self, place: Path, number: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.chaos", "--worker", str(number)]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "CHAOS_PLACE": str(place), "OPENBLAS_NUM_THREADS": "1"},
        )


def work(number: int) -> int:
    """A worker: plays the trials that it reads from stdin. Single-threaded, for it forks."""
    import harness.analyse
    import harness.cli
    import harness.compare
    import harness.conduct
    import harness.images
    import harness.jobs.benching
    import harness.jobs.cases
    import harness.jobs.certifying
    import harness.jobs.compare_runs
    import harness.jobs.matrix
    import harness.jobs.replaying
    import harness.jobs.rescoring
    import harness.jobs.run_numbers
    import harness.jobs.runs
    import harness.report
    import harness.serve.docker  # noqa: F401

    place = Path(os.environ["CHAOS_PLACE"]) / f"w{number}"
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, seed = json.loads(line)
        out.write(json.dumps(asdict(play(name, seed, place, number))) + "\n")
        out.flush()
    if _docker_answers():
        remove_own_images()
    return 0


def failure(outcome: Outcome) -> str:
    """A failed trial, with the command that repeats it; at most 80 columns but for quotations."""
    lines = [
        f"FAILED  {outcome.row}",
        f"   again: make chaos ONLY={outcome.row} SEED={outcome.seed}",
        *(f"   {note}"[:400] for note in outcome.notes),
        *(f"   {line}" for line in str(outcome.problem)[:1500].splitlines()),
    ]
    return "\n".join(lines)


def table(rows: list[Row], outcomes: list[Outcome]) -> str:
    """Trials and failures of each row."""
    lines = ["", f"{'row':<24}{'trials':>8}{'failed':>8}{'seconds':>10}{'longest':>9}"]
    for row in rows:
        own = [outcome for outcome in outcomes if outcome.row == row.name]
        lines.append(_line(row.name, own))
        counted = Counter(word for outcome in own for word in set(outcome.counted))
        lines += [f"  {word:<22}{number:>8}" for word, number in sorted(counted.items())]
    return "\n".join([*lines, "-" * 59, _line("all", outcomes)])


def _line(name: str, own: list[Outcome]) -> str:
    failed = sum(outcome.problem is not None for outcome in own)
    seconds = [outcome.seconds for outcome in own]
    return f"{name:<24}{len(own):>8}{failed:>8}{sum(seconds):>10.0f}{max(seconds, default=0):>9.1f}"


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
