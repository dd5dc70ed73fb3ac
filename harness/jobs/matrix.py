"""Which axis takes a change away: cells measured, the answer, and its page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import msgspec

from harness.cause import (
    Attribution,
    Axis,
    Defect,
    Explorer,
    How,
    fitting,
    judged_run,
)
from harness.errors import GateFailed
from harness.jobs import Done
from harness.jobs.certifying import Asked
from harness.jobs.matrix_cells import Cells, read_axes
from harness.jobs.report_files import PAGES
from harness.numbers import count_of, duration_text, percent
from harness.records import new_run_id, read_run_files
from harness.report import matrix_document, write_document
from harness.settings import LoadedSpec


def matrix(
    loaded: LoadedSpec,
    axes: tuple[str, ...],
    asked: Asked,
    results: Path,
    out: Path | None,
    *,
    crossed: bool,
    most: int,
    quiet: bool,
    fresh: bool,
) -> Done:
    """Measure cells until it is known which axis takes the change away, or that it is not known.

    Raises:
        UsageError: an axis or an input is wrong.
        HarnessError: as `harness.conduct.run`, where it is not the cell's own server that failed.
    """
    read = read_axes(axes)
    anew = f"-{new_run_id(results, '')}".rstrip("-") if fresh else ""
    cells = Cells(loaded, read, asked, results, quiet, anew=anew)
    for name, other in [(axis.name, other) for axis in read for other in axis.others]:
        cells.work_of(((name, other),), 1)  # refuses what cannot be asked before a server starts
    explorer = Explorer(read, cells, most)
    if loaded.spec.server.overlap > 1:
        for lifetimes in explorer.rounds():
            cells.ahead(lifetimes)
    if crossed:
        _cross(explorer, read)
    found = explorer.attribute()
    cells.insist_on_one_server()
    known = _known(found, cells)
    lines = list(_lines(found, known))
    if out is not None:
        document = matrix_document(found, read, known, loaded.spec.name)
        value = {
            **msgspec.to_builtins(found),
            "known": [one.id for one in known],
            "axes": {axis.name: axis.values for axis in read},
            "runs": {
                cell.name: [str(path) for path in cells.folders.get(cell.cell, ())]
                for cell in found.cells
            },
        }
        lines += [f"written   {path}" for path in write_document(document, PAGES, out, value)]
    failure = GateFailed(found.reason) if found.how is How.UNKNOWN else None
    return Done(lines, found, failure=failure)


def _cross(explorer: Explorer, axes: tuple[Axis, ...]) -> None:
    """Measure every combination once; what follows is then mostly known."""
    for values in product(*(axis.values for axis in axes)):
        pairs = zip(axes, values, strict=True)
        cell = tuple((axis.name, value) for axis, value in pairs if value != axis.base)
        explorer.ask(cell, 1)


def _known(found: Attribution, cells: Cells) -> tuple[Defect, ...]:
    """Entries that the base's stack has or may have, and that the same axis takes away."""
    runs = cells.folders.get(())
    if not runs or not found.removed_by or found.how is How.TOGETHER:
        return ()
    files = read_run_files(runs[0])
    loaded, asked = cells.spec_of(())
    mode = loaded.spec.modes[0]
    judged = judged_run(files, mode)
    schedules = set(map(str, asked.schedules))
    fits = [
        defect
        for axis, values in found.removed_by.items()
        for value in values
        for defect in fitting(judged, {"batch"}, schedules, (axis, value))
    ]
    return tuple({one.id: one for one in fits}.values())


def _lines(found: Attribution, known: tuple[Defect, ...]) -> Iterator[str]:
    yield f"{found.how}: {found.reason}"
    for cell in found.cells:
        room = "" if cell.bound is None else f", none: up to {percent(cell.bound)}"
        said = f"{cell.changed} of {cell.prompts} prompts change{room}"
        lifetimes = count_of(cell.lifetimes, "lifetime")
        told = cell.not_seen if not cell.lifetimes else f"{said} in {lifetimes}"
        told += f"{'; ' if told else ''}{cell.less}" if cell.less else ""
        cache = f"; cache {cell.cache}" if cell.cache else ""
        yield f"  {cell.name:<32} {told}{cache}; {duration_text(cell.seconds)} of servers"
    noisy = [f"{cell.name} ({count_of(cell.noise, 'row')})" for cell in found.cells if cell.noise]
    if noisy:
        yield f"noise     a text alone changes with time: {'; '.join(noisy)}; no such cell is clean"
    for one in known:
        yield f"known     {one.id} ({', '.join(one.threads) or one.source}): {one.workaround}"
    if found.removed_by and not known:
        yield "known     no entry of the register fits"
