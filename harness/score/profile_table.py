"""The same answers under both profiles, as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.score.model import Score

__all__ = ["ScoredCase", "profile_table"]

_LONGEST = 72


@dataclass(frozen=True, slots=True)
class ScoredCase:
    """One answer with its two scores, and why they differ where they do.

    Attributes:
        text: the answer.
        paper: its score under the study's scorer.
        strict: its score under ours.
        reason: why the two differ; ``None`` where they agree.
    """

    text: str
    paper: Score
    strict: Score
    reason: str | None = None

    @property
    def differs(self) -> bool:
        """Whether the values differ; a state without a value differs from any value."""
        return self.paper.value != self.strict.value


def profile_table(cases: Iterable[ScoredCase]) -> str:
    """A table with one row a case: answer, both scores, and the reason of a difference."""
    return "\n".join(_rows(cases))


def _rows(cases: Iterable[ScoredCase]) -> Iterator[str]:
    yield "| answer | paper | strict | why they differ |"
    yield "|---|---|---|---|"
    for case in cases:
        cells = (_shown(case.text), _score(case.paper), _score(case.strict), case.reason or "")
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _shown(text: str) -> str:
    visible = text.replace("\n", "⏎")
    cut = visible if len(visible) <= _LONGEST else f"{visible[:_LONGEST]}…"
    return f"`{cut}`" if cut.strip() else f"({len(text)} spaces)" if text else "(nothing)"


def _score(score: Score) -> str:
    value = "–" if score.value is None else f"{score.value:g}"
    return f"{value} {score.label}, `{score.rule}`"
