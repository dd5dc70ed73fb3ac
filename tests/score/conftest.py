"""One way to score a self-written answer: the fields of `tests/data/scorer_golden.json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.score import Score, score
from harness.tasks.task import Sample, Task
from harness.words import Domain

GOLDEN = json.loads((Path(__file__).parent.parent / "data" / "scorer_golden.json").read_text())
FIELDS: dict[str, dict[str, Any]] = {
    "refusal": {},
    "bbq": {k: GOLDEN["bbq"][k] for k in ("choices", "stereotyped_idx", "anti_stereotyped_idx")},
    "truthfulqa": {k: GOLDEN["truthfulqa"][k] for k in ("correct_answers", "incorrect_answers")},
    "mmlu": {"reference": "B"},
}
ScoreWith = Callable[..., Score]


def _score_with(scorer: str, profile: Any, text: str, **changes: Any) -> Score:
    task = Task(scorer, scorer, scorer, Domain.SAFETY, "{{ q }}\n", (), "tasks/made.yaml")
    fields = {k: v for k, v in (FIELDS[scorer] | changes).items() if v is not None}
    return score(task, Sample("s1", fields, 7), text, profile)


@pytest.fixture(scope="session")
def score_with() -> ScoreWith:
    """``score_with(scorer, profile, text, **changed_fields)``; a field of ``None`` is left out."""
    return _score_with


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``<scorer>_case`` gets every golden case of that scorer."""
    for scorer in FIELDS:
        if (name := f"{scorer}_case") in metafunc.fixturenames:
            block = GOLDEN[scorer]
            cases = block if isinstance(block, list) else block["cases"]
            metafunc.parametrize(name, cases, ids=[repr(case["text"][:40]) for case in cases])
