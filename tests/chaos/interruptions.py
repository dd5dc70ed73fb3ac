"""Interruptions: the harness, its server, the supervisor, the engine or the container ends.

After each, the same command has to complete the run, with the records of an undisturbed one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .bench import (
    ENVIRONMENT,
    FINE,
    INCOMPLETE,
    INTERRUPTED,
    MODES,
    PROMPTS,
    RUN_ID,
    Bench,
    Json,
    Running,
    docker,
    insist,
)
from .campaign import Play, row

Strike = Callable[[Bench, Running], object]
Kinds = dict[str, tuple[Strike, tuple[int, ...]]]
KILLED = -signal.SIGKILL
OPEN = "not_checked"
RUN = f"results/{RUN_ID}"


def _harness(*numbers: signal.Signals, apart_s: float = 0.0) -> Strike:
    def strike(_: Bench, running: Running) -> None:
        for number in numbers:
            running.send(number)
            time.sleep(apart_s)

    return strike


def _server(number: signal.Signals) -> Strike:
    return lambda bench, _: _send(_processes(bench, "stand_in_vllm"), number)


def _supervisor(number: signal.Signals) -> Strike:
    return lambda bench, _: _send(_processes(bench, "supervisor.py"), number)


def _one(word: str) -> Strike:
    """Kill one of several servers, or one of their supervisors."""

    def strike(bench: Bench, _: Running) -> None:
        found = _processes(bench, word)
        first = [pid for pid in found if _parent(pid) not in found]  # no engine process
        _send(bench.rng.sample(first, min(1, len(first))), signal.SIGKILL)

    return strike


def _engine(bench: Bench, _: Running) -> None:
    servers = set(_processes(bench, "stand_in_vllm"))
    _send([pid for pid in servers if _parent(pid) in servers], signal.SIGKILL)


def _everything(bench: Bench, running: Running) -> None:
    """As a power cut does."""
    running.send(signal.SIGKILL)
    _send(_processes(bench, "supervisor.py") + _processes(bench, "stand_in_vllm"), signal.SIGKILL)


def _everything_told(bench: Bench, running: Running) -> None:
    """As a service manager stops a unit: all of its processes get SIGTERM at once."""
    there = _processes(bench, "supervisor.py") + _processes(bench, "stand_in_vllm")
    running.send(signal.SIGTERM)
    _send([*there, *forked_by(running.pid)], signal.SIGTERM)


def _frozen(_: Bench, running: Running) -> None:
    """Stopped for a second, as a laptop's lid does, and then killed."""
    running.send(signal.SIGSTOP)
    time.sleep(1.0)
    running.send(signal.SIGCONT)
    running.send(signal.SIGKILL)


def _supervisor_then_harness(bench: Bench, running: Running) -> None:
    """Nobody is left who would end the server."""
    _send(_processes(bench, "supervisor.py"), signal.SIGKILL)
    running.send(signal.SIGKILL)


NATIVE: Kinds = {
    "harness SIGINT": (_harness(signal.SIGINT), (INTERRUPTED,)),
    "harness SIGTERM": (_harness(signal.SIGTERM), (INTERRUPTED,)),
    "harness SIGHUP": (_harness(signal.SIGHUP), (INTERRUPTED,)),
    "harness SIGKILL": (_harness(signal.SIGKILL), (KILLED,)),
    "harness SIGINT twice": (_harness(signal.SIGINT, signal.SIGINT, apart_s=0.05), (INTERRUPTED,)),
    "harness SIGTERM, SIGKILL": (
        _harness(signal.SIGTERM, signal.SIGKILL, apart_s=0.1),
        (INTERRUPTED, KILLED),
    ),
    "harness frozen and killed": (_frozen, (KILLED,)),
    "server SIGKILL": (_server(signal.SIGKILL), (INCOMPLETE,)),
    "server SIGTERM": (_server(signal.SIGTERM), (INCOMPLETE,)),
    "engine SIGKILL": (_engine, (INCOMPLETE,)),
    "supervisor SIGKILL": (_supervisor(signal.SIGKILL), (INCOMPLETE,)),
    "supervisor SIGTERM": (_supervisor(signal.SIGTERM), (INCOMPLETE,)),
    "supervisor and harness SIGKILL": (_supervisor_then_harness, (KILLED,)),
    "everything SIGKILL": (_everything, (KILLED,)),
    "harness and everything SIGTERM": (_everything_told, (INTERRUPTED, INCOMPLETE)),
}
"""Each kind with the exit codes that it may end the run with; 0 where it comes too late."""


