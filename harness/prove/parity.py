"""Did the two modes differ in anything but the mode? Compared as the servers logged it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.prove.evidence import may_differ, parse_version
from harness.prove.server_facts import ServerFacts, parse_literal
from harness.prove.server_log import split_config

_FACTS = (
    "vllm_version",
    "attention_backend",
    "flash_attention_version",
    "max_num_batched_tokens",
    "async_scheduling",
    "flashinfer_sampler",
    "v2_model_runner",
    "sampling_defaults_overridden",
    "sampling_defaults",
)
_OF_ONE_SERVER = re.compile(
    r"vllm_config\.instance_id|system_env\.(?:env_vars|cpu_info)|.*\bserved_model_name"
    r"|vllm_config\.compilation_config\.\w*(?:cache_dir|compilation_time)"
    r"|vllm_env\.VLLM_(?:OBJECT_STORAGE_SHM_BUFFER_NAME|\w*PORT)|vllm_config\.\S*_port(?:_list)?"
)
"""What ``/server_info`` says that every server has of its own; the processor's clock is in its
description.
"""
_MEASURED = frozenset(
    {"num_gpu_blocks", "num_cpu_blocks", "kv_cache_size_tokens", "kv_cache_max_concurrency"}
)
_BY_THE_MODE = {
    "vllm_env.VLLM_BATCH_INVARIANT": "the mode itself",
    "vllm_config.model_config.disable_cascade_attn": "the mode turns cascade attention off",
    "vllm_env.VLLM_USE_AOT_COMPILE": "the mode switches ahead-of-time compilation off",
    "vllm_env.VLLM_USE_BREAKABLE_CUDAGRAPH": "the mode switches breakable CUDA graphs on",
}
_CACHE_ROOT = "vllm_env.VLLM_CACHE_ROOT"
WHERE_IT_LISTENS = frozenset({"arguments.host", "arguments.port"})
"""Settings that change no computation and differ between servers that are up at once."""
_OBJECT = re.compile(r"^\w+\((.*)\)$", re.DOTALL)
_MISSING = "(absent)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that the two modes' servers logged differently.

    Attributes:
        name: such as ``arguments.dtype`` or ``engine.enable_prefix_caching``.
        standard: the value in standard mode, as text.
        invariant: the value in batch_invariant mode, as text.
        allowed: whether the mode itself is known to change it.
        reason: why it is allowed, or empty.
    """

    name: str
    standard: str
    invariant: str
    allowed: bool
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        """The difference as JSON values."""
        return {
            "name": self.name,
            "standard": self.standard,
            "batch_invariant": self.invariant,
            "allowed": self.allowed,
            "reason": self.reason,
        }


def mode_parity(
    standard: ServerFacts,
    invariant: ServerFacts,
    infos: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
) -> tuple[Difference, ...]:
    """Every setting that differs between a standard and an invariant server of one run.

    ``infos`` are both servers' answers of ``/server_info``, where both gave one.

    A run is controlled when every difference is ``allowed``: vLLM itself turns custom all-reduce
    off (up to 0.31) and, from 0.31 on, may change the way CUDA graphs are captured.
    """
    left, right = _flat(standard), _flat(invariant)
    if infos is not None:
        left, right = (f | _flat_info(info) for f, info in zip((left, right), infos, strict=True))
    version = parse_version(invariant.vllm_version)
    differences = []
    for name in sorted({*left, *right}):
        old, new = left.get(name, _MISSING), right.get(name, _MISSING)
        if old != new:
            told = name.removeprefix("server_info.")
            setting = name.removeprefix("engine.")
            if told != name:
                setting = told.rpartition(".")[2]
            reason = may_differ(setting, version) or by_the_mode(name)
            if told != name and setting in _MEASURED:
                reason = "room for the cache is what each server finds free when it starts"
            if name in WHERE_IT_LISTENS:
                reason = "where it listens changes no computation"
            elif not reason and invariant.breakable_cudagraph and "cudagraph" in name:
                reason = "the mode switched breakable CUDA graphs on by itself"
            differences.append(Difference(name, old, new, bool(reason), reason))
    return tuple(differences)


def by_the_mode(name: str) -> str:
    """Why the mode itself sets what ``/server_info`` names so; empty where it does not."""
    return _BY_THE_MODE.get(name.removeprefix("server_info."), "")


def _flat_info(info: Mapping[str, Any]) -> dict[str, str]:
    """``/server_info`` without what every server has of its own, such as its cache's folder."""
    flat = _flatten("", info)
    cache = flat.pop(f".{_CACHE_ROOT}", "")
    return {
        f"server_info{name}": text.replace(cache, "<cache>") if cache else text
        for name, text in flat.items()
        if not _OF_ONE_SERVER.fullmatch(name.removeprefix("."))
    }


def _flat(facts: ServerFacts) -> dict[str, str]:
    flat = {name: str(getattr(facts, name)) for name in _FACTS}
    flat |= {f"arguments.{key}": str(value) for key, value in facts.arguments.items()}
    for key, text in facts.engine.items():
        flat |= _flatten_text(f"engine.{key}", text)
    return flat


def _flatten_text(name: str, text: str) -> dict[str, str]:
    """``Config(a=1, b={'c': 2})`` as ``name.a`` and ``name.b.c``."""
    match = _OBJECT.match(text)
    fields = split_config(match[1]) if match else {}
    if not fields:
        return _flatten(name, parse_literal(text))
    flat: dict[str, str] = {}
    for key, value in fields.items():
        flat |= _flatten_text(f"{name}.{key}", value)
    return flat


def _flatten(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not value:
        return {name: str(value)}
    flat: dict[str, str] = {}
    for key, item in value.items():
        flat |= _flatten(f"{name}.{key}", item)
    return flat
