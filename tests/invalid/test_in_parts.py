"""A file that several processes read, each a part of its lines, is what one process reads."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from stand_in_run import answer, failed, restate, stand_in

from harness.cli import main
from harness.errors import UsageError
from harness.records import read_records, reader, scan_records, sealed, side_by_side
from harness.records.parts import WHOLE, lines_in, parts_of
from harness.records.rows import FlatRow

SHAPES = (
    {"prompts": 9, "askings": ("S0", "S1", "B", "B2", "S2"), "lifetimes": 2},
    {"prompts": 12, "models": ("llama", "qwen"), "policy": "on"},
    {"prompts": 10, "size": 4, "schedules": ("gated", "prompt_list", "staggered")},
)
ROWS = [row for shape in SHAPES for row in stand_in(**shape).rows]


def flat(row):
    return {name: row[name] for name in FlatRow.__struct_fields__}


def old(row):
    """As schema 1 has it, with repeats for askings."""
    repeats = {"solo_repeats": [row["solo"], answer("Another.")], "batched_repeats": []}
    return flat(row) | {name: row[name] for name in ("solo", "batched", "group")} | repeats


def changed(**other):
    return lambda row: {**row, **other}


def nested(change):
    def made(row):
        change(new := deepcopy(row))
        return new

    return made


def of_other_text(row):
    row["askings"]["S1"] = answer("I cannot say.")


def of_other_tokens(row):
    row["batched"]["token_ids"] = [*row["batched"]["token_ids"][:-1], 7]


def of_one_time(row):
    for one in (row["solo"], row["askings"]["S1"], row["batched"]):
        one["latency_s"] = 0.25


def of_another_batch(row):
    row["group"] = row["group"][::-1]


def of_a_contradiction(row):
    row["companions"][0]["response_hash"] = "0" * 64


def of_an_unknown_answer(row):
    row["companions"][0]["response_hash"] = None


def of_an_odd_ending(row):
    row["solo"]["finish_reason"] = "abort"
    row["companions"][-1]["finish_reason"] = None


def of_a_full_cache(row):
    row["solo"]["cached_earlier"] = 16
    row["batched"]["cached_tokens"] = None


def of_another_score(row):
    row["batched"] |= {"score": 0.5, "label": "partly"}
    restate(row)


CHANGES = (
    *(flat, old, lambda row: failed(row, "B: HTTP 503")),
    *(changed(start=3), changed(witness=None), changed(group=None), changed(companions=None)),
    *(changed(group="none"), changed(solo_label="new", solo_score=None), changed(phase=7)),
    *(changed(record_id="x"), changed(schema_version=9), changed(target_index=None)),
    *(changed(solo=None, batched=None), changed(sampling={"max_tokens": 3})),
    *(changed(solo_response_hash=None), changed(batch_size="many"), changed(prompt_sha256=None)),
    *map(
        nested,
        (
            *(of_other_text, of_other_tokens, of_one_time, of_another_batch, of_a_contradiction),
            *(of_an_unknown_answer, of_an_odd_ending, of_a_full_cache, of_another_score),
        ),
    ),
)
LINES = st.one_of(
    st.sampled_from(ROWS).map(lambda row: json.dumps(sealed(row)).encode()),
    st.tuples(st.sampled_from(CHANGES), st.sampled_from(ROWS[:12])).map(
        lambda told: json.dumps(sealed(told[0](told[1]))).encode()
    ),
    st.sampled_from(ROWS).map(lambda row: json.dumps(old(row)).encode()),
    st.sampled_from(
        (b"", b"  ", b"{oops}", b"\xff", json.dumps(sealed(ROWS[0])).encode()[:-40], b"[]")
    ),
)
FILES = st.tuples(
    st.sampled_from((b"", b"\xef\xbb\xbf")),
    st.lists(LINES, min_size=1, max_size=40).map(b"\n".join),
    st.sampled_from((b"\n", b"", b"\n\n", b"\r\n")),
).map(b"".join)


@contextmanager
def in_parts(many):
    """Read whatever there is in so many parts; whether it was."""
    read, done = side_by_side.read_side_by_side, []

    def noted(*how):
        done.append((built := read(*how)) is not None)
        return built

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "SMALLEST_PART", 1)
        patch.setattr(reader, "_cores", lambda: many)
        patch.setattr(side_by_side, "read_side_by_side", noted)
        yield done
    assert not multiprocessing.active_children()


def told(path, read):
    """All that is read, or why it is not."""
    try:
        records = read(path)
    except UsageError as error:
        return str(error)
    frame = records.frame
    words = {n: list(frame[n].cat.categories) for n in frame if frame[n].dtype == "category"}
    codes = {n: records.column(n) for n in frame}
    kinds = {n: column.dtype for n, column in codes.items()}
    rows = {n: column.tolist() if n in words else None for n, column in codes.items()}
    return (
        *(words, kinds, rows, records.candidates.to_json(), records.states, records.errors),
        *(records.changes, records.problems, records.checks, frame.to_json(), len(records)),
    )


READERS = (scan_records, read_records, lambda path: read_records(path, check=True))


def lines_of(*rows):
    return b"".join(json.dumps(sealed(row)).encode() + b"\n" for row in rows)


TIMED, OPPOSED, ASKED = (
    nested(of_one_time)(ROWS[0]),
    nested(of_a_contradiction)(ROWS[0]),
    changed(solo=None, batched=None)(ROWS[0]),
)


@example(data=lines_of(TIMED, ROWS[1], ROWS[2], TIMED), many=2)
@example(data=lines_of(ROWS[0], *ROWS[2:5], ROWS[0], OPPOSED), many=2)
@example(data=lines_of(*ROWS[1:3], ASKED, changed(askings={})(ASKED)), many=2)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=FILES, many=st.sampled_from((2, 3, 7)))
def test_parts_of_any_file_are_the_file(data, many, tmp_path):
    path = tmp_path / "vllm_records.jsonl"
    path.write_bytes(data)
    for read in READERS:
        with in_parts(1):
            whole = told(path, read)
        with in_parts(many):
            assert told(path, read) == whole


def said_of(folder, many):
    """The bytes of a run's summary and of its validation, and how often it was read in parts."""
    with in_parts(many) as done:
        for verb in ("summarize", "validate"):
            with pytest.raises(SystemExit):
                main([verb, str(folder)])
    return [(folder / f"{name}.json").read_bytes() for name in ("summary", "validation")], done


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_run_folder_has_one_summary_and_one_validation(shape, tmp_path):
    run = stand_in(**shape)
    of_another_score(run.rows[5])
    folder = run.write(tmp_path / "run")
    whole, done = said_of(folder, 1)
    assert not done
    for many in (2, 3, 7):
        files, done = said_of(folder, many)
        assert files == whole
        assert done == [True, True]


