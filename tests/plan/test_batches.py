from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.plan import batch_group
from harness.tasks import Population

from .conftest import population_of


@st.composite
def cases(draw: st.DrawFn) -> tuple[Population, int, int]:
    """A population, the position of a sample in it, and a batch size that fits."""
    sizes = draw(st.lists(st.integers(1, 30), min_size=1, max_size=4))
    population = population_of(*sizes)
    total = len(population.prompts)
    return population, draw(st.integers(0, total - 1)), draw(st.integers(1, total))


def _ids(population: Population, position: int, size: int) -> tuple[tuple[str, ...], int]:
    prompt = population.prompts[position]
    group = batch_group(population, prompt.task.name, prompt.sample.sample_id, size)
    return group.ids, group.target_index


def test_a_sample_shares_the_slice_that_holds_it_across_task_borders() -> None:
    ids, target = _ids(population_of(3, 5), 5, 4)
    assert ids == ("task1/s1", "task1/s2", "task1/s3", "task1/s4")
    assert target == 1
    assert _ids(population_of(3, 5), 3, 4) == (("task0/s0", "task0/s1", "task0/s2", "task1/s0"), 3)


def test_a_short_last_slice_is_filled_up_from_the_first_prompts() -> None:
    ids, target = _ids(population_of(7), 5, 5)
    assert ids == ("task0/s5", "task0/s6", "task0/s0", "task0/s1", "task0/s2")
    assert target == 0


def test_the_whole_population_can_be_one_batch() -> None:
    ids, target = _ids(population_of(3), 2, 3)
    assert (ids, target) == (("task0/s0", "task0/s1", "task0/s2"), 2)


@given(cases())
def test_the_target_is_in_its_group_at_its_index(case: tuple[Population, int, int]) -> None:
    population, position, size = case
    ids, target = _ids(population, position, size)
    assert ids[target] == population.prompts[position].key


@given(cases())
def test_a_group_has_batch_size_different_prompts(case: tuple[Population, int, int]) -> None:
    ids, _ = _ids(*case)
    assert len(ids) == len(set(ids)) == case[2]


@given(cases())
def test_groups_are_aligned_consecutive_positions_with_wrap_around(
    case: tuple[Population, int, int],
) -> None:
    population, position, size = case
    start = (position // size) * size
    total = len(population.prompts)
    expected = [population.prompts[(start + offset) % total].key for offset in range(size)]
    assert list(_ids(population, position, size)[0]) == expected


@given(cases())
def test_all_samples_of_a_slice_have_the_same_group(case: tuple[Population, int, int]) -> None:
    population, position, size = case
    start = (position // size) * size
    members = range(start, min(start + size, len(population.prompts)))
    assert len({_ids(population, member, size)[0] for member in members}) == 1


@pytest.mark.parametrize("size", [0, 5])
def test_a_batch_that_does_not_fit_the_population_is_an_error(size: int) -> None:
    with pytest.raises(UsageError, match="population of 4 prompts"):
        batch_group(population_of(4), "task0", "s0", size)


def test_a_sample_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UsageError, match="no sample 's9' of task 'task0'"):
        batch_group(population_of(4), "task0", "s9", 2)
