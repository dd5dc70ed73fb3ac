"""Puts the kernels in place: what of vLLM and PyTorch is replaced, and the proof in the log."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from vllm_cpu_batch_invariant import __version__, kernels
from vllm_cpu_batch_invariant.kernels import logger

_OPERATOR = "aten::mean.dim"
PARTS = "VLLM_CPU_BATCH_INVARIANT_PARTS"
"""``all``, or ``no-linear`` or ``no-norm``: what is left as it is, a defect planted on purpose."""
# The registration lasts as long as this object does.
_library: torch.library.Library | None = None


def prepare() -> None:
    """Make vLLM's own switch, ``enable_batch_invariant_mode``, lead to :func:`enable`.

    vLLM throws the switch in each worker before it builds a model. The process that only serves
    HTTP never does, so nothing is replaced there and nothing is logged.

    Raises:
        RuntimeError: this vLLM lacks a function that has to be replaced.
    """
    from vllm.model_executor.determinism import batch_invariant
    from vllm.model_executor.layers import utils

    for module, name in (
        (batch_invariant, "enable_batch_invariant_mode"),
        (utils, "cpu_unquantized_gemm"),
    ):
        if not callable(getattr(module, name, None)):
            raise RuntimeError(
                f"vllm_cpu_batch_invariant {__version__} does not fit this vLLM: "
                f"{module.__name__}.{name} is missing. Install vLLM 0.32."
            )
    batch_invariant.enable_batch_invariant_mode = enable


def enable() -> None:
    """Replace the linear layers' GEMM and ``aten::mean.dim``; a second call does nothing.

    Raises:
        RuntimeError: the model is to be compiled, which would bypass the replacements; or the
            parts have another name.
    """
    global _library
    if _library is not None:
        return
    _require_eager()
    from vllm.model_executor.layers import utils

    parts = os.environ.get(PARTS, "all")
    if parts not in ("all", "no-linear", "no-norm"):
        raise RuntimeError(f"{PARTS}={parts}: all, no-linear or no-norm")
    planted = parts == "no-linear"
    utils.cpu_unquantized_gemm = kernels.gemm_whole if planted else kernels.gemm_by_tile
    _library = _register_override(kernels.mean_of_float if parts == "no-norm" else kernels.mean_dim)
    if parts != "all":
        logger.warning(
            "%s=%s: a defect is planted, this server is not batch-invariant", PARTS, parts
        )
    logger.info(
        "vllm_cpu_batch_invariant %s: batch-invariant kernels active. operator: %s, "
        "dispatch key: CPU, linear layers: %d rows a GEMM call",
        __version__,
        _OPERATOR,
        kernels.TILE,
    )


def ask_for_tiles() -> None:
    """Ask the operating system for the AMX tile registers, where the processor has them.

    vLLM's attention uses them without asking. Mostly oneDNN has asked by then, at its first wide
    GEMM; called one row at a time, or held to AVX-512 (``ONEDNN_MAX_CPU_ISA``), it never does, and
    the first tile instruction would end the process (SIGILL).
    """
    ask = getattr(torch.cpu, "_init_amx", None)
    if ask is not None:
        ask()


def _register_override(mean: Callable[..., torch.Tensor]) -> torch.library.Library:
    """Register the mean, and let PyTorch say so.

    PyTorch warns of a replaced kernel once a process, and importing vLLM already uses that up;
    "warn always" makes it speak for this registration too.
    """
    library = torch.library.Library("aten", "IMPL")
    warned_always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        library.impl(_OPERATOR, mean, "CPU")
    finally:
        torch.set_warn_always(warned_always)
    return library


def _require_eager() -> None:
    from vllm.config import get_current_vllm_config_or_none

    config = get_current_vllm_config_or_none()
    if config is not None and not config.model_config.enforce_eager:
        raise RuntimeError(
            "vllm_cpu_batch_invariant needs --enforce-eager: a compiled model would not use its "
            "kernels."
        )
