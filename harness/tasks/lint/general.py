"""Checks that hold for every task, whatever scores it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from harness.errors import UsageError
from harness.settings import YamlFile, shown
from harness.tasks.lint.model import Finding, at_sample, at_task
from harness.tasks.task import Sample, Task
from harness.tasks.task_files import render

__all__ = ["head_findings", "sample_findings"]

BYTES_A_TOKEN = 3


def head_findings(document: YamlFile, task: Task) -> Iterator[Finding]:
    """What the head of a task file says or leaves out."""
    data = document.data
    if task.prompt_template.endswith("\n"):
        line = document.line(("prompt_template",))
        message = f"prompt_template ends with a newline ({len(task.samples)} prompts)"
        yield at_task("trailing-newline", message, task.file, line)
    if data.get("filters"):
        line = document.line(("filters",))
        yield at_task("filters-ignored", f"{len(data['filters'])} filters", task.file, line)
    if not (data.get("licence") or data.get("license")) and not data.get("source"):
        yield at_task("no-licence", "no source: and no licence:", task.file)


def sample_findings(task: Task, longest_prompt_tokens: int) -> Iterator[Finding]:
    """What is wrong with texts and prompts, sample by sample.

    Args:
        task: a loaded task.
        longest_prompt_tokens: tokens that a prompt may have beside its answer.
    """
    first: dict[str, Sample] = {}
    for sample in task.samples:
        yield from _text_forms(task, sample)
        prompt = _prompt(task, sample)
        if prompt is None:
            continue
        if "{{" in prompt:
            yield at_sample("placeholder-in-prompt", _around(prompt, "{{"), task, sample)
        tokens = len(prompt.encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN
        if tokens > longest_prompt_tokens:
            message = f"about {tokens} prompt tokens, room for {longest_prompt_tokens}"
            yield at_sample("prompt-may-not-fit", message, task, sample)
        twin = first.setdefault(prompt, sample)
        if twin is not sample:
            message = f"same prompt as {twin.sample_id}, line {twin.line}"
            yield at_sample("duplicate-prompt", message, task, sample)


def _prompt(task: Task, sample: Sample) -> str | None:
    try:
        return render(task, sample)
    except UsageError:
        return None


def _around(text: str, part: str) -> str:
    at = text.index(part)
    return shown(text[max(0, at - 20) : at + 30])


def _text_forms(task: Task, sample: Sample) -> Iterator[Finding]:
    for key, value in sample.fields.items():
        if any(not unicodedata.is_normalized("NFC", text) for text in _texts(value)):
            yield at_sample("not-nfc", f"{key} is not NFC", task, sample)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
