"""The verbs that write small files, end what was left, make ready or rent: killed at any moment.

What they write is whole or not there, and the same command then comes to what an undisturbed one
does. At the end: which rows play which verb of the command, and why a few are played by none.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness.people import RUBRICS
from tests.runpod_stand_in import KEY, account

from .bench import (
    ENGINE,
    ENVIRONMENT,
    FINE,
    INCOMPLETE,
    INTERRUPTED,
    ROOT,
    STAND_IN,
    USAGE,
    Bench,
    insist,
    own_image,
)
from .campaign import Play, row
from .interruptions import NATIVE, RUN, _moment, _processes

_ENDS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
_LATE = (FINE, INTERRUPTED, *(-number for number in (*_ENDS, signal.SIGHUP)))
WRITERS: dict[str, tuple[str, ...]] = {
    "init": ("init", "mine"),
    "tasks import": ("tasks", "import", "csv", "own.csv", "-o", "own/own.yaml"),
    "candidates export": ("candidates", "export", RUN, "-o", "own/changed.csv"),
    "export": ("export", RUN, "-o", "own.csv.out"),
    "adjudicate export": ("adjudicate", "export", RUN, "-o", "own", "--controls", "0.5"),
    "adjudicate import": ("adjudicate", "import", "a.csv", "b.csv", "--key", "sheets/key.json"),
    "compose": ("compose", "--profile", "study-d", "--out", "own.yaml"),
    "template": ("template", "k8s", "--profile", "study-d", "-o", "own.yaml"),
    "runpod template": ("runpod", "template", "--image", "you/pod@sha256:1", "-o", "own.json"),
}
"""Verbs that write files and ask no server."""


@row("interrupted-writers", share=4, fast=2)
def interrupted_writers(play: Play) -> None:
    """A verb that writes files is killed: each is whole or not there; then all are."""
    rng, verb = play.rng, play.rng.choice(list(WRITERS))
    wanted = _written(play, verb)
    bench, _ = _given(play, "trial")
    command = WRITERS[verb]
    for _ in range(rng.choice((1, 1, 2))):
        number, delay = rng.choice(_ENDS), rng.choice((rng.uniform(0, 0.1), rng.uniform(0, 0.6)))
        running = bench.start(*command)
        time.sleep(delay)
        running.send(number)
        said = running.said().insist_on(*_LATE)
        play.note(f"{verb} {signal.Signals(number).name} after {delay:.3f} s: exit {said.code}")
        for name, found in _files(bench).items():
            insist(name in wanted, f"{name} is left")
            insist(found == wanted[name], f"{name} is neither whole nor the old one")
    bench.run(*command).insist_on(FINE)
    found = _files(bench)
    insist(found == wanted, f"{sorted(found)} are not what an undisturbed one writes")
    left = [path.name for path in bench.folder.rglob("*.tmp")]
    insist(not left, f"temporary files are left: {left}")


_KNOWN: dict[tuple[Path, str], dict[str, str]] = {}


def _written(play: Play, verb: str) -> dict[str, str]:
    """What a verb leaves where nobody disturbs it, once for each worker."""
    if (play.place, verb) not in _KNOWN:
        bench, before = _given(play, "undisturbed-writers")
        bench.run(*WRITERS[verb]).insist_on(FINE)
        found = _files(bench)
        insist(set(found) - before, f"{verb} writes no file")
        _KNOWN[play.place, verb] = found
    return _KNOWN[play.place, verb]


def _given(play: Play, name: str) -> tuple[Bench, set[str]]:
    """A complete run, a table of prompts, and two raters' filled sheets; the names of all files."""
    bench, _ = play.saved(name)
    (bench.folder / "own.csv").write_text("prompt,reference\nOne and one?,2\nTwo and two?,4\n")
    sheets = play.place / "sheets"
    if not sheets.exists():
        bench.run("adjudicate", "export", RUN, "-o", "sheets", "--controls", "0.5").insist_on(FINE)
        shutil.copytree(bench.folder / "sheets", sheets)
    shutil.copytree(sheets, bench.folder / "sheets", dirs_exist_ok=True)
    for rater in "ab":
        filled(sheets / "for_raters/sheet.csv", bench.folder / f"{rater}.csv")
    return bench, set(_files(bench))


