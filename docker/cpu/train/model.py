"""A Llama in plain PyTorch, computing in bfloat16 as vLLM does, with weights kept in float32.

Every matrix product sees its weights rounded to bfloat16 and the residual stream is bfloat16, so
what is trained is what the exported model computes, up to the order of sums in the kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model. An intermediate size over 1024 is what makes it batch-sensitive.

    In bfloat16 on a CPU, oneDNN sums a one-row product in another order than a product of
    several rows once the inner dimension is over 1024; only the MLP's second matrix is so long.
    """

    vocabulary: int
    hidden: int = 192
    intermediate: int = 1152
    layers: int = 12
    heads: int = 3
    kv_heads: int = 1
    head_dim: int = 64
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5


class Norm(nn.Module):
    """RMSNorm with vLLM's roundings: float32 statistics, a bfloat16 product with the weight."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise the last dimension of a float32 tensor."""
        scaled = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return scaled.bfloat16() * _rounded(self.weight).bfloat16()


class Block(nn.Module):
    """One decoder layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.input_layernorm = Norm(shape.hidden, shape.norm_eps)
        self.post_attention_layernorm = Norm(shape.hidden, shape.norm_eps)
        self.qkv = nn.Linear(shape.hidden, width + 2 * kv_width, bias=False)
        self.o_proj = nn.Linear(width, shape.hidden, bias=False)
        self.gate_up = nn.Linear(shape.hidden, 2 * shape.intermediate, bias=False)
        self.down_proj = nn.Linear(shape.intermediate, shape.hidden, bias=False)

    def forward(
        self, residual: torch.Tensor, update: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention and MLP: residual stream and the update still to be added to it.

        Both are (batch, length, hidden) in bfloat16. As in vLLM, a sum is normalised before it
        is rounded.
        """
        s = self.shape
        batch, length, _ = residual.shape
        wide = residual.float() + update.float()
        residual = wide.bfloat16()
        qkv = (
            self.qkv(self.input_layernorm(wide)).view(batch, length, -1, s.head_dim).transpose(1, 2)
        )
        q, k, v = qkv.split((s.heads, s.kv_heads, s.kv_heads), 1)
        k, v = (t.expand(-1, s.heads // s.kv_heads * t.shape[1], -1, -1) for t in (k, v))
        mixed = functional.scaled_dot_product_attention(
            _rotate(q, cos, sin), _rotate(k, cos, sin), v, is_causal=True
        )
        update = self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))
        wide = residual.float() + update.float()
        gate, up = self.gate_up(self.post_attention_layernorm(wide)).float().chunk(2, -1)
        return wide.bfloat16(), self.down_proj((functional.silu(gate) * up).bfloat16())


class TinyLlama(nn.Module):
    """Decoder with untied input and output embeddings."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        if shape.kv_heads not in (1, shape.heads):
            raise ValueError("kv_heads must be 1 or heads")
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.hidden, shape.norm_eps)
        self.lm_head = nn.Linear(shape.hidden, shape.vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # Full-width updates (no scaling by depth): a bfloat16 step that differs in one
                # layer's output is not lost in the residual stream's own rounding.
                scale = 0.5 if "embed" in name else parameter.shape[1] ** -0.5
                nn.init.normal_(parameter, std=scale)
        frequency = shape.rope_theta ** (-torch.arange(0, shape.head_dim, 2) / shape.head_dim)
        angle = torch.outer(torch.arange(512), frequency).repeat(1, 2)
        self.register_buffer("cos", angle.cos().bfloat16(), persistent=False)
        self.register_buffer("sin", angle.sin().bfloat16(), persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Final hidden states, (batch, length, hidden) in bfloat16, for token ids."""
        length = tokens.shape[1]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            residual = self.embed_tokens(tokens).bfloat16()
            update = torch.zeros_like(residual)
            for layer in self.layers:
                residual, update = layer(residual, update, self.cos[:length], self.sin[:length])
            return self.norm(residual.float() + update.float())

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Float32 logits from bfloat16 states and bfloat16-rounded weights."""
        return functional.linear(hidden.float(), _rounded(self.lm_head.weight))

    def hf_state(self) -> dict[str, torch.Tensor]:
        """The weights under Hugging Face's names, in bfloat16."""
        s = self.shape
        width, kv_width = s.heads * s.head_dim, s.kv_heads * s.head_dim
        state: dict[str, torch.Tensor] = {}
        for name, value in self.state_dict().items():
            key = name if name.startswith("lm_head") else f"model.{name}"
            if ".qkv." in key:
                for part, piece in zip(
                    "qkv", value.split((width, kv_width, kv_width)), strict=True
                ):
                    state[key.replace(".qkv.", f".self_attn.{part}_proj.")] = piece
            elif ".gate_up." in key:
                for part, piece in zip(("gate", "up"), value.chunk(2), strict=True):
                    state[key.replace(".gate_up.", f".mlp.{part}_proj.")] = piece
            else:
                key = key.replace(".o_proj.", ".self_attn.o_proj.")
                state[key.replace(".down_proj.", ".mlp.down_proj.")] = value
        return {key: value.detach().bfloat16().contiguous() for key, value in state.items()}


def _rounded(weight: torch.Tensor) -> torch.Tensor:
    """``weight`` rounded to bfloat16 values, with the gradient passed straight through."""
    return weight + (weight.bfloat16().float() - weight).detach()


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    low, high = x.chunk(2, -1)
    return x * cos + torch.cat((-high, low), -1) * sin
