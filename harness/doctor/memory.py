"""What a model's server needs of each GPU, from the model's own configuration. Pure.

Weights by the number of parameters, the cache of keys and values by layers, heads and length; what
a step needs beside them is an allowance. A configuration that is not of a form understood here (a
decoder with grouped attention and gated layers behind it, dense or with experts, by its
``model_type``) gives nothing: an estimate that is wrong is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from harness.vllm_arguments import read_arguments

_BYTES = {"float16": 2, "half": 2, "bfloat16": 2, "float32": 4, "float": 4}
_TIED = frozenset({"gemma", "gemma2", "gemma3_text", "cohere", "cohere2"})
"""Model types whose embedding is the output too where the configuration does not say so."""
_KNOWN = _TIED | {
    *("llama", "mistral", "ministral", "mixtral", "phi3", "phimoe", "internlm2", "stablelm"),
    *("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "glm", "glm4", "granite", "granitemoe"),
    *("olmo", "olmo2", "olmo3", "olmoe", "exaone4", "smollm3", "seed_oss", "gpt_oss", "helium"),
}
"""Model types of the form that is understood."""
_OTHERWISE = (
    *("quantization_config", "compression_config", "kv_lora_rank", "vision_config"),
    *("audio_config", "mlp_only_layers", "first_k_dense_replace", "n_routed_experts"),
)
"""Keys that say of a known type that it is of another form after all."""
_OTHER_WEIGHTS = frozenset(
    {"quantization", "kv_cache_dtype", "cpu_offload_gb", "load_format", "enable_lora"}
    | {"speculative_config", "data_parallel_size"}
)
"""Arguments of vLLM with which a GPU holds more or less than the configuration tells."""
_MOST = 2**40
"""A number of a configuration that is larger is none."""
ALLOWANCE = 2 * 2**30
"""Bytes for activations, graphs and the CUDA context on each GPU, whatever the model."""
_MOST_WAYS = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a configuration decides on memory.

    Attributes:
        layer: parameters of one layer; ``end``: of the embedding, and of the output.
        tied: whether these are one and the same.
        layers, heads, kv_heads, head: numbers of them, and the size of a head.
        bytes: of one parameter, and of one number in the cache.
    """

    layer: int
    end: int
    tied: bool
    layers: int
    heads: int
    kv_heads: int
    head: int
    bytes: int

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.layers * self.layer + self.end * (1 if self.tied else 2)

    def is_shared_by(self, ways: int) -> bool:
        """Whether so many GPUs can share each layer, each head on one of them or on all."""
        split = self.kv_heads % ways == 0 or ways % self.kv_heads == 0
        return self.heads % ways == 0 and split


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes on the GPU that needs most; ``sequence`` is the cache of one longest request."""

    weights: int
    sequence: int

    @property
    def least(self) -> int:
        """With one longest request, without which vLLM does not start."""
        return self.weights + self.sequence + ALLOWANCE


def shape_of(config: Mapping[str, Any], dtype: str, args: Sequence[str] = ()) -> Shape | None:
    """The shape in a ``config.json``; ``None`` where it is none that is understood.

    Args:
        config: as Hugging Face's transformers write it.
        dtype: of the server; ``auto`` is the configuration's own, where vLLM halves ``float32``.
        args: further arguments of the server.
    """
    told = str(config.get("torch_dtype") or config.get("dtype") or "").removeprefix("torch.")
    size = min(2, _BYTES.get(told, 0)) if dtype == "auto" else _BYTES.get(dtype)
    kind, otherwise = str(config.get("model_type")), any(config.get(k) for k in _OTHERWISE)
    if not size or kind not in _KNOWN or otherwise or config.get("decoder_sparse_step", 1) != 1:
        return None
    if _OTHER_WEIGHTS & set(read_arguments(args)):
        return None
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    numbers = [_number(config, name) for name in names]
    hidden, layers, heads, words = (n or 0 for n in numbers)
    kv_heads = _number(config, "num_key_value_heads", heads)
    head = _number(config, "head_dim", hidden // heads if heads else 0)
    inner = _feed_forward(config, hidden)
    if not all(numbers) or not kv_heads or not head or inner is None:
        return None
    attention = hidden * head * (2 * heads + 2 * kv_heads)
    tied = bool(config.get("tie_word_embeddings", kind in _TIED))
    layer = attention + inner + 2 * hidden
    return Shape(layer, words * hidden, tied, layers, heads, kv_heads, head, size)


def _number(config: Mapping[str, Any], name: str, otherwise: int = 0) -> int | None:
    """A whole number above 0, ``otherwise`` where it is not given; ``None`` for anything else."""
    value = config.get(name)
    value = otherwise if value is None else value
    return value if type(value) is int and 0 < value < _MOST else None


def _feed_forward(config: Mapping[str, Any], hidden: int) -> int | None:
    """Parameters of a layer behind its attention: gate, up and down, of every expert."""
    inner = _number(config, "intermediate_size")
    key = "num_local_experts" if config.get("num_local_experts") is not None else "num_experts"
    if config.get(key) is None:
        return 3 * hidden * inner if inner else None
    experts = _number(config, key)
    own = _number(config, "moe_intermediate_size", inner or 0)
    shared = config.get("shared_expert_intermediate_size")
    beside = 0 if shared is None else _number(config, "shared_expert_intermediate_size")
    if not experts or not own or beside is None:
        return None
    return hidden * (3 * (experts * own + beside) + experts)


def need_of(shape: Shape, tokens: int, *, tensor: int = 1, pipeline: int = 1) -> Need:
    """What the fullest of ``tensor * pipeline`` GPUs holds.

    Args:
        tokens: of the longest request.
        tensor: GPUs that share each layer; keys and values of a head are on one or on all.
        pipeline: groups of GPUs that share the layers; embedding and output are on the ends.
    """
    own = ceil(shape.layers / pipeline)
    ends = shape.end * (2 if pipeline == 1 and not shape.tied else 1)
    heads = max(1, ceil(shape.kv_heads / tensor))
    weights = ceil((own * shape.layer + ends) / tensor) * shape.bytes
    return Need(weights, 2 * own * heads * shape.head * shape.bytes * tokens)


def ways_to_fit(shape: Shape, tokens: int, room: float, pipeline: int = 1) -> Iterator[int]:
    """Sizes of tensor parallelism at which each GPU's need fits into ``room`` bytes."""
    for ways in range(1, _MOST_WAYS + 1):
        fits = need_of(shape, tokens, tensor=ways, pipeline=pipeline).least <= room
        if shape.is_shared_by(ways) and fits:
            yield ways
