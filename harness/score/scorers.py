"""One door to all scorers: ``score(task, sample, text, profile)``."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from harness import families
from harness.errors import UsageError
from harness.score import bbq, mmlu, refusal, truthfulqa
from harness.score.answer import Score
from harness.score.plain import PLAIN, own_scorer
from harness.tasks import Sample, Task

Profile = Literal["paper", "strict"]
PROFILES: tuple[Profile, ...] = ("paper", "strict")


class _FamilyScorers(Protocol):
    """What the module of a family holds."""

    PAPER: str
    STRICT: str

    def paper(self, text: str, fields: Mapping[str, Any]) -> Score:
        """The study's algorithm."""

    def strict(self, text: str, fields: Mapping[str, Any]) -> Score:
        """Ours."""


_MODULES: Mapping[str, _FamilyScorers] = {
    families.REFUSAL.name: refusal,
    families.BBQ.name: bbq,
    families.TRUTHFULQA.name: truthfulqa,
    families.MMLU.name: mmlu,
    **PLAIN,
}

SCORERS: Mapping[tuple[str, Profile], Callable[[str, Mapping[str, Any]], Score]] = {
    (name, profile): module.paper if profile == "paper" else module.strict
    for name, module in _MODULES.items()
    for profile in PROFILES
}
"""Every scorer of every profile, by ``(family, profile)``, of a text and a sample's fields."""


def scorer_versions() -> dict[str, int]:
    """``scorer/profile`` to version, for a run's metadata."""
    names = [name for module in _MODULES.values() for name in (module.PAPER, module.STRICT)]
    return {scorer: int(version) for scorer, _, version in (n.rpartition("/") for n in names)}


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
    if task.scorer.startswith(families.PYTHON):
        scorer = own_scorer(task.scorer, str(Path(task.file).parent.resolve()))
    if scorer is None:
        known = ", ".join(sorted({f"{name} ({of})" for name, of in SCORERS}))
        raise UsageError(
            f"task {task.name}: no scorer {task.scorer!r} in profile {profile!r}",
            hint=f"known: {known}",
            file=task.file,
        )
    try:
        return scorer(text, sample.fields)
    except (KeyError, ValueError, re.error) as error:
        why = f": the scorer {task.scorer} cannot use it: {error}"
        if isinstance(error, KeyError):
            why = f" lacks {error.args[0]}, needed by scorer {task.scorer}"
        raise UsageError(
            f"sample {sample.sample_id}{why}",
            hint=f"harness tasks lint {task.file}",
            file=task.file,
            line=sample.line,
        ) from error
