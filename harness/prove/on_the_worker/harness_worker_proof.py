"""What vLLM loads into each worker so that the worker itself says which kernels it runs.

Given to vLLM as ``--worker-extension-cls harness_worker_proof.WorkerProof``. It needs nothing but
the standard library, and torch and vLLM as the worker has loaded them; it changes nothing.
"""

import importlib
import os
import sys

_GEMM = ("vllm.model_executor.layers.utils", "cpu_unquantized_gemm")


class WorkerProof:
    """One method, mixed into vLLM's worker class."""

    def harness_worker_proof(self, key: str, operators: str) -> dict[str, object]:
        """What the dispatcher of this process holds.

        Args:
            key: the dispatch key, such as ``CUDA``.
            operators: names below ``aten::``, separated by commas.

        Returns:
            For each operator the dispatcher's lines of that key; the qualified name of vLLM's
            CPU GEMM where it is loaded; rank, process id and version.
        """
        torch = importlib.import_module("torch")
        module = sys.modules.get(_GEMM[0])
        gemm = getattr(module, _GEMM[1], None)
        kernels = {}
        for operator in operators.split(","):
            dump = torch._C._dispatch_dump(f"aten::{operator}").splitlines()
            kernels[operator] = [
                line for line in dump if line.startswith((f"{key}:", f"{key} (inactive):"))
            ]
        return {
            "rank": int(getattr(self, "rank", -1)),
            "pid": os.getpid(),
            "torch": str(torch.__version__),
            "kernels": kernels,
            "gemm": gemm and f"{gemm.__module__}.{gemm.__qualname__}",
        }
