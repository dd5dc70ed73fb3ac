"""A chunk of values as numbers: a code for each distinct one, once where all are alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.records.frame import BoolArray, IntArray


class Codes(dict[Any, int]):
    """A number for each distinct value, in order of first appearance; a known None has -1."""

    def __missing__(self, value: Any) -> int:
        code = self[value] = len(self) - (None in self)
        return code

    def joined(self, later: Codes, column: IntArray) -> IntArray:
        """A column of later codes in these; values that only those know come after these."""
        told = [*(self[value] for value in later if value is not None), -1]
        return np.array(told, column.dtype)[column]

    def sort(self, *columns: IntArray) -> list[IntArray]:
        """Number anew by the first appearance in a column, then in the next; the columns in that.

        However many rows were coded at a time: of a chunk all of one column come first.
        """
        values = [value for value in self if value is not None]
        told = np.concatenate(columns)
        first = np.full(len(values) + 1, len(told))
        first[told[::-1]] = np.arange(len(told))[::-1]
        order = np.argsort(first[:-1], kind="stable")
        for code, old in enumerate(order.tolist()):
            self.pop(values[old])
            self[values[old]] = code
        places = np.append(np.argsort(order), -1).astype(np.int32)
        return [places[column] for column in columns]


class CodesOf(dict[Any, int]):
    """The number of what each value comes to."""

    def __init__(self, code: Callable[[Any], int]) -> None:
        super().__init__()
        self._code = code

    def __missing__(self, value: Any) -> int:
        code = self[value] = self._code(value)
        return code


def alike(values: Sequence[Any]) -> bool:
    """Whether all values of a chunk are one, as in most files most are."""
    return values[0] == values[-1] and values.count(values[0]) == len(values)


def coded(values: Sequence[Any], codes: Mapping[Any, int], dtype: Any = np.int32) -> IntArray:
    """The number of each value."""
    if alike(values):
        return np.full(len(values), codes[values[0]], dtype)
    return np.fromiter(map(codes.__getitem__, values), dtype, len(values))


def made(make: Callable[..., Any], *columns: Sequence[Any]) -> Sequence[Any]:
    """What a function makes of each row of some columns; once where all rows are alike."""
    if all(column[0] is column[-1] and alike(column) for column in columns):
        return [make(*(column[0] for column in columns))] * len(columns[0])
    return [make(*row) for row in zip(*columns, strict=True)]


def spread(values: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """A value for each row of a chunk, where one may stand for all of them."""
    return values if len(values) == count else np.repeat(values, count)


def equal(values: Sequence[object], wanted: str) -> BoolArray:
    """Which of the values are one of words; mostly all are, or none."""
    found, count = values.count(wanted), len(values)
    if found in (0, count):
        return np.full(count, found > 0)
    return np.fromiter((value == wanted for value in values), np.bool_, count)


def once(values: npt.NDArray[Any]) -> bool:
    """Whether a column is one value over and over, bit by bit (as all nan)."""
    raw = values.view(f"u{values.itemsize}")
    return bool(raw[0] == raw[-1] and (raw == raw[0]).all())


Short = tuple[npt.NDArray[Any], int]
"""A column, or one value that stands for so many of them."""


def short(values: npt.NDArray[Any]) -> Short:
    """A column as it is sent to another process."""
    alone = len(values) > 1 and values.dtype != object and once(values)
    return (values[:1].copy() if alone else values), len(values)


def long(told: Short) -> npt.NDArray[Any]:
    """A column as it was."""
    values, count = told
    return values if len(values) == count else np.broadcast_to(values[0], count)
