"""A candidate: one row to test."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from harness.words import DispatchMode

CandidateKey = tuple[str, str, str, int, str]
REQUIRED = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
"""The columns that every row has, and that make it unique."""


class Candidate(BaseModel):
    """``(model, task_name, sample_id, batch_size, dispatch_mode)`` and what came with it.

    ``phase``, ``domain``, ``original_direction`` and the original scores are kept when present;
    any other column passes through in ``extra`` untouched (its own strings).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    task_name: str
    sample_id: str
    batch_size: Annotated[int, Field(ge=2)]
    dispatch_mode: DispatchMode
    phase: str | None = None
    domain: str | None = None
    original_direction: str | None = None
    original_solo_score: float | None = None
    original_batch_score: float | None = None
    extra: dict[str, Any] = Field(default_factory=dict)

    @property
    def key(self) -> CandidateKey:
        """What makes the row unique."""
        return (
            self.model,
            self.task_name,
            self.sample_id,
            self.batch_size,
            str(self.dispatch_mode),
        )
