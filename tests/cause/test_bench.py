"""What the mode costs: ratios of paired blocks, and the verb on the stand-in server."""

from __future__ import annotations

import json
import random
from datetime import datetime
from pathlib import Path

import pytest
from sealing import seal

from harness.cause import Reading, costs
from harness.jobs import benching
from harness.jobs.certifying import Asked
from harness.jobs.matrix_cells import Cells, read_axes
from harness.records import sealed
from harness.settings import load_spec
from harness.words import DispatchMode

ONE = Asked((DispatchMode.SYNCHRONIZED,), (2,), 2, 1)


def readings(*blocks, measure="start-up"):
    for n, values in enumerate(blocks, start=1):
        for arm, value in zip(("standard", "batch_invariant"), values, strict=True):
            yield Reading(n, arm, measure, "s", value)


def test_a_ratio_is_of_paired_blocks_and_a_drift_of_the_machine_cancels():
    (found,) = costs(list(readings((1, 2), (10, 20), (100, 200))), "standard")
    assert found.ratio == pytest.approx(2)
    assert (found.low, found.high) == (pytest.approx(2), pytest.approx(2))
    assert found.blocks == 3


def test_the_interval_is_students_and_holds_the_truth_in_95_of_100():
    chance, held = random.Random(3), 0
    for _ in range(600):
        pairs = [(1.0, 1.5 * 2 ** chance.gauss(0, 0.2)) for _ in range(5)]
        (found,) = costs(list(readings(*pairs)), "standard")
        held += found.low <= 1.5 <= found.high
    assert 0.93 <= held / 600 <= 0.97


def test_a_ratio_turned_round_is_its_inverse():
    pairs = [(1.0, 1.3), (1.1, 1.2), (0.9, 1.4)]
    (one,) = costs(list(readings(*pairs)), "standard")
    (other,) = costs(list(readings(*pairs)), "batch_invariant")
    assert one.ratio * other.ratio == pytest.approx(1)
    assert one.low * other.high == pytest.approx(1)


def test_a_block_that_lacks_an_arm_is_left_out():
    rows = list(readings((1, 2), (1, 2)))[:-1]
    (found,) = costs(rows, "standard")
    assert (found.blocks, found.low) == (1, None)


def test_fewer_than_five_blocks_are_refused(place):
    code, _, err = place.harness("bench", "-c", "spec.yaml", "--blocks", "3")
    assert code == 2
    assert "at least 5" in err


def test_both_modes_are_measured_in_blocks_and_drawn(place):
    place.causes()
    flags = ("--concurrent", "1,4", "-o", "cost", "--quiet")
    code, out, err = place.harness("bench", "-c", "spec.yaml", *flags)
    assert code == 0, err
    told = json.loads(Path("cost/bench.json").read_text())
    names = {one["measure"]: one for one in told["costs"]}
    assert {"start-up", "first token alone", "throughput at 1", "throughput at 4"} <= set(names)
    assert all(one["blocks"] == 5 for one in told["costs"] if "token alone" not in one["measure"])
    assert names["throughput at 4"]["base"] > names["throughput at 1"]["base"]
    assert "batch_invariant: " in out
    assert "Ratio to the base" in Path("cost/bench.html").read_text()
    # what is there is not measured again
    assert place.harness("bench", "-c", "spec.yaml", *flags)[1] == out
    _insist_on_refusals(place, flags)


def _insist_on_refusals(place, flags):
    """What was changed is refused before a server is started; other prompts are asked anew."""
    kept = min(Path("results").glob("stack-bench-*-1/readings.jsonl"))
    lines = kept.read_text().splitlines()
    row = json.loads(lines[1])
    cases = {
        "an edited value": [lines[0], lines[1].replace(str(row["value"]), "0.5"), *lines[2:]],
        "no checksum": [lines[0], json.dumps(row | {"sum": None}), *lines[2:]],
        "a line twice": [lines[0], lines[0], *lines[2:]],
        "a line less": lines[:-1],
        "no line": [],
        "another arm": [json.dumps(sealed(row | {"arm": "another"})), *lines[1:]],
        "no number": [json.dumps(sealed(row | {"value": 1e999})), *lines[1:]],
        "half a line": [*lines[:-1], lines[-1][:-3]],
    }
    before = sorted(Path("results").iterdir())
    for what, changed in cases.items():
        kept.write_text("\n".join(changed))
        code, out, err = place.harness("bench", "-c", "spec.yaml", *flags)
        assert (code, out) == (2, ""), what
        assert str(kept) in err, what
        assert "--fresh measures anew" in err, what
    kept.write_text("\n".join([*lines, ""]))
    for name in ("metadata.json", next(kept.parent.glob("startup_*")).name):
        whole = kept.with_name(name).read_bytes()
        kept.with_name(name).unlink()
        code, out, err = place.harness("bench", "-c", "spec.yaml", *flags)
        assert (code, out, "--fresh measures anew" in err) == (2, "", True), name
        kept.with_name(name).write_bytes(whole)
    metadata = kept.with_name("metadata.json")
    whole = metadata.read_text()
    for name in ("run_id", "fingerprint"):
        seal(metadata, json.loads(whole) | {name: "0"})
        code, out, err = place.harness("bench", "-c", "spec.yaml", *flags)
        assert (code, out, f"its {name} is '0'" in err) == (2, "", True), err
        assert "--fresh measures anew" in err
    seal(metadata, json.loads(whole.replace("0.32.0", "0.33.0")))
    code, out, err = place.harness("bench", "-c", "spec.yaml", *flags)
    assert (code, out) == (2, "")
    assert "of another server than those beside them" in err
    metadata.write_text(whole)
    assert place.harness("bench", "-c", "spec.yaml", *flags)[0] == 0
    last = max(Path("results").glob("stack-bench-*-5"), key=lambda path: path.stat().st_mtime)
    last.rename("aside")
    engine = Path(".venv-cpu/bin/python")
    engine.write_text(engine.read_text().replace("0.32.0", "0.33.0"))
    code, out, err = place.harness("bench", "-c", "spec.yaml", *flags)
    assert (code, out) == (2, "")
    assert "vllm: '0.32.0', now '0.33.0'" in err
    # a refusal leaves no folder that it made
    assert sorted(Path("results").iterdir()) == [one for one in before if one != last]


