"""Images: tags that move, verbs that are interrupted, a lock file that two write.

A run counts only if one image gave all its records; a lock file is whole at every moment; no
container of a killed reader of images stays.
"""

from __future__ import annotations

import json
import os
import signal
import time

import yaml

from .bench import (
    ENVIRONMENT,
    FINE,
    GATE,
    INCOMPLETE,
    INTERRUPTED,
    USAGE,
    Bench,
    docker,
    insist,
    own_image,
)
from .campaign import Play, row

NUMBERS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


@row("retag-docker", share=0.5, docker=True)
def retag_docker(play: Play) -> None:
    """The image's tag moves during a run, or between an interruption and its resume."""
    rng = play.rng
    _, undisturbed = play.undisturbed("docker")
    bench = play.bench("docker")
    tag, first, other = f"harness-chaos:m{os.getpid()}", own_image(), own_image("b")
    docker("tag", first, tag, check=True)
    bench.write_spec(bench.spec() | {"image": tag})
    running = bench.start(*bench.command())
    _wait_for_records(bench, rng.randrange(1, 12), running.poll)
    interrupted = rng.random() < 0.5
    if interrupted:
        running.send(signal.SIGKILL)
    docker("tag", other, tag, check=True)
    said = running.said(bench.insist_whole)
    play.note(f"interrupted {interrupted}: exit {said.code}")
    said.insist_on(FINE, ENVIRONMENT, -signal.SIGKILL)
    if said.code != FINE:
        facts = _image(bench)
        again = bench.run(*bench.command()).insist_on(USAGE, ENVIRONMENT)
        insist(
            _image(bench) == facts, f"metadata names another image than gave the records: {again}"
        )
        docker("tag", first, tag, check=True)
    if said.code == ENVIRONMENT:  # it changed while the run worked: these records never count
        bench.run(*bench.command()).insist_on(USAGE)
    else:
        bench.complete(bench.command())
        bench.insist_concluded(undisturbed)
    bench.clean()
    docker("rmi", tag)


def _image(bench: Bench) -> object:
    return json.loads((bench.path() / "metadata.json").read_text()).get("image")


def _wait_for_records(bench: Bench, count: int, ended: object) -> None:
    deadline = time.monotonic() + 120
    path = bench.path() / "vllm_records.jsonl"
    while time.monotonic() < deadline and ended() is None:  # type: ignore[operator]
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)


@row("interrupted-images", share=1.2, docker=True)
def interrupted_images(play: Play) -> None:
    """`pin`, `images inventory` or `diff` is interrupted; the same command then ends well."""
    rng = play.rng
    bench = play.bench("docker")
    first, other = own_image(), own_image("b")
    command = rng.choice(
        (
            ("pin", first, "--lock", "lock.yaml"),
            ("images", "inventory", first, "--json"),
            ("images", "diff", first, other, "-o", "out", "--format", "md,json"),
        )
    )
    number, delay = rng.choice(NUMBERS), rng.uniform(0, 3.0)
    play.note(" ".join(command[:2]), signal.Signals(number).name, f"after {delay:.2f} s")
    running = bench.start(*command)
    time.sleep(delay)
    running.send(number)
    said = running.said()
    said.insist_on(FINE, -number, INTERRUPTED)
    _insist_whole_lock(bench)
    if rng.random() < 0.5:
        bench.run("clean").insist_on(FINE)
        _insist_no_containers(first, other, "after harness clean")
    bench.run(*command).insist_on(FINE)
    _insist_whole_lock(bench)
    bench.run("clean").insist_on(FINE)
    _insist_no_containers(first, other, "after the same command and harness clean")


def _insist_whole_lock(bench: Bench) -> None:
    path = bench.folder / "lock.yaml"
    if path.exists():
        value = yaml.safe_load(path.read_text())
        insist(isinstance(value, dict) and "images" in value, f"lock.yaml is {value!r}")


def _insist_no_containers(*images: str) -> None:
    *names, when = images
    for image in names:
        left = docker("ps", "-a", "--filter", f"ancestor={image}", "--format", "{{.Names}}")
        if left:
            docker("rm", "-f", *left.split())
        insist(not left, f"containers of {image} {when}: {left}")


@row("pin-twice", share=0.5, docker=True)
def pin_twice(play: Play) -> None:
    """Two `pin` write one lock file at once: it is whole, and both entries are in it."""
    bench = play.bench("docker")
    images = own_image(), own_image("b")
    running = []
    for image in images:
        running.append(bench.start("pin", image, "--lock", "lock.yaml"))
        time.sleep(play.rng.choice((0.0, play.rng.uniform(0, 1))))
    codes = [one.said().insist_on(FINE, ENVIRONMENT).code for one in running]
    _insist_whole_lock(bench)
    found = yaml.safe_load((bench.folder / "lock.yaml").read_text())["images"]
    for image, code in zip(images, codes, strict=True):
        insist(code != FINE or image in found, f"{image} was pinned and is not in the lock")


@row("compare-images", share=0.4, docker=True)
def compare_images(play: Play) -> None:
    """`images compare` is interrupted; the same command completes both runs."""
    rng = play.rng
    bench = play.bench("docker")
    command = ("images", "compare", own_image(), own_image("b"), "-c", "spec.yaml", "-o", "out")
    number, delay = rng.choice(NUMBERS), rng.uniform(0.5, 15.0)
    play.note(signal.Signals(number).name, f"after {delay:.2f} s")
    running = bench.start(*command)
    time.sleep(delay)
    running.send(number)
    running.said(bench.insist_whole).insist_on(FINE, -number, INTERRUPTED)
    for _ in range(3):
        said = bench.run(*command).insist_on(FINE, GATE, INCOMPLETE)
        if said.code != INCOMPLETE:
            break
    insist(said.code == FINE, str(said))
    bench.clean()
    _insist_no_containers(own_image(), own_image("b"), "after harness clean")
