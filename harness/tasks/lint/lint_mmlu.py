"""Checks of multiple-choice questions: the letter of the reference, and the options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.errors import shown
from harness.tasks.answer_options import options_of
from harness.tasks.lint.rule import Broken, error, warning

_PAPER_LETTERS = 4
_MOST_LETTERS = 26

RULES = (
    error(
        "mmlu-reference",
        "reference is not the letter of an option",
        "give one letter, A for the first option",
    ),
    warning(
        "mmlu-no-options",
        "no option texts, so the reference cannot be checked and only letters can be read",
        "give option_a, option_b, … or choices",
    ),
    warning(
        "mmlu-duplicate-option",
        "two options have the same text",
        "correct one; an answer in words would be ambiguous",
    ),
    warning(
        "mmlu-beyond-d",
        "the paper profile reads letters A to D only",
        "score this task with strict",
    ),
)


def check_mmlu(fields: Mapping[str, Any]) -> Broken:
    """Everything wrong with one multiple-choice question."""
    options = options_of(fields)
    reference = str(fields.get("reference", "")).strip()
    letters = len(options) or _MOST_LETTERS
    if not (re.fullmatch("[A-Z]", reference) and ord(reference) - ord("A") < letters):
        message = f"reference {shown(reference)}, {len(options) or 'unknown number of'} options"
        yield "mmlu-reference", message
    elif ord(reference) - ord("A") >= _PAPER_LETTERS:
        yield "mmlu-beyond-d", f"reference {reference}"
    if not options:
        yield "mmlu-no-options", "no options"
    for option in sorted({option for option in options if options.count(option) > 1}):
        yield "mmlu-duplicate-option", shown(option)
