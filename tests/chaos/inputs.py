"""Fuzzed inputs: specs, candidate files, task files, lock files, owner files.

Every one is read or refused with file and line; nothing hangs, nothing ends in a traceback.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable

from .bench import ENVIRONMENT, FINE, GATE, ROOT, USAGE, Bench, insist
from .campaign import Play, row

_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
SPECIAL = (
    *("", "null", "[]", "{}", "true", "-1", "0", "1e999", ".inf", ".nan", "9" * 5000),
    *("2024-01-01", "0x1F", "!!python/object:os.system x", "&a [*a]", "\\", '"\\ud800"', "\t"),
    *("'", '"', "{{ x }}", "${HOME}", "~", "../../etc/passwd", "/dev/null", "/", "\u202e", "\x00"),
    *("[" * 2000 + "]" * 2000, "1" * 400, "-0.0", "!!binary aGk=", "? a", "<<: *x", "é" * 300),
)


def mutated(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """Some changes of a text file, and what they are."""
    kind = rng.choice(("bytes", "value", "value", "line", "cut", "bom", "ends", "bomb", "depth"))
    rows = data.split(b"\n")
    at = rng.randrange(len(rows))
    if kind == "bytes":
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 6)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed), kind
    if kind == "value":
        special = rng.choice(SPECIAL).encode("utf-8", "surrogatepass")
        mark = rng.choice((b":", b",", b"="))
        head, found, _ = rows[at].partition(mark)
        rows[at] = head + (found or mark) + b" " + special
        return b"\n".join(rows), f"line {at + 1}: {special[:40]!r}"
    if kind == "line":
        rows.insert(
            at, rng.choice((rows[rng.randrange(len(rows))], b"  - ", b"x", b",,,,", b"# x"))
        )
        return b"\n".join(rows), kind
    if kind == "cut":
        return data[: rng.randrange(len(data))], kind
    if kind == "bom":
        return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x00")) + data, kind
    if kind == "ends":
        return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", "\u2028".encode()))), kind
    if kind == "bomb":
        return _BOMB.encode() + data, kind
    return data + b"\ndeep: " + b"[" * 3000 + b"]" * 3000 + b"\n", kind


Reads = Callable[[Bench, str], tuple[str, ...]]
TARGETS: dict[str, tuple[str, Reads]] = {
    "spec": ("spec.yaml", lambda bench, file: ("plan", "-c", file)),
    "candidates": ("candidates.csv", lambda bench, file: ("plan", "-c", "spec.yaml")),
    "tasks": ("tasks/letters.yaml", lambda bench, file: ("plan", "-c", "spec.yaml", "--json")),
    "tasks, looked over": ("tasks/letters.yaml", lambda bench, file: ("tasks", "lint", "tasks")),
    "lock": ("lock.yaml", lambda bench, file: ("doctor", "-c", "spec.yaml", "--lock", file)),
    "lock, listed": ("lock.yaml", lambda bench, file: ("images", "list", "--lock", file)),
}


@row("fuzzed-inputs", share=38, fast=3)
def fuzzed_inputs(play: Play) -> None:
    """One input file is changed, and the verbs that read it are called."""
    rng = play.rng
    bench = play.bench()
    (bench.folder / "lock.yaml").write_bytes((ROOT / "docker/images.lock.yaml").read_bytes())
    target = rng.choice(list(TARGETS))
    name, words = TARGETS[target]
    path = bench.folder / name
    data, how = mutated(rng, path.read_bytes())
    play.note(f"{target}: {how}")
    path.write_bytes(data)
    said = bench.run(*words(bench, name)).insist_on(FINE, GATE, USAGE, ENVIRONMENT)
    if said.code == USAGE:
        insist(len(said.err) < 6000, f"{len(said.err)} characters: {said.err[:400]}")
        insist("error" in said.err.lower(), f"no message: {said}")


@row("fuzzed-jsonl", share=16, fast=1)
def fuzzed_jsonl(play: Play) -> None:
    """The candidates as JSONL, changed."""
    rng = play.rng
    bench = play.bench()
    row_ = '{"model": "tiny", "task_name": "letters", "sample_id": "s%d", "batch_size": 3, '
    text = "".join(row_ % n + '"dispatch_mode": "gated"}\n' for n in range(6))
    data, how = mutated(rng, text.encode())
    play.note(how)
    (bench.folder / "candidates.jsonl").write_bytes(data)
    spec = bench.spec() | {"candidates": "candidates.jsonl"}
    bench.write_spec(spec)
    bench.run("plan", "-c", "spec.yaml").insist_on(FINE, USAGE)
    words = ("candidates", "check", "candidates.jsonl", "-c", "spec.yaml")
    bench.run(*words).insist_on(FINE, GATE, USAGE)


@row("fuzzed-records", share=10, fast=2)
def fuzzed_records(play: Play) -> None:
    """A records file from elsewhere, changed: summarised, validated, reported, or refused."""
    rng = play.rng
    place, _ = play.undisturbed()
    bench = play.bench()
    source = next(iter(place.glob("results/*/vllm_records.jsonl")))
    data, how = mutated(rng, source.read_bytes())
    play.note(how)
    (bench.folder / "records.jsonl").write_bytes(data)
    (bench.folder / "other.jsonl").write_bytes(source.read_bytes())
    for words in (
        ("validate", "records.jsonl"),
        rng.choice((("summarize", "records.jsonl"), ("report", "records.jsonl", "-o", "out"))),
        rng.choice((("compare", "records.jsonl", "other.jsonl"), ("score", "records.jsonl"))),
    ):
        bench.run(*words).insist_on(FINE, GATE, USAGE, 4)


@row("fuzzed-owners", share=2, fast=1)
def fuzzed_owners(play: Play) -> None:
    """Lock files and owner files of servers, changed: no process of anybody else's is ended."""
    rng = play.rng
    _, undisturbed = play.undisturbed()
    bench, _ = play.saved()
    stranger = bench.start("--help")
    owner = json.dumps(
        {
            "schema_version": 1,
            "mark": "m",
            "run_id": "r",
            "harness": {"pid": 1, "start_time": 5},
            "supervisor": {"pid": os.getpid(), "start_time": 7},
            "server_pid": stranger.pid,
            "grace_s": 0.1,
        }
    )
    data, how = mutated(rng, owner.encode())
    play.note(how)
    (bench.path() / "native_standard_tiny.pid.json").write_bytes(data)
    lock, _ = mutated(rng, b"4711\n")
    (bench.path() / ".lock").write_bytes(lock)
    insist(stranger.said().code == FINE, "a stranger was ended")
    bench.run("clean").insist_on(FINE)
    bench.run(*bench.command()).insist_on(FINE)
    bench.insist_concluded(undisturbed)
