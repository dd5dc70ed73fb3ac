"""What a verb does, once its arguments are parsed: one module for each thing that is worked on.

A job takes values, calls the rooms below and returns what there is to tell. Verbs import the module
(``from harness.jobs import runs``) when they are called, so that none loads what another one needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.errors import HarnessError

__all__ = ["Done", "Remark"]


class Remark(str):
    """A line beside a result, for stderr."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What a job came to, in the order in which it is told.

    Attributes:
        lines: for a person.
        value: for a machine, in their place.
        remarks: for stderr, after either.
        failure: what then sets the exit code.
    """

    lines: Iterable[object]
    value: Any = None
    remarks: Iterable[str] = ()
    failure: HarnessError | None = None
