"""Every kind of task has every part that a kind needs, and nothing belongs to two of them."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.families import DIRECTIONS, FAMILIES, STUDY_TASKS, TASK_TYPES
from harness.people import RUBRICS, rubric_of
from harness.records import Record, export_candidates
from harness.score import PROFILES, SCORERS, scorer_versions
from harness.tasks.lint import CHECKS
from harness.words import Mode, Status

EVERY_FAMILY = pytest.mark.parametrize("name", FAMILIES)


def test_every_family_has_a_scorer_and_a_version_in_every_profile_and_no_scorer_is_left_over():
    assert set(SCORERS) == {(name, profile) for name in FAMILIES for profile in PROFILES}
    assert set(scorer_versions()) == {f"{name}/{profile}" for name, profile in SCORERS}


def test_every_family_has_a_check_of_its_samples_and_no_check_is_left_over():
    assert set(CHECKS) == set(FAMILIES)


@EVERY_FAMILY
def test_people_judge_a_family_by_its_own_rubric(name: str):
    rubric = rubric_of(f"{name}/strict/1")
    assert rubric.name == name == RUBRICS[name].name
    assert set(rubric.order) <= set(rubric.labels)


def directions_of(*tasks: str, scorers: dict[str, str] | None = None) -> set[tuple[str, str]]:
    """How a falling and a rising score of each task is called when it becomes a candidate."""
    found = set()
    for task in tasks:
        falling, rising = (
            export_candidates([flip(task, solo)], source="test", scorers=scorers).rows[0][
                "original_direction"
            ]
            for solo in (1.0, 0.0)
        )
        found.add((falling, rising))
    return found


def flip(task: str, solo: float) -> Record:
    return Record(
        model="m",
        task_name=task,
        sample_id="s",
        batch_size=2,
        dispatch_mode="synchronized",
        phase=None,
        domain=None,
        original_direction=None,
        mode=Mode.STANDARD,
        status=Status.OK,
        solo_score=solo,
        batch_score=1 - solo,
        solo_response_hash="a",
        batch_response_hash="b",
    )


@EVERY_FAMILY
def test_a_score_that_falls_and_one_that_rises_have_a_direction(name: str):
    assert directions_of("mine", scorers={"mine": name}) == {FAMILIES[name].directions}


@EVERY_FAMILY
def test_a_record_that_names_a_task_of_the_study_is_of_its_family(name: str):
    family = FAMILIES[name]
    assert {STUDY_TASKS[task].name for task in family.study_tasks} <= {name}
    assert directions_of(*family.study_tasks) <= {family.directions}


def test_no_task_type_and_no_task_of_the_study_means_two_families():
    types = Counter(word for family in FAMILIES.values() for word in family.task_types)
    tasks = Counter(word for family in FAMILIES.values() for word in family.study_tasks)
    assert max(types.values()) == max(tasks.values()) == 1
    assert (set(types), set(tasks)) == (set(TASK_TYPES), set(STUDY_TASKS))


def test_the_directions_are_the_six_of_the_study():
    assert set(DIRECTIONS) == {
        "refuse_to_comply",
        "comply_to_refuse",
        "safety_weakened",
        "safety_strengthened",
        "incorrect_to_correct",
        "correct_to_incorrect",
    }


def test_a_message_names_every_key_that_may_hold_a_field():
    assert FAMILIES["bbq"].keys_of("biased") == "biased_idx (or stereotyped_idx)"
    assert FAMILIES["mmlu"].keys_of("reference") == "reference"
