"""What stands on a terminal while a run works: two lines of at most 80 columns that move."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from harness.conduct import ConsoleProgress
from harness.conduct.progress import Estimate
from harness.records import first_record
from harness.words import Mode

A_RUN = Path(__file__).parents[1] / "results/reference/h100-vllm-0.19.1-random-1b"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LONG = "an-organisation-with-a-name/and-a-model-with-a-much-longer-name-7b-instruct"


@pytest.fixture
def screen():
    written = io.StringIO()
    progress = ConsoleProgress(Console(file=written, force_terminal=True, width=80, soft_wrap=True))
    yield progress, lambda: CONTROL.sub("", written.getvalue()).replace("\r", "\n").splitlines()
    progress.end()


def test_both_lines_fit_80_columns_and_say_what_starts_and_for_how_long(screen):
    progress, lines = screen
    progress.begin(records=144, done=0, lifetimes=2)
    progress.server_starting(LONG, Mode.STANDARD)
    progress.server_starting("small", Mode.BATCH_INVARIANT)
    time.sleep(1.3)
    said = lines()
    assert max(map(cell_len, said)) <= 80
    assert any(
        f"starting {LONG[:20]}" in line and "1 s; time left not known yet" in line for line in said
    )
    assert any("0/144 0 text changes, 0 label flips" in line for line in said)


def test_a_server_that_ended_before_it_answered_is_not_waited_for(screen):
    progress, lines = screen
    progress.begin(records=2, done=0, lifetimes=2)
    progress.server_starting("small", Mode.STANDARD)
    progress.server_ended("small", Mode.STANDARD)
    seen = len(lines())
    time.sleep(0.6)
    assert lines()[seen:]
    assert not any("starting" in line for line in lines()[seen:])


def test_what_was_found_and_how_long_it_takes_stand_on_the_screen(screen):
    progress, lines = screen
    progress.begin(records=3, done=0, lifetimes=1)
    progress.server_starting("demo", Mode.STANDARD)
    progress.server_ready("demo", Mode.STANDARD, 3.0, "clean")
    first = first_record(A_RUN / "vllm_records.jsonl")
    progress.record_done(first)
    progress.record_done(replace(first, group=("other",)))
    time.sleep(0.6)
    said = lines()
    assert any("demo / standard: ready after 3 s, mode clean" in line for line in said)
    assert any(re.search(r"2/3 \d text changes, \d label flips", line) for line in said)
    assert any(re.search(r"about \d+ s left", line) for line in said)


def test_the_time_left_counts_down_by_what_was_measured_and_is_not_told_before():
    estimate = Estimate()
    assert estimate.seconds_left(10, 1) is None
    estimate.starts.append(30.0)
    assert estimate.seconds_left(10, 1) is None
    estimate.records.append(4.0)
    assert estimate.seconds_left(10, 1) == 70.0
    assert estimate.seconds_left(10, 1, starting_s=12.0) == 58.0
    assert estimate.seconds_left(10, 1, starting_s=80.0) == 40.0
    assert estimate.seconds_left(10, 0, asking_s=3.0) == 37.0
    assert estimate.seconds_left(0, 0, asking_s=3.0) == 0.0


def test_the_time_left_is_told_once_a_batch_is_done_whose_first_record_paid_for_all_of_it():
    estimate = Estimate()
    estimate.record("small / standard", ("a", "b"), 33.0)
    estimate.record("other / standard", ("a", "b"), 3.0)
    assert estimate.seconds_left(143, 0) is None
    estimate.record("small / standard", ("a", "b"), 0.0)
    estimate.record("small / standard", ("a", "b"), 0.0)
    assert estimate.seconds_left(140, 0) is None
    estimate.record("small / standard", ("c", "d"), 20.0)
    assert estimate.seconds_left(100, 0) == 1100.0


def test_runs_of_one_command_make_a_remark_once():
    told, out = set(), io.StringIO()
    for _ in range(3):
        progress = ConsoleProgress(Console(file=out, width=200), told=told)
        progress.remark("the release is not known")
        progress.note("ready")
    assert out.getvalue().count("the release is not known") == 1
    assert out.getvalue().count("ready") == 3
