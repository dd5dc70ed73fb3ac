"""Answers and scores put together as one record (the keys are a contract: docs/records.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from harness.plan import PlannedRecord
from harness.replay.client import Answer
from harness.score import Score, score
from harness.settings import ModelSpec, RunSpec

__all__ = ["Answers", "TimedAnswer", "error_record", "ok_record"]


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """One answer to the target prompt and how many times its request was sent."""

    answer: Answer
    attempts: int


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything the server said to one candidate's prompt."""

    solo: TimedAnswer
    batched: TimedAnswer
    solo_repeats: Sequence[TimedAnswer] = field(default=())
    batched_repeats: Sequence[TimedAnswer] = field(default=())


def ok_record(
    planned: PlannedRecord, answers: Answers, *, run_id: str, spec: RunSpec, model: ModelSpec
) -> dict[str, Any]:
    """The record of a candidate that was answered in every condition."""
    target = planned.group.target

    def scored(timed: TimedAnswer) -> tuple[dict[str, Any], Score]:
        verdict = score(target.task, target.sample, timed.answer.text, spec.score_profile)
        return _answer_json(timed, verdict), verdict

    solo, solo_score = scored(answers.solo)
    batched, batch_score = scored(answers.batched)
    solo_hash, batch_hash = _text_hash(answers.solo), _text_hash(answers.batched)
    return {
        **_head(planned, run_id=run_id, spec=spec, model=model),
        "status": "ok",
        "error": None,
        "solo_score": solo_score.value,
        "batch_score": batch_score.value,
        "solo_label": solo_score.label,
        "batch_label": batch_score.label,
        "solo_response_hash": solo_hash,
        "batch_response_hash": batch_hash,
        "label_flip": solo_score.flips_to(batch_score),
        "text_change": solo_hash != batch_hash,
        "solo": solo,
        "batched": batched,
        "solo_repeats": [scored(timed)[0] for timed in answers.solo_repeats],
        "batched_repeats": [scored(timed)[0] for timed in answers.batched_repeats],
    }


def error_record(
    planned: PlannedRecord, error: str, *, run_id: str, spec: RunSpec, model: ModelSpec
) -> dict[str, Any]:
    """The record of a candidate that could not be answered: present, and never counted."""
    return {
        **_head(planned, run_id=run_id, spec=spec, model=model),
        "status": "error",
        "error": error,
        "solo_score": None,
        "batch_score": None,
        "solo_label": None,
        "batch_label": None,
        "solo_response_hash": None,
        "batch_response_hash": None,
        "label_flip": None,
        "text_change": None,
        "solo": None,
        "batched": None,
        "solo_repeats": [],
        "batched_repeats": [],
    }


def _head(
    planned: PlannedRecord, *, run_id: str, spec: RunSpec, model: ModelSpec
) -> dict[str, Any]:
    candidate = planned.candidate
    return {
        "schema_version": 1,
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
        "mode": str(planned.mode),
        "prompt_sha256": planned.group.target.sha256,
        "group": list(planned.group.ids),
        "target_index": planned.group.target_index,
        "sampling": {
            "max_tokens": spec.request.max_tokens,
            "temperature": spec.request.temperature,
            "seed": spec.request.seed,
        },
        "score_profile": spec.score_profile,
        "extra": candidate.extra,
    }


def _answer_json(timed: TimedAnswer, verdict: Score) -> dict[str, Any]:
    answer = timed.answer
    return {
        "text": answer.text,
        "token_ids": list(answer.token_ids) if answer.token_ids is not None else None,
        "finish_reason": answer.finish_reason,
        "latency_s": answer.latency_s,
        "attempts": timed.attempts,
        "score": verdict.value,
        "label": verdict.label,
        "score_evidence": verdict.evidence(),
    }


def _text_hash(timed: TimedAnswer) -> str:
    return sha256(timed.answer.text.encode("utf-8", "surrogatepass")).hexdigest()
