"""A rule of the task linter, and a place that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any


class Severity(StrEnum):
    """``error``: a score can be wrong. ``warning``: it can surprise."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing the linter looks for.

    Attributes:
        severity: error or warning.
        rule_id: its name, as printed.
        meaning: what is wrong with a row that it finds.
        remedy: what to do.
    """

    severity: Severity
    rule_id: str
    meaning: str
    remedy: str


error, warning = partial(Rule, Severity.ERROR), partial(Rule, Severity.WARNING)


@dataclass(frozen=True, slots=True)
class Hit:
    """One place that a rule found.

    Attributes:
        rule: which rule.
        message: the facts of this place.
        file: the task file.
        line: 1-based line, 1 where no better one is known.
        sample: id of the sample, ``None`` for the file as a whole.
    """

    rule: Rule
    message: str
    file: str
    line: int
    sample: str | None = None


Broken = Iterator[tuple[str, str]]
"""Ids of the rules that a sample breaks, each with the facts of the place."""

SampleCheck = Callable[[Mapping[str, Any]], Broken]
"""What one kind of task asks of the fields of a sample."""
