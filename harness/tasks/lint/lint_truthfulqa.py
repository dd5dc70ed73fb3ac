"""Checks of TruthfulQA's two lists of reference answers."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from harness.errors import shown
from harness.families import TRUTHFULQA
from harness.tasks.lint.rule import Broken, error, warning

_LISTS = (*TRUTHFULQA.fields["correct"], *TRUTHFULQA.fields["incorrect"])

RULES = (
    error(
        "truthfulqa-no-references",
        "correct_answers or incorrect_answers is missing, empty or not a list",
        "give at least one of each",
    ),
    warning(
        "truthfulqa-empty-reference",
        "a reference answer is empty, so it can never be matched",
        "remove it",
    ),
    error(
        "truthfulqa-overlap",
        "the same answer counts as correct and as incorrect",
        "remove it from one list",
    ),
    warning("truthfulqa-duplicate-reference", "an answer stands twice in one list", "remove one"),
    warning(
        "truthfulqa-reference-unlisted",
        "reference is not among correct_answers, and scorers read only those",
        "add it to correct_answers",
    ),
)


def check_truthfulqa(fields: Mapping[str, Any]) -> Broken:
    """Everything wrong with the references of one question."""
    lists: dict[str, dict[str, str]] = {}
    for key in _LISTS:
        value = fields.get(key)
        listed = value if isinstance(value, list) else []
        texts = (str(item) for item in listed if isinstance(item, str | int | float))
        answers = [text for text in texts if text.strip()]
        if not answers:
            yield (
                "truthfulqa-no-references",
                f"{key}: {'missing' if value is None else shown(value)}",
            )
            continue
        if gaps := len(listed) - len(answers):
            message = f"{key}: {gaps} of {len(listed)} are empty or no text"
            yield "truthfulqa-empty-reference", message
        lists[key] = {}
        for answer in answers:
            if _plain(answer) in lists[key]:
                yield "truthfulqa-duplicate-reference", f"{key}: {shown(answer)}"
            lists[key][_plain(answer)] = answer
    correct, incorrect = (lists.get(key, {}) for key in _LISTS)
    for shared in correct.keys() & incorrect.keys():
        yield "truthfulqa-overlap", shown(correct[shared])
    reference = fields.get("reference")
    if correct and reference is not None and _plain(str(reference)) not in correct:
        yield "truthfulqa-reference-unlisted", shown(reference)


def _plain(answer: str) -> str:
    """An answer without case, punctuation at its end and Unicode variants."""
    folded = unicodedata.normalize("NFKC", answer).replace("’", "'").casefold()
    return " ".join(folded.split()).rstrip(" .!?")
