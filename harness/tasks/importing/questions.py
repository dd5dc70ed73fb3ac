"""TruthfulQA and MMLU rows to samples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.tasks.importing.cells import (
    Row,
    RowSkipped,
    answer_index,
    column,
    nested,
    optional,
    text,
    text_list,
)

__all__ = ["mmlu_sample", "truthfulqa_sample"]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def truthfulqa_sample(row: Row, number: int) -> dict[str, Any]:
    """One question of TruthfulQA, generation or multiple-choice columns.

    Raises:
        RowSkipped: a column is missing, or one of the two lists is empty.
    """
    correct, incorrect = _references(row)
    best = str(optional(row, "best_answer") or correct[0]).strip()
    if best not in correct:
        correct.insert(0, best)
    return {
        "id": f"truthfulqa_{number:04d}",
        "question": text(row, "question"),
        "reference": best,
        "category": str(optional(row, "category") or ""),
        "correct_answers": correct,
        "incorrect_answers": incorrect,
    }


def _references(row: Row) -> tuple[list[str], list[str]]:
    if (targets := nested(optional(row, "mc2_targets", "mc1_targets"))) is not None:
        correct, incorrect = _labelled(targets)
    else:
        correct = text_list(column(row, "correct_answers"))
        incorrect = text_list(column(row, "incorrect_answers"))
    both = set(correct) & set(incorrect)
    if both:
        raise RowSkipped("an answer counts as correct and as incorrect")
    if not correct or not incorrect:
        raise RowSkipped("no correct or no incorrect answers")
    return correct, incorrect


def _labelled(targets: Any) -> tuple[list[str], list[str]]:
    """Answers of a ``{choices, labels}`` cell, or of a mapping of answer to 0 or 1."""
    if not isinstance(targets, Mapping):
        raise RowSkipped("mc targets are not a mapping")
    pairs = (
        list(zip(targets["choices"], targets["labels"], strict=False))
        if "choices" in targets and "labels" in targets
        else list(targets.items())
    )
    correct = text_list([answer for answer, label in pairs if int(label) == 1])
    return correct, text_list([answer for answer, label in pairs if int(label) == 0])


def mmlu_sample(row: Row, number: int) -> dict[str, Any]:
    """One question of MMLU, with ``choices`` or one column an option.

    Raises:
        RowSkipped: a column is missing, or the answer names no option.
    """
    options = _options(row)
    index = answer_index(column(row, "answer", "reference", "target"), options)
    subject = str(optional(row, "subject") or "").replace("_", " ").strip()
    slug = re.sub(r"\W+", "_", subject.lower()) or "question"
    return {
        "id": f"mmlu_{slug}_{number:05d}",
        "subject": subject.title(),
        "question": text(row, "question", "input"),
        **{f"option_{_LETTERS[i].lower()}": option for i, option in enumerate(options)},
        "reference": _LETTERS[index],
    }


def _options(row: Row) -> list[str]:
    choices = nested(optional(row, "choices"))
    if choices is None:
        columns = ([letter, f"option_{letter}"] for letter in "abcd")
        options = [str(column(row, *names)).strip() for names in columns]
    elif isinstance(choices, Mapping):
        options = [str(option).strip() for option in choices.get("text", ())]
    elif isinstance(choices, list | tuple):
        options = [str(option).strip() for option in choices]
    else:
        raise RowSkipped("choices is not a list")
    if len(options) != 4:
        raise RowSkipped(f"{len(options)} options instead of 4")
    return options
