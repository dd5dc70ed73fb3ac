"""Traces and samples are interrupted; the same command has every row of an undisturbed one."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

from .bench import FINE, MODES, PROMPTS, Bench, Json, Running, insist
from .campaign import Play, row
from .interruptions import NATIVE

TRACE = "arrival_s,prompt,sample,prompt_tokens,output_tokens\n" + "".join(
    (
        *(f"{n * 0.06:.2f},What is {n} and one?,,,\n" for n in range(6)),
        *(f"{0.03 + n * 0.06:.2f},,letters/s{n},,\n" for n in range(PROMPTS)),
        *(f"{0.1 + n * 0.05:.2f},,,{5 + n},{4 + 7 * n}\n" for n in range(4)),
    )
)
COMMANDS = {
    "trace": ("trace", "trace.csv", "-c", "spec.yaml"),
    "sample": (
        *("sample", "-c", "spec.yaml", "--temperature", "0.7", "--samples", "3"),
        *("--prompts", str(PROMPTS), "--width", "3", "--schedule", "gated"),
    ),
}
DUE = {"trace": TRACE.count("\n") - 1, "sample": 3 * PROMPTS}
"""Rows of each mode."""
_CHANGES = {"sent_s", "done_s", "late_ms", "witness", "neighbours", "latency_s", "attempts"}
_CHANGES |= {"alone_witness", "batch_witness", "start", "sum"}
"""Fields that are no other answer where they differ."""


@row("interrupted-trace", share=1)
def interrupted_trace(play: Play) -> None:
    """A replay of a trace is interrupted once or twice, at any moment, in one of 15 ways."""
    _interrupted(play, "trace")


@row("interrupted-sample", share=1)
def interrupted_sample(play: Play) -> None:
    """The same with draws above temperature 0."""
    _interrupted(play, "sample")


def _interrupted(play: Play, verb: str) -> None:
    rng = play.rng
    command, models = COMMANDS[verb], play.models()
    wanted, bench = _undisturbed(play, verb, models), _laid_out(play, "trial", models)
    for _ in range(rng.choice((1, 1, 2))):
        kind = rng.choice(list(NATIVE))
        strike, codes = NATIVE[kind]
        running = bench.start(*command, real=rng.random() < 0.1)
        moment = _moment(rng, bench, running)
        strike(bench, running)
        said = running.said(lambda: _insist_whole(bench, verb))
        play.note(f"{kind} {moment}: exit {said.code}")
        late = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)  # before or after its handlers
        said.insist_on(FINE, *codes, *(late if "harness" in kind else ()))
        if said.code == FINE:
            insist(len(_files(bench)) == len(MODES), "it ended well without the rows of both modes")
        if rng.random() < 0.3:
            play.note("harness clean in between")
            bench.clean()
    bench.complete(command)
    _insist_whole(bench, verb)
    found = _rows(bench)
    insist(len(found) == len(wanted), f"{len(found)} rows, not {len(wanted)}")
    for one, other in zip(found, wanted, strict=True):
        differing = [name for name in other if one[name] != other[name]]
        insist(not differing, f"row {one} differs in {differing} from {other}")
    folders = [path.name for path in (bench.folder / "results").iterdir()]
    insist(len(folders) == len(MODES), f"the same command made {folders}")
    again = bench.run(*command, "--json").insist_on(FINE)
    insist(not again.err and json.loads(again.out), f"asked again for what is there: {again}")
    bench.clean()


def _laid_out(play: Play, name: str, models: int) -> Bench:
    bench = play.bench(name=name, models=models)
    (bench.folder / "trace.csv").write_text(TRACE)
    return bench


def _undisturbed(play: Play, verb: str, models: int) -> list[Json]:
    """The rows where nobody disturbs it, once for each worker."""
    if (play.place, verb, models) not in _KNOWN:
        bench = _laid_out(play, f"undisturbed-{verb}-{models}", models)
        bench.run(*COMMANDS[verb]).insist_on(FINE)
        _KNOWN[play.place, verb, models] = _rows(bench)
    return _KNOWN[play.place, verb, models]


_KNOWN: dict[tuple[Path, str, int], list[Json]] = {}


def _moment(rng: random.Random, bench: Bench, running: Running) -> str:
    """Wait for a random moment; says which."""
    kind = rng.choice(("time", "server", "asked", "asked", "mode"))
    count, delay = rng.randrange(1, 120), rng.choice((0.0, rng.uniform(0, 0.2), rng.uniform(0, 2)))

    def reached() -> bool:
        logs = list(bench.folder.glob("results/*/native_*.log"))
        if kind == "asked":
            return sum(log.read_bytes().count(b"/v1/completions") for log in logs) >= count
        return bool(logs if kind == "server" else _files(bench))

    deadline = time.monotonic() + (rng.uniform(0, 6) if kind == "time" else 60)
    while time.monotonic() < deadline and running.poll() is None:
        if kind != "time" and reached():
            break
        time.sleep(0.005)
    time.sleep(delay)
    return f"{delay:.2f} s after {kind}{f' {count}' * (kind == 'asked')}"


def _files(bench: Bench) -> list[Path]:
    found = [
        *bench.folder.glob("results/*/trace.jsonl"),
        *bench.folder.glob("results/*/samples.jsonl"),
    ]
    return sorted(found)


def _insist_whole(bench: Bench, verb: str) -> None:
    """A file of rows is there whole or not at all."""
    bench.insist_whole()
    for path in _files(bench):
        lines = path.read_text().splitlines()
        insist(len(lines) == DUE[verb], f"{path.name} has {len(lines)} rows")
        for line in lines:
            json.loads(line)


def _rows(bench: Bench) -> list[Json]:
    """The rows of both modes, by mode and in their order, without what changes with time."""
    texts = [path.read_text(encoding="utf-8-sig") for path in _files(bench)]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    kept = [
        {name: _steady(value) for name, value in row.items() if name not in _CHANGES}
        for row in rows
    ]
    return sorted(kept, key=lambda row: row["mode"])


def _steady(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {name: inner for name, inner in value.items() if name not in _CHANGES}
