"""Time and peak memory of `harness summarize` on a full-size run, beside pandas reading it.

The study's parent report has 306,996 samples; this writes as many candidates in both modes, in two
forms: the required columns only, and the harness's own records with their answers. Each
measurement is a process of its own on the same file. A pandas read of the long form needs more
memory than most machines have, so it is given a part of the file and says so. With another
checkout of the project, both are measured on the same files, one after the other.

    python benchmarks/summarize.py [--rows 306996] [--against CHECKOUT] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.records import sealed

ROOT = Path(__file__).resolve().parent.parent
PANDAS = "import sys, pandas; print(len(pandas.read_json(sys.argv[1], lines=True)))"
WORDS = "the answer is that a kettle boils water when heat reaches it and nobody knows “why” B)"
MODELS = ("llama3.2-1b", "llama3.2-3b", "qwen2.5-1.5b")
TASKS = {"jailbreak_amplification": "safety", "bbq_bias": "safety", "mmlu_real": "capability"}
TOKENS = 64
PANDAS_ROWS = 20_000
LOOK_S = 0.1
Row = dict[str, Any]
COMPANION = {"response_hash": "0" * 64, "finish_reason": "stop", "cached_tokens": 0}
SOLO_STEPS = {
    "steps": 64,
    "admitted_first_step": 1,
    "shared_decode_share": 0.0,
    "mixed_steps": 0,
    "source": "log",
}
BATCH_STEPS = SOLO_STEPS | {"steps": 66, "shared_decode_share": 1.0, "mixed_steps": 2}


@dataclass(frozen=True, slots=True)
class Measurement:
    """Seconds on the clock and of the processor, and peak memory, of a command.

    Attributes:
        peak_mib: the most that its processes held together, pages that they share counted once.
        processes: the most that it had at once.
    """

    seconds: float
    processor: float
    peak_mib: float
    processes: int = 1

    def __str__(self) -> str:
        times = f"{self.seconds:7.1f} s   processor {self.processor:7.1f} s"
        of = f"   {self.processes} processes" if self.processes > 1 else ""
        return f"{times}   peak {self.peak_mib:8,.0f} MiB{of}"


def measure(command: list[str], tree: Path = ROOT) -> Measurement:
    """Run a command to its end on a checkout; its memory is looked at ten times a second."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )
    most, processes = 0.0, 1
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        held = [held_mib(pid) for pid in (process.pid, *children_of(process.pid))]
        most, processes = max(most, sum(held)), max(processes, len(held))
        time.sleep(LOOK_S)
    _, status, usage = ended
    seconds = time.perf_counter() - start
    if status:
        message = process.stderr.read().decode() if process.stderr else ""
        raise SystemExit(f"{command[0]} failed with status {status}: {message[-2000:]}")
    alone = usage.ru_maxrss / 1024  # of the largest process, as the kernel saw it
    return Measurement(seconds, usage.ru_utime + usage.ru_stime, max(most, alone), processes)


def children_of(pid: int) -> list[int]:
    """The processes that a process started and that have not ended."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def held_mib(pid: int) -> float:
    """The memory of a process, shared pages by its share; 0 where it has ended."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in told.splitlines() if line[:4] == "Pss:") / 1024


def required_columns(number: int, mode: str, rng: random.Random) -> Row:
    """One record with the required columns only; about 2% of the standard rows flip."""
    task = list(TASKS)[number % len(TASKS)]
    digest = sha256(f"{mode}{number}".encode()).hexdigest()
    flips = mode == "standard" and rng.random() < 0.02
    other = sha256(f"{mode}{number}x".encode()).hexdigest()
    return {
        "model": MODELS[number % len(MODELS)],
        "task_name": task,
        "sample_id": f"{task}_{number // 6:06d}",
        "batch_size": (2, 4, 8, 16, 32)[number % 5],
        "dispatch_mode": "synchronized",
        "phase": f"phase{1 + number % 5}",
        "domain": TASKS[task],
        "original_direction": None,
        "mode": mode,
        "status": "ok",
        "solo_score": 1.0,
        "batch_score": 0.0 if flips else 1.0,
        "solo_response_hash": digest,
        "batch_response_hash": other if flips else digest,
    }


