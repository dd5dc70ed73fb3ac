"""What a server of vLLM 0.19.1 on a GPU logs and its workers say: made up, as `harness` reads it.

No server ran. The lines are those of real logs (tests/data/vllm_logs), no more than count.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from harness.prove import judge_server, read_facts
from harness.words import Mode

VERSION = "0.19.1"
_CONFIG = (
    "model='{model}', speculative_config={speculation}, dtype=torch.float16, max_seq_len=2048, "
    "tensor_parallel_size={ranks}, pipeline_parallel_size=1, "
    "disable_custom_all_reduce={invariant}, device_config=cuda, seed=0, enable_prefix_caching=False"
)
_KERNELS = "/usr/lib/python3/dist-packages/vllm/model_executor/layers/batch_invariant.py"
_OVERRIDE = f"""\
  Overriding a previously registered kernel for the same operator and the same dispatch key
  operator: aten::_log_softmax(Tensor self, int dim, bool half_to_float) -> Tensor
    registered at /pytorch/build/aten/src/ATen/RegisterSchema.cpp:6
  dispatch key: CUDA
  previous kernel: registered at /pytorch/build/aten/src/ATen/RegisterCPU_3.cpp:3799
       new kernel: registered at {_KERNELS}:936 (Triggered internally at OperatorEntry.cpp:208.)"""
_BLAS = (
    "[W1123 17:19:29.256591290 Context.cpp:541] Warning: torch.backends.cuda.preferred_blas_library"
    " is an experimental feature. (function operator())"
)
_OPERATORS = ("_log_softmax", "bmm", "_softmax", "mean.dim")


def log_of(
    mode: str,
    *,
    version: str = VERSION,
    ranks: int = 1,
    model: str = "m",
    speculation: str | None = None,
    name: str = "m",
    at: str = "00:00:00",
    **arguments: Any,
) -> str:
    """The log of one server from its first line to the one that says that it serves.

    Args:
        name: under which it serves.
        at: the time of its lines.
    """
    invariant = mode == "batch_invariant"
    stamp = f"INFO 11-28 {at} [core.py:105]"
    given = {"model": model, "dtype": "float16", "max_model_len": 2048, **arguments}
    given["served_model_name"] = [name]
    told = {"model": model, "ranks": ranks, "invariant": invariant, "speculation": speculation}
    config = _CONFIG.format(**told)
    lines = [
        f"(APIServer pid=1) {stamp}  ▄▄ ▄█  version {version}",
        f"(APIServer pid=1) {stamp} non-default args: {given}",
        f"(EngineCore pid=2) {stamp} Initializing a V1 LLM engine (v{version}) with config: "
        + config,
    ]
    for rank in range(ranks if invariant else 0):
        worker = f"(Worker_TP{rank} pid={3 + rank})" if ranks > 1 else "(EngineCore pid=2)"
        lines += [f"{worker} {line}" for line in _OVERRIDE.splitlines()] + [_BLAS]
    backend = arguments.get("attention_backend", "FLASH_ATTN")
    lines += [
        f"(EngineCore pid=2) {stamp} Using AttentionBackendEnum.{backend} backend.",
        "(APIServer pid=1) INFO:     Application startup complete.",
    ]
    return "\n".join(lines) + "\n"


def judged(log: str, mode: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """What a start-up file says of a log: verdict, evidence and facts."""
    evidence = judge_server(log, mode=Mode(mode), environment=environment)
    return {
        "verdict": str(evidence.verdict),
        "evidence": evidence.to_json(),
        "facts": asdict(read_facts(log)),
    }


def proof_of(mode: str, ranks: int = 1) -> dict[str, Any]:
    """What the workers of one server say of their kernels."""
    invariant = mode == "batch_invariant"
    kernel = f"{_KERNELS}:936" if invariant else "/pytorch/build/aten/src/ATen/RegisterCUDA_0.cpp:1"
    return {
        "verdict": "active" if invariant else "clean",
        "ranks": ranks,
        "expected_ranks": ranks,
        "lines": [
            f"rank {rank}: aten::{name} CUDA: registered at {kernel}"
            for rank in range(ranks)
            for name in _OPERATORS
        ],
        "missing": [],
    }
