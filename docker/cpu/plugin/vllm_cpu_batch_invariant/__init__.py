"""Batch-invariant kernels for vLLM's CPU backend, loaded as a vLLM general plugin."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"


def register() -> None:
    """Entry point of ``vllm.general_plugins``; vLLM calls it once in each of its processes.

    Does nothing unless ``VLLM_BATCH_INVARIANT`` is set and the platform is a CPU.
    """
    from vllm import envs
    from vllm.platforms import current_platform

    if envs.VLLM_BATCH_INVARIANT and current_platform.is_cpu():
        from vllm_cpu_batch_invariant.patches import prepare

        prepare()
