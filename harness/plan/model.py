"""The plan as values: batch groups, planned records and server lifetimes."""

from __future__ import annotations

from dataclasses import dataclass

from harness.candidates import Candidate
from harness.settings import ModelSpec
from harness.tasks import Prompt
from harness.words import Mode

__all__ = ["BatchGroup", "Lifetime", "Plan", "PlannedRecord"]


@dataclass(frozen=True, slots=True)
class BatchGroup:
    """The batch that a candidate's prompt shares.

    Attributes:
        prompts: ``batch_size`` prompts in the order in which they are sent.
        target_index: where the candidate's own prompt stands in ``prompts``.
    """

    prompts: tuple[Prompt, ...]
    target_index: int

    @property
    def target(self) -> Prompt:
        """The candidate's own prompt."""
        return self.prompts[self.target_index]

    @property
    def ids(self) -> tuple[str, ...]:
        """``task_name/sample_id`` of every prompt, in order."""
        return tuple(prompt.key for prompt in self.prompts)


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """One candidate under one mode: one record to be written.

    ``record_id`` is stable across resumes: a hash of the candidate's key and the mode.
    """

    record_id: str
    candidate: Candidate
    mode: Mode
    group: BatchGroup


@dataclass(frozen=True, slots=True)
class Lifetime:
    """One start and stop of a server, and the records asked of it, in order."""

    model: ModelSpec
    mode: Mode
    records: tuple[PlannedRecord, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All work of a run, in order: one lifetime a (model, mode)."""

    lifetimes: tuple[Lifetime, ...]

    @property
    def records(self) -> tuple[PlannedRecord, ...]:
        """Every planned record, in order."""
        return tuple(record for lifetime in self.lifetimes for record in lifetime.records)