SEVERAL: Kinds = {
    **NATIVE,
    "one server SIGKILL": (_one("stand_in_vllm"), (INCOMPLETE,)),
    "one supervisor SIGKILL": (_one("supervisor.py"), (INCOMPLETE,)),
}
"""The same where several servers are up at once."""


WORKERS: Kinds = {
    **SEVERAL,
    "one worker SIGKILL": (_one("harness.conduct.worker"), ()),
    "every worker SIGKILL": (
        lambda bench, _: _send(_processes(bench, "harness.conduct.worker"), signal.SIGKILL),
        (),
    ),
}
"""The same where each is played by a worker; of lost workers the run itself goes on."""


def _actor(bench: Bench, _: Running) -> None:
    """Kill what a worker is a child of, where it runs below Ray."""
    workers = _processes(bench, "harness.conduct.worker")
    _send([*map(_parent, bench.rng.sample(workers, min(1, len(workers))))], signal.SIGKILL)


def _containers(*words: str) -> Strike:
    def strike(bench: Bench, _: Running) -> None:
        listed = docker("ps", "-aq", "--filter", f"label=harness.run-id={_run_id(bench)}")
        for container in listed.split():
            docker(*words, container)

    return strike


DOCKER: Kinds = {
    **{name: NATIVE[name] for name in list(NATIVE)[:7]},
    "container kill": (_containers("kill"), (INCOMPLETE,)),
    "container stop": (_containers("stop", "-t", "2"), (INCOMPLETE,)),
    "container removed": (_containers("rm", "-f"), (INCOMPLETE,)),
    "container paused": (_containers("pause"), (INCOMPLETE,)),
    "server in the container SIGTERM": (_containers("kill", "-s", "TERM"), (INCOMPLETE,)),
}


@row("interrupt-native", share=3, fast=1)
def interrupt_native(play: Play) -> None:
    """A native run is interrupted once or twice, at any moment, in one of 15 ways."""
    _interrupted(play, "native", NATIVE)


@row("interrupt-overlapped", share=1.5, fast=1)
def interrupt_overlapped(play: Play) -> None:
    """The same with both modes' servers up at once, and one of them hit alone."""
    _interrupted(play, "native", SEVERAL, overlap=2)


@row("interrupt-workers", share=1.5, fast=1)
def interrupt_workers(play: Play) -> None:
    """The same with servers played by workers, of parts of a mode too, and workers killed."""
    _interrupted(play, "native", WORKERS, jobs=play.rng.choice((2, 3, 4)))


@row("interrupt-ray", share=0.3)
def interrupt_ray(play: Play) -> None:
    """The same with workers on a Ray cluster of this machine that lasts as long as the run."""
    kinds: Kinds = {**WORKERS, "one actor SIGKILL": (_actor, ())}
    _interrupted(play, "native", kinds, jobs=2, on="local")


@row("interrupt-docker", share=1.2, docker=True)
def interrupt_docker(play: Play) -> None:
    """The same over containers, in one of 12 ways."""
    _interrupted(play, "docker", DOCKER, overlap=play.rng.choice((1, 1, 2)))


