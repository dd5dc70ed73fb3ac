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

from harness.cause import Axis, Trait, traits_of
from harness.errors import UsageError
from harness.jobs.certifying import Asked
from harness.jobs.matrix_cells import Cells, read_axes
from harness.serve import free_port
from harness.settings import load_spec
from harness.vllm_arguments import read_arguments
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


def test_passes_of_the_compiler_are_axes_that_go_together():
    spec, _ = spec_of(
        ("allreduce_fusion", "off"), axes=["allreduce_fusion", "sequence_parallel=off|on"]
    )
    given = read_arguments(spec.server.extra_args)
    told = {"pass_config": {"fuse_allreduce_rms": False, "enable_sp": False}}
    assert given["compilation_config"] == told
    known = traits_of(spec, Mode.BATCH_INVARIANT)
    assert known[Trait.ALLREDUCE_FUSION] == known[Trait.SEQUENCE_PARALLEL] == {"off"}


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
    ("text", "said"),
    [
        ("nonsense", "has no values"),
        ("server", "has no values"),
        ("server=a|b", "URL, or URL,LOG"),
        ("graphs=on", "needs two values"),
        ("graphs=on|maybe", "'maybe' is no value of it (known: on, off)"),
        ("schedule=gated|gatd", "did you mean 'gated'?"),
        ("dtype=a|a", "needs two values"),
        ("dtype=float16|flaot32", "did you mean 'float32'?"),
        ("dtype=float16|", "'' is no value of it"),
        ("attention=FA3|FA9", "'FA9' is no value of it"),
        ("attention=FLASH_ATTN|triton_attn", "'triton_attn' is no value of it"),
        ("plugin=all|half", "known: all, no-linear, no-norm"),
        ("tensor_parallel=1|0", "a number of GPUs"),
        ("tensor_parallel=1|-2", "a number of GPUs"),
        ("tensor_parallel=1|two", "a number of GPUs"),
        ("tensor_parallel=1|" + "9" * 5000, "a number of GPUs"),
        ("width=8|1", "--axis width: '1' is no whole number from 2 to 65,536"),
        ("width=8|x", "--axis width: 'x' is no whole number"),
        ("width=8|", "--axis width: '' is no whole number"),
        ("mode=standard|batchinvariant", "did you mean 'batch_invariant'?"),
        ('free=--x "1|--x 2', "no closing quotation"),
    ],
)
def test_an_axis_that_means_nothing_is_refused(text, said):
    with pytest.raises(UsageError) as refused:
        read_axes([text])
    assert said in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ("free=--port 1|--port 2", "--port has a key of its own (use server.port)"),
        ("free=--x 1|--port 2", "--port has a key of its own (use server.port)"),
        ("width=8|64", "no schedule fits a width of 64"),
        ("free=--dtype half|--dtype float", "use server.dtype"),
        ("free=HF_TOKEN=a|HF_TOKEN=b", "HF_TOKEN is a secret"),
        ("free=VLLM_BATCH_INVARIANT=1|VLLM_BATCH_INVARIANT=0", "is set by the mode"),
        ("server=http://|http://127.0.0.1:2", "not the URL of a server"),
        ("server=http://a:b@c|http://127.0.0.1:2", "a URL with a password"),
    ],
)
def test_an_axis_is_held_to_the_rules_of_a_spec_before_anything_starts(place, axis, said):
    place.causes()
    code, out, err = place.harness("matrix", "-c", "spec.yaml", "--axis", axis, *SMALL)
    assert (code, out) == (2, "")
    assert said in err
    assert not list(Path("results").glob("*")) if Path("results").exists() else True


@pytest.mark.parametrize(
    ("verb", "flag", "value", "said"),
    [
        ("matrix", "--widths", "1", "--widths: '1' is no whole number from 2"),
        ("matrix", "--schedules", "", "--schedules: '' is none"),
        ("certify", "--widths", "8,", "--widths: '' is no whole number from 2"),
        ("certify", "--widths", "0x8", "--widths: '0x8' is no whole number"),
        ("certify", "--widths", "9" * 5000, "is no whole number from 2 to 65,536"),
        ("certify", "--schedules", "gated,,wide", "--schedules: '' is none"),
        ("certify", "--schedules", "", "--schedules: '' is none"),
        ("bench", "--concurrent", "0", "--concurrent: '0' is no whole number from 1 to 4,096"),
        ("bench", "--concurrent", "-1", "--concurrent: '-1' is no whole number"),
        ("bench", "--concurrent", "100000", "--concurrent: '100000' is no whole number from 1"),
        ("bench", "--concurrent", "", "--concurrent: '' is no whole number"),
        ("bench", "--concurrent", "a", "for example --concurrent 4,8"),
        ("scan", "--batch-sizes", "1", "--batch-sizes: '1' is no whole number from 2"),
        ("scan", "--batch-sizes", "\u0661\u0662", "--batch-sizes: "),
    ],
)
def test_a_number_is_refused_by_the_name_of_its_own_flag(place, verb, flag, value, said):
    axis = ("--axis", "graphs") if verb == "matrix" else ()
    code, out, err = place.harness(verb, "-c", "spec.yaml", *axis, flag, value)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err) < 300


def test_the_axis_that_takes_the_change_away_is_named_and_drawn(place, slow):
    place.causes({"mode": "batch_invariant", "arguments": {"--kernel": "one"}})
    axes = ("--axis", "other=--x 1|--x 2", "--axis", "kernel=--kernel one|--kernel two")
    # four servers at once: a batch is late to meet itself, and one that waited is admitted at once
    flags = (*SMALL, "--overlap", "4", *slow, "-o", "matrix")
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
    assert out.count("noise     a text alone changes with time: ") == 1
    assert "; no such cell is clean" in out


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
