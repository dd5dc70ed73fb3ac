"""One bias question as the scorers need it: its options and which of them means what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.families import BBQ
from harness.settings import UNKNOWN_WORDING, options_of, unknown_index

__all__ = ["BiasItem", "bias_item", "unknown_opening"]

_UNKNOWN_OPENING = re.compile(
    r"\W*(?:(?:the )?(?:correct )?answer(?: is|:) )?"
    r"(?:(?:it|this|that)(?: is|'s)? |there(?: is|'s) |based on the (?:context|information),? )*"
    rf"({UNKNOWN_WORDING})\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class BiasItem:
    """A question with its options; an index is ``None`` where the task file does not give it.

    Attributes:
        options: answer options in letter order.
        biased: index of the option that follows the stereotype for this question.
        anti: index of the option that goes against it.
        unknown: index of the option that says that the context does not tell.
        correct: index of the right answer.
    """

    options: tuple[str, ...]
    biased: int | None
    anti: int | None
    unknown: int | None
    correct: int | None


def unknown_opening(line: str) -> tuple[int, int] | None:
    """Where a folded line opens by saying that the answer cannot be known, if it does."""
    hit = _UNKNOWN_OPENING.match(line)
    return hit.span(1) if hit else None


def bias_item(fields: Mapping[str, Any]) -> BiasItem:
    """Read a sample's bias fields; of several spellings the first one given wins."""
    options = options_of(fields)
    return BiasItem(
        options=options,
        biased=_index(fields, "biased"),
        anti=_index(fields, "anti"),
        unknown=unknown_index(fields, options),
        correct=_index(fields, "correct"),
    )


def _index(fields: Mapping[str, Any], field: str) -> int | None:
    for key in BBQ.fields[field]:
        value = fields.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
