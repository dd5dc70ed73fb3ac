"""Limits of the machine: full disks, no inodes, few descriptors, little memory, closed streams.

One message with what is short, exit 3, no temporary file left; with room again the same command
completes the run.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .bench import ENVIRONMENT, FINE, INCOMPLETE, RUN_ID, Bench, insist
from .campaign import Play, row

_KIB = 1024


@contextlib.contextmanager
def _small_disk(bench: Bench, options: str) -> Iterator[Path]:
    """A file system of its own at the results folder; for root only."""
    results = bench.folder / "results"
    results.mkdir(exist_ok=True)
    _mount("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(results))
    try:
        yield results
    finally:
        _mount("umount", "-l", str(results))


def _mount(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def can_mount() -> bool:
    """Whether this user may have a small file system."""
    if os.geteuid() != 0:
        return False
    done = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    return done.returncode == 0


@row("full-disk", share=0.8, fast=1)
def full_disk(play: Play) -> None:
    """The disk, its inodes or the allowed file size run out at a random point of the run."""
    rng, models = play.rng, play.models()
    _, undisturbed = play.undisturbed(models=models)
    bench = play.bench(models=models)
    kinds = ("space", "inodes", "read-only", "file size") if can_mount() else ("file size",)
    kind = rng.choice(kinds)
    if kind == "file size":
        size = rng.randrange(2, 60) * _KIB
        play.note(f"files of {size} bytes at most")
        said = bench.run(*bench.command(), limits={resource.RLIMIT_FSIZE: size})
        _refused_for_want_of_room(bench, said.insist_on(FINE, ENVIRONMENT, INCOMPLETE).err)
        again(bench, undisturbed)
        return
    room = {
        "space": f"size={rng.randrange(1, 100) * 4}k",
        "inodes": f"nr_inodes={rng.randrange(2, 16)}",
    }
    play.note(kind, options := room.get(kind, "size=4m"))
    with _small_disk(bench, options) as results:
        running = bench.start(*bench.command())
        if kind == "read-only":
            time.sleep(rng.uniform(0, 3))
            with contextlib.suppress(subprocess.CalledProcessError):
                _mount("mount", "-o", "remount,ro", str(results))
        said = running.said().insist_on(FINE, ENVIRONMENT, INCOMPLETE)
        _refused_for_want_of_room(bench, said.err)
        _mount("mount", "-o", "remount,rw,size=16m,nr_inodes=500", str(results))
        again(bench, undisturbed)


def _refused_for_want_of_room(bench: Bench, err: str) -> None:
    bench.insist_whole()
    if bench.path().is_dir():
        bench.insist_not_wrongly_complete()
    insist("Traceback" not in err, err[-600:])


def again(bench: Bench, undisturbed: dict[str, dict[str, object]]) -> None:
    """With room again the same command completes the run, and no temporary file is left."""
    bench.complete(bench.command())
    bench.insist_concluded(undisturbed)
    bench.clean()


@row("limits", share=0.8, fast=1)
def limits(play: Play) -> None:
    """Few descriptors, many descriptors, little memory."""
    rng, models = play.rng, play.models()
    _, undisturbed = play.undisturbed(models=models)
    bench = play.bench(models=models)
    kind = rng.choice(("few descriptors", "many descriptors", "little memory", "few processes"))
    if kind == "few descriptors":
        number = rng.randrange(4, 40)
        said = bench.run(*bench.command(), limits={resource.RLIMIT_NOFILE: number})
    elif kind == "many descriptors":
        number = rng.randrange(1030, 1100)
        said = _with_open_files(bench, number)
        insist(said.code == FINE, f"{number} open files: {said}")
    elif kind == "little memory":
        number = rng.randrange(150, 700)
        said = bench.run(*bench.command(), real=True, limits={resource.RLIMIT_AS: number << 20})
        play.note(kind, number, "MiB: exit", said.code)
        said.insist_on(*((ENVIRONMENT,) if number < 512 else (FINE, ENVIRONMENT, INCOMPLETE)))
        again(bench, undisturbed)
        return
    else:
        number = 0
        said = bench.run(*bench.command(), limits={resource.RLIMIT_CPU: 600})
    play.note(kind, number, "exit", said.code)
    said.insist_on(FINE, ENVIRONMENT, INCOMPLETE)
    again(bench, undisturbed)


def _with_open_files(bench: Bench, number: int):
    """A harness that inherits so many open files that its own get high numbers."""
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(number)]
    for descriptor in opened:
        os.set_inheritable(descriptor, True)
    try:
        return bench.run(*bench.command())
    finally:
        for descriptor in opened:
            os.close(descriptor)


@row("streams", share=0.8, fast=1)
def streams(play: Play) -> None:
    """Closed descriptors, a reader that leaves, a full disk there, a working folder gone."""
    rng, models = play.rng, play.models()
    _, undisturbed = play.undisturbed(models=models)
    bench = play.bench(models=models)
    kind = rng.choice(("closed", "closed", "head", "folder gone", "full"))
    if kind == "closed":
        closed = tuple(sorted(rng.sample((0, 1, 2), rng.randrange(1, 4))))
        said = bench.run(*bench.command(), closed=closed)
        play.note(f"closed {closed}: exit {said.code}")
        said.insist_on(FINE)
        bench.insist_concluded(undisturbed)
    elif kind == "folder gone":
        gone = bench.folder / "gone"
        gone.mkdir()
        spec = str(bench.folder / "spec.yaml")
        said = bench.run("run", "-c", spec, "--run-id", RUN_ID, cwd=gone, removed=True)
        play.note(f"the working folder is gone: exit {said.code}")
        said.insist_on(2, ENVIRONMENT)
    else:
        target = "head -1" if kind == "head" else "cat > /dev/full"
        both = rng.choice(("|", "2>&1 |")) if kind == "head" else rng.choice((">", "2>"))
        play.note(f"{both} {target}")
        said = _piped(bench, both, target)
        insist("Traceback" not in said, said[-500:])
    again(bench, undisturbed)


def _piped(bench: Bench, both: str, target: str) -> str:
    """What is heard of ``harness run | head -1``; it has to end by itself."""
    import sys

    command = " ".join([sys.executable, "-m harness", *bench.command()])
    where = f"{both} /dev/full" if "full" in target else f"{both} {target}"
    done = subprocess.run(
        ["bash", "-c", f"{command} {where}"],
        cwd=bench.folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    return done.stdout + done.stderr
