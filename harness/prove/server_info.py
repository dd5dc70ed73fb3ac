"""``GET /server_info`` as evidence, for servers that someone else runs and whose log is not ours.

It shows the environment of the API server's process, not the kernels of the worker's: weaker than
a log, and said to be so in the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.prove.activation import ActivationEvidence
from harness.words import Mode, Verdict

__all__ = ["read_server_info"]

_MODE_VARIABLE = "VLLM_BATCH_INVARIANT"
_NOTE = "from /server_info: the API server's environment, not the worker's log"
_EXPECTED = "vllm_env.VLLM_BATCH_INVARIANT in the answer of /server_info (vLLM 0.19.1 or newer)"
_VALUES = {"1": True, "true": True, "0": False, "false": False}


def read_server_info(
    info: Mapping[str, Any], *, mode: Mode, version: str | None = None
) -> ActivationEvidence:
    """Judge an answer of ``/server_info?config_format=json``."""
    environment = info.get("vllm_env")
    value = environment.get(_MODE_VARIABLE) if isinstance(environment, Mapping) else None
    enabled = _VALUES.get(str(value).strip().lower())
    system = info.get("system_env")
    torch = system.get("torch_version") if isinstance(system, Mapping) else None
    missing = () if enabled is not None else (_EXPECTED,)
    if enabled is False and mode is Mode.BATCH_INVARIANT:
        missing = (f"{_MODE_VARIABLE}=1 (it is {value})",)
    return ActivationEvidence(
        verdict=_verdict(mode, enabled),
        mode=mode,
        device=None,
        vllm_version=version,
        torch_version=str(torch) if torch else None,
        lines=(),
        expected=(_EXPECTED,),
        missing=missing,
        notes=(_NOTE,),
    )


def _verdict(mode: Mode, enabled: bool | None) -> Verdict:
    if mode is Mode.BATCH_INVARIANT:
        return Verdict.ACTIVE if enabled else Verdict.INCONCLUSIVE
    if enabled is None:
        return Verdict.INCONCLUSIVE
    return Verdict.CONTAMINATED if enabled else Verdict.CLEAN
