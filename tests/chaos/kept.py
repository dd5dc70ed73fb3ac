"""What an experiment keeps is damaged; the same command takes what is whole, or says what to do."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from . import experiments, stacks
from .bench import FINE, GATE, INCOMPLETE, USAGE, Bench, Said, insist
from .campaign import Play, row
from .files import AWAY, CONCLUSIONS, DAMAGES, take_away

COMMANDS = {
    "trace": experiments.COMMANDS["trace"],
    "sample": experiments.COMMANDS["sample"],
    "bench": stacks.COMMANDS["bench"],
    "certify": stacks.COMMANDS["certify"],
}
KINDS = (*DAMAGES, "cut", "cut", "flipped", "flipped", "flipped")
FRESH = "--fresh"


@row("damaged-experiments", share=3, fast=1)
def damaged_experiments(play: Play) -> None:
    """One file of a whole trace, sample, bench or certificate is damaged.

    The same command then comes to what it came to before, or is refused before anything is started
    and names a command that does.
    """
    verb = play.rng.choice(list(COMMANDS))
    bench, wanted, code = _kept(play, verb)
    command, path = COMMANDS[verb], _damaged(play, bench)
    play.note(verb, path.relative_to(bench.folder / "results"), play.notes.pop())
    before, readings = stacks._asked(bench), _readings(bench)
    kept = {one: one.read_bytes() for one in _rows_kept(bench)}
    said = bench.run(*command).insist_on(code, FINE, GATE, USAGE, INCOMPLETE)
    play.note(f"exit {said.code}: {said.err[-300:]}")
    if said.code == USAGE and AWAY in said.err:
        play.note(AWAY)
        take_away(path)
        kept.pop(path, None)
        said = bench.run(*command).insist_on(code, FINE, GATE, USAGE, INCOMPLETE)
    if said.code == USAGE:
        insist(stacks._asked(bench) == before, f"refused, and servers were asked: {said}")
        same = all(one.read_bytes() == data for one, data in kept.items())
        insist(same, f"refused, and what was kept is changed: {said}")
        play.counted.append(f"{verb} refused")
        insist(FRESH in said.err, f"no command is named: {said}")
        old = list((bench.folder / "results").iterdir())
        said, readings = bench.run(*command, FRESH), None
        for one in old:  # what was asked anew lies beside it
            take_away(one)
    elif stacks._asked(bench) > before:
        readings = None
    for _ in range(2):
        if said.code != INCOMPLETE:
            break
        said = bench.run(*command)
    insist(said.code == code, f"it does not come to {code}: {said}")
    _insist_same(bench, verb, wanted, said)
    insist(readings in (None, _readings(bench)), "readings that nobody took are counted")
    bench.clean()


def _kept(play: Play, verb: str) -> tuple[Bench, Any, int]:
    """A bench with all that an undisturbed command left, what it came to, and its exit code."""
    models = play.models()
    if verb in experiments.COMMANDS:
        wanted: Any = experiments._undisturbed(play, verb, models)
        bench, code = experiments._laid_out(play, "trial", models), FINE
    else:
        found = stacks._undisturbed(play, verb, models)
        wanted, code, bench = found.value, found.code, play.bench(models=models)
    for name in ("results", "out"):
        source = play.place / f"undisturbed-{verb}-{models}" / name
        if source.exists():
            shutil.copytree(source, bench.folder / name)
    return bench, wanted, code


def _insist_same(bench: Bench, verb: str, wanted: Any, said: Said) -> None:
    if verb not in experiments.COMMANDS:
        found = stacks._told(bench, verb)
        names = [name for name in wanted if verb != "certify" or name != "runs"]
        differing = {name: (found[name], wanted[name]) for name in names}
        differing = {name: pair for name, pair in differing.items() if pair[0] != pair[1]}
        insist(not differing, f"it came to something else (now, before): {differing}; {said}")
        return
    insist(experiments._rows(bench) == wanted, f"other rows were taken: {said}")


def _rows_kept(bench: Bench) -> list[Path]:
    return [path for path in bench.folder.glob("results/*/*.jsonl") if path.name not in CONCLUSIONS]


def _readings(bench: Bench) -> Any:
    """What a bench measured, number by number."""
    path = bench.folder / "out/bench.json"
    return json.loads(path.read_text())["readings"] if path.exists() else None


def _damaged(play: Play, bench: Bench) -> Path:
    """Damage one file of one folder; notes how."""
    rng = play.rng
    left = (*CONCLUSIONS, ".lock")
    folder = rng.choice(sorted(path for path in (bench.folder / "results").iterdir()))
    path = rng.choice(sorted(p for p in folder.iterdir() if p.is_file() and p.name not in left))
    data, kind = path.read_bytes(), rng.choice(KINDS)
    at, bit = rng.randrange(max(1, len(data))), 1 << rng.randrange(8)
    play.note(kind, at if kind in ("cut", "flipped") else "")
    if kind == "cut":
        os.truncate(path, at)
    elif kind == "flipped" and data:
        path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
    elif kind in DAMAGES:
        change = DAMAGES[kind]
        path.unlink()
        if change is not None:
            path.write_bytes(change(data))
    return path
