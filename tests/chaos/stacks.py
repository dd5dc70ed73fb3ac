"""Certificates, matrices, costs and cases are interrupted; the same command comes to the same.

Each verb is small: prompts, widths and lifetimes as few as it takes. Half of the trials have
several servers up at once (``--overlap``), where one of them, its supervisor or the process of one
of several runs is hit alone too.
"""

from __future__ import annotations

import json
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bench import (
    ENVIRONMENT,
    FINE,
    GATE,
    INCOMPLETE,
    INTERRUPTED,
    MODELS,
    RUN_ID,
    Bench,
    Json,
    Running,
    Said,
    content,
    insist,
)
from .campaign import Play, row
from .interruptions import NATIVE, RUN, SEVERAL, Kinds, _send, forked_by

_ASKED = b"/v1/completions"
_IN_FLIGHT = 24
"""Requests that several servers may still be sent when a signal comes."""
_LATE = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)
SMALL = ("-c", "spec.yaml", "-o", "out")
COMMANDS: dict[str, tuple[str, ...]] = {
    "certify": (
        *("certify", *SMALL, "--schedules", "gated,prompt_list", "--widths", "2"),
        *("--prompts", "3", "--lifetimes", "2"),
    ),
    "matrix": (
        *("matrix", *SMALL, "--axis", "mode=standard|batch_invariant"),
        *("--schedules", "gated", "--widths", "3", "--prompts", "4"),
    ),
    "bench": ("bench", *SMALL, "--concurrent", "1,2"),
}


def _one_run(bench: Bench, running: Running) -> None:
    """One of several runs that are done at once loses its process."""
    forked = forked_by(running.pid)
    _send(bench.rng.sample(forked, min(1, len(forked))), signal.SIGKILL)


AT_ONCE: Kinds = {**SEVERAL, "one run SIGKILL": (_one_run, (INCOMPLETE,))}


@dataclass(frozen=True)
class Wanted:
    """What a command comes to where nobody disturbs it."""

    code: int
    value: Any
    records: dict[str, dict[str, Json]]


@row("interrupted-certify", share=1.2, fast=1)
def interrupted_certify(play: Play) -> None:
    """A certificate over four lifetimes is interrupted; the same command writes the same one."""
    _interrupted(play, "certify")


@row("interrupted-matrix", share=1)
def interrupted_matrix(play: Play) -> None:
    """A matrix of ten lifetimes is interrupted; the same command names the same axis."""
    _interrupted(play, "matrix")


@row("interrupted-bench", share=0.8)
def interrupted_bench(play: Play) -> None:
    """A bench of five blocks is interrupted; the same command has every reading once."""
    _interrupted(play, "bench")


@row("interrupted-shrink", share=1)
def interrupted_shrink(play: Play) -> None:
    """A record is shrunk to a case and the case replayed; both are interrupted."""
    rng = play.rng
    models = play.models()
    wanted = _undisturbed_case(play, models)
    bench, record = _saved(play, "trial", models)
    out = ("--port", str(bench.port), "--trust")
    shrink = ("shrink", RUN, record, "-o", "case.json", *out)
    replay = ("replay", "case.json", *out)
    for command in (shrink, replay):
        for _ in range(rng.choice((1, 1, 2)) if command is shrink or rng.random() < 0.5 else 0):
            _strike(play, bench, command, NATIVE)
        _complete(bench, command, FINE)
        insist(_case(bench) == wanted, f"the case is another one: {_case(bench)}, not {wanted}")
    bench.run("replay", "case.json", "--check").insist_on(FINE)
    bench.insist_whole()
    bench.clean()


