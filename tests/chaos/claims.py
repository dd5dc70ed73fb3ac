"""What `validate` says of a damaged run is so: the command that it names mends it, or none does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from harness.analyse import Mend

from .bench import (
    ENVIRONMENT,
    FINE,
    GATE,
    INCOMPLETE,
    INTERRUPTED,
    RUN_ID,
    USAGE,
    Bench,
    Json,
    Said,
    insist,
)
from .campaign import Play, row
from .interruptions import NATIVE, RUN, _records

ANEW = ("--fresh", "another --run-id")
_BREAKS = ("everything SIGKILL", "harness SIGINT", "harness SIGKILL", "server SIGKILL")


def half_run(play: Play, models: int) -> tuple[Bench, dict[str, Json]]:
    """A bench with a run that was broken off after some of its records, and nobody at work."""
    _, undisturbed = play.undisturbed(models=models)
    bench = play.bench(models=models)
    kind, wanted = play.rng.choice(_BREAKS), play.rng.randrange(1, len(undisturbed))
    running = bench.start(*bench.command())
    deadline = time.monotonic() + 120
    while running.poll() is None and _records(bench) < wanted and time.monotonic() < deadline:
        time.sleep(0.005)
    strike, codes = NATIVE[kind]
    strike(bench, running)
    late = (FINE, INTERRUPTED, -signal.SIGINT)
    said = running.said().insist_on(*codes, *late)
    bench.clean()
    play.note(f"{kind} after {wanted} records: exit {said.code}")
    return bench, undisturbed


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but locks, with what it holds."""
    found = (path for path in sorted(folder.rglob("*")) if path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.is_file()}


def _evidence(bench: Bench) -> dict[str, bytes]:
    """Records and logs of the run: what a refused command leaves as it was."""
    kept = contents(bench.path())
    return {name: data for name, data in kept.items() if name.endswith(("s.jsonl", ".log"))}


def keeps_its_word(play: Play, bench: Bench, undisturbed: dict[str, Json], valid: Said) -> None:
    """Do what a validation that failed says; what it claims of that is so.

    A run of which it says that no command mends it is refused by every one, untouched; a new run
    then comes to the same records. Else the command that it names, at times after the same command,
    ends in a validation that passes, over the records of an undisturbed run.
    """
    rng, command = play.rng, bench.command()
    claims = {mend for mend in Mend if mend.remedy and mend.remedy in valid.err}
    insist(claims, f"it names neither a command nor that there is none: {valid}")
    play.note("it says:", *sorted(claims))
    if Mend.START_ANEW in claims:
        play.counted.append("no command mends it")
        before = _evidence(bench)
        for flags in ((), ("--retry-errors",)):
            said = bench.run(*command, *flags).insist_on(USAGE)
            insist(Mend.START_ANEW.remedy in said.err, f"refused for another reason: {said}")
        insist(_evidence(bench) == before, "a refused command changed records or logs")
        if rng.random() < 0.25:
            _anew(play, bench, undisturbed)
        return
    asks = ("--retry-errors",) if Mend.ASK_AGAIN in claims else ()
    if not asks or rng.random() < 0.5:
        said = bench.run(*command).insist_on(FINE, GATE, USAGE, ENVIRONMENT, INCOMPLETE)
        asks = asks or ("--retry-errors",) * ("--retry-errors" in said.err)
    for _ in range(3):
        said = bench.run(*command, *asks).insist_on(FINE, GATE, USAGE, ENVIRONMENT, INCOMPLETE)
        if said.code == FINE:
            break
    insist(said.code == FINE, f"the command that was named does not mend it: {said}")
    bench.insist_concluded(undisturbed)
    bench.run("validate", RUN).insist_on(FINE)


def _anew(play: Play, bench: Bench, undisturbed: dict[str, Json]) -> None:
    """A new run, begun in one of the two ways that were named."""
    other = f"n{os.getpid()}"
    way = play.rng.choice(ANEW)
    play.note("anew by", way)
    said = bench.run(*(bench.command(other) if way != "--fresh" else (*bench.command(None), way)))
    said.insist_on(FINE)
    (run,) = (path for path in bench.path().parent.iterdir() if path.name != RUN_ID)
    bench.insist_concluded(undisturbed, run.name)


@row("cut-log", share=3, fast=1)
def cut_log(play: Play) -> None:
    """A server's log of a half or whole run ends early, as after a power cut."""
    rng, models = play.rng, play.models()
    whole = rng.random() < 0.3
    bench, undisturbed = play.saved(models=models) if whole else half_run(play, models)
    logs = sorted(bench.path().glob("*.log"))
    if not logs:
        return
    log = rng.choice(logs)
    data = log.read_bytes()
    kind = rng.choice(("anywhere", "anywhere", "the last line", "the last lines"))
    size = rng.randrange(len(data) + 1)
    if kind != "anywhere":
        lines = data.splitlines(keepends=True)
        lost = 1 if kind == "the last line" else rng.randrange(2, 30)
        size = sum(map(len, lines[: max(0, len(lines) - lost)]))
    play.note(
        f"{'whole' if whole else 'half'} run, {log.name} cut at {size} of {len(data)}: {kind}"
    )
    os.truncate(log, size)
    valid = bench.run("validate", RUN).insist_on(FINE, GATE, *(() if whole else (USAGE,)))
    if valid.code == FINE:
        bench.insist_equal(undisturbed)
    elif valid.code == USAGE:  # not one record yet
        bench.complete(bench.command())
        bench.insist_concluded(undisturbed)
    else:
        keeps_its_word(play, bench, undisturbed, valid)
    bench.clean()
