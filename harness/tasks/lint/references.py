"""Checks of reference answers: TruthfulQA's two lists, and the letter of a multiple choice."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from harness.families import TRUTHFULQA
from harness.settings import options_of, shown
from harness.tasks.lint.model import Finding, at_sample
from harness.tasks.task import Sample, Task

__all__ = ["knowledge_findings", "truthfulness_findings"]

_LISTS = (*TRUTHFULQA.fields["correct"], *TRUTHFULQA.fields["incorrect"])
_PAPER_LETTERS = 4
_MOST_LETTERS = 26


def truthfulness_findings(task: Task, sample: Sample) -> Iterator[Finding]:
    """Everything wrong with the references of one question."""
    lists: dict[str, dict[str, str]] = {}
    for key in _LISTS:
        value = sample.fields.get(key)
        listed = value if isinstance(value, list) else []
        answers = [str(item) for item in listed if _is_text(item)]
        if not answers:
            message = f"{key}: {'missing' if value is None else shown(value)}"
            yield at_sample("truthfulqa-no-references", message, task, sample)
            continue
        if gaps := len(listed) - len(answers):
            message = f"{key}: {gaps} of {len(listed)} are empty or no text"
            yield at_sample("truthfulqa-empty-reference", message, task, sample)
        lists[key] = {}
        for answer in answers:
            if _plain(answer) in lists[key]:
                message = f"{key}: {shown(answer)}"
                yield at_sample("truthfulqa-duplicate-reference", message, task, sample)
            lists[key][_plain(answer)] = answer
    correct, incorrect = (lists.get(key, {}) for key in _LISTS)
    for shared in correct.keys() & incorrect.keys():
        yield at_sample("truthfulqa-overlap", shown(correct[shared]), task, sample)
    reference = sample.fields.get("reference")
    if correct and reference is not None and _plain(str(reference)) not in correct:
        yield at_sample("truthfulqa-reference-unlisted", shown(reference), task, sample)


def knowledge_findings(task: Task, sample: Sample) -> Iterator[Finding]:
    """Everything wrong with one multiple-choice question."""
    options = options_of(sample.fields)
    reference = str(sample.fields.get("reference", "")).strip()
    letters = len(options) or _MOST_LETTERS
    if not (re.fullmatch("[A-Z]", reference) and ord(reference) - ord("A") < letters):
        message = f"reference {shown(reference)}, {len(options) or 'unknown number of'} options"
        yield at_sample("mmlu-reference", message, task, sample)
    elif ord(reference) - ord("A") >= _PAPER_LETTERS:
        yield at_sample("mmlu-beyond-d", f"reference {reference}", task, sample)
    if not options:
        yield at_sample("mmlu-no-options", "no options", task, sample)
    twins = {option for option in options if options.count(option) > 1}
    for option in sorted(twins):
        yield at_sample("mmlu-duplicate-option", shown(option), task, sample)


def _is_text(value: object) -> bool:
    return isinstance(value, str | int | float) and bool(str(value).strip())


def _plain(answer: str) -> str:
    """An answer without case, punctuation at its end and Unicode variants."""
    folded = unicodedata.normalize("NFKC", answer).replace("’", "'").casefold()
    return " ".join(folded.split()).rstrip(" .!?")
