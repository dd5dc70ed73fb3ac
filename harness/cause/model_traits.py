"""What a model's own ``config.json`` says, in the register's words; what it leaves open is open."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Config = Mapping[str, Any]
_NAMED = (
    (re.compile(r"gpt_?oss", re.I), "gpt-oss"),
    (re.compile(r"mamba|jamba|bamba|zamba|nemotron_?h\b", re.I), "mamba"),
    (re.compile(r"qwen3_?next|gated_?delta|qwen3_5", re.I), "gdn"),
    (re.compile(r"moe|mixtral|deepseek_?v[234]|gpt_?oss", re.I), "moe"),
    (re.compile(r"deepseek_?v[34]2|sparse", re.I), "sparse-mla"),
    (re.compile(r"_?vl\b|vision|llava|vlfor", re.I), "vision"),
)
_PLAIN = re.compile(
    r"(?:Llama|Mistral|Ministral|Qwen2|Qwen3|Gemma[23]?|Phi3?|Granite|Olmo[23]?|StableLm|InternLM[23]"
    r"|SmolLM3|Starcoder2|Exaone4?|Helium|Cohere2?)ForCausalLM"
)
"""Classes of dense decoders: the others' names do not tell all that they have."""
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_intermediate_size")
_INNER = ("text_config", "llm_config", "language_config")
"""Where a model of several parts keeps its language model's own."""
_OTHER_ATTENTION = frozenset({"gdn", "mamba", "sparse-mla", "gpt-oss"})
_DTYPES = {"half": "float16", "float": "float32"}
_METHODS = {
    **dict.fromkeys(("awq", "awq_marlin", "auto_awq"), "awq"),
    **dict.fromkeys(("gptq", "gptq_marlin", "auto_gptq"), "gptq"),
    **dict.fromkeys(("fp8", "fbgemm_fp8", "ptpc_fp8", "fp8_per_tensor", "modelopt_fp8"), "fp8"),
    **dict.fromkeys(("modelopt_fp4", "nvfp4", "petit_nvfp4"), "nvfp4"),
    **dict.fromkeys(("mxfp4", "gpt_oss_mxfp4"), "mxfp4"),
    **dict.fromkeys(("bitsandbytes", "gguf", "tpu_int8", "experts_int8", "none"), ""),
}
"""vLLM's names of methods that are one kind of weights; any other may be of several kinds."""
_STORED = (
    (re.compile(r"mxfp4"), "mxfp4"),
    (re.compile(r"nvfp4"), "nvfp4"),
    (re.compile(r"w4a16|(?<!fp4-)pack-quantized|int4"), "compressed-tensors-int4"),
    (re.compile(r"fp8|float-quantized|w8a8_fp"), "fp8"),
)


def config_of_class(name: str | None) -> Config | None:
    """What a model's class alone settles, as its configuration would tell it."""
    config = {"architectures": [name]}
    return config if name and (_PLAIN.fullmatch(name) or _features(config)) else None


def features_of(configs: Iterable[Config | None]) -> frozenset[str] | None:
    """What the models have, ``dense`` where nothing; ``None`` where one is not known."""
    found: set[str] = set()
    for config in configs:
        if config is None:
            return None
        found |= _features(config) or {"dense"}
    return frozenset(found) or None


def quantizations_of(configs: Iterable[Config | None]) -> frozenset[str] | None:
    """The methods of the models' weights; ``None`` where one is not known."""
    found: set[str] = set()
    for config in configs:
        method = None if config is None else _quantization(config)
        if method is None:
            return None
        found.add(method)
    return frozenset(found) or None


def method_of(name: str, configs: Iterable[Config | None] = ()) -> str | None:
    """A method by vLLM's name for it; ``None`` where that may be several kinds of weights."""
    told = name.lower().replace("-", "_")
    if told in _METHODS:
        return _METHODS[told] or told
    stored = quantizations_of(configs)
    return next(iter(stored)) if stored and len(stored) == 1 else None


def dtype_of(asked: str, configs: Iterable[Config | None] = ()) -> str | None:
    """The number type that a server computes in; ``None`` where it is the model's and not told.

    What ``auto`` makes of a model in float32 differs by release and device.
    """
    if asked != "auto":
        return _DTYPES.get(asked, asked)
    found = set()
    for config in configs:
        for part in _parts(config or {}):
            told = str(part.get("torch_dtype") or part.get("dtype") or "").removeprefix("torch.")
            if told:
                break
        found.add(told if config else "")
    (one,) = found if len(found) == 1 else ("",)
    return one if one in ("float16", "bfloat16") else None


def attends_plainly(features: Iterable[str] | None, configs: Iterable[Config | None]) -> bool:
    """Whether a device's usual attention kernel serves the models, as far as is known."""
    if features is None or _OTHER_ATTENTION & set(features):
        return False
    latent = (part.get("kv_lora_rank") for one in configs for part in _parts(one or {}))
    return not any(latent)


def _parts(config: Config) -> list[Config]:
    inner = [config.get(name) for name in _INNER]
    return [config, *(one for one in inner if isinstance(one, Mapping))]


def _features(config: Config) -> set[str]:
    """Other than dense: by names, and by keys."""
    parts = _parts(config)
    told = json.dumps([[part.get("model_type"), part.get("architectures")] for part in parts])
    found = {name for pattern, name in _NAMED if pattern.search(told)}
    if any(part.get(key) for part in parts for key in _EXPERTS):
        found.add("moe")
    if any(part.get("index_topk") for part in parts):
        found.add("sparse-mla")
    if "vision_config" in config:
        found.add("vision")
    return found


def _quantization(config: Config) -> str | None:
    """The method that a configuration names; ``none`` where it names none, and ``None`` if open."""
    keys = ("quantization_config", "compression_config")
    stored = next((p[key] for p in _parts(config) for key in keys if p.get(key)), None)
    if not isinstance(stored, Mapping):
        return "none" if stored is None else None
    method = str(stored.get("quant_method") or "").lower().replace("-", "_")
    if method in _METHODS:
        return _METHODS[method] or method
    text = json.dumps(stored, default=str).lower()
    if method == "compressed_tensors" and re.search(r'"num_bits": 4\b', text):
        text = text if "nvfp4" in text or "mxfp4" in text or '"float"' in text else f"int4 {text}"
    kinds = [kind for pattern, kind in _STORED if pattern.search(text)]
    return kinds[0] if len(set(kinds)) == 1 else None