def _interrupted(
    play: Play,
    backend: str,
    kinds: Kinds,
    *,
    overlap: int = 1,
    jobs: int | None = None,
    on: str | None = None,
) -> None:
    rng, models = play.rng, play.models()
    place, undisturbed = play.undisturbed(backend, models)
    bench = play.bench(backend, models=models)
    spec = bench.spec()
    if overlap > 1:
        play.note("overlap", overlap)
        spec["server"]["overlap"] = overlap
    if backend == "docker":
        spec["request"]["timeout_s"] = 4  # a paused container answers nothing
        spec["server"]["startup_timeout_s"] = 15
    bench.write_spec(spec)
    named = rng.random() < 0.7
    command = bench.command() if named else bench.command(None)
    if jobs:
        play.note("jobs", jobs)
        command += ("--jobs", str(jobs), *(("--on", on) if on else ()))
    for _ in range(rng.choice((1, 1, 2))):
        kind = rng.choice(list(kinds))
        strike, codes = kinds[kind]
        real = rng.random() < 0.1
        running = bench.start(*command, real=real)
        moment = _moment(play, bench, running)
        there = _records(bench)
        strike(bench, running)
        said = running.said(bench.insist_whole)
        play.note(f"{kind} {moment}{', a fresh interpreter' * real}: exit {said.code}")
        late = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)  # before or after its handlers
        said.insist_on(FINE, *codes, *(late if "harness" in kind else ()))
        if said.code == FINE and _runs(bench):
            too_late = INTERRUPTED not in codes or there > PROMPTS * len(MODES) - 2
            insist(too_late, f"a signal was lost: {there} records were there when it was sent")
            bench.insist_concluded(undisturbed, _run_id(bench))
            break
        if said.code in late and _runs(bench) and bench.concluded(_run_id(bench)):
            play.note("the signal came when all was written")
            bench.insist_concluded(undisturbed, _run_id(bench))
            break
        bench.insist_whole()
        if _runs(bench):
            bench.insist_not_wrongly_complete(_run_id(bench))
        if rng.random() < 0.3:
            play.note("harness clean in between")
            bench.clean()
    else:
        bench.complete(command)
        _insist_on_one_run(place, bench, undisturbed)
    bench.clean()


def _insist_on_one_run(place: Path, bench: Bench, undisturbed: Mapping[str, Json]) -> None:
    """The same command made one run, which is whole, counts, and leaves no check open."""
    run_id = _run_id(bench)
    bench.insist_concluded(undisturbed, run_id)
    bench.run("validate", f"results/{run_id}").insist_on(FINE)
    _insist_on_every_check(place, bench.path(run_id))
    begun = [path for path in _runs(bench) if (path / "metadata.json").exists()]
    insist(len(begun) == 1, f"the same command made {len(begun)} runs")


def _insist_on_every_check(place: Path, run: Path) -> None:
    """No check that was made of the undisturbed run is left open: nothing would be established."""
    (other,) = place.glob("results/*/validation.json")
    known, found = (
        {one["check"] for one in json.loads(path.read_text())["findings"] if one["status"] == OPEN}
        for path in (other, run / "validation.json")
    )
    insist(found <= known, f"checks that could not be made: {sorted(found - known)}")


def _moment(play: Play, bench: Bench, running: Running) -> str:
    """Wait for a random moment of the run; says which."""
    rng = play.rng
    kind = rng.choice(("record", "record", "time", "server", "end"))
    deadline = time.monotonic() + 120
    if kind == "time":
        delay = rng.uniform(0.0, 6.0)
        deadline, said = time.monotonic() + delay, f"after {delay:.2f} s"
        reached = bool
    else:
        count = {"record": rng.randrange(1, PROMPTS * 2), "end": PROMPTS * len(MODES), "server": 0}
        wanted, delay = count[kind], rng.choice((0.0, rng.uniform(0, 0.1), rng.uniform(0, 1.5)))
        said = f"{delay:.3f} s after {wanted} records"

        def reached() -> bool:
            if kind == "server":
                return any(bench.folder.glob("results/*/*.log"))
            return _records(bench) >= wanted

    while time.monotonic() < deadline and running.poll() is None and not reached():
        bench.insist_whole()
        time.sleep(0.005)
    if kind != "time":
        time.sleep(delay)
    return said


def _records(bench: Bench) -> int:
    found = bench.folder.glob("results/*/vllm_records.jsonl")
    return sum(path.read_bytes().count(b"\n") for path in found)


def _runs(bench: Bench) -> list[Path]:
    return sorted(path for path in (bench.folder / "results").glob("*") if path.is_dir())


def _run_id(bench: Bench) -> str:
    runs = _runs(bench)
    return runs[-1].name if runs else "none"


def _processes(bench: Bench, word: str) -> list[int]:
    """Processes of this bench's servers whose command line holds a word."""
    marks = [f"HARNESS_RUN_ID={path.name}\0".encode() for path in _runs(bench)]
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = any(mark in (path / "environ").read_bytes() + b"\0" for mark in marks)
            if ours and word.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return sorted(found)


