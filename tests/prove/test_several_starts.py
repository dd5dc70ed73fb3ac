"""A log that was appended to is judged by its last start, or not at all; real logs, joined."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from harness.prove import read_activation, read_facts
from harness.prove.server_log import ServerLog
from harness.words import Mode, Verdict

LOGS = Path(__file__).parent.parent / "data" / "vllm_logs"
STANDARD, INVARIANT = Mode.STANDARD, Mode.BATCH_INVARIANT
PAIRS = {
    "0.19.1, GPU": ("0.19.1-h200-standard", "0.19.1-h200-batch_invariant"),
    "0.20.2, GPU": ("0.20.2-h200-standard", "0.20.2-h200-batch_invariant"),
    # the same process ids in both, as a container that is started again has
    "0.19.1, container": (
        "0.19.1-h200-docker-standard-gated",
        "0.19.1-h200-docker-batch_invariant-gated",
    ),
    "0.32.0, CPU": ("0.32.0-cpu-plugin-standard", "0.32.0-cpu-plugin-batch_invariant"),
}
CASES = [(pair, last) for pair in PAIRS for last in Mode]


def log(name: str) -> str:
    return (LOGS / f"vllm-{name}.log").read_text(encoding="utf-8", errors="replace")


def both(pair: str, last: Mode) -> str:
    names = PAIRS[pair] if last is INVARIANT else PAIRS[pair][::-1]
    return "\n".join(log(name).rstrip("\n") for name in names)


@pytest.mark.parametrize("path", sorted(LOGS.glob("*.log")), ids=lambda path: path.name)
def test_every_real_log_is_one_start(path: Path):
    read = ServerLog.read(path.read_text(errors="replace"))
    assert (read.starts, read.mixed) == (1, "")


@pytest.mark.parametrize(("pair", "last"), CASES)
def test_an_appended_log_is_judged_by_its_last_start(pair: str, last: Mode):
    text = both(pair, last)
    alone = log(PAIRS[pair][last is INVARIANT])
    for mode in Mode:
        found, expected = read_activation(text, mode=mode), read_activation(alone, mode=mode)
        assert found.verdict is expected.verdict
        assert found.starts == 2
        assert "2 server starts" in found.notes[0]


@pytest.mark.parametrize(("pair", "last"), CASES)
def test_only_lines_of_the_last_start_are_quoted_at_their_own_numbers(pair: str, last: Mode):
    text = both(pair, last)
    lines = text.split("\n")
    begins = len(lines) - len(log(PAIRS[pair][last is INVARIANT]).rstrip("\n").split("\n"))
    quoted = read_activation(text, mode=last).lines
    assert all(line.number > begins for line in quoted)
    for line in quoted:
        assert line.text.startswith("Initializing") or line.text in lines[line.number - 1]
    assert bool(quoted) or last is STANDARD


@pytest.mark.parametrize(("pair", "last"), CASES)
def test_the_facts_are_the_last_starts(pair: str, last: Mode):
    assert read_facts(both(pair, last)) == read_facts(log(PAIRS[pair][last is INVARIANT]))


def test_a_last_start_that_never_served_proves_nothing():
    text = (
        log("0.20.2-h200-batch_invariant")
        + log("0.20.2-h200-batch_invariant").split("Starting vLLM server", 1)[0]
    )
    assert read_activation(text, mode=INVARIANT).verdict is Verdict.INCONCLUSIVE


def test_ten_starts_in_one_log_are_counted():
    text = "\n".join([log("0.20.2-h200-standard").rstrip("\n")] * 10)
    assert read_activation(text, mode=STANDARD).starts == 10
    assert read_activation(text, mode=STANDARD).verdict is Verdict.CLEAN


@pytest.mark.parametrize("mode", list(Mode))
def test_two_servers_that_write_at_the_same_time_are_not_told_apart(mode: Mode):
    """An earlier server's process writes on after the last one has started."""
    first = log("0.20.2-h200-standard").rstrip("\n").split("\n")
    second = log("0.20.2-h200-batch_invariant").rstrip("\n").split("\n")
    half = len(second) // 2
    text = "\n".join([*first[:-3], *second[:half], *first[-3:], *second[half:]])
    evidence = read_activation(text, mode=mode)
    assert evidence.verdict in {Verdict.INCONCLUSIVE, Verdict.CONTAMINATED}
    if mode is INVARIANT:
        assert "an earlier server writes on" in evidence.missing[0]


def test_lines_that_two_servers_wrote_by_turns_prove_nothing():
    first = log("0.20.2-h200-batch_invariant").split("\n")
    second = log("0.20.2-h200-standard").split("\n")
    turns = itertools.chain.from_iterable(itertools.zip_longest(first, second, fillvalue=""))
    assert read_activation("\n".join(turns), mode=INVARIANT).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("mode", list(Mode))
def test_an_engine_that_starts_anew_without_a_servers_start_is_not_told_apart(mode: Mode):
    name = f"0.20.2-h200-{mode}"
    signs = ("version 0.20.2", "non-default args")
    second = (line for line in log(name).split("\n") if not any(sign in line for sign in signs))
    evidence = read_activation(log(name) + "\n".join(second), mode=mode)
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert "no start of a server stands before it" in evidence.missing[0]