def own_record(number: int, mode: str, rng: random.Random) -> Row:
    """The same record as the harness writes it: four askings, companions and witness."""
    row = required_columns(number, mode, rng)
    flips = row["solo_response_hash"] != row["batch_response_hash"]
    solo = _answer(rng)
    group = [f"{row['task_name']}/{row['sample_id']}"]
    group += [f"other/{number + place}" for place in range(1, row["batch_size"])]
    row |= {
        "schema_version": 2,
        "run_id": "bench",
        "record_id": row["solo_response_hash"][:16],
        "hf_id": "org/model",
        "error": None,
        "prompt_sha256": sha256(str(number).encode()).hexdigest(),
        "group": group,
        "target_index": 0,
        "solo_label": "refused",
        "batch_label": "complied" if flips else "refused",
        "label_flip": flips,
        "text_change": flips,
        "solo": solo,
        "batched": _answer(rng) if flips else solo,
        "askings": {"S1": solo, "S2": solo, "B2": None},
        "pattern": "batch" if flips else "same",
        "companions": [{"key": key, **COMPANION} for key in group[1:]],
        "warmed": row["batch_size"] - 1,
        "witness": {"S0": SOLO_STEPS, "S1": SOLO_STEPS, "B": BATCH_STEPS, "S2": SOLO_STEPS},
        "sampling": {"max_tokens": 256, "temperature": 0.0, "seed": 42},
        "score_profile": "strict",
        "extra": {},
    }
    return row


def _answer(rng: random.Random) -> Row:
    words = WORDS.split()
    return {
        "text": " ".join(rng.choice(words) for _ in range(TOKENS)),
        "token_ids": [rng.randrange(128_000) for _ in range(TOKENS)],
        "finish_reason": "stop",
        "latency_s": 0.41,
        "attempts": 1,
        "score": 1.0,
        "label": "refused",
        "score_evidence": {"rule": "head", "span": [0, 3], "matched": "the", "scorer": "r/1"},
    }


def write(path: Path, rows: int, make: Callable[[int, str, random.Random], Row]) -> None:
    """Write ``rows`` candidates in both modes."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(
            json.dumps(sealed(row) if "run_id" in row else row) + "\n"
            for mode in ("standard", "batch_invariant")
            for number in range(rows)
            for row in [make(number, mode, rng)]
        )


def head(path: Path, lines: int) -> Path:
    """The first lines of a file, as a file."""
    part = path.with_name(f"{path.stem}-head.jsonl")
    with path.open("rb") as source, part.open("wb") as target:
        target.writelines(line for _, line in zip(range(lines), source, strict=False))
    return part


def best_of(arguments: list[str], trees: Sequence[Path], rounds: int) -> list[Measurement]:
    """The round with the least processor time for each checkout; they take turns in a round."""
    command = [sys.executable, "-m", "harness", *arguments]
    found = [[measure(command, tree) for tree in trees] for _ in range(rounds)]
    return [min(column, key=lambda m: m.processor) for column in zip(*found, strict=True)]


def compared(name: str, arguments: list[str], trees: Sequence[Path], rounds: int) -> Iterator[str]:
    """One line a checkout; with two of them, the time of the first as a share of the second's."""
    found = best_of(arguments, trees, rounds)
    for tree, measurement in zip(trees, found, strict=True):
        where = "" if tree == ROOT else f" of {tree.name}"
        yield _line(f"{name}{where}", measurement)
    if len(found) > 1:
        share = found[0].processor / found[1].processor
        yield f"  {'processor time against the other checkout':<44} {share:7.2f}"


def report(folder: Path, rows: int, trees: Sequence[Path], rounds: int) -> Iterator[str]:
    """Measure the start-up, a small run and both large forms, one line a measurement."""
    yield from compared("harness --help", ["--help"], trees, max(rounds, 5))
    small = folder / "small.jsonl"
    write(small, 55, own_record)
    yield from compared("summarize, 110 records", ["summarize", str(small)], trees, max(rounds, 5))
    for name, make in (("required", required_columns), ("own", own_record)):
        path = folder / f"{name}.jsonl"
        write(path, rows, make)
        size = path.stat().st_size / 2**20
        yield f"{name}: {rows} x 2 records, {size:,.0f} MiB"
        yield from compared("harness summarize", ["summarize", str(path)], trees, rounds)
        if name == "required":
            yield _line("pandas.read_json", measure([sys.executable, "-c", PANDAS, str(path)]))
        else:
            part = head(path, PANDAS_ROWS)
            share = min(1.0, PANDAS_ROWS / (2 * rows))
            found = measure([sys.executable, "-c", PANDAS, str(part)])
            yield _line(f"pandas.read_json, the first {share:.1%} only", found)
            part.unlink()
        path.unlink()


def _line(name: str, found: Measurement) -> str:
    return f"  {name:<44} {found}"


def main() -> None:
    """Parse the command line and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("--rows", type=int, default=306_996, help="candidates; records are twice")
    parser.add_argument("--against", type=Path, help="another checkout, measured on the same files")
    parser.add_argument("--rounds", type=int, default=1, help="take the fastest of so many")
    asked = parser.parse_args()
    trees = [ROOT, *([asked.against.resolve()] if asked.against else [])]
    with tempfile.TemporaryDirectory() as folder:
        for line in report(Path(folder), asked.rows, trees, asked.rounds):
            print(line, flush=True)  # noqa: T201 - the benchmark's result


if __name__ == "__main__":
    main()
