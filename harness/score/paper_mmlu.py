"""Multiple choice as the study scored it: the first ``answer is X`` anywhere, then a first letter.

The keyword form ignores case and does not ask for a whole word, so ``answer: because`` reads as
B, and a question that the model goes on to invent overrides the answer that it gave.
"""

from __future__ import annotations

import re

from harness.score.model import Score

__all__ = ["VERSION", "score_mmlu", "select_option"]

VERSION = 1
SCORER = f"mmlu/paper/{VERSION}"

_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "answer_is",
        re.compile(r"(?:(?:correct|right)\s+)?answer(?:\s+is|\s*:)\s*\(?([A-D])", re.I),
    ),
    ("leading_parenthesis", re.compile(r"\A\s*\(?([A-D])\)")),
    ("leading_letter", re.compile(r"\A\s*([A-D])(?![A-Za-z])")),
)


def select_option(text: str) -> tuple[str, str, tuple[int, int] | None]:
    """The letter that the study's rules read: letter (empty for none), rule and span."""
    for rule, pattern in _RULES:
        if hit := pattern.search(text):
            return hit.group(1).upper(), rule, hit.span(1)
    return "", "none", None


def score_mmlu(text: str, reference: str) -> Score:
    """1.0 when the letter read equals the reference, else 0.0; no letter counts as wrong.

    Args:
        text: the completion, untouched.
        reference: the right letter.

    Returns:
        ``correct`` or ``incorrect``.
    """
    letter, rule, span = select_option(text)
    right = bool(letter) and letter == reference.strip().upper()
    matched = text[slice(*span)] if span else ""
    return Score(float(right), "correct" if right else "incorrect", rule, span, matched, SCORER)
