"""The blinded sheet as CSV that a spreadsheet can open without running anything."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from harness.hostile import visible
from harness.people.key import Item
from harness.people.rubric import RUBRIC_VERSION

__all__ = ["ANSWER_COLUMNS", "SHEET_COLUMNS", "safe_cell", "sheet_csv"]

ANSWER_COLUMNS = ("label_A", "label_B", "behavioural_change", "note", "rater", "seconds")
SHEET_COLUMNS = (
    "item_id",
    "task",
    "kind_of_task",
    "prompt",
    "response_A",
    "response_B",
    "rubric_version",
    *ANSWER_COLUMNS,
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe_cell(text: str) -> str:
    """Foreign text as a cell: readable, and never a formula (an apostrophe goes in front)."""
    shown = visible(text)
    first = shown.lstrip(" ")[:1] or shown[:1]
    return f"'{shown}" if first in _FORMULA_STARTS and first else shown


def sheet_csv(items: Iterable[Item]) -> str:
    """The sheet, one item a row, with empty columns for the rater."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(SHEET_COLUMNS)
    blank = [""] * len(ANSWER_COLUMNS)
    for item in items:
        shown = (item.prompt, item.response_a, item.response_b)
        task = safe_cell(item.task_name)
        writer.writerow([item.item_id, task, item.rubric, *shown, RUBRIC_VERSION, *blank])
    return stream.getvalue()
