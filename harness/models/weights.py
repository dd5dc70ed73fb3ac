"""A GGUF file of the Llama family as the folder that vLLM loads: bfloat16 weights and tokenizer.

Only data is read: neither the package that carries the file nor any code of it is run. The same
file gives the same bytes on every machine, so the result can be known by its hashes.

Source of the tensor names and of the order of query and key rows: llama.cpp's
``convert_hf_to_gguf.py``, read backwards.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.files import write_json, write_whole

if TYPE_CHECKING:
    from gguf import GGUFReader
    from numpy.typing import NDArray

_NAMES: Final = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_PARTS: Final = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_CONTROL_TOKEN: Final = 3
_WEIGHTS: Final = "model.safetensors"


def unpack_gguf(gguf: Path, folder: Path) -> None:
    """Write what a GGUF file holds into an existing folder, dequantised to bfloat16.

    Raises:
        EnvironmentError_: a file cannot be written.
        KeyError, ValueError: it is no GGUF file of the Llama family with a byte-level tokenizer.
        OSError: the file cannot be read.
    """
    from gguf import GGUFReader
    from safetensors import TensorSpec, serialize

    reader = GGUFReader(gguf)
    facts = _Facts(reader)
    config = _config(facts)
    write_json(folder / "config.json", config)
    ids = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    write_json(folder / "generation_config.json", ids)
    _write_tokenizer(facts, folder)
    tensors = _tensors(reader, config)  # the specs hold addresses in them
    specs = {
        name: TensorSpec(
            dtype="bfloat16",
            shape=values.shape,
            data_ptr=values.ctypes.data,
            data_len=values.nbytes,
        )
        for name, values in tensors.items()
    }
    write_whole(folder / _WEIGHTS, serialize(specs, {"format": "pt"}))


class _Facts:
    """The keys and values of a GGUF file."""

    def __init__(self, reader: GGUFReader) -> None:
        self._fields = reader.fields

    def __getitem__(self, key: str) -> Any:
        return self._fields[key].contents()


def _config(facts: _Facts) -> dict[str, Any]:
    heads = facts["llama.attention.head_count"]
    theta = float(facts["llama.rope.freq_base"])
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "hidden_size": facts["llama.embedding_length"],
        "intermediate_size": facts["llama.feed_forward_length"],
        "num_hidden_layers": facts["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": facts["llama.attention.head_count_kv"],
        "head_dim": facts["llama.embedding_length"] // heads,
        "hidden_act": "silu",
        "max_position_embeddings": facts["llama.context_length"],
        # a float32 in the file: 1e-05 is what it was rounded from
        "rms_norm_eps": float(f"{facts['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "vocab_size": facts["llama.vocab_size"],
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "pad_token_id": facts["tokenizer.ggml.padding_token_id"],
    }


def _write_tokenizer(facts: _Facts, folder: Path) -> None:
    """A byte-level BPE tokenizer whose digits stand alone (``smollm`` in llama.cpp)."""
    tokens: list[str] = facts["tokenizer.ggml.tokens"]
    kinds: list[int] = facts["tokenizer.ggml.token_type"]
    if (facts["tokenizer.ggml.model"], facts["tokenizer.ggml.pre"]) != ("gpt2", "smollm"):
        raise ValueError("another tokenizer than SmolLM's")
    plain = {"add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, **flags, "special": True}
            for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind == _CONTROL_TOKEN
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {"type": "ByteLevel", **plain},
            ],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, **plain},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in facts["tokenizer.ggml.merges"]],
        },
    }
    write_whole(folder / "tokenizer.json", json.dumps(tokenizer, ensure_ascii=True))
    special = {
        f"{role}_token": tokens[facts[f"tokenizer.ggml.{name}_token_id"]]
        for role, name in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
    }
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": facts["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "chat_template": facts["tokenizer.chat_template"],
    }
    write_json(folder / "tokenizer_config.json", special | about)


def _tensors(reader: GGUFReader, config: dict[str, Any]) -> dict[str, NDArray[np.uint16]]:
    """Every tensor by its name in Hugging Face's Llama, as the bits of bfloat16."""
    from gguf.quants import dequantize

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    found = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        if tensor.name in _NAMES:
            found[_NAMES[tensor.name]] = _bfloat16(values)
            continue
        _, layer, part, _ = tensor.name.split(".")
        if part in heads:
            values = _halves_apart(values, heads[part])
        found[f"model.layers.{layer}.{_PARTS[part]}.weight"] = _bfloat16(values)
    return found


def _halves_apart(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Each head's rows with the two halves of its rotation one after the other, not in turn."""
    shape = rows.shape
    return rows.reshape(heads, shape[0] // heads // 2, 2, shape[1]).swapaxes(1, 2).reshape(shape)


def _bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves of the float32s, rounded to the nearest, ties to even (IEEE 754)."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
