"""What a comparison says, as values: one mode against another, and each candidate that changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.records import RecordKey, ScoreState
from harness.words import Mode

__all__ = ["CONDITIONS", "CandidateChange", "FlipChange", "ModeComparison"]

Json = dict[str, Any]
CONDITIONS = ("solo", "batched")


class FlipChange(StrEnum):
    """What became of the batch's effect on a candidate, from A to B."""

    APPEARED = "appeared"
    VANISHED = "vanished"
    STAYED = "stayed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CandidateChange:
    """One candidate of which anything changed from A to B.

    Attributes:
        key: the candidate.
        mode_a, mode_b: the kernel paths that are compared.
        line_a, line_b: where its records stand.
        flip: what became of its label flip, the batch's effect on the label.
        text_effect: what became of its text change, the batch's effect on the text.
        text_changed, label_changed: for ``solo`` and ``batched``, whether B's answer has another
            hash or another score than A's.
        states: score, or label where there is no score, of A and B for each condition.
    """

    key: RecordKey
    mode_a: Mode
    mode_b: Mode
    line_a: int
    line_b: int
    flip: FlipChange
    text_effect: FlipChange
    text_changed: Mapping[str, bool]
    label_changed: Mapping[str, bool]
    states: Mapping[str, tuple[ScoreState, ScoreState]]

    def as_json(self) -> Json:
        """The change as JSON values; ``line_a`` and ``line_b`` find the answers."""
        names = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
        value: Json = dict(zip(names, self.key, strict=True))
        value |= {"mode_a": str(self.mode_a), "mode_b": str(self.mode_b)}
        value |= {"line_a": self.line_a, "line_b": self.line_b}
        value |= {"flip": str(self.flip), "text_effect": str(self.text_effect)}
        for condition in CONDITIONS:
            one, other = self.states[condition]
            value[condition] = {
                "text_changed": self.text_changed[condition],
                "label_changed": self.label_changed[condition],
                "a": {"score": one[0], "label": one[1]},
                "b": {"score": other[0], "label": other[1]},
            }
        return value


@dataclass(frozen=True, slots=True)
class ModeComparison:
    """One mode of A against one mode of B.

    Attributes:
        candidates: candidates on both sides; ``n`` of them are ok on both and counted.
        errors_a, errors_b: records of the aligned candidates that failed.
        flips: for ``label_flips`` and ``text_changes``, the rate of each side (``a``, ``b``), the
            candidates that ``appeared``, ``vanished`` and ``stayed``, and under ``paired`` the
            table and its tests; ``a_only`` and ``b_only`` are the discordant cells.
        answers: for ``solo`` and ``batched``, how many answers and labels differ between A and
            B, with the direction of score changes.
        prompts: distinct (model, task, sample), and how many of them changed their solo answer.
        noise_a, noise_b: what asking again within a run changed.
        breakdowns: counts by attribute of the candidate.
        changes: the candidates of which anything changed, in A's order.
    """

    mode_a: Mode
    mode_b: Mode
    candidates: int
    n: int
    errors_a: int
    errors_b: int
    flips: Mapping[str, Json]
    answers: Mapping[str, Json]
    prompts: Json
    noise_a: Json
    noise_b: Json
    breakdowns: Mapping[str, list[Json]]
    changes: tuple[CandidateChange, ...]

    @property
    def title(self) -> str:
        """``standard``, or ``standard against batch_invariant``."""
        if self.mode_a == self.mode_b:
            return str(self.mode_a)
        return f"{self.mode_a} against {self.mode_b}"

    def as_json(self) -> Json:
        """The comparison as JSON values."""
        return {
            "mode_a": str(self.mode_a),
            "mode_b": str(self.mode_b),
            "candidates": self.candidates,
            "n": self.n,
            "errors_a": self.errors_a,
            "errors_b": self.errors_b,
            **self.flips,
            **self.answers,
            "prompts": self.prompts,
            "noise_floor": {"a": self.noise_a, "b": self.noise_b},
            "breakdowns": dict(self.breakdowns),
            "changes": [change.as_json() for change in self.changes],
        }
