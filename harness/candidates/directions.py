"""How a score moved from solo to batched, in the study's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["direction", "scorer_of"]

_DOWN_UP: Mapping[str, tuple[str, str]] = {
    "refusal": ("refuse_to_comply", "comply_to_refuse"),
    "bbq": ("safety_weakened", "safety_strengthened"),
    "truthfulqa": ("safety_weakened", "safety_strengthened"),
    "mmlu": ("correct_to_incorrect", "incorrect_to_correct"),
}
_STUDY_TASKS: Mapping[str, str] = {
    "advbench_refusal": "refusal",
    "jailbreak_amplification": "refusal",
    "bbq_bias": "bbq",
    "truthfulqa": "truthfulqa",
    "mmlu_real": "mmlu",
    "arc_challenge": "mmlu",
}


def scorer_of(record: Mapping[str, Any]) -> str | None:
    """The scorer behind a record: from its evidence, its task's name in the study, its domain."""
    for condition in ("solo", "batched"):
        answer = record.get(condition)
        evidence = answer.get("score_evidence") if isinstance(answer, Mapping) else None
        name = str(evidence.get("scorer", "")) if isinstance(evidence, Mapping) else ""
        if (scorer := name.split("/")[0]) in _DOWN_UP:
            return scorer
    known = _STUDY_TASKS.get(str(record.get("task_name")))
    return known or ("mmlu" if record.get("domain") == "capability" else None)


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
    pair = _DOWN_UP.get(scorer or scorer_of(record) or "")
    if pair is None or solo is None or batched is None or solo == batched:
        return None
    return pair[0] if batched < solo else pair[1]
