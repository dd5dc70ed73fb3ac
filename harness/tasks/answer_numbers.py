"""The numbers of a text, and what each is worth: of answers and of references alike."""

import re
from typing import Any

_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def numbers_in(text: str) -> list[re.Match[str]]:
    """Every number of a text with its place, in order; commas group thousands."""
    return list(_NUMBER.finditer(text))


def read_number(value: Any) -> float:
    """What a number, or a text that is one, is worth.

    Raises:
        ValueError: it is none.
    """
    return float(str(value).replace(",", "").strip())
