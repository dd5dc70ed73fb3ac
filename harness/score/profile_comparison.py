"""Two profiles over the same answers: how many scores differ, and which flips only one sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.words import Status

Record = Mapping[str, Any]
MAX_LISTED = 10_000
"""Disagreements that are listed one by one; all of them are counted."""

_KEY = ("mode", "model", "task_name", "sample_id", "batch_size", "dispatch_mode")
_OUTCOMES = {
    (True, True): "both",
    (True, False): "paper_only",
    (False, True): "strict_only",
    (False, False): "neither",
}


@dataclass(slots=True)
class _Tally:
    """Counts of one mode."""

    records: int = 0
    answers: int = 0
    scores_differ: int = 0
    flips: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        outcomes = {name: self.flips[name] for name in _OUTCOMES.values()}
        return {
            "records": self.records,
            "answers": self.answers,
            "scores_differ": self.scores_differ,
            "label_flips": {
                "paper": outcomes["both"] + outcomes["paper_only"],
                "strict": outcomes["both"] + outcomes["strict_only"],
                **outcomes,
            },
        }


@dataclass(slots=True)
class ProfileComparison:
    """Fed one record at a time, as scored by ``paper`` and by ``strict``; keeps counts only."""

    _modes: dict[str, _Tally] = field(default_factory=dict)
    _labels: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _listed: list[dict[str, Any]] = field(default_factory=list)
    _left_out: int = 0

    def add(self, paper: Record, strict: Record) -> None:
        """Count one record under both profiles; a record in error is not counted."""
        if paper.get("status", Status.OK) != Status.OK:
            return
        tally = self._modes.setdefault(str(paper.get("mode")), _Tally())
        tally.records += 1
        for side in ("solo", "batch"):
            tally.answers += 1
            tally.scores_differ += paper[f"{side}_score"] != strict[f"{side}_score"]
            labels = (paper[f"{side}_label"], strict[f"{side}_label"])
            self._labels[str(paper["task_name"]), *labels] += 1
        flips = (bool(paper["label_flip"]), bool(strict["label_flip"]))
        tally.flips[_OUTCOMES[flips]] += 1
        if flips[0] == flips[1]:
            return
        if len(self._listed) >= MAX_LISTED:
            self._left_out += 1
            return
        row = {name: paper.get(name) for name in _KEY}
        self._listed.append({**row, "paper": _change(paper), "strict": _change(strict)})

    def as_json(self) -> dict[str, Any]:
        """Counts by mode, labels given by both profiles, and every flip that only one sees."""
        labels = [
            {"task_name": task, "paper": paper, "strict": strict, "answers": count}
            for (task, paper, strict), count in sorted(self._labels.items())
        ]
        return {
            "schema_version": 1,
            "by_mode": {mode: tally.as_json() for mode, tally in sorted(self._modes.items())},
            "labels": labels,
            "disagreements": self._listed,
            "disagreements_left_out": self._left_out,
        }


def _change(record: Record) -> dict[str, Any]:
    """What one profile says of both answers, with the rules that fired."""
    return {
        "flip": bool(record["label_flip"]),
        "solo_score": record["solo_score"],
        "solo_label": record["solo_label"],
        "solo_rule": record["solo"]["score_evidence"]["rule"],
        "batch_score": record["batch_score"],
        "batch_label": record["batch_label"],
        "batch_rule": record["batched"]["score_evidence"]["rule"],
    }
