"""Damage to a run's files: cut at every byte, flipped, replaced, taken away.

Every reader has to refuse or to read what is left, with one message; a validation that passes means
that the records are those that were written; a resume completes the run or refuses it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from harness.prove import read_activation
from harness.records import RunFolder, iter_records
from harness.words import Mode, Verdict

from .bench import (
    ENVIRONMENT,
    FINE,
    GATE,
    INCOMPLETE,
    LOGS,
    RUN_ID,
    USAGE,
    Bench,
    Json,
    insist,
)
from .campaign import Play, row
from .claims import keeps_its_word

RUN = f"results/{RUN_ID}"
RECORDS = "vllm_records.jsonl"
AWAY, _SAVE = "move it away", "save it as UTF-8"
"""What is said of a start-up file that cannot be read, and of a file that people write."""
READERS: tuple[tuple[str, ...], ...] = (
    ("summarize", RUN),
    ("report", RUN),
    ("score", RUN),
    ("compare", RUN, RUN, "--mode-a", "standard", "--mode-b", "batch_invariant"),
    ("show", RUN),
)
CONCLUSIONS = ("summary.json", "validation.json", "report.md", "report.html", "harness.jsonl")
"""What follows from the other files: written anew, never believed."""


def _known_readers() -> list[tuple[str, ...]]:
    from harness.cli.app import app

    named = ((info.name, info.callback) for info in app.registered_commands)
    verbs = {name or getattr(callback, "__name__", "") for name, callback in named}
    return [words for words in READERS if words[0] in verbs]


def take_away(path: Path) -> None:
    """A file of a run, or the folder that lies in its place."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def read_all(play: Play, bench: Bench, count: int = 2) -> None:
    """Some readers look at the run: a result or one message."""
    for words in play.rng.sample(_known_readers(), count):
        bench.run(*words).insist_on(FINE, GATE, USAGE, ENVIRONMENT, INCOMPLETE)


def validated_and_resumed(
    play: Play, bench: Bench, undisturbed: dict[str, Json], *, damaged: str
) -> None:
    """A pass means that nothing is changed; at times what a refusal says is done, and is so."""
    before = _bytes(bench.path() / RECORDS)
    # where a file is to be written and a folder lies, that is the machine's trouble
    folder = (ENVIRONMENT,) if (bench.path() / damaged).is_dir() else ()
    valid = bench.run("validate", RUN).insist_on(FINE, GATE, USAGE, *folder)
    if valid.code == FINE and damaged == RECORDS:
        bench.insist_equal(undisturbed)
    read_all(play, bench)
    if play.rng.random() < 0.6:
        return
    if valid.code == USAGE and AWAY in valid.err:
        take_away(bench.path() / damaged)
        asked = bench.run(*bench.command(), "--retry-errors").insist_on(FINE)
        play.note(AWAY, asked.code)
    insist(not (valid.code == USAGE and _SAVE in valid.err), f"a run's own file: {valid}")
    if valid.code == GATE and not folder:
        keeps_its_word(play, bench, undisturbed, valid)
        bench.clean()
        return
    again = bench.run(*bench.command()).insist_on(FINE, GATE, USAGE, ENVIRONMENT, INCOMPLETE)
    if again.code == INCOMPLETE and "--retry-errors" in again.err:
        again = bench.run(*bench.command(), "--retry-errors")
    play.note(f"validate {valid.code}, the same command {again.code}")
    insist(valid.code != FINE or again.code == FINE, f"validated, and then not taken: {again}")
    insist(valid.code != USAGE or ")" in valid.err, f"no next step is named: {valid}")
    if again.code == FINE:
        bench.insist_concluded(undisturbed)
    else:
        refused = again.code in (USAGE, *folder)
        insist(refused, f"neither completed nor refused: {again}")
        insist(RUN in again.err, f"the refusal names no file of the run: {again}")
        same = _bytes(bench.path() / RECORDS) == before
        insist(same, f"a refused run's records were changed: {again}")
    bench.clean()


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _some_file(play: Play, bench: Bench) -> Path:
    names = sorted(p.name for p in bench.path().iterdir() if p.is_file() and p.name != ".lock")
    weights = [6 if name == RECORDS else 1 if name in CONCLUSIONS else 3 for name in names]
    return bench.path() / play.rng.choices(names, weights)[0]


@row("cut-anywhere", share=8, fast=1)
def cut_anywhere(play: Play) -> None:
    """One file of a complete run is cut at a random byte."""
    bench, undisturbed = play.saved(models=play.models())
    path = _some_file(play, bench)
    size = play.rng.randrange(path.stat().st_size)
    play.note(f"{path.name} cut at byte {size}")
    os.truncate(path, size)
    validated_and_resumed(play, bench, undisturbed, damaged=path.name)