def forked_by(harness: int) -> list[int]:
    """Processes of a harness that works on several runs at once: not its servers."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            own = os.getsid(int(path.name)) == harness
            found += [int(path.name)] if own and _parent(int(path.name)) == harness else []
    return found


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@row("two-harnesses", share=0.6, fast=1)
def two_harnesses(play: Play) -> None:
    """Two harnesses in one results folder: one run id, two, or none; one port, or two."""
    rng, models = play.rng, play.models()
    _, undisturbed = play.undisturbed(models=models)
    bench = play.bench(models=models)
    same_port = rng.random() < 0.5
    ids = rng.choice((("a", "a"), ("a", "b"), (None, None)))
    play.note("run ids", ids, "same port", same_port)
    spec = bench.spec()
    if not same_port:
        spec["server"]["port"] += 300
    bench.write_spec(spec, "other.yaml")
    both = []
    for file, run_id in zip(("spec.yaml", "other.yaml"), ids, strict=True):
        named = ("--run-id", f"{run_id}{os.getpid()}") if run_id else ()
        both.append(bench.start("run", "-c", file, *named))
        time.sleep(rng.choice((0.0, rng.uniform(0, 0.3), rng.uniform(0, 3))))
    codes = [one.said(bench.insist_whole).insist_on(FINE, ENVIRONMENT).code for one in both]
    insist(FINE in codes, f"neither of the two completed its run: {codes}")
    for path in _runs(bench):
        if (path / "summary.json").exists():
            bench.insist_concluded(undisturbed, path.name)
    bench.clean()


@row("interrupted-verbs", share=0.6)
def interrupted_verbs(play: Play) -> None:
    """A scan or an ablation is interrupted; the same command completes it, its export is whole."""
    rng = play.rng
    bench = play.bench(models=play.models())
    kind = rng.choice(list(NATIVE))
    strike, codes = NATIVE[kind]
    if rng.random() < 0.6:
        sizes = ("--batch-sizes", "2,3", "--dispatch-modes", "prompt_list,gated")
        command = ("scan", "-c", "spec.yaml", "--run-id", f"s{os.getpid()}", *sizes)
    else:
        command = ("ablation", "-c", "spec.yaml")
    play.note(command[0], kind)
    running = bench.start(*command)
    play.note(_moment(play, bench, running))
    strike(bench, running)
    said = running.said(bench.insist_whole)
    late = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)
    said.insist_on(FINE, *codes, *(late if "harness" in kind else ()))
    bench.insist_whole()
    if said.code != FINE:
        bench.complete(command, tries=3)
    if command[0] == "scan":
        rows = (bench.path(f"s{os.getpid()}") / "candidates.csv").read_text().splitlines()
        insist(len(rows) > 1 and all(r.count(",") == rows[0].count(",") for r in rows), rows[-1])
    else:
        insist(len(_runs(bench)) == 2, f"an ablation left {len(_runs(bench))} runs, not 2")
    for path in _runs(bench):
        bench.run("validate", f"results/{path.name}").insist_on(FINE, 1)
    bench.clean()


MODES_APART = ("--mode-a", "standard", "--mode-b", "batch_invariant")
READING: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "summarize": (("summarize", RUN), ("summary.json",)),
    "validate": (("validate", RUN), ("validation.json",)),
    "report": (("report", RUN), ("report.md", "report.html")),
    "score": (("score", RUN, "--profile", "paper"), ()),
    "compare": (
        ("compare", RUN, RUN, *MODES_APART, "--format", "md,html,json", "-o", "out"),
        (),
    ),
}


@row("interrupted-readers", share=5, fast=1)
def interrupted_readers(play: Play) -> None:
    """A verb that writes results is interrupted: each file is the old one or the new one."""
    rng = play.rng
    bench, undisturbed = play.saved(models=play.models())
    verb = rng.choice(list(READING))
    command, files = READING[verb]
    number, delay = rng.choice((signal.SIGKILL, signal.SIGINT, signal.SIGTERM)), rng.uniform(0, 0.6)
    play.note(verb, signal.Signals(number).name, f"after {delay:.3f} s")
    before = {name: (bench.path() / name).stat().st_size for name in files}
    running = bench.start(*command)
    time.sleep(delay)
    running.send(number)
    running.said().insist_on(FINE, -number, INTERRUPTED)
    bench.insist_whole()
    for name, size in before.items():
        found = (bench.path() / name).stat().st_size
        insist(abs(found - size) < 400, f"{name} has {found} bytes, not about {size}")
    for path in bench.folder.glob("out/*.json"):
        json.loads(path.read_text())
    bench.run(*command).insist_on(FINE)
    bench.insist_concluded(undisturbed)
