"""A run id used again: with other settings, other inputs, without its metadata, by a copy.

Other questions are refused before anything is started and nothing of the run is touched; what is no
part of the questions may change.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from .bench import ENVIRONMENT, FINE, GATE, INCOMPLETE, RUN_ID, USAGE, Bench, Json, insist
from .campaign import Play, row
from .claims import contents, half_run


def _in(*keys: str, to: object) -> Callable[[Bench, Json], None]:
    def change(_: Bench, spec: Json) -> None:
        holder = spec
        for key in keys[:-1]:
            holder = holder[key]
        holder[keys[-1]] = to

    return change


def _file(name: str, old: str, new: str) -> Callable[[Bench, Json], None]:
    def change(bench: Bench, _: Json) -> None:
        path = bench.folder / name
        path.write_text(path.read_text().replace(old, new, 1))

    return change


def _of_a_model(key: str, to: str) -> Callable[[Bench, Json], None]:
    """Of any of the run's models."""
    return lambda bench, spec: bench.rng.choice(spec["models"]).update({key: to})


def _without_the_last_row(bench: Bench, _: Json) -> None:
    path = bench.folder / "candidates.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


OTHER: dict[str, Callable[[Bench, Json], None]] = {
    "seed": _in("request", "seed", to=7),
    "max_tokens": _in("request", "max_tokens", to=12),
    "temperature": _in("request", "temperature", to=0.5),
    "dtype": _in("server", "dtype", to="float32"),
    "max_model_len": _in("server", "max_model_len", to=512),
    "extra_args": _in("server", "extra_args", to=["--max-num-seqs", "8"]),
    "one mode": _in("modes", to=["standard"]),
    "weights": _of_a_model("hf_id", to="example/another"),
    "revision": _of_a_model("revision", to="abc"),
    "askings": _in("controls", "askings", to=["S0", "B"]),
    "prefix caching": _in("controls", "prefix_caching", to="salted"),
    "score profile": _in("score_profile", to="paper"),
    "a prompt": _file("tasks/letters.yaml", "s0?", "another?"),
    "the template": _file("tasks/letters.yaml", "  A:", "  Answer:"),
    "a batch size": _file("candidates.csv", "s0,3", "s0,2"),
    "a dispatch mode": _file("candidates.csv", "3,gated", "3,prompt_list"),
    "a row less": _without_the_last_row,
}
SAME: dict[str, Callable[[Bench, Json], None]] = {
    "port": lambda bench, spec: spec["server"].update(port=bench.port + 200),
    "time-outs": _in("request", "timeout_s", to=25),
    "stop_timeout_s": _in("server", "stop_timeout_s", to=4),
}


@row("reused-run-id", share=4, fast=1)
def reused_run_id(play: Play) -> None:
    """The run id of a whole, a half or an anonymous run is given with other settings."""
    rng, models = play.rng, play.models()
    bench, undisturbed = play.saved(models=models)
    records = bench.path() / "vllm_records.jsonl"
    state = rng.choice(("whole", "half", "half, no metadata", "whole, no metadata"))
    if "half" in state:
        lines = records.read_bytes().splitlines(keepends=True)
        records.write_bytes(b"".join(lines[: rng.randrange(1, len(lines))]))
    if "no metadata" in state:
        (bench.path() / "metadata.json").unlink()
    kept = records.read_bytes()
    changes = OTHER if rng.random() < 0.75 else SAME
    name = rng.choice(list(changes))
    play.note(f"a {state} run; changed: {name}")
    spec = bench.spec()
    changes[name](bench, spec)
    bench.write_spec(spec)
    said = bench.run(*bench.command()).insist_on(FINE, USAGE, ENVIRONMENT, INCOMPLETE, 1)
    if changes is OTHER or "no metadata" in state:
        insist(said.code == USAGE, f"other or unknown questions are not refused: {said}")
        insist(records.read_bytes() == kept, "a refused run's records were changed")
    elif state == "half":
        again = bench.run(*bench.command(), "--retry-errors") if said.code == INCOMPLETE else said
        again.insist_on(FINE, 1, USAGE)
        bench.insist_equal(undisturbed) if again.code == FINE else None
    else:
        insist(said.code == FINE, f"the same questions are refused: {said}")
        bench.insist_concluded(undisturbed)
    facts = bench.path() / "metadata.json"
    if facts.exists() and said.code == FINE:
        insist(json.loads(facts.read_text())["run_id"] == RUN_ID, "another run's metadata")
    bench.clean()


OTHER_ID = f"n{os.getpid()}"
HANDLED: dict[str, tuple[str, ...]] = {
    "moved": ("mv",),
    "copied": ("cp", "-r"),
    "hard-linked": ("cp", "-al"),
}
_STEP = re.compile(r"--fresh|--run-id|\bmv\b|\bcp\b|rename")


@row("renamed-or-copied", share=2, fast=1)
def renamed_or_copied(play: Play) -> None:
    """A run's folder is moved, copied or hard-linked, and gone on with by either name or by none.

    It is refused before anything is started, or comes to the records of an undisturbed run; never
    are there two run ids in one file, and of two folders one at most is written in.
    """
    rng, models = play.rng, play.models()
    whole = rng.random() < 0.25
    bench, undisturbed = play.saved(models=models) if whole else half_run(play, models)
    how, run_id = rng.choice(list(HANDLED)), rng.choice((OTHER_ID, OTHER_ID, RUN_ID, None))
    play.note("whole" * whole, how, "gone on with by", run_id or "no name")
    old, new = bench.path(), bench.path(OTHER_ID)
    subprocess.run([*HANDLED[how], str(old), str(new)], check=True)
    before = {path: contents(path) for path in (old, new) if path.exists()}
    command = bench.command(run_id)
    said = bench.run(*command).insist_on(FINE, GATE, USAGE, ENVIRONMENT, INCOMPLETE)
    if "--retry-errors" in said.err:
        said = bench.run(*command, "--retry-errors")
    play.note(f"exit {said.code}: {said.err[-300:]}")
    said.insist_on(FINE, USAGE)
    for path in old.parent.glob("*/vllm_records.jsonl"):
        _insist_on_one_run(path)
    changed = [path for path, kept in before.items() if contents(path) != kept]
    if said.code == USAGE:
        insist(not changed, f"refused, and {changed} is changed")
        insist(_STEP.search(said.err), f"no next step is named: {said}")
        bench.run("validate", f"results/{new.name}").insist_on(FINE, GATE, USAGE)
        return
    named = bench.path(run_id) if run_id else None
    if how != "hard-linked" or named == new:  # by a link the copy is what the original is
        others = [path for path in changed if named not in (None, path)]
        insist(not others and len(changed) < 2, f"gone on with {run_id}, and {changed} is changed")
    done = [path for path in old.parent.iterdir() if (path / "summary.json").exists()]
    insist(done, f"it ended well, and no run is complete: {said}")
    for path in done:
        if path in changed or path not in before:
            bench.insist_concluded(undisturbed, path.name)
            bench.run("validate", f"results/{path.name}").insist_on(FINE)
    bench.clean()


def _insist_on_one_run(records: Path) -> None:
    ids = {json.loads(line)["run_id"] for line in records.read_bytes().split(b"\n")[:-1]}
    insist(len(ids) < 2, f"{records.parent.name}: records of {sorted(ids)} in one file")
