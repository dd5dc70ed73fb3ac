"""Parts of a records file, each of whole lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path

import numpy as np

from harness.files import LARGEST, opened
from harness.records.rows import decode_flat

_COUNTED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines of a file.

    Attributes:
        start, size: of their bytes; all that there are, where nothing ends them.
    """

    start: int = 0
    size: float = inf


WHOLE = Part()


def parts_of(path: Path, many: int) -> Sequence[Part]:
    """So many parts of about one size, or fewer; of the last the end is open, as of a file.

    A file of the required columns alone is one: its hashes would be sent from process to process,
    which takes the time and the memory that were to be saved.

    Raises:
        OSError, UsageError: the file cannot be read.
    """
    starts = [0]
    with opened(path) as stream:
        size = path.stat().st_size
        if decode_flat(stream.readline(LARGEST).rstrip(b"\n"), 1) is not None:
            return (WHOLE,)
        for number in range(1, many):
            stream.seek(max(size * number // many - 1, starts[-1]))
            if not stream.readline(LARGEST).endswith(b"\n"):
                break
            starts.append(stream.tell())
    starts = sorted({*starts} - {size}) or [0]
    sizes = [*(end - start for start, end in pairwise(starts)), inf]
    return [Part(start, some) for start, some in zip(starts, sizes, strict=True)]


def line_ends(block: bytes) -> int:
    """How many there are in some bytes."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))


def lines_in(path: Path, part: Part) -> int:
    """How many lines end in a part.

    Raises:
        OSError, UsageError: the file cannot be read.
    """
    count, left = 0, part.size
    with opened(path) as stream:
        stream.seek(part.start)
        while left > 0 and (block := stream.read(int(min(_COUNTED_BYTES, left)))):
            count += line_ends(block)
            left -= len(block)
    return count
