"""``docs/scorers.md`` shows what the scorers do now, and explains every difference."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

WRITER = runpy.run_path(str(Path(__file__).parent / "write_scorers_page.py"))


def test_the_tables_of_the_page_are_what_the_scorers_say():
    page = WRITER["PAGE"].read_text()
    assert page == WRITER["page_with_tables"](page), "run python tests/score/write_scorers_page.py"


@pytest.mark.parametrize("scorer", WRITER["SCORERS"])
def test_the_page_has_a_table_of_every_scorer(scorer: str):
    assert f"<!-- table:{scorer} -->" in WRITER["PAGE"].read_text()


@pytest.mark.parametrize("scorer", WRITER["SCORERS"])
def test_every_difference_between_the_profiles_is_explained_and_nothing_else(scorer: str):
    cases = WRITER["scored_cases"](scorer)
    differing = {case.text for case in cases if case.differs}
    assert differing == set(WRITER["REASONS"][scorer])
