"""One answer of a record as a view: its window, its score and why, and the facts beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.report.difference import window
from harness.report.model import AnswerView
from harness.report.numbers import score_text

__all__ = ["answer_of", "answer_view"]

MAX_MATCHED = 200

Record = Mapping[str, Any]


def answer_of(record: Record, condition: str) -> Mapping[str, Any]:
    """The answer object of a condition; empty where the record has none."""
    value = record.get(condition)
    return value if isinstance(value, Mapping) else {}


def _span(answer: Mapping[str, Any]) -> tuple[int, int] | None:
    evidence = answer.get("score_evidence")
    span = evidence.get("span") if isinstance(evidence, Mapping) else None
    match span:
        case [int(start), int(end)] if 0 <= start <= end:
            return start, end
    return None


def _evidence(answer: Mapping[str, Any]) -> str:
    evidence = answer.get("score_evidence")
    if not isinstance(evidence, Mapping) or not evidence.get("rule"):
        return ""
    matched = str(evidence.get("matched") or "")
    seen = f" matched “{matched[:MAX_MATCHED]}”" if matched else ""
    return f"{evidence.get('scorer', '')} · rule {evidence['rule']}{seen}"


def _facts(answer: Mapping[str, Any]) -> str:
    tokens, latency = answer.get("token_ids"), answer.get("latency_s")
    attempts = answer.get("attempts")
    parts = [
        f"finish: {answer['finish_reason']}" if answer.get("finish_reason") else "",
        f"{len(tokens)} tokens" if isinstance(tokens, list) else "",
        f"{latency:.2f} s" if isinstance(latency, int | float) else "",
        f"{attempts} attempts" if isinstance(attempts, int) and attempts > 1 else "",
    ]
    return " · ".join(part for part in parts if part)


def answer_view(
    record: Record, condition: str, short: str, at: int | None, limit: int
) -> AnswerView:
    """The view of one answer.

    Args:
        record: the whole record.
        condition: ``solo`` or ``batched``.
        short: how the record's flat keys name it, ``solo`` or ``batch``.
        at: index of the first difference, ``None`` where the texts are equal or unknown.
        limit: characters to show at most.
    """
    answer = answer_of(record, condition)
    text = answer.get("text")
    cut = window(text, at, _span(answer), limit) if isinstance(text, str) else None
    return AnswerView(
        name=condition,
        pieces=cut.pieces if cut else None,
        before=cut.before if cut else 0,
        after=cut.after if cut else 0,
        length=len(text) if isinstance(text, str) else None,
        sha256=str(record.get(f"{short}_response_hash") or ""),
        scored=score_text(record.get(f"{short}_score"), record.get(f"{short}_label")),
        evidence=_evidence(answer),
        facts=_facts(answer),
        ends_at_difference=at is not None and isinstance(text, str) and at == len(text) > 0,
    )
