"""Scorers for prompts of one's own: what is right, what is wrong, and what cannot be told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.score import PROFILES, score
from harness.tasks import load_task


def judged(folder: Path, scorer: str, answer: str, **fields: object) -> tuple[object, str]:
    sample = ", ".join(f"{key}: {value}" for key, value in {"id": "s", **fields}.items())
    path = folder / "task.yaml"
    path.write_text(
        f'name: t\nscorer: "{scorer}"\nprompt_template: ask\nsamples:\n  - {{{sample}}}\n'
    )
    task = load_task(path)
    said = {(s.value, s.label) for p in PROFILES for s in [score(task, task.samples[0], answer, p)]}
    assert len(said) == 1
    return said.pop()


RIGHT, WRONG = (1.0, "correct"), (0.0, "incorrect")


@pytest.mark.parametrize(
    ("scorer", "fields", "answer", "says"),
    [
        ("exact", {"reference": "Paris"}, " Paris\n", RIGHT),
        ("exact", {"reference": "Paris"}, "Paris!", WRONG),
        ("exact", {"references": "[yes, 'Yes']"}, "Yes", RIGHT),
        ("exact", {"reference": "Paris"}, "  ", (None, "empty")),
        ("regex", {"pattern": r"'\d{4}'"}, "in 1789, I think", RIGHT),
        ("regex", {"pattern": r"'^\d{4}$'"}, "in 1789", WRONG),
        ("number", {"reference": 42}, "17 plus 25 is 42.", RIGHT),
        ("number", {"reference": 1234.5}, "It is 1,234.5", RIGHT),
        ("number", {"reference": 3.14, "tolerance": 0.01}, "about 3.1416", RIGHT),
        ("number", {"reference": 42}, "42, or 43", WRONG),
        ("number", {"reference": 42}, "forty-two", (None, "unparsed")),
        ("choice", {"choices": "[red, blue]", "reference": "blue"}, "B", RIGHT),
        ("choice", {"choices": "[red, blue]", "reference": 1}, "A) red", WRONG),
        ("choice", {"choices": "[red, blue]", "reference": "A"}, "A", RIGHT),
        ("none", {}, "anything", (None, "unscored")),
    ],
)
def test_an_answer_is_judged(tmp_path: Path, scorer, fields, answer, says) -> None:
    assert judged(tmp_path, scorer, answer, **fields) == says


def test_a_function_of_ones_own_judges_from_beside_the_task_file(tmp_path: Path) -> None:
    (tmp_path / "my_judge.py").write_text(
        "def polite(answer, sample):\n    return 'please' in answer, 'polite'\n"
    )
    try:
        said = judged(tmp_path, "python:my_judge:polite", "yes, please")
    finally:
        sys.modules.pop("my_judge", None)
    assert said == (1.0, "polite")


@pytest.mark.parametrize("scorer", ["python:no_such_module_here:judge", "python:json:no_such"])
def test_a_function_that_is_not_there_is_named(tmp_path: Path, scorer: str) -> None:
    with pytest.raises(UsageError, match="no scorer"):
        judged(tmp_path, scorer, "x")


def test_a_scorer_that_is_none_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exact"):
        judged(tmp_path, "exat", "x")


@pytest.mark.parametrize(("scorer", "fields"), [("exact", {}), ("number", {"reference": "many"})])
def test_a_sample_without_what_its_scorer_needs_is_refused(tmp_path, scorer, fields) -> None:
    with pytest.raises(UsageError, match="sample s"):
        judged(tmp_path, scorer, "", **fields)
