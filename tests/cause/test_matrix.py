"""``harness matrix`` on the scripted stand-in server: axes put into specs, cells run, an answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cause.conftest import STAND_IN

from harness.cause import Axis
from harness.errors import UsageError
from harness.jobs.certifying import Asked
from harness.jobs.matrix_cells import Cells, read_axes
from harness.serve import free_port
from harness.settings import load_spec
from harness.words import BackendName, CachePolicy, DispatchMode, Mode

ASKED = Asked((DispatchMode.STAGGERED,), (8,), 24, 1)
SMALL = ("--widths", "4", "--prompts", "4", "--schedules", "staggered", "--quiet")


def spec_of(*cell, axes):
    cells = Cells(load_spec("controlled"), read_axes(axes), ASKED, Path("results"))
    loaded, asked = cells.spec_of(cell)
    return loaded.spec, asked


def test_the_attention_axis_sets_backend_and_generation():
    axes = ["attention"]
    base, _ = spec_of(axes=axes)
    assert base.server.attention_backend == "FLASH_ATTN"
    assert base.server.extra_args[-1] == '{"flash_attn_version": 3}'
    two, _ = spec_of(("attention", "FA2"), axes=axes)
    assert two.server.extra_args[-1] == '{"flash_attn_version": 2}'
    triton, _ = spec_of(("attention", "TRITON_ATTN"), axes=axes)
    assert triton.server.attention_backend == "TRITON_ATTN"
    assert "flash_attn_version" not in " ".join(triton.server.extra_args)


def test_every_named_axis_has_a_meaning():
    named = ["prefix_cache", "graphs", "async_scheduling", "schedule", "width", "dtype", "plugin"]
    spec, asked = spec_of(
        ("prefix_cache", "off"), ("graphs", "off"), ("schedule", "gated"), ("width", "2"),
        ("plugin", "no-norm"), axes=[*named, "tensor_parallel", "mode"],
    )  # fmt: skip
    assert spec.controls.prefix_caching is CachePolicy.OFF
    assert "--enforce-eager" in spec.server.extra_args
    assert (asked.schedules, asked.widths) == ((DispatchMode.GATED,), (2,))
    assert spec.server.env["VLLM_CPU_BATCH_INVARIANT_PARTS"] == "no-norm"
    assert spec.modes == (Mode.STANDARD,)  # the base's


def test_a_free_axis_is_arguments_and_variables():
    (axis,) = read_axes(["slots=--max-num-seqs 64|--max-num-seqs 8 VLLM_X=1"])
    assert axis == Axis("slots", ("--max-num-seqs 64", "--max-num-seqs 8 VLLM_X=1"))
    spec, _ = spec_of(("slots", axis.others[0]), axes=["slots=--max-num-seqs 64|" + axis.others[0]])
    assert spec.server.extra_args[-2:] == ("--max-num-seqs", "8")
    assert spec.server.env["VLLM_X"] == "1"


def test_servers_that_run_already_are_an_axis_too():
    axes = ["server=http://127.0.0.1:1,a.log|http://127.0.0.1:2,b.log"]
    spec, _ = spec_of(("server", "http://127.0.0.1:2,b.log"), axes=axes)
    assert spec.backend is BackendName.EXTERNAL
    (there,) = spec.external.values()
    assert (there.url, there.log) == ("http://127.0.0.1:2", "b.log")


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "server",
        "server=a|b",
        "graphs=on",
        "graphs=on|maybe",
        "schedule=gated|gatd",
        "dtype=a|a",
    ],
)
def test_an_axis_that_means_nothing_is_refused(text):
    with pytest.raises(UsageError):
        read_axes([text])


def test_the_axis_that_takes_the_change_away_is_named_and_drawn(place):
    place.causes({"mode": "batch_invariant", "arguments": {"--kernel": "one"}})
    axes = ("--axis", "other=--x 1|--x 2", "--axis", "kernel=--kernel one|--kernel two")
    flags = (*SMALL, "--overlap", "4", "-o", "matrix")
    code, out, err = place.harness("matrix", "-c", "spec.yaml", *axes, *flags)
    assert code == 0, err
    assert out.startswith("one axis: the change goes away with kernel (--kernel two)")
    assert "no entry of the register fits" in out
    told = json.loads(Path("matrix/matrix.json").read_text())
    assert told["removed_by"] == {"kernel": ["--kernel two"]}
    by_name = {cell["cell"][0][1] if cell["cell"] else "base": cell for cell in told["cells"]}
    assert by_name["base"]["changed"] == by_name["--x 2"]["changed"] == 4
    # what was asked ahead is what would have been asked one after the other
    assert [one["lifetimes"] for one in told["cells"]] == [6, 1, 3]
    assert by_name["--kernel two"]["bound"] == pytest.approx(1 - 0.05 ** (1 / 4))
    assert "Prompts that change with the batch" in Path("matrix/matrix.html").read_text()


def test_what_no_axis_takes_away_is_unknown(place):
    place.causes({"mode": "batch_invariant"})
    axes = ("--axis", "kernel=--kernel one|--kernel two")
    code, out, _ = place.harness("matrix", "-c", "spec.yaml", *axes, *SMALL)
    assert code == 1
    assert out.startswith("unknown: no value of any axis")


@pytest.mark.parametrize("noisy", ["one", "two"])  # at the base, and where it would be clean
def test_a_cell_whose_texts_change_alone_too_is_never_a_clean_one(place, noisy):
    place.causes(
        {"mode": "batch_invariant", "arguments": {"--kernel": "one"}},
        {"arguments": {"--kernel": noisy}, "width": 1, "flaky": 0.4},
    )
    axes = ("--axis", "kernel=--kernel one|--kernel two")
    code, out, _ = place.harness("matrix", "-c", "spec.yaml", *axes, *SMALL, "--fresh")
    assert (code, out.partition(":")[0]) == (1, "unknown"), out


def test_servers_that_run_already_are_asked_and_told_apart(place, tmp_path):
    sides, processes = [], []
    try:
        for name, causes in (("planted", [{"mode": "batch_invariant"}]), ("whole", [])):
            Path(f"{name}.json").write_text(json.dumps(causes))
            port, log = free_port(18750 + 10 * len(sides)), tmp_path / f"{name}.log"
            command = [sys.executable, "-S", "-E", str(STAND_IN), "--model", "example/tiny"]
            command += ["--served-model-name", "tiny", "--port", str(port), "--host", "127.0.0.1"]
            told = {"VLLM_BATCH_INVARIANT": "1", "STAND_IN_CAUSES": f"{tmp_path}/{name}.json"}
            with log.open("wb") as stream:
                processes.append(
                    subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | told)
                )
            sides.append(f"http://127.0.0.1:{port},{log}")
        deadline = time.monotonic() + 60
        while not all("startup complete" in Path(s.split(",")[1]).read_text() for s in sides):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        axis = f"server={'|'.join(sides)}"
        code, out, err = place.harness("matrix", "-c", "spec.yaml", "--axis", axis, *SMALL)
        assert code == 0, err
        assert out.startswith(f"one axis: the change goes away with server ({sides[1]})")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)