def _interrupted(play: Play, verb: str) -> None:
    rng, models = play.rng, play.models()
    wanted, bench = _undisturbed(play, verb, models), play.bench(models=models)
    overlap = rng.choice((1, 1, 2, 4))
    command = (*COMMANDS[verb], *(("--overlap", str(overlap)) if overlap > 1 else ()))
    play.note(verb, "overlap", overlap)
    for _ in range(rng.choice((1, 1, 2))):
        _strike(play, bench, command, AT_ONCE if overlap > 1 else NATIVE)
        if rng.random() < 0.3:
            play.note("harness clean in between")
            bench.clean()
    _complete(bench, command, wanted.code)
    bench.insist_whole()
    found = _told(bench, verb)
    differing = {
        name: (found[name], one) for name, one in wanted.value.items() if found[name] != one
    }
    insist(not differing, f"it came to something else (now, undisturbed): {differing}")
    runs = _records(bench)
    more, fewer = set(runs) - set(wanted.records), set(wanted.records) - set(runs)
    # of a cell whose server was killed, a matrix asks more lifetimes
    insist(not fewer and (verb == "matrix" or not more), f"runs missing {fewer}, added {more}")
    for name in wanted.records:
        bench.insist_equal(wanted.records[name], name)
    if verb != "bench":
        some = rng.choice(sorted(wanted.records))
        bench.run("validate", f"results/{some}").insist_on(FINE)
        before = _asked(bench)
        if rng.random() < 0.3:
            bench.run(*command).insist_on(wanted.code)
        insist(_asked(bench) == before, "it was asked again for what is there")
    bench.clean()


def _strike(play: Play, bench: Bench, command: tuple[str, ...], kinds: Kinds) -> Said:
    """Interrupt a command at a random moment, and see that it ends as it should."""
    rng = play.rng
    kind = rng.choice(list(kinds))
    hit, codes = kinds[kind]
    running = bench.start(*command, real=rng.random() < 0.1)
    moment = _moment(rng, bench, running)
    lived, before = running.poll() is None, _asked(bench)
    hit(bench, running)
    said = running.said(bench.insist_whole)
    play.note(f"{kind} {moment}: exit {said.code}")
    said.insist_on(FINE, GATE, *codes, *(_LATE if "harness" in kind else ()))
    after = _asked(bench) - before
    if lived and INTERRUPTED in codes and said.code in (FINE, GATE):
        insist(after <= _IN_FLIGHT, f"a signal was lost: {after} requests came after it")
    return said


def _complete(bench: Bench, command: tuple[str, ...], code: int) -> None:
    """Repeat the same command until it ends as an undisturbed one does."""
    for _ in range(4):
        said = bench.run(*command).insist_on(FINE, GATE, ENVIRONMENT, INCOMPLETE)
        if said.code == code:
            return
    insist(False, f"the same command does not come to {code}: {said}")


def _moment(rng: random.Random, bench: Bench, running: Running) -> str:
    """Wait for a random moment; says which."""
    kind = rng.choice(("time", "servers", "asked", "asked"))
    count = rng.randrange(1, 10 if kind == "servers" else 90)
    delay = rng.choice((0.0, rng.uniform(0, 0.2), rng.uniform(0, 1.5)))

    def reached() -> bool:
        if kind == "asked":
            return _asked(bench) >= count
        return len(list(bench.folder.glob("results/*/native_*.log"))) >= count

    deadline = time.monotonic() + (rng.uniform(0, 8) if kind == "time" else 60)
    while time.monotonic() < deadline and running.poll() is None:
        if kind != "time" and reached():
            break
        time.sleep(0.01)
    time.sleep(delay)
    return f"{delay:.2f} s after {kind}{f' {count}' * (kind != 'time')}"


def _asked(bench: Bench) -> int:
    """Requests that the servers of this bench were sent so far."""
    logs = bench.folder.glob("results/*/native_*.log")
    return sum(log.read_bytes().count(_ASKED) for log in logs)


# ---- what a verb comes to, without what changes with time ------------------------------------


_KNOWN: dict[tuple[Path, str, int], Any] = {}
"""What nobody disturbed, once for each worker."""


def _undisturbed(play: Play, verb: str, models: int) -> Wanted:
    if (play.place, verb, models) not in _KNOWN:
        bench = play.bench(name=f"undisturbed-{verb}-{models}", models=models)
        code = bench.run(*COMMANDS[verb]).insist_on(FINE, GATE).code
        found: Wanted = Wanted(code, _told(bench, verb), _records(bench))
        _KNOWN[play.place, verb, models] = found
    known: Wanted = _KNOWN[play.place, verb, models]
    return known