@row("cut-everywhere", share=2, fast=1)
def cut_everywhere(play: Play) -> None:
    """The records are cut at 150 bytes in a row: what is kept is whole, and nothing else is."""
    bench, _ = play.saved(models=play.models())
    path = bench.path() / RECORDS
    whole = path.read_bytes()
    lines = whole.split(b"\n")
    first = play.rng.randrange(len(whole))
    play.note(f"bytes {first} to {first + 150}")
    with RunFolder(bench.path()) as folder:
        for size in range(first, min(first + 150, len(whole))):
            path.write_bytes(whole[:size])
            (bench.path() / "vllm_records.torn").unlink(missing_ok=True)
            torn = folder.mend_tail()
            end = whole[size : size + 1] == b"\n" != whole[size - 1 : size]
            there = whole[: size + end]  # a last line that is whole gets its end
            kept = there.count(b"\n")
            insist(path.read_bytes() == b"".join(line + b"\n" for line in lines[:kept]), size)
            insist(sum(1 for _ in iter_records(path)) == kept, f"records at {size}")
            rest = there.rpartition(b"\n")[2]
            aside = torn.kept_in.read_bytes() if torn else b""
            insist(aside == (rest and rest + b"\n"), f"set aside at {size}: {aside[-60:]!r}")


@row("flips", share=14, fast=2)
def flips(play: Play) -> None:
    """A bit or a byte of one file of a complete run is changed."""
    bench, undisturbed = play.saved(models=play.models())
    path = _some_file(play, bench)
    data = bytearray(path.read_bytes())
    place = play.rng.randrange(len(data))
    old = data[place]
    data[place] = (
        old ^ (1 << play.rng.randrange(8)) if play.rng.random() < 0.5 else _byte(play, old)
    )
    context = bytes(data[max(0, place - 30) : place + 10])
    play.note(f"{path.name} byte {place}: {old:#04x} -> {data[place]:#04x} in {context!r}")
    path.write_bytes(data)
    validated_and_resumed(play, bench, undisturbed, damaged=path.name)


def _byte(play: Play, old: int) -> int:
    return play.rng.choice(
        [b for b in (0xFF, 0x00, 0x0D, 0x0A, 0x22, 0x30, 0x39, 0x2D) if b != old]
    )


def _deep(_: bytes) -> bytes:
    return b"[" * 2000 + b"]" * 2000


