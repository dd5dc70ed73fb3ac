"""The kernels themselves: each result depends on its own row and on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

Linear = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


class CpuLinearLayer(Protocol):
    """A layer for which vLLM has chosen a CPU GEMM (oneDNN, SGL or plain PyTorch)."""

    cpu_linear: Linear


def gemm_by_row(
    layer: CpuLinearLayer,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """The layer's own GEMM, called once a row.

    vLLM's CPU GEMMs choose their order of summation by the number of rows; with one row a call
    there is one order. Shapes: ``x`` (..., in), result (..., out).
    """
    rows = x.reshape(-1, x.shape[-1])
    if rows.shape[0] == 0:
        # oneDNN refuses an empty product, and the weight may have been packed away: one row
        # tells the output's width.
        width = layer.cpu_linear(x.new_zeros(1, x.shape[-1]), weight, bias).shape[-1]
        return x.new_empty(*x.shape[:-1], width)
    results = [layer.cpu_linear(row, weight, bias) for row in rows.split(1)]
    return torch.cat(results).view(*x.shape[:-1], -1)


def gemm_whole(
    layer: CpuLinearLayer,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """The layer's own GEMM as it is: a planted defect, for the part ``no-linear``."""
    return layer.cpu_linear(x, weight, bias)


def pairwise_sum(x: torch.Tensor) -> torch.Tensor:
    """Sum over the last dimension by halving it, so that the order is the same for every row.

    Only elementwise additions are used; their rounding cannot depend on the number of rows.
    """
    while (width := x.shape[-1]) > 1:
        half = width // 2
        folded = x[..., :half] + x[..., half : 2 * half]
        x = torch.cat((folded, x[..., 2 * half :]), -1) if width % 2 else folded
    return x.squeeze(-1)


def mean_dim(
    x: torch.Tensor,
    dim: Sequence[int] | None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """``aten::mean.dim`` with a fixed order of summation; at least float32 inside.

    Raises:
        RuntimeError: for an integer result, as the operator itself does.
    """
    result_type = dtype or x.dtype
    if not (result_type.is_floating_point or result_type.is_complex):
        raise RuntimeError(f"mean(): the result must be a floating point type, not {result_type}")
    dims = sorted({d % x.ndim for d in dim}) if dim and x.ndim else list(range(x.ndim))
    kept = [d for d in range(x.ndim) if d not in dims]
    wide = x.to(torch.promote_types(result_type, torch.float32))
    moved = wide.permute((*kept, *dims))
    columns = moved.flatten(len(kept)) if dims else moved.unsqueeze(-1)
    count = columns.shape[-1]
    total = pairwise_sum(columns) if count else columns.new_zeros(columns.shape[:-1])
    mean = (total / count).to(result_type)
    return mean.reshape([1 if d in dims else n for d, n in enumerate(x.shape)]) if keepdim else mean


def mean_of_float(
    x: torch.Tensor,
    dim: Sequence[int] | None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """``aten::mean.dim`` with PyTorch's own sum: a planted defect, for the part ``no-norm``."""
    dims = list(dim) if dim else list(range(x.ndim))
    count = 1
    for d in dims:
        count *= x.shape[d]
    wide = x.to(torch.promote_types(dtype or x.dtype, torch.float32))
    return (torch.sum(wide, dims, keepdim) / max(count, 1)).to(dtype or x.dtype)
