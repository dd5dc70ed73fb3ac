"""The end of a scan: its score flips as a candidate file, with a summary that holds no text."""

from __future__ import annotations

from pathlib import Path

from harness.candidates import ExportedCandidates, export_candidates, write_candidates
from harness.records import read_lines
from harness.tasks import Task

__all__ = ["export_scan"]


def export_scan(
    records: Path, out: Path, *, select: str, tasks: tuple[Task, ...], mode: str
) -> ExportedCandidates:
    """Export the selected rows of a scanned run as candidates.

    Args:
        records: the scan's records file.
        out: the CSV to write; its summary is written beside it.
        select: ``label_flip`` or ``text_change``.
        tasks: the scanned tasks; their scorers name the direction of a flip.
        mode: the mode that was scanned.
    """
    scorers = {task.name: task.scorer for task in tasks}
    rows = (row for _, row in read_lines(records))
    exported = export_candidates(
        rows, select=select, source=f"scan {records.parent.name}", mode=mode, scorers=scorers
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_candidates(exported, out)
    return exported
