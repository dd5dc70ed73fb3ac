"""Writes the table of ``docs/scorers.md`` from the golden cases: run it after changing a scorer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.score import Profile, Score, score
from harness.tasks.task import Sample, Task
from harness.words import Domain

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "scorers.md"
DATA = ROOT / "tests" / "data"
GOLDEN: dict[str, Any] = json.loads((DATA / "scorer_golden.json").read_text())
REASONS: dict[str, Any] = json.loads((DATA / "scorer_differences.json").read_text())
SCORERS = ("refusal", "bbq", "truthfulqa", "mmlu")
FIELDS: dict[str, dict[str, Any]] = {
    "refusal": {},
    "bbq": GOLDEN["bbq"],
    "truthfulqa": GOLDEN["truthfulqa"],
    "mmlu": {"reference": "B"},
}
_TABLE = re.compile(r"(<!-- table:(\w+) -->\n)(?:(?!<!--).*\n)*(<!-- end -->)")
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


def scored_cases(scorer: str) -> list[ScoredCase]:
    """Every golden case of a scorer under both profiles."""
    block = GOLDEN[scorer]
    texts = [case["text"] for case in (block if isinstance(block, list) else block["cases"])]
    task = Task(scorer, scorer, scorer, Domain.SAFETY, "{{ q }}", (), "golden.yaml")
    sample = Sample("golden", FIELDS[scorer], 1)

    def under(profile: Profile, text: str) -> Any:
        return score(task, sample, text, profile)

    return [
        ScoredCase(t, under("paper", t), under("strict", t), REASONS[scorer].get(t)) for t in texts
    ]


def page_with_tables(page: str) -> str:
    """The page with every table made anew."""
    return _TABLE.sub(lambda m: m[1] + profile_table(scored_cases(m[2])) + "\n" + m[3], page)


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text()))
