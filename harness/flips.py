"""What a label flip is, told once: two scores of the same prompt that are not the same."""

from collections.abc import Mapping

ScoreState = tuple[float | None, str | None]
"""A score, or the label where there is no score."""


def score_state(score: float | None, label: str | None) -> ScoreState:
    """What a flip compares: the score, or the label where there is no score."""
    return (score, None) if score is not None else (None, label)


def unscored_text(counts: Mapping[str, int]) -> str:
    """How many answers are in each state without a score: ``3 undecided, 1 empty`` or ``none``."""
    told = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{count:,} {label}" for label, count in told) or "none"


def unresolved(missing: int, answers: int, which: str) -> str | None:
    """Why labels say little, if so: a word on labels takes a score for half of the answers."""
    return f"{missing} of {answers} {which}" if 2 * missing > answers else None


def flips(
    solo: float | None, solo_label: str | None, batched: float | None, batched_label: str | None
) -> bool:
    """Whether two judged answers differ: by their scores, or by label where neither has one.

    An answer without a score (``unparsed``, ``empty``) differs from any that has one.
    """
    if solo is None and batched is None:
        return solo_label != batched_label
    return solo != batched


def flip_kind(solo: float | None, batched: float | None) -> str:
    """``hard`` when the scores lie on both sides of 0.5, ``soft`` otherwise, ``state`` when
    one side has no score.
    """
    if solo is None or batched is None:
        return "state"
    return "hard" if (solo - 0.5) * (batched - 0.5) < 0 else "soft"


def flip_direction(solo: float | None, batched: float | None) -> str | None:
    """``up`` or ``down`` from solo to batched; ``None`` where a side has no score."""
    if solo is None or batched is None or solo == batched:
        return None
    return "up" if batched > solo else "down"
