"""Batch-invariant kernels for vLLM's CPU backend, loaded as a vLLM general plugin."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.3.0"


def register() -> None:
    """Entry point of ``vllm.general_plugins``; vLLM calls it once in each of its processes.

    On a CPU it asks for the processor's tile registers; with ``VLLM_BATCH_INVARIANT`` it also
    prepares the kernels. On any other platform it does nothing.
    """
    from vllm import envs
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm_cpu_batch_invariant import patches

    patches.ask_for_tiles()
    if envs.VLLM_BATCH_INVARIANT:
        patches.prepare()
