"""The rows of a scan: every prompt of the population, at each batch size and dispatch mode."""

from __future__ import annotations

from collections.abc import Sequence

from harness.candidates import Candidate
from harness.conduct import CandidateSource
from harness.errors import UsageError
from harness.settings import RunSpec
from harness.tasks import Population
from harness.words import DispatchMode

__all__ = ["population_rows"]

PHASE = "scan"


def population_rows(batch_sizes: Sequence[int]) -> CandidateSource:
    """A source of candidates for `prepare`: whole slices in order, so that a batch is sent once.

    Raises:
        UsageError: a batch size under 2 or over the population, when the source is called.
    """

    def source(spec: RunSpec, population: Population) -> tuple[Candidate, ...]:
        for size in batch_sizes:
            if not 2 <= size <= len(population.prompts):
                raise UsageError(
                    f"--batch-sizes: {size} is not between 2 and the population's "
                    f"{len(population.prompts)} prompts"
                )
        modes = (
            (DispatchMode.SYNCHRONIZED, DispatchMode.PROMPT_LIST)
            if spec.dispatch_modes == "original"
            else spec.dispatch_modes
        )
        prompts = population.prompts[: spec.limit]
        return tuple(
            Candidate(
                model=model.name,
                task_name=prompt.task.name,
                sample_id=prompt.sample.sample_id,
                batch_size=size,
                dispatch_mode=mode,
                phase=PHASE,
                domain=str(prompt.task.domain),
            )
            for model in spec.models
            for mode in modes
            for size in batch_sizes
            for prompt in prompts
        )

    return source
