"""Writes the table of ``docs/scorers.md`` from the golden cases: run it after changing a scorer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from harness.score import Profile, score
from harness.score.profile_table import ScoredCase, profile_table
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
