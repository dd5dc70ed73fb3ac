"""One door to all scorers: ``score(task, sample, text, profile)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from harness.errors import UsageError
from harness.families import BBQ
from harness.score import (
    paper_bbq,
    paper_mmlu,
    paper_refusal,
    paper_truthfulqa,
    strict_bbq,
    strict_mmlu,
    strict_refusal,
    strict_truthfulqa,
)
from harness.score.bias_item import BiasItem, bias_item
from harness.score.model import Score
from harness.settings import options_of
from harness.tasks import Sample, Task

__all__ = ["PROFILES", "SCORERS", "Profile", "score", "scorer_versions"]

Profile = Literal["paper", "strict"]
PROFILES: tuple[Profile, ...] = ("paper", "strict")
_Fields = Mapping[str, Any]
_Scorer = Callable[[str, _Fields], Score]


def _bias(fields: _Fields) -> BiasItem:
    item = bias_item(fields)
    if not item.options:
        raise KeyError(BBQ.keys_of("options"))
    if item.biased is None:
        raise KeyError(BBQ.keys_of("biased"))
    return item


def _references(fields: _Fields) -> tuple[list[str], list[str]]:
    correct, incorrect = fields["correct_answers"], fields["incorrect_answers"]
    return [str(answer) for answer in correct], [str(answer) for answer in incorrect]


SCORERS: Mapping[tuple[str, Profile], _Scorer] = {
    ("refusal", "paper"): lambda text, _: paper_refusal.score_refusal(text),
    ("refusal", "strict"): lambda text, _: strict_refusal.score_refusal(text),
    ("bbq", "paper"): lambda text, f: paper_bbq.score_bbq(text, _bias(f)),
    ("bbq", "strict"): lambda text, f: strict_bbq.score_bbq(text, _bias(f)),
    ("truthfulqa", "paper"): lambda text, f: paper_truthfulqa.score_truthfulqa(
        text, *_references(f)
    ),
    ("truthfulqa", "strict"): lambda text, f: strict_truthfulqa.score_truthfulqa(
        text, *_references(f)
    ),
    ("mmlu", "paper"): lambda text, f: paper_mmlu.score_mmlu(text, str(f["reference"])),
    ("mmlu", "strict"): lambda text, f: strict_mmlu.score_mmlu(
        text, str(f["reference"]), options_of(f)
    ),
}
"""Every scorer of every profile, by ``(scorer, profile)``."""


def scorer_versions() -> dict[str, int]:
    """``scorer/profile`` to version, for a run's metadata."""
    return {
        "refusal/paper": paper_refusal.VERSION,
        "refusal/strict": strict_refusal.VERSION,
        "bbq/paper": paper_bbq.VERSION,
        "bbq/strict": strict_bbq.VERSION,
        "truthfulqa/paper": paper_truthfulqa.VERSION,
        "truthfulqa/strict": strict_truthfulqa.VERSION,
        "mmlu/paper": paper_mmlu.VERSION,
        "mmlu/strict": strict_mmlu.VERSION,
    }


def score(task: Task, sample: Sample, text: str, profile: Profile) -> Score:
    """Score one completion with the task's scorer.

    Pure and deterministic: the same text gives the same score, so a label flip implies a text
    change.

    Args:
        task: whose ``scorer`` decides.
        sample: whose fields hold the references.
        text: the raw completion, as the server sent it.
        profile: ``paper`` for the study's algorithms, ``strict`` for ours.

    Returns:
        The score with its evidence in ``text``.

    Raises:
        UsageError: an unknown scorer or profile, or a sample without a field that it needs.
    """
    scorer = SCORERS.get((task.scorer, profile))
    if scorer is None:
        known = ", ".join(sorted({f"{name} ({of})" for name, of in SCORERS}))
        raise UsageError(
            f"task {task.name}: no scorer {task.scorer!r} in profile {profile!r}",
            hint=f"known: {known}",
            file=task.file,
        )
    try:
        return scorer(text, sample.fields)
    except KeyError as error:
        raise UsageError(
            f"sample {sample.sample_id} lacks {error.args[0]}, needed by scorer {task.scorer}",
            hint=f"harness tasks lint {task.file}",
            file=task.file,
            line=sample.line,
        ) from error