def _in_object(value: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(b"{", b'{"schema_version": ' + value + b", ", 1)


def _wrong_types(data: bytes) -> bytes:
    """Each value of the object is of another type."""
    try:
        value = json.loads(data)
    except ValueError:
        return b"{}"
    other = {dict: [], list: {}, str: 7, int: "seven", bool: "yes", float: None, type(None): {}}
    return json.dumps({key: other[type(found)] for key, found in value.items()}).encode()


def _line_doubled(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    at = len(data) % max(1, len(lines))
    return b"".join([*lines[:at], *lines[at : at + 1], *lines[at:]])


def _line_replaced(data: bytes) -> bytes:
    """A line holds what another one of the file does."""
    lines = data.splitlines(keepends=True)
    at = len(data) % max(1, len(lines))
    lines[at : at + 1] = lines[at - 1 : at] or lines[-1:]
    return b"".join(lines)


DAMAGES: dict[str, Callable[[bytes], bytes] | None] = {
    "gone": None,
    "empty": lambda _: b"",
    "a list": lambda _: b"[]",
    "null": lambda _: b"null",
    "a number": lambda _: b"12",
    "an empty object": lambda _: b"{}",
    "wrong types": _wrong_types,
    "nested 2,000 deep": _deep,
    "a deep value": _in_object(b"[" * 2000 + b"]" * 2000),
    "5,000 digits": _in_object(b"9" * 5000),
    "infinity": _in_object(b"Infinity"),
    "a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "not UTF-8": lambda data: data[:40] + b"\xff" + data[40:],
    "zero bytes": lambda data: b"\0" * len(data),
    "twice": lambda data: data + data,
    "carriage returns": lambda data: data.replace(b"\n", b"\r"),
    "a line doubled": _line_doubled,
    "a line replaced by another": _line_replaced,
    "an extra line": lambda data: data + b"{}\n",
    "half of it": lambda data: data[: len(data) // 2],
}


@row("side-files", share=9, fast=1)
def side_files(play: Play) -> None:
    """One file beside the records, or the records, is replaced by something else or gone."""
    bench, undisturbed = play.saved(models=play.models())
    path = _some_file(play, bench)
    kind = play.rng.choice([*DAMAGES, "a folder"])
    play.note(f"{path.name}: {kind}")
    data = path.read_bytes()
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif (change := DAMAGES[kind]) is not None:
        path.write_bytes(change(data))
    if path.name == RECORDS and path.is_dir():
        bench.run("validate", RUN).insist_on(GATE, USAGE)
        bench.run(*bench.command()).insist_on(USAGE, ENVIRONMENT)
        return
    same = kind in ("gone", "empty", "half of it") or path.name != RECORDS
    validated_and_resumed(play, bench, undisturbed, damaged=path.name if same else RECORDS)


@row("neighbours", share=0.7, fast=1)
def neighbours(play: Play) -> None:
    """Something broken lies beside the runs; the runs themselves are not touched by it."""
    _, undisturbed = play.undisturbed()
    bench = play.bench()
    kind = play.rng.choice([name for name, change in DAMAGES.items() if change])
    play.note(f"results/other/metadata.json: {kind}")
    other = bench.folder / "results/other"
    other.mkdir(parents=True)
    (other / "metadata.json").write_bytes(DAMAGES[kind](b'{"fingerprint": "x"}'))
    (other / "native_standard_tiny.pid.json").write_bytes(DAMAGES[kind](b'{"mark": "x"}'))
    (bench.folder / "results/a_file").write_text("no folder")
    (bench.folder / "results/loop").symlink_to("loop")
    command = bench.command(play.rng.choice((RUN_ID, None)))
    bench.run(*command).insist_on(FINE)
    runs = [path.parent.name for path in bench.folder.glob("results/*/summary.json")]
    insist(len(runs) == 1, f"{len(runs)} runs beside a broken one")
    listed = bench.run("runs").insist_on(FINE)
    insist(runs[0] in listed.out, f"the run is not in the list: {listed}")
    bench.run("clean").insist_on(FINE)
    rows = {json.loads(line)["record_id"] for line in _lines(bench, runs[0])}
    insist(rows == set(undisturbed), "records")


def _lines(bench: Bench, run_id: str) -> list[bytes]:
    return (bench.path(run_id) / RECORDS).read_bytes().splitlines()


@row("lines", share=8, fast=1)
def lines(play: Play) -> None:
    """Lines of the records are dropped, doubled, swapped in part, or changed in one value."""
    bench, undisturbed = play.saved(models=play.models())
    path = bench.path() / RECORDS
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    kind = play.rng.choice(("drop", "double", "value", "value", "value", "type", "take", "order"))
    play.note(kind, _changed(play.rng, rows, kind))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    validated_and_resumed(play, bench, undisturbed, damaged=RECORDS)


def _changed(rng: random.Random, rows: list[Json], kind: str) -> str:
    at = rng.randrange(len(rows))
    if kind == "drop":
        del rows[at]
    elif kind == "double":
        rows.append(rows[at])
    elif kind == "order":
        rng.shuffle(rows)
    elif kind == "take":
        other = rng.choice([r for r in rows if r is not rows[at]])
        key = rng.choice(("solo", "batched", "record_id", "group", "witness", "solo_response_hash"))
        rows[at][key] = other[key]
        return key
    else:
        holder, key = rng.choice(list(_leaves(rows[at])))
        old = holder[key]
        holder[key] = (
            _other(rng, old) if kind == "value" else rng.choice(([], {}, "x", 1e400, None, -1))
        )
        return f"record {at}, {key}: {old!r} -> {holder[key]!r}"
    return f"record {at}"


def _leaves(value: object) -> list[tuple[Json, str]]:
    found = []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _leaves(inner) or [(value, key)]
    elif isinstance(value, list):
        for inner in value:
            found += _leaves(inner)
    return found


def _other(rng: random.Random, old: object) -> object:
    if isinstance(old, bool):
        return not old
    if isinstance(old, int | float):
        return old + rng.choice((1, -1, 7, 0.5))
    if isinstance(old, str):
        return rng.choice((old + "x", old[:-1], "", old.upper() + "!"))
    return rng.choice(("x", 0, True))


@row("logs", share=4, fast=1)
def logs(play: Play) -> None:
    """60 changed server logs: none proves the other mode than its server ran."""
    rng = play.rng
    names = {
        Mode.STANDARD: ("vllm-0.32.0-cpu-plugin-standard", "vllm-0.19.1-h200-standard"),
        Mode.BATCH_INVARIANT: (
            "vllm-0.32.0-cpu-plugin-batch_invariant",
            "vllm-0.19.1-h200-batch_invariant",
        ),
    }
    for _ in range(60):
        ran = rng.choice(list(names))
        name = rng.choice(names[ran])
        data = (LOGS / f"{name}.log").read_bytes()
        changed, how = _mutated_log(rng, data)
        for asked in Mode:
            environment = {"VLLM_BATCH_INVARIANT": str(int(asked is Mode.BATCH_INVARIANT))}
            text = changed.decode(errors="replace")
            verdict = read_activation(text, mode=asked, environment=environment).verdict
            wrong = {Mode.STANDARD: Verdict.ACTIVE, Mode.BATCH_INVARIANT: Verdict.CLEAN}[ran]
            insist(asked is ran or verdict is not wrong, f"{name} {how}: read as {verdict}")


def _mutated_log(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    rows = data.split(b"\n")
    kind = rng.choice(("bytes", "cut", "swap", "swap far", "move a part", "double"))
    if kind == "bytes":
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 40)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed), kind
    if kind == "cut":
        return data[: rng.randrange(len(data))], kind
    first = rng.randrange(len(rows) - 3)
    second = first + rng.randrange(1, 4)  # as processes that write one log do
    if kind == "swap far":
        second = rng.randrange(len(rows))
    if kind == "move a part":
        part = rows[first : (last := first + rng.randrange(1, 20))]
        rest = rows[:first] + rows[last:]
        second = rng.randrange(len(rest))
        rows = rest[:second] + part + rest[second:]
    elif kind.startswith("swap"):
        rows[first], rows[second] = rows[second], rows[first]
    else:
        rows.insert(first, rows[second])
    return b"\n".join(rows), kind