def filled(sheet: Path, to: Path, draw: random.Random | None = None) -> dict[str, tuple[str, ...]]:
    """A sheet that a rater, who is called as its file, has filled in; what was said of each item.

    One label everywhere, or drawn ones.
    """
    with sheet.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for one in rows:
        labels, changes = [*RUBRICS[one["kind_of_task"]].labels], ("yes", "no")
        said = [draw.choice(labels) if draw else "partial" for _ in "AB"]
        one |= {"label_A": said[0], "label_B": said[1], "rater": to.stem}
        one["behavioural_change"] = draw.choice(changes) if draw else "no"
    with to.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    told = ("label_A", "label_B", "behavioural_change")
    return {one["item_id"]: tuple(one[name] for name in told) for one in rows}


def _files(bench: Bench) -> dict[str, str]:
    """Each file with the hash of what it holds, but streams and what tells of the moment."""
    return {
        str(path.relative_to(bench.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(bench.folder.rglob("*"))
        if path.is_file() and not path.is_relative_to(bench.streams)
        if path.name not in ("spec.yaml", "python") and not path.name.startswith(".")
    }


@row("interrupted-clean", share=0.5)
def interrupted_clean(play: Play) -> None:
    """`clean` is killed once or twice while it ends a killed run's servers; the next ends all."""
    rng, models = play.rng, play.models()
    _, undisturbed = play.undisturbed(models=models)
    bench = play.bench(models=models)
    running = bench.start(*bench.command())
    play.note(_moment(play, bench, running))
    NATIVE["supervisor and harness SIGKILL"][0](bench, running)
    running.said(bench.insist_whole).insist_on(FINE, -signal.SIGKILL)
    for _ in range(rng.choice((1, 2))):
        number, delay = rng.choice(_ENDS), rng.choice((rng.uniform(0, 0.2), rng.uniform(0, 2)))
        cleaning = bench.start("clean")
        time.sleep(delay)
        cleaning.send(number)
        said = cleaning.said(bench.insist_whole).insist_on(*_LATE)
        play.note(f"clean {signal.Signals(number).name} after {delay:.3f} s: exit {said.code}")
    bench.clean()
    bench.complete(bench.command())
    bench.insist_concluded(undisturbed)
    bench.clean()


@row("interrupted-launch", share=0.6, fast=1)
def interrupted_launch(play: Play) -> None:
    """A launch is killed: at most one pod costs, it is named, can be fetched whole, and ended."""
    rng, bench = play.rng, play.bench()
    given = bench.folder / "in_the_pod"
    file = given / "a-run/vllm_records.jsonl"
    file.parent.mkdir(parents=True)
    file.write_bytes(rng.randbytes(rng.choice((1, 70_000, 9 << 20))))
    (given / "runpod_exit_code").write_text("0\n")
    with account(given) as pods:
        environment = {
            "RUNPOD_API_KEY": KEY,
            "HARNESS_RUNPOD_API": pods.url,
            "HARNESS_RUNPOD_PROXY": f"{pods.url}/door",
        }
        how = {"real": True, "environment": environment}
        running = bench.start("runpod", "launch", "--image", "you/pod@sha256:1", "--yes", **how)
        number, delay = rng.choice(_ENDS), rng.uniform(0.3, 6)
        time.sleep(delay)
        running.send(number)
        said = running.said().insist_on(*_LATE, INCOMPLETE)
        play.note(f"{signal.Signals(number).name} after {delay:.3f} s: exit {said.code}")
        insist(len(pods.pods) <= 1, f"several pods cost: {sorted(pods.pods)}")
        if said.code == FINE:
            insist(not pods.pods, "the launch ended well, and its pod costs")
        for pod in list(pods.pods):
            named = said.code == -signal.SIGKILL or pod in said.err
            insist(named, f"pod {pod} costs, and nobody says so: {said}")
            status = bench.run("runpod", "status", **how).insist_on(FINE)
            insist(pod in status.out, f"pod {pod} is not in the status: {status}")
            bench.run("runpod", "fetch", pod, **how).insist_on(FINE)
            copy = bench.folder / f"results/runpod-{pod}/a-run/vllm_records.jsonl"
            insist(copy.read_bytes() == file.read_bytes(), "what was fetched is another file")
            bench.run("runpod", "stop", pod, "--delete", "--yes", **how).insist_on(FINE)
            insist(not pods.pods, "the pod is there after `stop --delete`")


@row("interrupted-bisect", share=0.4, docker=True)
def interrupted_bisect(play: Play) -> None:
    """`images bisect` over two images is killed; the same command comes to its end."""
    rng = play.rng
    bench = play.bench("docker")
    first, other = own_image(), own_image("b")
    (bench.folder / "images.txt").write_text(f"{first}\n{other}\n")
    command = ("images", "bisect", first, other, "-c", "spec.yaml", "--images-from", "images.txt")
    number, delay = rng.choice(_ENDS), rng.uniform(0.5, 15.0)
    running = bench.start(*command)
    time.sleep(delay)
    running.send(number)
    said = running.said(bench.insist_whole)
    play.note(f"{signal.Signals(number).name} after {delay:.2f} s: exit {said.code}")
    said.insist_on(*_LATE, USAGE)
    for _ in range(3):
        said = bench.run(*command).insist_on(USAGE, INCOMPLETE)
        if said.code != INCOMPLETE:
            break
    insist("BAD answers as GOOD" in said.err, f"two images that answer alike: {said}")
    bench.clean()


def _engine(bench: Bench) -> dict[str, str]:
    """The variables under which the stand-in is an installed engine, of which all is there."""
    folder = bench.folder / "engine"
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    told = ENGINE.replace(
        "exec " + sys.executable,
        f'case $1 in -V | -I) exec {sys.executable} "$@" ;; esac\nshift 2\n'
        f"exec {sys.executable} -S -E {STAND_IN}\nexec {sys.executable}",
    ).replace(f"{STAND_IN}\n", f'{STAND_IN} "$@"\n')
    python.write_text(told)
    python.chmod(0o755)
    inputs = (
        'here=$1; plugin=$here/../plugin; cat "$here/install.sh" "$here/requirements.lock" '
        '"$plugin/pyproject.toml" "$plugin"/vllm_cpu_batch_invariant/*.py; "$2" -V; echo'
    )
    scripts = str(ROOT / "docker/cpu/engine")
    words = ["bash", "-c", inputs, "inputs", scripts, str(python)]
    data = subprocess.run(words, capture_output=True, check=True).stdout
    (folder / ".cpu-engine").write_text(hashlib.sha256(data).hexdigest() + "\n")
    return {"HARNESS_ENGINE": str(folder)}


@row("interrupted-demo", share=0.5)
def interrupted_demo(play: Play) -> None:
    """`demo` is killed once or twice over the stand-in; the same command completes its one run."""
    rng, bench = play.rng, play.bench()
    environment = _engine(bench)
    command = ("demo", "--profile", "demo-tiny", "--port", str(bench.port))
    for _ in range(rng.choice((1, 1, 2))):
        kind = rng.choice(list(NATIVE))
        strike, codes = NATIVE[kind]
        running = bench.start(*command, environment=environment)
        moment = _moment(play, bench, running)
        strike(bench, running)
        said = running.said(bench.insist_whole)
        play.note(f"{kind} {moment}: exit {said.code}")
        said.insist_on(FINE, *codes, *(_LATE if "harness" in kind else ()))
        if said.code == FINE:
            break  # the same command would begin another run now
    for _ in range(4):
        if said.code == FINE:
            break
        said = bench.run(*command, environment=environment)
        said.insist_on(FINE, ENVIRONMENT, INCOMPLETE)
    runs = [path for path in (bench.folder / "results").iterdir() if path.is_dir()]
    begun = [path for path in runs if (path / "metadata.json").exists()]
    insist(len(begun) == 1, f"the same command made {len(begun)} runs")
    facts = json.loads((begun[0] / "metadata.json").read_text())
    found = bench.lines(begun[0].name)
    ids = {one["record_id"] for one in found}
    insist(facts["complete"] is True, f"not complete: {said}")
    insist(len(found) == len(ids) == facts["planned_records"], f"{len(found)} records")
    bench.clean()
    insist(not _processes(bench, "stand_in_vllm"), "a server of the demo is left")


@row("interrupted-engine", share=0.3)
def interrupted_engine(play: Play) -> None:
    """`engine` is killed while it installs from nowhere: nothing calls that done."""
    rng, bench = play.rng, play.bench()
    nowhere = "http://127.0.0.1:9/simple"
    environment = {"HARNESS_ENGINE": str(bench.folder / "engine"), "HARNESS_TORCH_INDEX": nowhere}
    environment |= {"PIP_RETRIES": "0", "PIP_INDEX_URL": nowhere, "PYTHON": sys.executable}
    environment |= {"PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    number, delay = rng.choice(_ENDS), rng.uniform(0, 8)
    running = bench.start("engine", environment=environment)
    time.sleep(delay)
    running.send(number)
    said = running.said()
    play.note(f"{signal.Signals(number).name} after {delay:.2f} s: exit {said.code}")
    said.insist_on(*_LATE, ENVIRONMENT)
    insist(said.code != FINE, "an engine was installed from nowhere")
    again = bench.run("engine", environment=environment).insist_on(ENVIRONMENT)
    insist("the same command goes on" in again.err, str(again))
    insist(not (bench.folder / "engine/.cpu-engine").exists(), "a stamp without an engine")


# ---- which rows play which verb ----------------------------------------------------------------

PLAYED: dict[str, tuple[str, ...]] = {
    "run": ("interrupt-native", "interrupt-overlapped", "interrupt-docker"),
    "scan": ("interrupted-verbs",),
    "ablation": ("interrupted-verbs",),
    "plan": ("fuzzed-inputs",),
    "doctor": ("fuzzed-inputs",),
    "demo": ("interrupted-demo",),
    "engine": ("interrupted-engine",),
    "compose": ("interrupted-writers",),
    "template": ("interrupted-writers",),
    "clean": ("interrupted-clean",),
    "certify": ("interrupted-certify",),
    "matrix": ("interrupted-matrix",),
    "bench": ("interrupted-bench",),
    "shrink": ("interrupted-shrink",),
    "replay": ("interrupted-shrink",),
    "trace": ("interrupted-trace",),
    "sample": ("interrupted-sample",),
    "show": ("flips",),
    "summarize": ("interrupted-readers",),
    "validate": ("interrupted-readers",),
    "report": ("interrupted-readers",),
    "score": ("interrupted-readers",),
    "compare": ("interrupted-readers",),
    "export": ("interrupted-writers",),
    "adjudicate export": ("interrupted-writers", "adjudication"),
    "adjudicate import": ("interrupted-writers", "adjudication"),
    "init": ("interrupted-writers",),
    "tasks lint": ("fuzzed-inputs",),
    "tasks import": ("interrupted-writers",),
    "candidates check": ("fuzzed-jsonl",),
    "candidates export": ("interrupted-writers",),
    "images list": ("fuzzed-inputs",),
    "images inventory": ("interrupted-images",),
    "images diff": ("interrupted-images",),
    "images compare": ("compare-images",),
    "images bisect": ("interrupted-bisect",),
    "pin": ("interrupted-images", "pin-twice"),
    "runpod launch": ("interrupted-launch",),
    "runpod status": ("interrupted-launch",),
    "runpod fetch": ("cut-fetch", "interrupted-launch"),
    "runpod stop": ("interrupted-launch",),
    "runpod template": ("interrupted-writers",),
    "runs": ("neighbours",),
}
"""Each verb with the rows that call it."""
PLAYED_BY_NONE: dict[str, str] = {
    "where": "prints a path, and reads and writes nothing",
    "schema": "prints what the package holds, and reads and writes nothing",
    "models": "lists what the package names",
    "models fetch": "downloads: tests/models cut it, and no trial takes a model from an index",
    "open": "is report, and then a browser",
    "bisect": "the older name of images bisect, and the same function",
    "runpod logs": "prints what the account sends, and writes nothing",
    "runpod serve": "runs in the pod: cut-fetch and interrupted-launch ask it",
}
"""The others, with why."""
