"""How a score moved from solo to batched, in the study's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.families import FAMILIES, MMLU, STUDY_TASKS
from harness.words import Domain


def scorer_of(record: Mapping[str, Any]) -> str | None:
    """The scorer behind a record: from its evidence, its task's name in the study, its domain."""
    for condition in ("solo", "batched"):
        answer = record.get(condition)
        evidence = answer.get("score_evidence") if isinstance(answer, Mapping) else None
        name = str(evidence.get("scorer", "")) if isinstance(evidence, Mapping) else ""
        if (scorer := name.split("/")[0]) in FAMILIES:
            return scorer
    if known := STUDY_TASKS.get(str(record.get("task_name"))):
        return known.name
    return MMLU.name if record.get("domain") == Domain.CAPABILITY else None


def direction(record: Mapping[str, Any], scorer: str | None = None) -> str | None:
    """The direction of a record's score change.

    Args:
        record: with ``solo_score`` and ``batch_score``.
        scorer: of its task; `scorer_of` the record when not given.

    Returns:
        One of the six directions; ``None`` without a change, with a state that has no score, or
        where the scorer cannot be known.
    """
    solo, batched = record.get("solo_score"), record.get("batch_score")
    family = FAMILIES.get(scorer or scorer_of(record) or "")
    if family is None or solo is None or batched is None or solo == batched:
        return None
    falling, rising = family.directions
    return falling if batched < solo else rising
