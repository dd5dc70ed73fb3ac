"""What a model's server needs of each GPU, from the model's own configuration. Pure.

Weights by the number of parameters, the cache of keys and values by layers, heads and length; what
a step needs beside them is an allowance. A configuration that is not of the form understood here (a
decoder with grouped attention, dense or with experts) gives nothing: an estimate that is wrong is
worse than none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

_BYTES = {"float16": 2, "half": 2, "bfloat16": 2, "float32": 4, "float": 4}
_OTHERWISE = ("kv_lora_rank", "vision_config", "audio_config", "ssm_cfg", "mamba_d_state")
"""Keys of attention and layers of another kind, or of parts beside the decoder."""
ALLOWANCE = 2 * 2**30
"""Bytes for activations, graphs and the CUDA context on each GPU, whatever the model."""
_MOST_WAYS = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a configuration decides on memory.

    Attributes:
        layer: parameters of one layer; ``ends``: of embedding and output together.
        layers, heads, kv_heads, head: numbers of them, and the size of a head.
        bytes: of one parameter, and of one number in the cache.
    """

    layer: int
    ends: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    bytes: int

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.layers * self.layer + self.ends


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes on the GPU that needs most; ``sequence`` is the cache of one longest request."""

    weights: int
    sequence: int

    @property
    def least(self) -> int:
        """With one longest request, without which vLLM does not start."""
        return self.weights + self.sequence + ALLOWANCE


def shape_of(config: Mapping[str, Any], dtype: str) -> Shape | None:
    """The shape in a ``config.json``; ``None`` where it is none that is understood.

    Args:
        config: as Hugging Face's transformers write it.
        dtype: of the server; ``auto`` is the configuration's own.
    """
    told = str(config.get("torch_dtype") or config.get("dtype") or "").removeprefix("torch.")
    size = _BYTES.get(told if dtype == "auto" else dtype)
    if size is None or config.get("quantization_config") or any(config.get(k) for k in _OTHERWISE):
        return None
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    numbers = [config.get(name) for name in names]
    if not all(isinstance(n, int) and n > 0 for n in numbers):
        return None
    hidden, layers, heads, words = (int(n) for n in numbers if n)
    kv_heads = config.get("num_key_value_heads") or heads
    head = config.get("head_dim") or hidden // heads
    inner = _feed_forward(config, hidden)
    if inner is None or not isinstance(kv_heads, int) or not isinstance(head, int):
        return None
    attention = hidden * head * (2 * heads + 2 * kv_heads)
    ends = words * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return Shape(attention + inner + 2 * hidden, ends, layers, heads, kv_heads, head, size)


def _feed_forward(config: Mapping[str, Any], hidden: int) -> int | None:
    """Parameters of a layer behind its attention: gate, up and down, of every expert."""
    experts = config.get("num_local_experts") or config.get("num_experts")
    inner = config.get("intermediate_size")
    if not experts:
        return 3 * hidden * inner if isinstance(inner, int) else None
    own = config.get("moe_intermediate_size") or inner
    shared = config.get("shared_expert_intermediate_size") or 0
    if not all(isinstance(n, int) for n in (experts, own, shared)):
        return None
    return int(hidden * (3 * (experts * own + shared) + experts))


def need_of(shape: Shape, tokens: int, *, tensor: int = 1, pipeline: int = 1) -> Need:
    """What the fullest of ``tensor * pipeline`` GPUs holds.

    Args:
        tokens: of the longest request.
        tensor: GPUs that share each layer; keys and values of a head are on one or on all.
        pipeline: groups of GPUs that share the layers; embedding and output are on the ends.
    """
    own = ceil(shape.layers / pipeline)
    ends = shape.ends if pipeline == 1 else ceil(shape.ends / 2)
    heads = max(1, ceil(shape.kv_heads / tensor))
    weights = ceil((own * shape.layer + ends) / tensor) * shape.bytes
    return Need(weights, 2 * own * heads * shape.head * shape.bytes * tokens)


def ways_to_fit(shape: Shape, tokens: int, room: float, pipeline: int = 1) -> Iterator[int]:
    """Sizes of tensor parallelism at which each GPU's need fits into ``room`` bytes."""
    for ways in range(1, _MOST_WAYS + 1):
        fits = need_of(shape, tokens, tensor=ways, pipeline=pipeline).least <= room
        if shape.heads % ways == 0 and fits:
            yield ways
