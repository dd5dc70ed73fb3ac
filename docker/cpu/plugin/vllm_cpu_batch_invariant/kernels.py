"""The kernels themselves: each result depends on its own row and on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from vllm.logger import init_logger

# vLLM configures handlers for its own name only.
logger = init_logger("vllm.plugins.cpu_batch_invariant")

_Size = tuple[int, int, torch.dtype]
Linear = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


class CpuLinearLayer(Protocol):
    """A layer for which vLLM has chosen a CPU GEMM (oneDNN, SGL or plain PyTorch)."""

    cpu_linear: Linear


TILE = 16
"""Rows of a whole GEMM call, a tile of AMX: a layer's weights are read once for all of them."""
_FEWER = (2, 4, 8)
"""Rows of a smaller call, where it sums as a whole one does. One row has kernels of its own."""
_COMPARED = 131072
"""Numbers compared to say so: one row summed otherwise showed in one of 7,000 (bfloat16)."""
_sizes: WeakKeyDictionary[CpuLinearLayer, _Size] = WeakKeyDictionary()
_calls: dict[_Size, tuple[int, ...]] = {}


def gemm_by_tile(
    layer: CpuLinearLayer,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """The layer's own GEMM, called for :data:`TILE` rows at a time, the last of them filled up.

    vLLM's CPU GEMMs choose their order of summation by the number of rows; with one number of rows
    there is one order. That a row's result hangs neither on its place in the tile nor on the rows
    beside it is tried once for each size of layer; where it does, the GEMM is called once a row.
    The last call has the fewest rows that were found to sum as a whole tile does.
    Shapes: ``x`` (..., in), result (..., out).
    """
    rows = x.reshape(-1, x.shape[-1])
    numbers = _numbers_of_rows(layer, rows, weight, bias)
    parts = (_filled(part, numbers) for part in rows.split(numbers[-1]))
    results = [layer.cpu_linear(part, weight, bias) for part in parts]
    whole = torch.cat(results) if len(results) > 1 else results[0]
    return whole[: len(rows)].view(*x.shape[:-1], whole.shape[1])


def _filled(rows: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
    """The rows, and zeros below them, up to the next of these numbers of rows."""
    missing = min(number for number in numbers if number >= len(rows)) - len(rows)
    return torch.nn.functional.pad(rows, (0, 0, 0, missing)) if missing else rows


def _numbers_of_rows(
    layer: CpuLinearLayer, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> tuple[int, ...]:
    """How many rows a call of it may have, the most last: each row has one result in all."""
    if layer not in _sizes:
        like = rows.new_empty(TILE, rows.shape[1])
        # the weight may have been packed away: the product tells the layer's size
        out = layer.cpu_linear(torch.zeros_like(like), weight, bias).shape[1]
        _sizes[layer] = size = (rows.shape[1], out, rows.dtype)
        if size not in _calls:
            if _rows_stand_alone(layer, like, weight, bias):
                _calls[size] = (*_summed_as_a_tile(layer, like, out, weight, bias), TILE)
            else:
                _calls[size] = (1,)
                logger.warning(
                    "linear layers of %s: a row hangs on its tile, one GEMM call a row", size
                )
    return _calls[_sizes[layer]]


def _summed_as_a_tile(
    layer: CpuLinearLayer,
    like: torch.Tensor,
    out: int,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
) -> tuple[int, ...]:
    """Those of :data:`_FEWER` whose calls give every row what a whole tile's call gives it."""
    alike = _FEWER
    for seed in range(1 + _COMPARED // (TILE * out)):
        drawn = _drawn(like, seed)
        wanted = layer.cpu_linear(drawn, weight, bias)
        alike = tuple(
            number
            for number in alike
            if torch.equal(
                torch.cat([layer.cpu_linear(part, weight, bias) for part in drawn.split(number)]),
                wanted,
            )
        )
    return alike


def _drawn(like: torch.Tensor, seed: int) -> torch.Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed)).to(like.dtype)


def _rows_stand_alone(
    layer: CpuLinearLayer, like: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> bool:
    """Whether each row of a tile has one result, in every place and beside any rows."""
    drawn = _drawn(like, 0)
    once = layer.cpu_linear(drawn, weight, bias)
    for place in range(TILE):
        moved, wanted = drawn.roll(place, 0), once.roll(place, 0)
        lonely = torch.zeros_like(moved)
        lonely[place] = moved[place]
        beside = layer.cpu_linear(moved, weight, bias)
        if not torch.equal(beside, wanted):
            return False
        if not torch.equal(layer.cpu_linear(lonely, weight, bias)[place], wanted[place]):
            return False
    return True


def gemm_whole(
    layer: CpuLinearLayer,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """The layer's own GEMM as it is: a planted defect, for the part ``no-linear``."""
    return layer.cpu_linear(x, weight, bias)


def mean_dim(
    x: torch.Tensor,
    dim: Sequence[int] | None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """``aten::mean.dim`` as the end of a running sum, one number after the other for every row.

    At least float32; PyTorch's running sum is kept in float64 on a CPU, and rows do not share it.

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
    total = columns.cumsum(-1)[..., -1] if count else columns.new_zeros(columns.shape[:-1])
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
