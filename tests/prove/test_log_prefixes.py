"""A log that somebody else wrote down is read without what was put before its lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.prove import GAP, read_activation, read_facts, read_steps
from harness.prove.server_log import ServerLog
from harness.words import Mode, Verdict

LOGS = Path(__file__).parent.parent / "data" / "vllm_logs"
INVARIANT = "vllm-0.20.2-h200-batch_invariant.log"
STANDARD = "vllm-0.19.1-h200-docker-standard-gated.log"
T = "2026-11-28T08:55:44.123456789Z "


def before(prefix: str) -> Callable[[str], str]:
    return lambda log: "\n".join(prefix + line for line in log.split("\n"))


def coloured(log: str) -> str:
    lines = (
        f"\x1b[36mstandard-1  |\x1b[0m \x1b]0;title\x07{line}\x1b[K" for line in log.split("\n")
    )
    return "\n".join(lines)


WRITTEN: dict[str, Callable[[str], str]] = {
    "docker compose logs": before("standard-1  | "),
    "docker compose logs of a project": before("my.project-standard-1 | "),
    "docker-compose 1": before("standard_1         | "),
    "docker compose logs, an empty line kept short": before("standard-1  |"),
    "docker compose logs, coloured": coloured,
    "docker compose logs -t": before(f"standard-1  | {T}"),
    "docker service logs": before("stack_standard.1.abcdef12345@node1    | "),
    "docker logs -t": before(T),
    "podman logs -t": before("2026-11-28T08:55:44+01:00 "),
    "kubectl logs --prefix": before("[pod/vllm-0/server] "),
    "kubectl logs --prefix --timestamps": before(f"[pod/vllm-0/server] {T}"),
    "CRI": before(f"{T}stdout F "),
    "journalctl": before("Nov 28 08:55:44 gpu-host vllm[4711]: "),
    "journalctl -o short-iso": before("2026-11-28T08:55:44+0000 gpu-host vllm[4711]: "),
    "journalctl of a container": before("Nov  8 08:55:44 gpu-host 0a1b2c3d4e5f[4711]: "),
    "line ends of Windows": lambda log: log.replace("\n", "\r\n"),
    "compose on Windows": lambda log: before("standard-1  | ")(log).replace("\n", "\r\n"),
}
written_so = pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN.keys())


def log_of(name: str) -> str:
    return (LOGS / name).read_text(errors="replace")


@written_so
@pytest.mark.parametrize(
    ("name", "mode"),
    [(INVARIANT, Mode.BATCH_INVARIANT), (INVARIANT, Mode.STANDARD), (STANDARD, Mode.STANDARD)],
)
def test_it_proves_what_the_log_itself_proves(write: Callable[[str], str], name: str, mode: Mode):
    plain = log_of(name)
    evidence = read_activation(write(plain), mode=mode)
    assert evidence == read_activation(plain, mode=mode)
    assert evidence.verdict is not Verdict.INCONCLUSIVE
    assert read_facts(write(plain)) == read_facts(plain)


@written_so
def test_the_engines_steps_are_read_too(write: Callable[[str], str]):
    plain = log_of(STANDARD)
    assert len(read_steps(plain)) > 5
    assert read_steps(write(plain)) == read_steps(plain)


def test_the_lines_of_two_services_in_one_log_prove_nothing():
    both = [
        *before("batch_invariant-1  | ")(log_of(INVARIANT)).split("\n"),
        *before("standard-1         | ")(log_of(STANDARD)).split("\n"),
    ]
    for log in ("\n".join(both), "\n".join(reversed(both))):
        for mode in Mode:
            evidence = read_activation(log, mode=mode)
            assert evidence.verdict is not Verdict.CLEAN
            assert evidence.verdict is not Verdict.ACTIVE
            assert "lines of batch_invariant-1, standard-1" in evidence.missing[0]
            assert "docker compose logs --no-log-prefix SERVICE" in evidence.missing[0]


@pytest.mark.parametrize(
    ("prefix", "named"),
    [('{"log":"', '{"log":"'), ("vllm-0 server > ", "vllm-0 server >"), ("\t#12 0.4 ", "\\t#12")],
)
def test_a_prefix_that_nobody_knows_is_named_with_the_remedy(prefix: str, named: str):
    evidence = read_activation(before(prefix)(log_of(STANDARD)), mode=Mode.STANDARD)
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert named in evidence.missing[0]
    assert "--no-log-prefix" in evidence.missing[0]


def test_a_bar_in_a_line_of_the_server_is_no_prefix():
    log = log_of(STANDARD) + "\na | b\nmodel | size | dtype\n"
    assert ServerLog.read(log).lines[-3].text == "a | b"
    assert not ServerLog.read(log).mixed


@pytest.mark.parametrize("mode", [Mode.BATCH_INVARIANT, Mode.STANDARD])
def test_a_gap_in_the_start_up_proves_nothing(mode: Mode):
    name = INVARIANT if mode is Mode.BATCH_INVARIANT else STANDARD
    lines = log_of(name).split("\n")
    for place in (0, 3, 20):
        log = "\n".join([*lines[:place], f"{GAP}rotated", *lines[place:]])
        evidence = read_activation(log, mode=mode)
        assert evidence.verdict is Verdict.INCONCLUSIVE
        assert "some are lost" in " ".join(evidence.missing)


def test_a_gap_while_it_serves_leaves_the_start_up_proven():
    log = log_of(STANDARD) + f"\n{GAP}rotated\n"
    assert read_activation(log, mode=Mode.STANDARD).verdict is Verdict.CLEAN
