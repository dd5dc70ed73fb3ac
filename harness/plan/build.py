"""Spec and candidates to ordered work, and what is left of it after an interruption."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from hashlib import sha256

from harness.candidates import Candidate, CandidateKey
from harness.errors import UsageError
from harness.plan.batches import batch_group
from harness.plan.model import BatchGroup, Lifetime, Plan, PlannedRecord
from harness.settings import RunSpec
from harness.tasks import Population
from harness.words import Mode

__all__ = ["build_plan", "record_id", "remaining"]

_ID_LENGTH = 16


def record_id(key: CandidateKey, mode: Mode) -> str:
    """The stable id of a record: 16 hex digits of the SHA-256 of the key and the mode as JSON."""
    content = json.dumps([*key, str(mode)], ensure_ascii=True, separators=(",", ":"))
    return sha256(content.encode()).hexdigest()[:_ID_LENGTH]


def build_plan(spec: RunSpec, candidates: Sequence[Candidate], population: Population) -> Plan:
    """One lifetime a (model, mode), in the spec's order of models and then of modes.

    A model without candidates gets none. Records of a lifetime keep the order of ``candidates``,
    and a candidate has the same batch in every mode.

    Raises:
        UsageError: a candidate names a model that the spec lacks, or a sample that the population
            lacks.
    """
    names = {model.name for model in spec.models}
    for candidate in candidates:
        if candidate.model not in names:
            raise UsageError(f"candidate names model '{candidate.model}', which the spec lacks")
    groups = {candidate.key: _group(candidate, population) for candidate in candidates}
    lifetimes = [
        Lifetime(
            model,
            mode,
            tuple(
                PlannedRecord(record_id(item.key, mode), item, mode, groups[item.key])
                for item in candidates
                if item.model == model.name
            ),
        )
        for model in spec.models
        for mode in spec.modes
    ]
    return Plan(tuple(lifetime for lifetime in lifetimes if lifetime.records))


def remaining(plan: Plan, done: Collection[str]) -> Plan:
    """The plan without the records whose ids are in ``done``, and without emptied lifetimes."""
    finished = frozenset(done)
    left = (
        replace(
            lifetime,
            records=tuple(item for item in lifetime.records if item.record_id not in finished),
        )
        for lifetime in plan.lifetimes
    )
    return Plan(tuple(lifetime for lifetime in left if lifetime.records))


def _group(candidate: Candidate, population: Population) -> BatchGroup:
    return batch_group(population, candidate.task_name, candidate.sample_id, candidate.batch_size)
