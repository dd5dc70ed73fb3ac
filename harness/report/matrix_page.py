"""A matrix as a document: which axis takes the change away, and what every cell showed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.numbers import NONE, percent
from harness.report.document import Banner, Document, Figure, ForestRow, Look, Section, Tone
from harness.report.wording import wording

if TYPE_CHECKING:
    from harness.cause import Attribution, Axis, CellTotal, Defect


def matrix_document(
    found: Attribution, axes: Sequence[Axis], known: Sequence[Defect], name: str
) -> Document:
    """Everything that a matrix's page shows."""
    tone = Tone.GOOD if found.removed_by else Tone.NOTE
    base = ", ".join(f"{axis.name} {axis.base}" for axis in axes)
    return Document(
        look=Look.MATRIX,
        kicker="Which axis takes the change away",
        title=f"{name}: {found.how}",
        heading="Which axis takes the change away",
        names=(name,),
        banner=Banner(tone, f"{found.how}.", (found.reason,)),
        headline=(found.reason,),
        context=f"base: {base}",
        sections=tuple(filter(None, (_cells(found), _known(known)))),
        program="harness matrix",
    )


def _cells(found: Attribution) -> Section | None:
    told = wording("matrix/cells")
    return told.section(
        told.table("counts", map(_row, found.cells)),
        figure=Figure(
            "forest",
            (("Prompts that change with the batch", tuple(map(_mark, found.cells))),),
        ),
    )


def _row(cell: CellTotal) -> tuple[object, ...]:
    remark = "; ".join(filter(None, (cell.not_seen, cell.less)))
    if not cell.lifetimes:
        return (cell.name, remark), 0, *(NONE,) * 5, f"{cell.seconds:.1f}"
    bound = NONE if cell.bound is None else percent(cell.bound)
    changed = f"{cell.changed}/{cell.prompts}"
    counts = (cell.lifetimes, cell.hits, changed, bound, cell.cache, cell.noise)
    return (cell.name, remark), *counts, f"{cell.seconds:.1f}"


def _mark(cell: CellTotal) -> ForestRow:
    mode = "batch_invariant" if not cell.changed else "standard"
    if not cell.prompts:
        return ForestRow(cell.name, mode, 0, 0, None, None, None)
    rate = cell.changed / cell.prompts
    return ForestRow(cell.name, mode, cell.changed, cell.prompts, rate, *cell.interval)


def _known(known: Sequence[Defect]) -> Section | None:
    told = wording("matrix/known")
    rows = (
        (one.id, one.title, ", ".join(one.threads) or one.source, one.workaround) for one in known
    )
    return told.section(told.table("named", rows))