@pytest.fixture
def path(tmp_path):
    """A file of some records."""
    (path := tmp_path / "vllm_records.jsonl").write_text(
        "".join(json.dumps(sealed(row)) + "\n" for row in ROWS)
    )
    return path


@pytest.mark.parametrize("many", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", [b"", b"{"])
def test_parts_are_whole_lines_and_all_of_them(many, end, path):
    path.write_bytes(data := path.read_bytes() + end)
    parts = parts_of(path, many)
    found = [data[one.start :][: min(one.size, len(data))] for one in parts]
    assert b"".join(found) == data
    assert all(one.endswith(b"\n") for one in found[:-1])
    assert [lines_in(path, one) for one in parts] == [one.count(b"\n") for one in found]
    assert len(parts) == min(many, len(ROWS) + len(end))


def test_lines_of_the_required_columns_are_one_part(path):
    path.write_text("".join(json.dumps(flat(row)) + "\n" for row in ROWS))
    assert parts_of(path, 3) == (WHOLE,)
    with in_parts(3) as done:
        assert len(read_records(path)) == len(ROWS)
    assert done == [False]


def test_a_small_file_is_read_by_one_process(path, monkeypatch):
    monkeypatch.setattr(side_by_side, "read_side_by_side", None)
    assert len(read_records(path)) == len(ROWS)


def test_beside_another_thread_nothing_is_forked(path):
    over = threading.Event()
    (thread := threading.Thread(target=over.wait)).start()
    try:
        with in_parts(3) as done:
            assert len(read_records(path)) == len(ROWS)
    finally:
        over.set()
        thread.join()
    assert done == [False]


def elsewhere(act):
    """Have the process of each part but the first do this before it reads."""
    fill, here = reader._fill, os.getpid()

    def acting(*what, **how):
        if os.getpid() != here:
            act()
        fill(*what, **how)

    return acting


def test_where_a_process_is_killed_one_reads_all(path, monkeypatch):
    whole = told(path, scan_records)
    act = elsewhere(lambda: os.kill(os.getpid(), signal.SIGKILL))
    monkeypatch.setattr(reader, "_fill", act)
    with in_parts(3) as done:
        assert told(path, scan_records) == whole
    assert done == [False]


def test_where_another_file_takes_its_name_one_reads_all(path, tmp_path, monkeypatch):
    (other := tmp_path / "other").write_text(json.dumps(sealed(ROWS[0])) + "\n")
    monkeypatch.setattr(reader, "_fill", elsewhere(lambda: other.exists() and other.rename(path)))
    with in_parts(2) as done:
        assert len(scan_records(path)) == 1
    assert done == [False]


def test_records_that_contradict_those_of_another_part_are_named_by_one_process(path):
    of_a_contradiction(row := deepcopy(ROWS[0]))
    path.write_text(path.read_text() + json.dumps(sealed(row)) + "\n")
    whole = scan_records(path).checks.batches
    assert whole.dispatches.contradicted
    with in_parts(3) as done:
        assert scan_records(path).checks.batches == whole
    assert done == [False]


def test_ctrl_c_ends_all_of_them(path, monkeypatch):
    begun = time.monotonic()
    waiting = elsewhere(lambda: time.sleep(60))

    def interrupted(*what, **how):
        waiting(*what, **how)
        raise KeyboardInterrupt

    monkeypatch.setattr(reader, "_fill", interrupted)
    with pytest.raises(KeyboardInterrupt), in_parts(3):
        read_records(path)
    assert time.monotonic() - begun < 30


WAITS = """
import os, sys, time
from pathlib import Path
from harness.records import reader

reader.SMALLEST_PART, reader._cores, here = 1, lambda: 3, os.getpid()
def wait(*what, **how):
    if os.getpid() != here:
        Path(sys.argv[2], str(os.getpid())).touch()
    time.sleep(120)
reader._fill = wait
reader.read_records(sys.argv[1])
"""


def test_where_the_first_of_them_is_killed_all_end(path, tmp_path):
    (pids := tmp_path / "pids").mkdir()
    with subprocess.Popen([sys.executable, "-c", WAITS, str(path), str(pids)]) as first:
        until(lambda: len(list(pids.iterdir())) == 2)
        first.kill()
    until(lambda: not any(Path("/proc", one.name, "exe").exists() for one in pids.iterdir()))


def until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
