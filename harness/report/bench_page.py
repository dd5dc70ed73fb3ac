"""What a mode or an axis costs, as a document: a table and a figure of ratios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.numbers import NONE
from harness.report.document import Document, Figure, Look, RatioRow
from harness.report.wording import wording

if TYPE_CHECKING:
    from harness.cause import Axis, Cost


def bench_document(found: Sequence[Cost], axis: Axis, blocks: int, name: str) -> Document:
    """Everything that a bench's page shows."""
    told = wording("bench/costs")
    rows = (
        (
            *(one.measure, one.arm, f"{one.base:.4g}", f"{one.other:.4g}", one.unit),
            *(f"{one.ratio:.2f}", _interval(one), one.blocks),
        )
        for one in found
    )
    marks = tuple(RatioRow(_label(one, axis), one.ratio, one.low, one.high) for one in found)
    section = told.section(
        told.table("ratios", rows, base=axis.base), figure=Figure("ratios", marks)
    )
    return Document(
        look=Look.BENCH,
        kicker="What it costs",
        title=f"{name}: cost of {axis.name}",
        heading="What it costs",
        names=(name,),
        headline=(f"{axis.name}: {', '.join(axis.others)} against {axis.base}, {blocks} blocks",),
        sections=tuple(filter(None, (section,))),
        program="harness bench",
    )


def _label(one: Cost, axis: Axis) -> str:
    return one.measure if len(axis.others) == 1 else f"{one.measure}, {one.arm}"


def _interval(one: Cost) -> str:
    return NONE if one.low is None else f"[{one.low:.2f}, {one.high:.2f}]"