def test_servers_that_are_up_at_once_are_measured_one_after_the_other(place):
    place.causes()
    flags = ("--concurrent", "4", "--overlap", "4", "-o", "cost", "--quiet")
    code, _, err = place.harness("bench", "-c", "spec.yaml", *flags)
    assert code == 0, err
    told = json.loads(Path("cost/bench.json").read_text())
    assert {one["measure"] for one in told["costs"]} >= {"throughput at 4"}
    assert "start-up" not in {one["measure"] for one in told["readings"]}
    kept = sorted(
        Path("results").glob("stack-bench-*/readings.jsonl"), key=lambda p: p.stat().st_mtime
    )
    assert len(kept) == 10
    starts = [json.loads(next(one.parent.glob("startup_*")).read_text()) for one in kept]
    ports = [one["attempts"][0]["server"]["port"] for one in starts]
    assert len(set(ports[:4])) == 4
    began = [datetime.fromisoformat(one["attempts"][0]["started_at"]) for one in starts]
    ended = [datetime.fromisoformat(one["attempts"][0]["ended_at"]) for one in starts]
    assert max(began[:4]) < min(ended[:4])  # all four were up before the first was done
    assert max(ended[:4]) <= min(began[4:8])


def test_a_folder_where_readings_are_to_be_is_refused_before_a_server_starts(place):
    place.causes()
    cells = Cells(load_spec("spec.yaml"), read_axes(["mode"]), ONE, Path("results"))
    kept = benching._Bench(cells, cells.axes[0], (1,))._kept((5, "batch_invariant"))
    kept.mkdir(parents=True)
    code, out, err = place.harness("bench", "-c", "spec.yaml", "--concurrent", "1", "--quiet")
    assert (code, out, f"{kept}: is a folder" in err) == (2, "", True), err
    assert len(list(Path("results").iterdir())) == 1


def test_other_prompts_are_measured_anew_though_the_plan_has_them_not(place):
    def kept():
        cells = Cells(load_spec("spec.yaml"), read_axes(["mode"]), ONE, Path("results"))
        return benching._Bench(cells, cells.axes[0], (1,))._kept((1, "standard"))

    before, task = kept(), Path("tasks/letters.yaml")
    task.write_text(task.read_text().replace("larch?", "lilac?"))  # the last prompt
    assert kept() != before


def test_an_edited_file_of_the_server_is_measured_anew(place):
    template = Path("chat.jinja")

    def kept(text):
        template.write_text(text)
        loaded = load_spec("spec.yaml", {"server.extra_args": [f"--chat-template={template}"]})
        cells = Cells(loaded, read_axes(["mode"]), ONE, Path("results"))
        return benching._Bench(cells, cells.axes[0], (1,))._kept((1, "standard"))

    one = kept("one")
    assert kept("another") != one
    assert kept("one") == one


def test_other_numbers_at_once_are_measured_anew(place):
    cells = Cells(load_spec("spec.yaml"), read_axes(["mode"]), ONE, Path("results"))
    one, other = (benching._Bench(cells, cells.axes[0], sizes) for sizes in ((1, 4), (1, 8)))
    assert one._kept((1, "standard")) != other._kept((1, "standard"))


@pytest.mark.parametrize(
    "axis",
    [
        "schedule=gated|wide",
        "schedule=staggered|synchronized|gated",
        "width=2|4",
        "tensor_parallel=1|01",
        "slots=--max-num-seqs 4|--max-num-seqs  4",
        "way=A_VARIABLE=1 --x 2|--x 2 A_VARIABLE=1",
    ],
)
@pytest.mark.parametrize("overlap", ["1", "2"])
def test_an_axis_that_changes_no_server_is_refused_before_one_starts(place, axis, overlap):
    place.causes()
    flags = ("--axis", axis, "--overlap", overlap, "-o", "cost", "--quiet")
    code, out, err = place.harness("bench", "-c", "spec.yaml", *flags)
    assert (code, out) == (2, "")
    assert f"--axis {axis.partition('=')[0]}: " in err
    assert "are the same server to what bench sends" in err
    assert not list(Path().glob("results/*"))
    assert not Path("cost").exists()


@pytest.mark.parametrize(
    "axis",
    [
        "mode",
        "graphs",
        "async_scheduling",
        "plugin",
        "dtype",
        "attention",
        "prefix_cache=off|salted",
        "server=http://127.0.0.1:1|http://127.0.0.1:2",
        "slots=--max-num-seqs 4|--max-num-seqs 5",
    ],
)
def test_no_two_servers_of_a_bench_share_a_folder(place, axis):
    (read,) = read_axes([axis])
    cells = Cells(load_spec("spec.yaml"), (read,), ONE, Path("results"))
    bench = benching._Bench(cells, read, (1,))
    bench.insist_apart()
    servers = [(block, arm) for block in (1, 2) for arm in read.values]
    assert len({bench._kept(one) for one in servers}) == len(servers)