_OF_BASE = 6
"""Lifetimes of a steady base in a matrix: three before the values, one after each round."""


def _told(bench: Bench, verb: str) -> Any:
    name = {"certify": "certificate", "matrix": "matrix", "bench": "bench"}[verb]
    told = json.loads((bench.folder / "out" / f"{name}.json").read_text())
    return _TOLD[verb](told)


def _of_certificate(told: Json) -> Json:
    names = ("verdict", "reason", "lifetimes", "bounds", "control", "seen", "noise", "models")
    names += ("between_lifetimes", "ties", "confident", "unknown", "known", "not_covered", "runs")
    proofs = {(one["lifetime"], one["mode"], one["verdict"]) for one in told["proofs"]}
    return {**{name: told[name] for name in names}, "proofs": sorted(proofs)}


def _of_matrix(told: Json) -> Json:
    """The answer, and each cell; of the base that it always changes, and its first runs.

    Where a server of the base, or of a value, was killed and asked again by the next command, the
    base's last lifetime is older than a value's, and one more is asked.
    """
    base, *values = ({**cell, "seconds": None} for cell in told["cells"])
    insist(base["hits"] == base["lifetimes"] <= _OF_BASE + 3, f"the base: {base}")
    base |= dict.fromkeys(("hits", "lifetimes", "mixed", "rows"))
    runs = {**told["runs"], "base": told["runs"]["base"][:_OF_BASE]}
    answer = {name: told[name] for name in ("how", "removed_by")}
    return {**answer, "runs": runs, "cells": [base, *values]}


def _of_bench(told: Json) -> Json:
    """Readings by block and arm; a token's time alone may be too short to tell, a start too."""
    loose = ("start-up", "each token alone")
    readings = [(one["block"], one["arm"], one["measure"]) for one in told["readings"]]
    costs = [(one["measure"], one["arm"], one["blocks"]) for one in told["costs"]]
    kept = [one for one in readings if one[2] not in loose]
    return {"readings": sorted(kept), "costs": sorted(c for c in costs if c[0] not in loose)}


_TOLD = {"certify": _of_certificate, "matrix": _of_matrix, "bench": _of_bench}


def _records(bench: Bench) -> dict[str, dict[str, Json]]:
    """Of each run folder the content of its records, by id."""
    folders = (path for path in (bench.folder / "results").iterdir() if path.is_dir())
    return {
        path.name: {one["record_id"]: content(one) for one in bench.lines(path.name)}
        for path in folders
    }


def _saved(play: Play, name: str, models: int) -> tuple[Bench, str]:
    """A bench with a complete run, and a record of its last model that a batch changes."""
    bench, records = play.saved(name, models)
    of_last = {key: one for key, one in records.items() if one["model"] == MODELS[models - 1]}
    changed = sorted(key for key, one in of_last.items() if one["pattern"] == "batch")
    insist(changed, "no record of the undisturbed run changes with the batch")
    bench.run_ids.add(RUN_ID)
    return bench, changed[0]


def _undisturbed_case(play: Play, models: int) -> Json:
    if (play.place, "shrink", models) not in _KNOWN:
        bench, record = _saved(play, "undisturbed-shrink", models)
        out = ("--port", str(bench.port), "--trust")
        bench.run("shrink", RUN, record, "-o", "case.json", *out).insist_on(FINE)
        bench.run("replay", "case.json", *out).insist_on(FINE)
        _KNOWN[play.place, "shrink", models] = _case(bench)
    known: Json = _KNOWN[play.place, "shrink", models]
    return known


def _case(bench: Bench) -> Json:
    told = json.loads((bench.folder / "case.json").read_text())
    names = ("mode", "schedule", "prompts", "target", "alone", "batched", "divergence", "closeness")
    return {name: told[name] for name in names}
