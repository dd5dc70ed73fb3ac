"""Multiple choice from the first answer that is given; a later invented question never counts."""

from __future__ import annotations

from collections.abc import Sequence

from harness.score.answer import Answer, read_answer
from harness.score.letters import Choice, explicit_letter, later_letter, named_option
from harness.score.model import Score

__all__ = ["VERSION", "score_mmlu"]

VERSION = 1
SCORER = f"mmlu/strict/{VERSION}"
DEFAULT_OPTIONS = 4


def score_mmlu(text: str, reference: str, options: Sequence[str] = ()) -> Score:
    """Whether the option that the answer names is the right one.

    Args:
        text: the completion, untouched.
        reference: the right letter.
        options: option texts in letter order; empty when the task file has none.

    Returns:
        ``correct`` 1.0 or ``incorrect`` 0.0; ``empty`` and ``unparsed`` have no value.
    """
    answer = read_answer(text, SCORER, letters=True)
    if not answer.text:
        return answer.empty()
    chosen = _choice(answer, options)
    if chosen is None:
        return answer.score(None, "unparsed", "unparsed")
    right = chosen.option == ord(reference.strip().upper()) - ord("A")
    return answer.score_at(
        float(right), "correct" if right else "incorrect", chosen.rule, chosen.span
    )


def _choice(answer: Answer, options: Sequence[str]) -> Choice | None:
    letters = len(options) or DEFAULT_OPTIONS
    return (
        explicit_letter(answer, letters)
        or named_option(answer, options, anywhere=False)
        or later_letter(answer, letters)
    )
