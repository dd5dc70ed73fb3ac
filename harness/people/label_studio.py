"""The same sheet for Label Studio: tasks as JSON and the labelling interface as XML."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.people.key import Item
from harness.people.rubric import CHANGES, RUBRIC_VERSION, RUBRICS

__all__ = ["studio_config", "studio_tasks"]

_CONFIG = """<View>
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


def studio_config() -> str:
    """The labelling interface; the labels come with each task, so one project holds all kinds."""
    choices = "\n".join(f'    <Choice value="{change}"/>' for change in CHANGES)
    return _CONFIG.format(choices=choices)


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
