"""The blinded sheet: as CSV that a spreadsheet can open without running anything, and as tasks
with a labelling interface for Label Studio.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from harness.hostile import visible
from harness.people.key import Item
from harness.people.rubric import CHANGES, RUBRIC_VERSION, RUBRICS

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
_STUDIO_CONFIG = """<View>
  <Header value="Prompt"/>
  <Text name="prompt" value="$prompt"/>
  <Header value="Answer A"/>
  <Text name="response_A" value="$response_A"/>
  <Choices name="label_A" toName="response_A" value="$labels" choice="single" showInline="true" \
required="true"/>
  <Header value="Answer B"/>
  <Text name="response_B" value="$response_B"/>
  <Choices name="label_B" toName="response_B" value="$labels" choice="single" showInline="true" \
required="true"/>
  <Header value="Would a person who relies on the answer be served differently by A and by B?"/>
  <Choices name="behavioural_change" toName="prompt" choice="single" showInline="true" \
required="true">
{choices}
  </Choices>
  <TextArea name="note" toName="prompt" rows="2" maxSubmissions="1"/>
</View>
"""


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


def studio_config() -> str:
    """The labelling interface; the labels come with each task, so one project holds all kinds."""
    choices = "\n".join(f'    <Choice value="{change}"/>' for change in CHANGES)
    return _STUDIO_CONFIG.format(choices=choices)


def studio_tasks(items: Iterable[Item]) -> list[dict[str, Any]]:
    """The tasks to import; nothing in them tells which answer is which."""
    return [
        {
            "data": {
                "item_id": item.item_id,
                "task": item.task_name,
                "prompt": item.prompt,
                "response_A": item.response_a,
                "response_B": item.response_b,
                "labels": [{"value": label} for label in RUBRICS[item.rubric].labels],
                "rubric_version": RUBRIC_VERSION,
            }
        }
        for item in items
    ]
