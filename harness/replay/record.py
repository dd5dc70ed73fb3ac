"""Answers and their scores put together as one record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from harness.plan import PlannedRecord
from harness.records import Answer, Evidence, Record, Sampling, text_hash
from harness.score import score
from harness.settings import ModelSpec, RunSpec
from harness.words import Status

About = tuple[str, RunSpec, ModelSpec]
"""Run id, spec and model."""


def ok_record(
    planned: PlannedRecord,
    about: About,
    solo: Answer,
    batched: Answer,
    repeats: tuple[Sequence[Answer], Sequence[Answer]] = ((), ()),
) -> Record:
    """The record of a candidate that was answered in every condition.

    Args:
        planned: the candidate and its batch.
        about: the run.
        solo, batched: its answers alone and in the batch, not yet scored.
        repeats: answers to asking again, alone and in the batch.
    """
    target, profile = planned.group.target, about[1].score_profile

    def scored(answer: Answer) -> Answer:
        verdict = score(target.task, target.sample, answer.text or "", profile)
        reasons = Evidence(verdict.rule, verdict.span, verdict.matched, verdict.scorer)
        return replace(answer, score=verdict.value, label=verdict.label, score_evidence=reasons)

    solo, batched = scored(solo), scored(batched)
    return Record(
        **_head(planned, about),
        status=Status.OK,
        solo_score=solo.score,
        batch_score=batched.score,
        solo_label=solo.label,
        batch_label=batched.label,
        solo_response_hash=text_hash(solo.text or ""),
        batch_response_hash=text_hash(batched.text or ""),
        solo=solo,
        batched=batched,
        solo_repeats=tuple(map(scored, repeats[0])),
        batched_repeats=tuple(map(scored, repeats[1])),
    )


def error_record(planned: PlannedRecord, about: About, error: str) -> Record:
    """The record of a candidate that could not be answered: present, and never counted."""
    return Record(
        **_head(planned, about),
        status=Status.ERROR,
        error=error,
        solo_score=None,
        batch_score=None,
        solo_response_hash=None,
        batch_response_hash=None,
    )


def _head(planned: PlannedRecord, about: About) -> dict[str, Any]:
    """What both kinds of record say of the candidate, its batch and the sampling."""
    run_id, spec, model = about
    candidate, request = planned.candidate, spec.request
    return {
        "run_id": run_id,
        "record_id": planned.record_id,
        "model": candidate.model,
        "hf_id": model.hf_id,
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
        "score_profile": spec.score_profile,
        "extra": candidate.extra,
    }
