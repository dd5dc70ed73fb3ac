"""A scan of a whole population in both modes, over the stand-in server: what it says and gives."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from harness.records import RECORDS


def rows_of(run):
    lines = (Path("results") / run / RECORDS).read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_both_modes_of_a_population_share_the_askings_alone_and_carry_claims(place):
    place.causes({"mode": "standard", "of": 0.6})
    code, out, err = place.harness(
        *("scan", "-c", "spec.yaml", "--run-id", "all", "--batch-sizes", "2,4", "--both-modes"),
        *("--dispatch-modes", "synchronized", "--select", "text_change"),
    )
    assert code == 0, err
    assert "48 rows of 12 prompts in 2 server lifetimes: " in err
    assert "detectable at 80% power between the modes, by prompt: " in err
    assert "GPU hours" not in err  # these are the CPU engine's servers
    rows = rows_of("all")
    assert len(rows) == 12 * 2 * 2
    alone = defaultdict(set)
    for row in rows:
        alone[row["mode"], row["sample_id"]].add(row["solo"]["latency_s"])
    assert {len(times) for times in alone.values()} == {1}  # asked once for both batch sizes
    assert "Batch-invariant kernels remove that change" in out
    assert Path("results/all/summary.json").exists()
    assert Path("results/all/candidates.csv").exists()
    assert (
        place.harness("validate", "results/all", "--require-modes", "standard,batch_invariant")[0]
        == 0
    )


def test_a_scan_without_it_asks_the_first_mode_alone_and_detects_nothing_between_modes(place):
    place.causes({"mode": "standard"})
    code, _, err = place.harness(
        *("scan", "-c", "spec.yaml", "--run-id", "one", "--batch-sizes", "4"),
        *("--dispatch-modes", "synchronized", "--select", "text_change"),
    )
    assert code == 0, err
    assert "12 rows of 12 prompts in 1 server lifetime: " in err
    assert "detectable" not in err
    assert "warning" not in err
    assert {row["mode"] for row in rows_of("one")} == {"standard"}


def test_a_price_makes_money_of_gpu_hours_and_nothing_is_started(place):
    Path("candidates.csv").write_text(
        "model,task_name,sample_id,batch_size,dispatch_mode\ntiny,letters,amber,4,synchronized\n"
    )
    spec = Path("spec.yaml").read_text().replace("VLLM_CPU_KVCACHE_SPACE", "OTHER")
    Path("spec.yaml").write_text(spec)
    code, out, _ = place.harness("plan", "-c", "spec.yaml", "--gpu-price", "3")
    assert code == 0
    line = next(line for line in out.splitlines() if "GPU hours" in line)
    hours = float(line.partition("; ")[2].split()[0])
    assert "0.1 GPU hours, $0.15 at $3.00 an hour" in line
    assert hours == 0.1
    assert "GPU hours" in place.harness("plan", "-c", "spec.yaml")[1]
    assert "$" not in place.harness("plan", "-c", "spec.yaml")[1]
    for price in ("-1", "nan", "inf"):
        code, out, err = place.harness("plan", "-c", "spec.yaml", f"--gpu-price={price}")
        assert (code, out) == (2, "")
        assert "is no price" in err
