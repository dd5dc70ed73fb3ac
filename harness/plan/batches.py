"""Dispatch reconstruction: which prompts share a batch with a candidate's own (DESIGN 4.4)."""

from __future__ import annotations

from harness.errors import UsageError
from harness.plan.model import BatchGroup
from harness.tasks import Population

__all__ = ["batch_group"]


def batch_group(
    population: Population, task_name: str, sample_id: str, batch_size: int
) -> BatchGroup:
    """The slice of the population that holds a sample.

    Prompts in population order are cut into consecutive slices of ``batch_size``. The last slice,
    when it is short, is filled up with ``population[(start + filled) % N]``, which wraps around to
    the first prompts.

    Raises:
        UsageError: no such sample, or a batch larger than the population (its prompts would be in
            it twice).
    """
    position = population.index.get((task_name, sample_id))
    if position is None:
        raise UsageError(f"no sample '{sample_id}' of task '{task_name}' in the population")
    prompts = population.prompts
    if not 1 <= batch_size <= len(prompts):
        raise UsageError(f"batch size {batch_size} of a population of {len(prompts)} prompts")
    start = position - position % batch_size
    group = list(prompts[start : start + batch_size])
    while (filled := len(group)) < batch_size:
        group.append(prompts[(start + filled) % len(prompts)])
    return BatchGroup(tuple(group), position - start)
