"""What the workers themselves say decides, rank by rank; what cannot be told is inconclusive."""

from __future__ import annotations

import ast
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from harness.prove import (
    WORKER_EXTENSION,
    Device,
    WorkerProof,
    agreed,
    find_tell,
    read_worker_proof,
    worker_question,
)
from harness.prove.worker_proof import TELLS, WORKER_METHOD
from harness.words import Mode, Verdict

ANSWERS = Path(__file__).parent.parent / "data" / "worker_proof"
STANDARD, INVARIANT = Mode.STANDARD, Mode.BATCH_INVARIANT


def real(name: str) -> list[Any]:
    """What the real CPU server answered."""
    text = (ANSWERS / f"vllm-0.32.0-cpu-{name}.json").read_text()
    return list(json.loads(text)["results"])


def cuda(rank: int = 0, *, invariant: bool = True, **changed: str) -> dict[str, Any]:
    """A stand-in for an H100's answer, in the words of its dispatcher (measured on 0.19.1)."""
    ours = (
        "/usr/local/lib/python3.12/dist-packages/vllm/model_executor/layers/batch_invariant.py:936"
    )
    theirs = "/pytorch/build/aten/src/ATen/RegisterCUDA_0.cpp:7309"
    kernels = {}
    for operator in ("_log_softmax", "bmm", "_softmax", "mean.dim"):
        path = changed.get(operator, ours if invariant else theirs)
        old = [f"CUDA (inactive): registered at {theirs} :: (Tensor _0) -> Tensor _0 [ boxed ]"]
        kernels[operator] = [f"CUDA: registered at {path} :: (none) [ boxed ]", *old[:invariant]]
    return {"rank": rank, "pid": 100 + rank, "torch": "2.11.0", "kernels": kernels, "gemm": None}


def judge(
    answers: object, mode: Mode, ranks: int = 1, device: str = "cpu", version: str = "0.32.0"
) -> WorkerProof:
    tell = find_tell(Device(device), version)
    return read_worker_proof(answers, mode=mode, tell=tell, expected_ranks=ranks)


def on_cuda(answers: object, mode: Mode, ranks: int = 1) -> WorkerProof:
    return judge(answers, mode, ranks, "cuda", "0.19.1")


@pytest.mark.parametrize(
    ("name", "mode", "verdict"),
    [
        ("standard", STANDARD, Verdict.CLEAN),
        ("standard", INVARIANT, Verdict.CONTAMINATED),
        ("plugin-batch_invariant", INVARIANT, Verdict.ACTIVE),
        ("plugin-batch_invariant", STANDARD, Verdict.CONTAMINATED),
        # vLLM's own Triton kernels are registered there, which no CPU can run: neither path
        ("plugin_off-batch_invariant", INVARIANT, Verdict.CONTAMINATED),
        ("plugin_off-batch_invariant", STANDARD, Verdict.CONTAMINATED),
    ],
)
def test_a_real_cpu_worker_gets_its_verdict(name: str, mode: Mode, verdict: Verdict):
    assert judge(real(name), mode).verdict is verdict


@pytest.mark.parametrize(
    ("name", "mode", "verdict"),
    [
        ("standard", STANDARD, Verdict.CLEAN),
        ("plugin-batch_invariant", INVARIANT, Verdict.ACTIVE),
        ("plugin-batch_invariant", STANDARD, Verdict.CONTAMINATED),
        ("plugin_off-batch_invariant", INVARIANT, Verdict.CONTAMINATED),
    ],
)
def test_a_folder_with_a_space_in_its_name_changes_no_verdict(
    name: str, mode: Mode, verdict: Verdict
):
    told = json.dumps(real(name)).replace("registered at /", "registered at /a home/my cache/")
    assert judge(json.loads(told), mode).verdict is verdict


def test_a_rank_is_quoted_with_its_kernels_and_its_gemm():
    (kernel, gemm) = judge(real("plugin-batch_invariant"), INVARIANT).lines
    assert kernel.startswith("rank 0: aten::mean.dim CPU: registered at /venv/")
    assert kernel.endswith("vllm_cpu_batch_invariant/patches.py:82")
    assert gemm == "rank 0: GEMM vllm_cpu_batch_invariant.kernels.gemm_by_row"


def test_the_gemm_alone_convicts_a_cpu_worker():
    (answer,) = real("plugin-batch_invariant")
    answer["gemm"] = "vllm.model_executor.layers.utils.cpu_unquantized_gemm"
    proof = judge([answer], INVARIANT)
    assert proof.verdict is Verdict.CONTAMINATED
    assert "cpu_unquantized_gemm" in proof.missing[0]


