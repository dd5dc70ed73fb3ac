"""A comparison as one value for people: what every format shows, before any is chosen."""

from __future__ import annotations

from dataclasses import dataclass

from harness.compare import GateVerdict
from harness.report.model import AnswerView, Banner, Measure, Section

__all__ = ["ChangeGroup", "ChangeView", "ComparisonReport", "Flow", "FlowPart"]


@dataclass(frozen=True, slots=True)
class FlowPart:
    """Candidates of one fate: how many, the style of their squares, and what it is in words."""

    count: int
    style: str
    words: str


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of all candidates in one respect."""

    label: str
    parts: tuple[FlowPart, ...]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One candidate or document that changed, A's and B's answers side by side.

    Attributes:
        anchor: id within the page.
        heading: what it is, as an identifier.
        change: what changed, in a few words.
        context: model, mode, batch; and for samples the filter.
        notes: further remarks, one a line.
        answers: ``(A's, B's)``, one row a condition.
    """

    anchor: str
    heading: str
    change: str
    context: str
    notes: tuple[str, ...]
    answers: tuple[tuple[AnswerView, AnswerView], ...]


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Changes of one kind; ``left_out`` are counted and not shown."""

    anchor: str
    title: str
    prose: str
    views: tuple[ChangeView, ...]
    left_out: int = 0

    @property
    def total(self) -> int:
        """All of them, shown or not."""
        return len(self.views) + self.left_out


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Everything that a format shows of a comparison.

    Attributes:
        names: of A and B.
        title: ``A against B``.
        clauses: the headline, one a mode or filter, what differs between the stacks first.
        nature: what the device's numbers can say; empty for a GPU.
        verdicts: of the gate; empty where none was asked for.
        samples: whether these are lm-evaluation-harness samples.
    """

    names: tuple[str, str]
    title: str
    clauses: tuple[str, ...]
    banner: Banner
    nature: str
    measures: tuple[Measure, ...]
    flows: tuple[Flow, ...]
    sections: tuple[Section, ...]
    groups: tuple[ChangeGroup, ...]
    verdicts: tuple[GateVerdict, ...]
    answer_limit: int
    samples: bool
    made_with: str
