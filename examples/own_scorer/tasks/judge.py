"""A scorer of one's own: how many of the words that a sample asks for are in the answer."""

from collections.abc import Mapping
from typing import Any


def asked_words(answer: str, sample: Mapping[str, Any]) -> tuple[float, str]:
    """1 where every word is there, 0 where none is, 0.5 in between."""
    found = [word for word in sample["words"] if word in answer.lower()]
    share = len(found) / len(sample["words"])
    label = "all" if share == 1 else "some" if share else "none"
    return (share if share in (0.0, 1.0) else 0.5), label
