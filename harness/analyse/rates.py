"""Counts of rows with their intervals, and paired tables with their tests.

`harness.analyse.tables` fills them; ``summary.json`` holds them as they are.
"""

from typing import Generic, TypeVar

from msgspec import UNSET, Struct, UnsetType

from harness.words import Endpoint

Bounds = tuple[float, float] | None
T = TypeVar("T")


class OfEndpoints(Struct, Generic[T], frozen=True):
    """Something that there is once for label flips and once for text changes."""

    def of(self, endpoint: Endpoint) -> T:
        """The one of an endpoint."""
        one: T = getattr(self, endpoint)
        return one


class Rate(Struct, frozen=True):
    """A count of rows with its intervals; everything but the counts is ``None`` for no rows.

    Attributes:
        wilson95, clopper_pearson95: two-sided intervals.
        upper95: the one-sided exact bound.
        margin: the smallest customary margin that ``upper95`` stays under, if any: what "no flip
            in n rows" supports.
    """

    count: int
    n: int
    rate: float | None = None
    wilson95: Bounds = None
    clopper_pearson95: Bounds = None
    upper95: float | None = None
    margin: float | None = None


class ModeTable(OfEndpoints[Rate], frozen=True):
    """The records of one mode; the rates are over the ok ones."""

    records: int = 0
    ok: int = 0
    errors: int = 0
    label_flips: Rate = Rate(0, 0)
    text_changes: Rate = Rate(0, 0)


class Pairs(Struct, frozen=True):
    """How many candidates there are, and how many have an ok record in both modes."""

    candidates: int
    complete: int
    left_out: int


class Difference(Struct, frozen=True):
    """The first condition's rate minus the second's over the pairs, with two intervals."""

    estimate: float | None
    newcombe95: Bounds
    tango95: Bounds


class PairTest(Struct, frozen=True):
    """A paired two-by-two table of two conditions and its tests (exact McNemar).

    Attributes:
        first_only, second_only: the discordant cells.
        p_one_sided: the tail in favour of the first condition.
        p_mid: the two-sided mid-p value.
        smallest_p: the smallest two-sided p that so many discordant pairs can give.
        underpowered: whether that is 0.05 or more; ``note`` says so in words.
        detectable_rate80: the one-directional rate that so many pairs find with a power of 0.8.
    """

    both: int
    first_only: int
    second_only: int
    neither: int
    p_two_sided: float
    p_one_sided: float
    p_mid: float
    smallest_p: float
    underpowered: bool
    note: str | None
    difference: Difference
    detectable_rate80: float | None


class Paired(
    PairTest,
    frozen=True,
    rename={"first_only": "standard_only", "second_only": "invariant_only"},
):
    """Standard (first) against batch-invariant (second), row by row."""

    first_only: int
    second_only: int
    p_holm: float | UnsetType = UNSET
    """Adjusted for the slices of one attribute; not set over all rows."""


class PairedTable(OfEndpoints[Paired], frozen=True):
    """The paired tests of both endpoints."""

    label_flips: Paired
    text_changes: Paired


class BeyondRepeat(Struct, frozen=True):
    """Rows, or prompts, by whether the batch, and whether asking again, changed them."""

    both: int
    batch_only: int
    repeat_only: int
    neither: int
    p_two_sided: float
