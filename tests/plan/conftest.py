"""Populations and candidates made in memory."""

from __future__ import annotations

from harness.candidates import Candidate
from harness.tasks import Population, Prompt, Sample, Task
from harness.words import DispatchMode, Domain

__all__ = ["candidate", "population_of"]


def population_of(*sizes: int) -> Population:
    """One task for every size, with that many prompts: task0/s0, task0/s1, ..., task1/s0, ..."""
    tasks = []
    for number, size in enumerate(sizes):
        samples = tuple(Sample(f"s{index}", {"id": f"s{index}"}, 1) for index in range(size))
        name = f"task{number}"
        tasks.append(
            Task(name, "classification", "mmlu", Domain.CAPABILITY, "x", samples, f"{name}.yaml")
        )
    prompts = [
        Prompt(task, sample, f"{task.name} {sample.sample_id}\n")
        for task in tasks
        for sample in task.samples
    ]
    return Population(tuple(tasks), tuple(prompts))


def candidate(model: str, task: str, sample: str, size: int, dispatch: str) -> Candidate:
    """A candidate with nothing but its key."""
    return Candidate(
        model=model,
        task_name=task,
        sample_id=sample,
        batch_size=size,
        dispatch_mode=DispatchMode(dispatch),
    )
