"""Multiple choice: ``paper`` reads a letter anywhere, ``strict`` the first answer that is given.

The study's keyword form ignores case and does not ask for a whole word, so ``answer: because``
reads as B, and a question that the model goes on to invent overrides the answer that it gave.
"""

import re
from collections.abc import Mapping
from typing import Any

from harness.families import MMLU
from harness.score.answer import Score, read_answer
from harness.score.choices import chosen_option
from harness.score.letters import SEVERAL, later_letter, option_of
from harness.score.patterns import lazily
from harness.tasks import options_of

PAPER, STRICT = "mmlu/paper/2", "mmlu/strict/3"
DEFAULT_OPTIONS = 4

_ANSWER_IS = lazily(r"(?:(?:correct|right)\s+)?answer(?:\s+is|\s*:)\s*\(?([A-D])", re.I)
_PARENTHESIS = lazily(r"\A\s*\(?([A-D])\)", re.I)
_FIRST_LETTER = lazily(r"\A\s*([A-D])", re.I)


def selected_letter(text: str) -> tuple[str, str, tuple[int, int] | None]:
    """The letter that the study's rules read: letter (empty for none), rule and span."""
    if hit := _ANSWER_IS.search(text):
        rule = "answer_is"
    elif hit := _PARENTHESIS.match(text):
        rule = "leading_parenthesis"
    elif (hit := _FIRST_LETTER.match(text)) and not text[hit.end() : hit.end() + 1].isalpha():
        rule = "leading_letter"
    else:
        return "", "none", None
    return hit.group(1).upper(), rule, hit.span(1)


def paper(text: str, fields: Mapping[str, Any]) -> Score:
    """``correct`` 1.0 when the letter read equals the reference, else ``incorrect`` 0.0.

    No letter counts as wrong.
    """
    letter, rule, span = selected_letter(text)
    right = bool(letter) and letter == _reference(fields)
    matched = text[slice(*span)] if span else ""
    return Score(float(right), "correct" if right else "incorrect", rule, span, matched, PAPER)


def strict(text: str, fields: Mapping[str, Any]) -> Score:
    """Whether the option that the answer names is the right one; a later question never counts.

    Returns:
        ``correct`` 1.0 or ``incorrect`` 0.0; ``empty`` and ``unparsed`` have no value.
    """
    reference, options = _reference(fields), options_of(fields)
    answer = read_answer(text, STRICT, letters=True)
    if not answer.text:
        return answer.empty()
    letters = len(options) or DEFAULT_OPTIONS
    chosen = chosen_option(answer, options, letters, anywhere=False) or later_letter(
        answer, letters
    )
    if chosen is None:
        return answer.unparsed()
    if chosen.option == SEVERAL:
        return answer.score_at(None, "unparsed", chosen.rule, chosen.span)
    right = chosen.option == option_of(reference)
    label = "correct" if right else "incorrect"
    return answer.score_at(float(right), label, chosen.rule, chosen.span)


def _reference(fields: Mapping[str, Any]) -> str:
    """The right letter."""
    return str(MMLU.value(fields, "reference")).strip().upper()
