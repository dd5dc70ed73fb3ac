"""A planned record and the answers that it has so far, up to the record that is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from harness.plan import PlannedRecord
from harness.records import (
    Answer,
    Askings,
    Companion,
    Evidence,
    Record,
    Sampling,
    Witness,
    Witnesses,
    text_hash,
)
from harness.score import Profile, score
from harness.settings import ModelSpec, RunSpec
from harness.tasks import Prompt
from harness.words import Asking, Status


@dataclass(slots=True)
class Asked:
    """A row of a lifetime while it is asked.

    Attributes:
        planned: what it asks.
        answers: to each asking so far, scored.
        witnesses: what the engine's steps show of each.
        companions: the other answers of B.
        warmed: companions that had been asked alone before B.
    """

    planned: PlannedRecord
    answers: dict[Asking, Answer] = field(default_factory=dict)
    witnesses: dict[Asking, Witness] = field(default_factory=dict)
    companions: tuple[Companion, ...] | None = None
    warmed: int | None = None


def scored(answer: Answer, prompt: Prompt | None, profile: Profile) -> Answer:
    """An answer with its judgement by the prompt's task; as it is where there is no prompt."""
    if prompt is None:
        return answer
    verdict = score(prompt.task, prompt.sample, answer.text or "", profile)
    reasons = Evidence(verdict.rule, verdict.span, verdict.matched, verdict.scorer)
    return replace(answer, score=verdict.value, label=verdict.label, score_evidence=reasons)


class Scribe:
    """Makes the records of one lifetime.

    Args:
        spec: sampling and score profile.
        model: the model that was asked.
        run_id: goes into the records.
    """

    def __init__(self, spec: RunSpec, model: ModelSpec, run_id: str) -> None:
        self._spec = spec
        self._model = model
        self._run_id = run_id

    def take(self, row: Asked, asking: Asking, answer: Answer, witness: Witness | None) -> None:
        """Score an answer and give it to its row, with what was seen of its asking."""
        if witness is not None:
            row.witnesses[asking] = witness
        target = row.planned.group.target
        row.answers[asking] = scored(answer, target, self._spec.score_profile)

    def take_batch(
        self, row: Asked, asking: Asking, batch: Sequence[Answer], witness: Witness | None
    ) -> None:
        """The row's own answer of a batch and, of B, how its companions were answered."""
        group = row.planned.group
        self.take(row, asking, batch[group.target_index], witness)
        if asking is Asking.B:
            row.companions = tuple(
                Companion(
                    key,
                    text_hash(answer.text or ""),
                    answer.finish_reason,
                    answer.cached_tokens,
                    answer.degenerate,
                )
                for place, (key, answer) in enumerate(zip(group.ids, batch, strict=True))
                if place != group.target_index
            )

    def answered(self, row: Asked) -> Record:
        """The record of a row that was answered in every asking."""
        solo, batched = row.answers[Asking.S0], row.answers[Asking.B]
        s1, s2, b2 = (row.answers.get(one) for one in (Asking.S1, Asking.S2, Asking.B2))
        return Record(
            **self._head(row.planned),
            status=Status.OK,
            solo_score=solo.score,
            batch_score=batched.score,
            solo_label=solo.label,
            batch_label=batched.label,
            solo_response_hash=text_hash(solo.text or ""),
            batch_response_hash=text_hash(batched.text or ""),
            solo=solo,
            batched=batched,
            askings=Askings(S1=s1, S2=s2, B2=b2),
            companions=row.companions,
            warmed=row.warmed,
            witness=Witnesses(**row.witnesses) if row.witnesses else None,
        )

    def failed(self, planned: PlannedRecord, error: str) -> Record:
        """The record of one that could not be answered: present, and never counted."""
        return Record(
            **self._head(planned),
            status=Status.ERROR,
            error=error,
            solo_score=None,
            batch_score=None,
            solo_response_hash=None,
            batch_response_hash=None,
        )

    def _head(self, planned: PlannedRecord) -> dict[str, Any]:
        """What both kinds of record say of the candidate, its batch and the sampling."""
        candidate, request = planned.candidate, self._spec.request
        return {
            "run_id": self._run_id,
            "record_id": planned.record_id,
            "model": candidate.model,
            "hf_id": self._model.hf_id,
            "task_name": candidate.task_name,
            "sample_id": candidate.sample_id,
            "batch_size": candidate.batch_size,
            "dispatch_mode": str(candidate.dispatch_mode),
            "phase": candidate.phase,
            "domain": candidate.domain or str(planned.group.target.task.domain),
            "original_direction": candidate.original_direction,
            "original_solo_score": candidate.original_solo_score,
            "original_batch_score": candidate.original_batch_score,
            "mode": planned.mode,
            "prompt_sha256": planned.group.target.sha256,
            "group": planned.group.ids,
            "target_index": planned.group.target_index,
            "sampling": Sampling(request.max_tokens, request.temperature, request.seed),
            "score_profile": self._spec.score_profile,
            "extra": candidate.extra,
        }