@pytest.mark.parametrize(("mode", "verdict"), [(INVARIANT, "active"), (STANDARD, "clean")])
def test_all_ranks_of_a_gpu_are_asked_and_agree(mode: Mode, verdict: str):
    answers = [cuda(rank, invariant=mode is INVARIANT) for rank in range(4)]
    proof = on_cuda(answers, mode, ranks=4)
    assert (proof.verdict, proof.ranks, len(proof.lines)) == (verdict, 4, 16)


@pytest.mark.parametrize(("rank", "mode"), list(itertools.product(range(4), Mode)))
def test_one_rank_of_four_on_the_other_path_contaminates(rank: int, mode: Mode):
    answers = [cuda(n, invariant=(mode is INVARIANT) != (n == rank)) for n in range(4)]
    proof = on_cuda(answers, mode, ranks=4)
    assert proof.verdict is Verdict.CONTAMINATED
    assert proof.missing[0].startswith(f"rank {rank} is not on the {mode.words} path: aten::")


@pytest.mark.parametrize("operator", ["_log_softmax", "bmm", "_softmax", "mean.dim"])
def test_one_operator_on_the_other_path_contaminates(operator: str):
    answer = cuda(**{operator: "/pytorch/build/aten/src/ATen/RegisterCUDA_0.cpp:7309"})
    proof = on_cuda([answer], INVARIANT)
    assert proof.verdict is Verdict.CONTAMINATED
    assert f"aten::{operator}" in proof.missing[0]


def test_the_inactive_kernel_of_a_dump_proves_nothing():
    (answer,) = [cuda()]
    for lines in answer["kernels"].values():
        lines.reverse()
    assert on_cuda([answer], INVARIANT).verdict is Verdict.ACTIVE
    assert on_cuda([answer], STANDARD).verdict is Verdict.CONTAMINATED


@pytest.mark.parametrize(
    "answers",
    [
        [cuda(0), cuda(1), cuda(2)],
        [cuda(0), cuda(1), cuda(2), cuda(2)],
        [cuda(0), cuda(1), cuda(2), None],
        [cuda(0), cuda(1), cuda(2), {"rank": 3}],
        [cuda(0), cuda(1), cuda(2), "an error"],
    ],
)
def test_a_rank_that_is_missing_or_says_nothing_contaminates(answers: list[Any]):
    assert on_cuda(answers, INVARIANT, ranks=4).verdict is Verdict.CONTAMINATED


@pytest.mark.parametrize("answers", [None, [], {}, "404"])
def test_no_answer_at_all_is_inconclusive(answers: object):
    proof = on_cuda(answers, INVARIANT)
    assert (proof.verdict, proof.ranks) == (Verdict.INCONCLUSIVE, 0)
    assert proof.missing


@pytest.mark.parametrize(
    ("device", "version"),
    [("cuda", "0.18.1"), ("cuda", "0.34.0"), ("cpu", "0.31.0"), ("cpu", "0.33.0"), ("cuda", None)],
)
def test_a_device_and_release_without_an_entry_is_inconclusive(device: str, version: str | None):
    assert find_tell(Device(device), version) is None
    proof = read_worker_proof([cuda()], mode=INVARIANT, tell=None, expected_ranks=1)
    assert proof.verdict is Verdict.INCONCLUSIVE


def test_no_device_has_no_entry():
    assert find_tell(None, "0.19.1") is None


def test_the_table_asks_for_what_design_names():
    questions = {tell.device: worker_question(tell)["args"] for tell in TELLS}
    assert questions == {
        Device.CUDA: ["CUDA", "_log_softmax,bmm,_softmax,mean.dim"],
        Device.CPU: ["CPU", "mean.dim"],
    }


@pytest.mark.parametrize(("log", "proof"), list(itertools.product(Verdict, Verdict)))
def test_log_and_workers_have_to_agree(log: Verdict, proof: Verdict):
    found = agreed(log, proof)
    if log is proof:
        assert found is log
    elif Verdict.CONTAMINATED in (log, proof) or Verdict.INCONCLUSIVE not in (log, proof):
        assert found is Verdict.CONTAMINATED
    else:
        assert found is Verdict.INCONCLUSIVE


def test_the_extension_lies_alone_and_imports_nothing_but_the_standard_library():
    assert [path.name for path in WORKER_EXTENSION.parent.glob("*.*")] == [WORKER_EXTENSION.name]
    tree = ast.parse(WORKER_EXTENSION.read_text())
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert names == {"importlib", "os", "sys"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    (method,) = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert method == WORKER_METHOD
