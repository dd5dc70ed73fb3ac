"""Two profiles over the same answers: how many scores differ, and which flips only one sees."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct, to_builtins

from harness.words import Status

Record = Mapping[str, Any]
MAX_LISTED = 10_000
"""Disagreements that are listed one by one; all of them are counted."""

_KEY = ("mode", "model", "task_name", "sample_id", "batch_size", "dispatch_mode")


class ProfileFlips(Struct):
    """Label flips that each profile sees, and the four ways in which the two can agree on one."""

    paper: int = 0
    strict: int = 0
    both: int = 0
    paper_only: int = 0
    strict_only: int = 0
    neither: int = 0

    def add(self, paper: bool, strict: bool) -> None:
        """Count whether each profile sees one."""
        self.paper += paper
        self.strict += strict
        self.both += paper and strict
        self.paper_only += paper and not strict
        self.strict_only += strict and not paper
        self.neither += not (paper or strict)


class ProfileCounts(Struct):
    """Counts of one mode."""

    records: int
    answers: int
    scores_differ: int
    label_flips: ProfileFlips


class ProfileLabels(Struct, frozen=True):
    """How many answers to a task have these two labels."""

    task_name: str
    paper: str | None
    strict: str | None
    answers: int


class ProfileVerdict(Struct, frozen=True):
    """What one profile says of both answers, with the rules that fired."""

    flip: bool
    solo_score: float | None
    solo_label: str | None
    solo_rule: str | None
    batch_score: float | None
    batch_label: str | None
    batch_rule: str | None


class Disagreement(Struct, frozen=True):
    """A record whose flip only one profile sees."""

    mode: str
    model: str
    task_name: str
    sample_id: str | int
    batch_size: int
    dispatch_mode: str
    paper: ProfileVerdict
    strict: ProfileVerdict


class Profiles(Struct, frozen=True):
    """Counts by mode, labels given by both profiles, and every flip that only one sees."""

    schema_version: int = 1
    by_mode: dict[str, ProfileCounts] = {}
    labels: tuple[ProfileLabels, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    disagreements_left_out: int = 0


@dataclass(slots=True)
class ProfileComparison:
    """Fed one record at a time, as scored by ``paper`` and by ``strict``; keeps counts only."""

    _modes: dict[str, ProfileCounts] = field(default_factory=dict)
    _labels: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _listed: list[Disagreement] = field(default_factory=list)
    _left_out: int = 0

    def add(self, paper: Record, strict: Record) -> None:
        """Count one record under both profiles; a record in error is not counted."""
        if paper.get("status", Status.OK) != Status.OK:
            return
        none = ProfileCounts(0, 0, 0, ProfileFlips())
        tally = self._modes.setdefault(str(paper.get("mode")), none)
        tally.records += 1
        for side in ("solo", "batch"):
            tally.answers += 1
            tally.scores_differ += paper[f"{side}_score"] != strict[f"{side}_score"]
            labels = (paper[f"{side}_label"], strict[f"{side}_label"])
            self._labels[str(paper["task_name"]), *labels] += 1
        flips = bool(paper["label_flip"]), bool(strict["label_flip"])
        tally.label_flips.add(*flips)
        if flips[0] == flips[1]:
            return
        if len(self._listed) >= MAX_LISTED:
            self._left_out += 1
            return
        row: dict[str, Any] = {name: paper.get(name) for name in _KEY}
        self._listed.append(Disagreement(**row, paper=_verdict(paper), strict=_verdict(strict)))

    def profiles(self) -> Profiles:
        """What was counted so far."""
        labels = tuple(ProfileLabels(*key, count) for key, count in sorted(self._labels.items()))
        return Profiles(
            1, dict(sorted(self._modes.items())), labels, tuple(self._listed), self._left_out
        )

    def as_json(self) -> dict[str, Any]:
        """`profiles` as JSON values."""
        value: dict[str, Any] = to_builtins(self.profiles())
        return value


def _verdict(record: Record) -> ProfileVerdict:
    told: list[Any] = []
    for side, answer in (("solo", "solo"), ("batch", "batched")):
        told += [record[f"{side}_score"], record[f"{side}_label"]]
        told.append(record[answer]["score_evidence"]["rule"])
    return ProfileVerdict(bool(record["label_flip"]), *told)
